"""Writing a dataset: all or nothing, the same bytes every time, and what is refused."""

from __future__ import annotations

import gzip
import io
import os
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from small_disk import most_bytes_of_a_file
from toy_datasets import SOURCES, origins_of, random_reads, write_toy

from genood import dataset
from genood.dataset import SPLITS, Dataset, DatasetWriter, Origins, create_dataset, side_of
from genood.errors import ConfigError, InputError
from genood.sequence import Codes, encode


def codes_of(*reads: str) -> Codes:
    return np.stack([encode(read) for read in reads])


def write_then(directory: Path, action: Callable[[], object]) -> None:
    """Write one read, and do something before the dataset is complete."""
    with create_dataset(directory, read_length=12, seed=None, sources=[]) as writer:
        writer.add("val_in", random_reads(1, 1), origins_of("A"))
        action()


def contents(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.iterdir()}


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

    with pytest.raises(InputError, match=r"/d: cannot be written \(No space left"):
        write_then(tmp_path / "d", lambda: monkeypatch.setattr(os, "fsync", refuse))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("num_reads", [10, 10_000])
def test_a_disk_that_takes_no_more_leaves_nothing(tmp_path: Path, num_reads: int) -> None:
    """Whether it is found as reads are added, or as what was held back is written at the end."""
    with (
        most_bytes_of_a_file(150),
        pytest.raises(InputError, match=r"/d: cannot be written \(File too large"),
        create_dataset(tmp_path / "d", read_length=12, seed=None, sources=[]) as writer,
    ):
        writer.add("val_in", random_reads(num_reads, 1), origins_of(*"A" * num_reads))
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
