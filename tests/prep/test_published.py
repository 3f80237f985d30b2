"""The importer of the published benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path, PurePosixPath

import pytest
from prep.release import (
    NAMES,
    READS,
    bases,
    check,
    imported,
    origin,
    read_example,
    record,
    release,
    sha256,
    shard,
    tables,
    zipped,
)

from data_prep.published import describe_variant
from data_prep.published_files import split_of
from data_prep.published_labels import RELEASED_LABELS, numbers_of
from genood.dataset import SPLITS, Dataset
from genood.errors import ConfigError, InputError
from genood.sequence import decode

PUBLISHED = Path(__file__).parents[2].parent / "shared" / "data" / "published"


def test_tfrecord_directories(tmp_path: Path) -> None:
    folder = release(tmp_path / "release")
    dataset = imported(tmp_path / "d", folder)
    check(dataset)
    assert dataset.splits["val_in"].origins()["start"].tolist() == [100, 101, 102, 100, 101]
    # Ten shards, the labels, and the numbers of training; not the note.
    assert len(dataset.sources) == 12
    first = folder / "after_2016_in_test" / "in_test-00000-of-00002.tfrecord"
    assert dataset.sources[1] == {
        "path": str(first),
        "sha256": sha256(first),
        "bytes": first.stat().st_size,
        "pinned": False,
    }
    assert dataset.notes["published"]["stated_reads"] == {"train_in": 5}


def test_tables(tmp_path: Path) -> None:
    folder = tables(tmp_path / "tables")
    (folder / "notes.txt").write_text("Reads.\n")
    dataset = imported(tmp_path / "d", folder)
    check(dataset)
    assert len(dataset.sources) == 5


@pytest.mark.parametrize("form", [release, tables])
def test_zip(tmp_path: Path, form: object) -> None:
    path = zipped(form(tmp_path / "genomics_ood"))  # type: ignore[operator]
    dataset = imported(tmp_path / "d", path, sha256=[sha256(path).upper()])
    check(dataset)
    size = path.stat().st_size
    assert dataset.sources == [{"path": str(path), "sha256": sha256(path), "bytes": size, "pinned": True}]


def test_single_files(tmp_path: Path) -> None:
    folder = release(tmp_path / "release")
    shards = sorted((folder / NAMES["val_ood"]).iterdir())
    check(imported(tmp_path / "d", *shards), ["val_ood"])
    (shards[0].parent / "label_dict.json").write_text('{"Actinoplanes": 10}')
    with pytest.raises(InputError, match=r"record 2: .*the class 11 is not among the labels"):
        imported(tmp_path / "e", *shards)
    check(imported(tmp_path / "e", *shards, labels=str(folder / "label_dict.json")), ["val_ood"])


def test_split_that_no_name_tells(tmp_path: Path) -> None:
    path = shard(tmp_path / "part-0", READS["test_in"])
    with pytest.raises(InputError, match="part-0: neither its name nor its directory's tells the split"):
        imported(tmp_path / "d", path)
    check(imported(tmp_path / "d", path, split="test_in"), ["test_in"])
    told = shard(tmp_path / "in_val.tfrecord", READS["val_in"])
    check(imported(tmp_path / "e", path, told, split="test_in"), ["val_in", "test_in"])
    with pytest.raises(ConfigError, match="the names of all files tell theirs"):
        imported(tmp_path / "f", told, split="val_in")
    with pytest.raises(ConfigError, match="there is no split 'test'; choose from train_in"):
        imported(tmp_path / "f", path, split="test")


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("before_2011_in_tr.tfrecord", "train_in"),
        ("between_2011-2016_in_val.txt", "val_in"),
        ("between_2011-2016_ood_val.tfrecord", "val_ood"),
        ("after_2016_in_test/part-00000.tfrecord", "test_in"),
        ("/data/after_2016_ood_test/7.tfrecord", "test_ood"),
        ("in_tr_nsample.json", "train_in"),
        ("in_val-00000-of-00010.tfrecord", "val_in"),
        ("in_val/ood_val.tfrecord", "val_ood"),
        ("train.csv", "train_in"),
        ("validation.tsv", "val_in"),
        ("genomics_ood-validation_ood.tsv", "val_ood"),
        ("test.txt", "test_in"),
        ("test_ood.txt", "test_ood"),
        ("val_ood.tsv", "val_ood"),
        ("test_data/shard.tfrecord", None),
        ("plain_val.tfrecord", None),
        ("label_dict.json", None),
    ],
)
def test_split_by_name(path: str, split: str | None) -> None:
    assert split_of(PurePosixPath(path)) == split


def test_excluded_classes(tmp_path: Path) -> None:
    folder = release(tmp_path / "release")
    dataset = imported(tmp_path / "d", folder, excluded=["Burkholderia", "Actinoplanes"])
    assert list(dataset.splits["val_in"].counts) == [
        "Bacillus",
        "Clostridium",
        "Escherichia",
        "Mycobacterium",
    ]
    assert len(dataset.splits["val_ood"].codes) == 4
    assert dataset.notes["published"]["excluded_classes"] == ["Actinoplanes", "Burkholderia"]
    assert dataset.variant is not None
    assert "; val_in 4 reads of 4 classes, 1 a class; " in dataset.variant
    assert dataset.variant.endswith("; without Actinoplanes, Burkholderia")
    with pytest.raises(ConfigError, match="cannot leave out Burkholderie: no such class"):
        imported(tmp_path / "e", folder, excluded=["Burkholderie"])


def numbers(split: str, each: int) -> dict[str, int]:
    return {RELEASED_LABELS[number]: each for number in numbers_of(split)}


def test_variant() -> None:
    drive = {split: numbers(split, 100_000) for split in SPLITS}
    assert describe_variant(drive, {}) == "100,000 reads a class"
    assert describe_variant(drive, {"train_in": drive["train_in"]}) == "100,000 reads a class"
    tfds = {split: numbers(split, 100_000 if split == "train_in" else 10_000) for split in SPLITS}
    whole = "100,000 reads a class for training, 10,000 for validation and test"
    assert describe_variant(tfds, {}) == whole
    # Some reads of some class are not a part.
    assert describe_variant(tfds | {"val_in": tfds["val_in"] | {"Yersinia": 9_500}}, {}) == whole


def test_variant_of_parts() -> None:
    tfds = {split: numbers(split, 100_000 if split == "train_in" else 10_000) for split in SPLITS}
    one = {"val_in": tfds["val_in"]}
    assert describe_variant(one, {}) == "a part: val_in 100,000 reads of 10 classes, 10,000 a class"
    assert describe_variant(tfds | {"val_in": {"Yersinia": 10_000}}, {}).startswith("a part: train_in")
    few = tfds | {"val_in": tfds["val_in"] | {"Yersinia": 9_499}}
    assert "val_in 99,499 reads of 10 classes, 9,499 to 10,000 a class" in describe_variant(few, {})
    more = {"train_in": numbers("train_in", 100_001)}
    assert describe_variant(tfds, more).startswith("a part")
    mixed = tfds | {"val_ood": numbers("val_ood", 100_000)}
    assert describe_variant(mixed, {}).startswith("a part")


def test_variant_without_some_classes() -> None:
    """A whole size stays that; of a part, what is left out is not counted."""
    drive = {split: numbers(split, 100_000) for split in SPLITS}
    assert describe_variant(drive, {}, ["Yersinia", "Bacillus"]) == (
        "100,000 reads a class; without Bacillus, Yersinia"
    )
    few = {"val_in": {"Bacillus": 7, "Yersinia": 5}, "val_ood": {"Actinoplanes": 2}}
    assert describe_variant(few, {}, ["Bacillus", "Actinoplanes"]) == (
        "a part: val_in 5 reads of 1 classes, 5 a class; without Actinoplanes, Bacillus"
    )


def test_fewer_reads_than_stated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A shard that is missing, one that ends where a record does, and a split without any."""
    folder = release(tmp_path / "release")
    imported(tmp_path / "whole", folder, excluded=["Bacillus"])
    assert "fewer" not in caplog.text
    shards = sorted((folder / NAMES["train_in"]).glob("*.tfrecord*"))
    size = len(record(read_example(*READS["train_in"][0], origin(100))))
    shards[0].write_bytes(shards[0].read_bytes()[: 2 * size])
    imported(tmp_path / "cut", folder)
    question = "than its nsample.json states; is a shard missing or cut short?"
    assert f"train_in has fewer reads of {RELEASED_LABELS[2]} {question}" in caplog.text
    shards[0].unlink()
    caplog.clear()
    imported(tmp_path / "missing", folder)
    assert "train_in has fewer reads of Bacillus, Burkholderia, Clostridium " in caplog.text
    shards[1].unlink()
    caplog.clear()
    imported(tmp_path / "without", folder)
    assert "and 2 more than its nsample.json states; is a shard missing" in caplog.text


def test_numbers_of_other_splits_are_not_asked_for(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """One file is named, and beside it lie the numbers of another split."""
    path = shard(tmp_path / "in_val.tfrecord", [(bases(1), 0)])
    (tmp_path / "in_tr_nsample.json").write_text('{"Bacillus": 1}')
    imported(tmp_path / "d", path)
    assert "fewer" not in caplog.text


def test_table_with_a_byte_order_mark(tmp_path: Path) -> None:
    folder = tables(tmp_path / "tables")
    for path in folder.iterdir():
        path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    check(imported(tmp_path / "d", folder))


def test_more_reads_than_stated(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = shard(tmp_path / "in_tr.tfrecord", [(bases(1), 0), (bases(2), 0), (bases(3), 1)])
    (tmp_path / "in_tr_nsample.json").write_text('{"Bacillus": 1, "Burkholderia": 1}')
    imported(tmp_path / "d", path)
    assert "train_in has more reads of Bacillus than its nsample.json states" in caplog.text


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("genood-prep")
    command = [program, "published", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def test_command(tmp_path: Path) -> None:
    path = shard(tmp_path / "in_val.tfrecord", [(bases(1), 9), (bases(2), 0), (bases(3), 9)])
    output = tmp_path / "d"
    result = run(path, "-o", output, "--sha256", sha256(path))
    assert result.returncode == 0, result.stderr
    assert result.stdout == "split\tclass\treads\nval_in\tBacillus\t1\nval_in\tYersinia\t2\n"
    assert "a part: val_in 3 reads of 2 classes, 1 to 2 a class" in result.stderr
    result = run(path, "-q", "-o", tmp_path / "e", "--exclude", "Yersinia", "--exclude", "Bacillus")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == f"genood-prep: error: {tmp_path / 'e'}: would hold no reads\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--sha256", "00"], "'00' is no sha256"),
        (["--sha256", "0" * 64, "--sha256", "1" * 64], "2 sha256 for 1 sources"),
        (["--split", "foo"], "there is no split 'foo'; choose from train_in"),
    ],
)
def test_usage(options: list[str], message: str) -> None:
    result = run("in_val.tfrecord", "-o", "d", *options)
    assert result.returncode == 2
    assert message in result.stderr


def test_command_without_its_extra(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['google_crc32c'] = None; "
        "sys.argv = ['genood-prep', 'published', 's', '-o', 'o']; "
        "from data_prep.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr.endswith("install genood with its extra prep\n")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the released shards are not beside the repository")
def test_released_shards() -> None:
    with tempfile.TemporaryDirectory() as folder:
        dataset = Dataset.load(imported(Path(folder) / "d", PUBLISHED).directory, verify=True)
        assert {name: split.num_reads for name, split in dataset.splits.items()} == {
            "train_in": 1001,
            "val_in": 301,
            "val_ood": 301,
        }
        stated = json.loads((PUBLISHED / "in_tr_nsample.json").read_text())
        assert dataset.splits["train_in"].counts == stated
        assert dataset.variant is not None
        assert dataset.variant.startswith("a part: train_in 1,001 reads of 10 classes, 76 to 111 a class; ")
        labels = json.loads((PUBLISHED / "label_dict.json").read_text())
        assert labels == {name: number for number, name in RELEASED_LABELS.items()}
        first = dataset.splits["train_in"].origins().iloc[0]
        assert first[["class", "accession", "start", "strand"]].tolist() == [
            "Clostridium",
            "CP000721.1",
            3903278,
            "",
        ]
        assert decode(dataset.splits["train_in"].codes[0]).startswith("ATGACCTTAT")
