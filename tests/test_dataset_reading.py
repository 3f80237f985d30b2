"""Reading a dataset: what was written is there, and damage is told."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_datasets import SOURCES, random_reads, write_toy

from genood import __version__
from genood.dataset import Dataset
from genood.errors import InputError
from genood.files import sha256_of
from genood.readers import read_blocks, read_file


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    return write_toy(tmp_path / "toy")


def test_what_is_written_is_read(toy: Path) -> None:
    loaded = Dataset.load(toy, verify=True)
    assert loaded.directory == toy
    assert (loaded.read_length, loaded.seed, loaded.variant) == (12, 1, "tiny")
    assert loaded.sources == SOURCES
    assert loaded.notes == {"about": {"made": "by hand"}}
    assert list(loaded.splits) == ["train_in", "test_in", "test_ood"]
    train = loaded.splits["train_in"]
    np.testing.assert_array_equal(train.codes, np.concatenate([random_reads(5, 0), random_reads(3, 2)]))
    assert train.name == "train_in"
    assert train.num_reads == 8
    assert train.counts == {"A": 4, "B": 4}
    assert train.codes.dtype == np.uint8
    assert isinstance(train.codes, np.memmap)
    assert not train.codes.flags.writeable
    table = train.origins()
    assert list(table.columns) == ["class", "accession", "start", "strand", "gc"]
    assert "".join(table["class"]) == "ABBABBAA"
    assert table["start"].tolist() == [0, 1, 2, 3, 4, 0, 1, 2]
    assert set(table["accession"]) == {"NC_1.1"}
    assert loaded.splits["test_ood"].counts == {"X": 2, "Y": 2}


def test_metadata_say_what_is_in_it(toy: Path) -> None:
    metadata = json.loads((toy / "dataset.json").read_text())
    assert metadata["format_version"] == 1
    assert metadata["genood_version"] == __version__
    assert metadata["classes"] == {"in": ["A", "B"], "ood": ["X", "Y"]}
    assert metadata["splits"]["train_in"] == {"num_reads": 8, "counts": {"A": 4, "B": 4}}
    files = {path.name for path in toy.iterdir()} - {"dataset.json"}
    assert metadata["files"] == {name: sha256_of(toy / name) for name in files}
    assert Dataset.load(toy).splits["test_in"].sha256 == {
        name: metadata["files"][name] for name in ("test_in.npy", "test_in.tsv.gz")
    }


def test_files_are_plain_numpy_and_gzip(toy: Path) -> None:
    np.testing.assert_array_equal(np.load(toy / "test_in.npy"), random_reads(3, 3))
    with gzip.open(toy / "test_in.tsv.gz", "rt") as stream:
        lines = stream.read().splitlines()
    assert lines[0] == "class\taccession\tstart\tstrand\tgc"
    assert lines[1].startswith("A\tNC_1.1\t0\t+\t")
    assert len(lines) == 4


def edit_metadata(directory: Path, **changes: Any) -> None:
    path = directory / "dataset.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cut(path: Path, num_bytes: int) -> None:
    path.write_bytes(path.read_bytes()[:-num_bytes])


def rewrite_table(path: Path, change: Callable[[list[str]], list[str]]) -> None:
    with gzip.open(path, "rt") as stream:
        lines = stream.read().splitlines()
    with gzip.open(path, "wt") as stream:
        stream.write("".join(f"{line}\n" for line in change(lines)))


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "no metadata": (lambda d: (d / "dataset.json").unlink(), r"is not a dataset \(no dataset.json\)"),
    "no JSON": (lambda d: cut(d / "dataset.json", 3), "dataset.json: cannot be read as JSON"),
    "no object": (lambda d: (d / "dataset.json").write_text("[]"), "has no format version"),
    "no version": (lambda d: edit_metadata(d, format_version="1"), "has no format version"),
    "newer": (
        lambda d: edit_metadata(d, format_version=2, readable_from="7.0"),
        f"dataset format 2 needs genood 7.0 or later; this is {__version__}",
    ),
    "no seed": (lambda d: edit_metadata(d, seed="x"), "has an unfit seed"),
    "no split": (lambda d: edit_metadata(d, splits={}), "has no split"),
    "unknown split": (
        lambda d: edit_metadata(d, splits={"../x": {"num_reads": 1, "counts": {"A": 1}}}),
        r"unknown or unfit split '\.\./x'",
    ),
    "negative count": (
        lambda d: edit_metadata(d, splits={"train_in": {"num_reads": 8, "counts": {"A": 9, "B": -1}}}),
        "has unfit counts of train_in",
    ),
    "other sum": (
        lambda d: edit_metadata(d, splits={"train_in": {"num_reads": 8, "counts": {"A": 4, "B": 5}}}),
        "another number of reads than counts of train_in",
    ),
    "both sides": (
        lambda d: edit_metadata(
            d, splits={s: {"num_reads": 3, "counts": {"A": 3}} for s in ("test_in", "test_ood")}
        ),
        "class 'A' in-distribution and OOD",
    ),
    "no sha256": (lambda d: edit_metadata(d, files={}), "lacks the sha256 of train_in.npy"),
    "other number": (
        lambda d: edit_metadata(d, splits={"train_in": {"num_reads": 7, "counts": {"A": 4, "B": 3}}}),
        "train_in.npy: has 8 reads of 12 bases, not 7 of 12",
    ),
    "other length": (lambda d: edit_metadata(d, read_length=13), "has 8 reads of 12 bases, not 8 of 13"),
    "no codes": (lambda d: (d / "train_in.npy").unlink(), "train_in.npy: no such file"),
    "truncated codes": (lambda d: cut(d / "train_in.npy", 1), "is damaged, or no array of reads"),
    "truncated header": (lambda d: cut(d / "test_in.npy", 60), "is damaged, or no array of reads"),
    "longer codes": (
        lambda d: (d / "train_in.npy").write_bytes((d / "train_in.npy").read_bytes() + b"\0"),
        "goes on after its last read",
    ),
    "no npy": (lambda d: (d / "train_in.npy").write_text(">a\nACGT\n"), "is damaged, or no array of reads"),
    "other type": (
        lambda d: np.save(d / "train_in.npy", np.zeros((8, 12), dtype=np.int8)),
        "is no array of reads",
    ),
    "columns first": (
        lambda d: np.save(d / "train_in.npy", np.asfortranarray(np.zeros((8, 12), dtype=np.uint8))),
        "is no array of reads",
    ),
    "pickled": (
        lambda d: np.save(d / "train_in.npy", np.array([{}], dtype=object)),
        "is damaged, or no array of reads",
    ),
    "no table": (lambda d: (d / "train_in.tsv.gz").unlink(), "train_in.tsv.gz: no such file"),
}


@pytest.mark.parametrize("kind", DAMAGE)
def test_damage_is_told_in_one_line(toy: Path, kind: str) -> None:
    damage, problem = DAMAGE[kind]
    damage(toy)
    with pytest.raises(InputError, match=problem) as caught:
        Dataset.load(toy)
    assert "\n" not in str(caught.value)
    assert str(toy) in str(caught.value)


TABLE_DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "truncated": (lambda p: cut(p, 9), "cannot be read as a table of origins"),
    "no gzip": (lambda p: p.write_text("class\n"), "cannot be read as a table of origins"),
    "empty": (lambda p: p.write_bytes(gzip.compress(b"")), "cannot be read as a table of origins"),
    "a row less": (lambda p: rewrite_table(p, lambda rows: rows[:-1]), "has 7 rows for 8 reads"),
    "other header": (
        lambda p: rewrite_table(p, lambda rows: [rows[0].replace("start", "end"), *rows[1:]]),
        "needs the columns class, accession, start, strand, gc",
    ),
    "a number that is too large": (
        lambda p: rewrite_table(p, lambda rows: [*rows[:-1], f"A\tx\t{2**64}\t+\t0.5"]),
        "cannot be read as a table of origins",
    ),
    "no number": (
        lambda p: rewrite_table(p, lambda rows: [*rows[:-1], "A\tx\ty\t+\t0.5"]),
        "cannot be read as a table of origins",
    ),
    "another class": (
        lambda p: rewrite_table(p, lambda rows: [*rows[:-1], "B\tx\t1\t+\t0.5"]),
        "other reads of a class than dataset.json says",
    ),
}


@pytest.mark.parametrize("kind", TABLE_DAMAGE)
def test_a_damaged_table_of_origins(toy: Path, kind: str) -> None:
    damage, problem = TABLE_DAMAGE[kind]
    damage(toy / "train_in.tsv.gz")
    with pytest.raises(InputError, match=f"train_in.tsv.gz.*{problem}") as caught:
        Dataset.load(toy).splits["train_in"].origins()
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="differs from the sha256"):
        Dataset.load(toy, verify=True)


def change_base(path: Path, row: int, column: int, code: int) -> None:
    codes = np.load(path)
    codes[row, column] = code
    np.save(path, codes)


def test_verifying_reads_everything(toy: Path) -> None:
    path = toy / "test_ood.npy"
    change_base(path, 2, 3, (int(np.load(path)[2, 3]) + 1) % 4)
    Dataset.load(toy)
    with pytest.raises(InputError, match=r"test_ood.npy: differs from the sha256"):
        Dataset.load(toy, verify=True)
    change_base(path, 2, 3, 9)
    files = json.loads((toy / "dataset.json").read_text())["files"]
    edit_metadata(toy, files=files | {path.name: sha256_of(path)})
    with pytest.raises(InputError, match=r"test_ood.npy, record 3: holds the code 9"):
        Dataset.load(toy, verify=True)


def test_a_split_is_read_as_reads(toy: Path) -> None:
    reads = list(read_file(toy / "train_in.npy"))
    assert [read.name for read in reads] == [f"train_in:{row}" for row in range(8)]
    assert {read.mate for read in reads} == {0}
    np.testing.assert_array_equal(np.stack([read.codes for read in reads]), np.load(toy / "train_in.npy"))


def test_a_long_split_is_read_in_blocks(tmp_path: Path) -> None:
    codes = random_reads(2500, 1, length=100)
    np.save(tmp_path / "x.npy", codes)
    blocks = list(read_blocks([tmp_path / "x.npy"]))
    assert [len(block.names) for block in blocks] == [1024, 1024, 452]
    assert [name for block in blocks for name in block.names] == [f"x:{row}" for row in range(2500)]
    np.testing.assert_array_equal(np.concatenate([block.codes for block in blocks]), codes.reshape(-1))
    np.save(tmp_path / "long.npy", random_reads(2, 1, length=200_000))
    assert [block.lengths.tolist() for block in read_blocks([tmp_path / "long.npy"])] == [[200_000]] * 2


def test_reads_before_a_bad_code_come_first(toy: Path) -> None:
    change_base(toy / "train_in.npy", 6, 0, 5)
    reads = read_file(toy / "train_in.npy")
    assert [next(reads).name for _ in range(6)][-1] == "train_in:5"
    with pytest.raises(InputError, match=r"train_in.npy, record 7: holds the code 5"):
        next(reads)


def test_a_damaged_split_as_reads(toy: Path) -> None:
    cut(toy / "train_in.npy", 1)
    with pytest.raises(InputError, match="is damaged, or no array of reads"):
        list(read_file(toy / "train_in.npy"))


def test_a_split_of_no_reads_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    np.save(tmp_path / "x.npy", random_reads(0, 1))
    assert list(read_file(tmp_path / "x.npy")) == []
    assert "x.npy holds no sequences" in caplog.text


def test_a_dataset_is_not_a_file_of_reads(toy: Path) -> None:
    with pytest.raises(InputError, match=r"is a dataset; name one of its splits, such as test_in.npy in it"):
        list(read_file(toy))
