"""The dataset directory: what is written is read, all or nothing, and damage is told."""

from __future__ import annotations

import gzip
import io
import json
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from genood import __version__, dataset
from genood.dataset import SPLITS, Dataset, DatasetWriter, Origins, create_dataset, side_of
from genood.errors import ConfigError, InputError
from genood.files import sha256_of
from genood.readers import read_blocks, read_file
from genood.sequence import Codes, encode

SOURCES = [{"kind": "toy", "files": ["a.fna"]}]


def codes_of(*reads: str) -> Codes:
    return np.stack([encode(read) for read in reads])


def origins_of(*classes: str, accession: str = "NC_1.1") -> Origins:
    number = len(classes)
    return Origins(classes, [accession] * number, np.arange(number), ["+"] * number)


def random_reads(num_reads: int, seed: int, length: int = 12) -> Codes:
    return np.random.default_rng(seed).integers(0, 5, (num_reads, length), dtype=np.uint8)


def write_toy(directory: Path, seed: int = 0) -> Path:
    """Eight reads of two classes to train on, three of one to test on, four OOD."""
    with create_dataset(directory, read_length=12, seed=1, sources=SOURCES, variant="tiny") as writer:
        writer.add("train_in", random_reads(5, seed), origins_of("A", "B", "B", "A", "B"))
        writer.add("test_ood", random_reads(4, seed + 1), origins_of("X", "X", "Y", "Y"))
        writer.add("train_in", random_reads(3, seed + 2), origins_of("B", "A", "A"))
        writer.add("test_in", random_reads(3, seed + 3), origins_of("A", "A", "A"))
        writer.note("about", {"made": "by hand"})
    return directory


def write_then(directory: Path, action: Callable[[], object]) -> None:
    """Write one read, and do something before the dataset is complete."""
    with create_dataset(directory, read_length=12, seed=None, sources=[]) as writer:
        writer.add("val_in", random_reads(1, 1), origins_of("A"))
        action()


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


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


def test_gc_by_hand(tmp_path: Path) -> None:
    with create_dataset(tmp_path / "d", read_length=4, seed=None, sources=[]) as writer:
        writer.add("val_in", codes_of("ACGT", "GCNC", "AGTN", "NNNN", "ATAT"), origins_of(*"AAAAA"))
    with gzip.open(tmp_path / "d" / "val_in.tsv.gz", "rt") as stream:
        cells = [line.rstrip("\n").split("\t")[-1] for line in stream]
    assert cells == ["gc", "0.5", "1", "0.333333", "", "0"]
    gc = Dataset.load(tmp_path / "d").splits["val_in"].origins()["gc"]
    np.testing.assert_array_equal(gc, [0.5, 1.0, 0.333333, np.nan, 0.0])


def test_names_stay_as_they_are(tmp_path: Path) -> None:
    """Also those that a reader of tables may take for nothing, numbers or quotes."""
    classes = ["NA", "nan", "007", '"quoted', "Candidatus β", "1e5"]
    accessions = ["", "null", "0012", "'", "a,b", " x"]
    strands = ["+", "-", "", "", "-", "+"]
    starts = np.array([-1, 0, 2**40, 5, -1, 7])
    with create_dataset(tmp_path / "d", read_length=12, seed=None, sources=[]) as writer:
        writer.add("val_ood", random_reads(6, 1), Origins(classes, accessions, starts, strands))
    split = Dataset.load(tmp_path / "d", verify=True).splits["val_ood"]
    table = split.origins()
    assert table["class"].tolist() == classes
    assert table["accession"].tolist() == accessions
    assert table["strand"].tolist() == strands
    assert table["start"].tolist() == starts.tolist()
    assert split.counts == dict.fromkeys(sorted(classes), 1)


@pytest.mark.parametrize("size", [1, 7, 50])
def test_the_same_reads_give_the_same_bytes(tmp_path: Path, size: int) -> None:
    """However they are grouped, and whatever the time."""
    codes = random_reads(50, 4)
    origins = Origins(["A", "B"] * 25, [f"N{i}" for i in range(50)], np.arange(50), ["-"] * 50)
    for name, step in (("whole", 50), ("parts", size)):
        with create_dataset(tmp_path / name, read_length=12, seed=3, sources=SOURCES) as writer:
            for start in range(0, 50, step):
                part = slice(start, start + step)
                writer.add("val_in", codes[part], Origins(*(column[part] for column in origins)))  # type: ignore[arg-type]
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    # Bytes 4 to 7 of a gzip file are its time.
    assert (tmp_path / "whole" / "val_in.tsv.gz").read_bytes()[4:8] == bytes(4)


def test_blocks_do_not_show(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_toy(tmp_path / "one")
    monkeypatch.setattr(dataset.layout, "_BLOCK_BASES", 24)
    write_toy(tmp_path / "two")
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    Dataset.load(tmp_path / "two", verify=True)


def test_codes_may_be_a_view(tmp_path: Path) -> None:
    wide = random_reads(20, 5, length=40)
    with create_dataset(tmp_path / "d", read_length=12, seed=None, sources=[]) as writer:
        writer.add("val_in", wide[::2, 3:15], origins_of(*["A"] * 10))
    np.testing.assert_array_equal(Dataset.load(tmp_path / "d").splits["val_in"].codes, wide[::2, 3:15])


def test_any_number_of_reads_fits_the_header() -> None:
    """The header is written before the number of reads is known."""
    sizes = set()
    for num_reads in (0, 10**7, 10**15):
        stream = io.BytesIO()
        header = {"descr": "|u1", "fortran_order": False, "shape": (num_reads, 250)}
        np.lib.format.write_array_header_1_0(stream, header)
        sizes.add(stream.tell())
    assert len(sizes) == 1


def test_writing_takes_little_memory(tmp_path: Path) -> None:
    codes = random_reads(1000, 6, length=200)
    origins = origins_of(*["A"] * 1000)
    tracemalloc.start()
    with create_dataset(tmp_path / "d", read_length=200, seed=None, sources=[]) as writer:
        for _ in range(60):
            writer.add("train_in", codes, origins)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert Dataset.load(tmp_path / "d").splits["train_in"].num_reads == 60_000
    assert peak < 60_000 * 200 / 4


def test_variant_may_be_found_out_on_the_way(tmp_path: Path) -> None:
    with create_dataset(tmp_path / "d", read_length=12, seed=None, sources=[]) as writer:
        writer.add("val_in", random_reads(1, 1), origins_of("A"))
        writer.variant = "10,000 reads a class"
    assert Dataset.load(tmp_path / "d").variant == "10,000 reads a class"


def test_it_appears_when_it_is_complete(tmp_path: Path) -> None:
    with create_dataset(tmp_path / "d", read_length=12, seed=None, sources=[]) as writer:
        writer.add("val_in", random_reads(1, 1), origins_of("A"))
        assert not (tmp_path / "d").exists()
    assert os.listdir(tmp_path) == ["d"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def fail() -> None:
        assert len(os.listdir(tmp_path)) == 1
        raise error

    with pytest.raises(error):
        write_then(tmp_path / "d", fail)
    assert os.listdir(tmp_path) == []


def test_a_full_disk_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_then(tmp_path / "d", lambda: monkeypatch.setattr(os, "fsync", refuse))
    assert os.listdir(tmp_path) == []


def test_what_is_there_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    before = sorted(os.listdir(tmp_path))
    for name in before:
        with (
            pytest.raises(InputError, match=f"{name}: is there already"),
            create_dataset(tmp_path / name, read_length=12, seed=None, sources=[]),
        ):
            pytest.fail("the block was entered")
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "file").read_text() == "mine"
    with (
        pytest.raises(InputError, match=r"its directory '.*none' does not exist"),
        create_dataset(tmp_path / "none" / "d", read_length=12, seed=None, sources=[]),
    ):
        pytest.fail("the block was entered")


def test_what_came_meanwhile_is_not_touched(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is there already"):
        write_then(tmp_path / "d", (tmp_path / "d").mkdir)
    assert os.listdir(tmp_path) == ["d"]
    assert os.listdir(tmp_path / "d") == []


def test_sides() -> None:
    assert [side_of(split) for split in SPLITS] == ["in", "in", "ood", "in", "ood"]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[DatasetWriter]:
    with create_dataset(tmp_path / "d", read_length=12, seed=None, sources=[]) as writer:
        writer.add("train_in", random_reads(2, 1), origins_of("A", "B"))
        yield writer


def test_a_class_has_one_side(writer: DatasetWriter) -> None:
    with pytest.raises(InputError, match=r"d: the class 'B' is both in-distribution and OOD"):
        writer.add("val_ood", random_reads(2, 2), origins_of("Z", "B"))
    # What was refused counts for nothing.
    writer.add("test_in", random_reads(1, 2), origins_of("Z"))
    writer.add("test_ood", random_reads(1, 2), origins_of("Y"))


BAD_NAMES = {
    "": "has no class",
    "a\tb": r"the name 'a\\tb'",
    "a\nb": r"the name 'a\\nb'",
    "a\u2028b": r"the name 'a\\u2028b'",
}


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_a_table_cannot_hold(writer: DatasetWriter, name: str) -> None:
    with pytest.raises(InputError, match=BAD_NAMES[name]):
        writer.add("train_in", random_reads(1, 1), origins_of(name))
    if name:
        with pytest.raises(InputError, match=BAD_NAMES[name]):
            writer.add("train_in", random_reads(1, 1), origins_of("A", accession=name))


def test_codes_above_4_are_refused(writer: DatasetWriter) -> None:
    codes = random_reads(3, 1)
    codes[1, 5] = 7
    # Two reads are there.
    with pytest.raises(InputError, match=r"train_in.npy, record 4: holds the code 7; codes are 0 to 4"):
        writer.add("train_in", codes, origins_of("A", "A", "A"))


def test_unknown_split(writer: DatasetWriter) -> None:
    with pytest.raises(ConfigError, match=r"split must be of train_in, .*, not 'train_ood'"):
        writer.add("train_ood", random_reads(1, 1), origins_of("A"))


@pytest.mark.parametrize(
    ("codes", "origins", "problem"),
    [
        (random_reads(2, 1), origins_of("A"), "as many as the reads"),
        (random_reads(1, 1, length=11), origins_of("A"), r"shape \(N, 12\)"),
        (random_reads(1, 1)[0], origins_of("A"), r"shape \(N, 12\)"),
        (random_reads(1, 1).astype(np.int64), origins_of("A"), "must be uint8"),
        (random_reads(1, 1), Origins(["A"], ["x"], np.array([-2]), ["+"]), "starts must be"),
        (random_reads(1, 1), Origins(["A"], ["x"], np.array([0.5]), ["+"]), "starts must be"),
        (random_reads(1, 1), Origins(["A"], ["x"], np.array([0]), ["*"]), "strands must be"),
    ],
)
def test_unfit_arguments(
    writer: DatasetWriter, codes: npt.NDArray[Any], origins: Origins, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        writer.add("train_in", codes, origins)


def test_a_dataset_without_reads_is_none(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="would hold no reads"),
        create_dataset(tmp_path / "d", read_length=12, seed=None, sources=[]) as writer,
    ):
        writer.add("val_in", random_reads(0, 1), origins_of())
    with pytest.raises(ConfigError), create_dataset(tmp_path / "d", read_length=0, seed=None, sources=[]):
        pytest.fail("the block was entered")
    assert os.listdir(tmp_path) == []


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
