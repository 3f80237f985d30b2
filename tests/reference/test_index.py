"""Indexes of genomes: they give what their FASTA files hold; what is damaged is told."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from genood.errors import ConfigError, InputError, TrainingError
from genood.reference.genomes import GenomeFile, Genomes, load_genomes
from genood.reference.index import INDEX_FILE, is_index, load_index, write_index
from genood.reference.loading import load_reference, load_validation
from genood.reference.sampling import ReadSampler
from genood.sequence import decode

GENERATOR = np.random.default_rng(3)


def random_bases(length: int) -> str:
    return decode(GENERATOR.integers(0, 4, length, dtype=np.uint8))


@pytest.fixture
def fasta(tmp_path: Path) -> list[str]:
    """Runs of 60, 40, 30, 5; 70; 50 bases, of two classes."""
    contents = {
        "b__1.fa": f">r1\n{random_bases(60)}NN{random_bases(40)}\n"
        f">r2\n{random_bases(30)}N{random_bases(5)}\n",
        "a__1.fa": f">r3\n{random_bases(70)}\n",
        "b__2.fa": f">r4 of more words\n{random_bases(50).lower()}\n>r5\nNNN\n",
    }
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    return [str(tmp_path / name) for name in contents]


@pytest.fixture
def index(fasta: list[str], tmp_path: Path) -> Path:
    write_index(fasta, tmp_path / "index")
    return tmp_path / "index"


@pytest.mark.parametrize("min_length", [1, 5, 31, 50])
def test_it_is_what_the_files_hold(fasta: list[str], index: Path, min_length: int) -> None:
    loaded = load_index(index, min_length=min_length)
    expected = load_genomes(fasta, min_length=min_length)
    for field in fields(Genomes):
        if field.name not in ("codes", "starts", "file_ends"):
            assert np.array_equal(getattr(loaded, field.name), getattr(expected, field.name)), field.name
    assert loaded.fingerprint == expected.fingerprint
    for start, other, length in zip(loaded.starts, expected.starts, expected.lengths, strict=True):
        assert np.array_equal(loaded.codes[start:][:length], expected.codes[other:][:length])
    read_length = min(min_length, 30)
    for step in range(3):
        drawn = [ReadSampler(genomes, read_length, (1,)).sample(step, 40) for genomes in (loaded, expected)]
        for values, others in zip(*drawn, strict=True):
            assert np.array_equal(values, others)


def test_codes_stay_on_disk(index: Path) -> None:
    codes = load_index(index, min_length=1).codes
    base: Any = codes
    while isinstance(base, np.ndarray) and not isinstance(base, np.memmap):
        base = base.base
    assert isinstance(base, np.memmap)
    assert not codes.flags.writeable


def test_what_is_written_is_told(fasta: list[str], tmp_path: Path) -> None:
    told: list[GenomeFile] = []
    files = write_index(fasta, tmp_path / "index", progress=told.append)
    assert files == told
    assert [(file.class_name, file.num_records, file.num_bases, file.usable_bases) for file in files] == [
        ("b", 2, 138, 135),
        ("a", 1, 70, 70),
        ("b", 2, 53, 50),
    ]
    assert is_index(tmp_path / "index")
    assert not is_index(tmp_path)


def test_classes_of_a_table(fasta: list[str], tmp_path: Path) -> None:
    names = {Path(path).name: name for path, name in zip(fasta, "xyx", strict=True)}
    write_index(fasta, tmp_path / "index", classes=names)
    assert load_index(tmp_path / "index", min_length=1).classes == ("x", "y")


def test_reference_of_files_and_indexes(fasta: list[str], tmp_path: Path) -> None:
    """Files come first."""
    write_index(fasta[:1], tmp_path / "index")
    index = str(tmp_path / "index")
    genomes = load_reference([index, *fasta[1:]], min_length=30, classes=None)
    expected = load_genomes([*fasta[1:], fasta[0]], min_length=30)
    assert genomes.fingerprint == expected.fingerprint
    assert np.array_equal(genomes.codes[genomes.starts[0] :][:70], expected.codes[:70])
    with pytest.raises(ConfigError, match="and so has an index"):
        load_reference([index], min_length=30, classes="classes.tsv")
    with pytest.raises(TrainingError, match=r"b__1\.fa: is there already"):
        load_reference([index, fasta[0]], min_length=30, classes=None)
    with pytest.raises(ConfigError, match="both trained and validated on"):
        load_validation([index], [index], min_length=30, classes=None)
    assert load_validation([], [index], min_length=30, classes=None) is None


def test_a_class_without_a_long_run(index: Path) -> None:
    with pytest.raises(TrainingError, match="class 'b' has no stretch of 61 known bases"):
        load_index(index, min_length=61)


def test_nothing_is_left_of_what_failed(tmp_path: Path) -> None:
    (tmp_path / "a.fa").write_text(">r\nACGT\n")
    (tmp_path / "b.fa").write_text(">r\nACGT\n>s\nAC!T\n")
    (tmp_path / "c.fa").write_text(">r\nNNNN\n")
    for name, message in [("b.fa", "record 2"), ("c.fa", "class 'c' has no known"), ("none.fa", "no such")]:
        with pytest.raises((InputError, TrainingError), match=message):
            write_index([str(tmp_path / "a.fa"), str(tmp_path / name)], tmp_path / "index")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.fa", "b.fa", "c.fa"]
    (tmp_path / "index").mkdir()
    with pytest.raises(InputError, match="is there already"):
        write_index([str(tmp_path / "a.fa")], tmp_path / "index")
    with pytest.raises(ConfigError, match="an index is a directory"):
        write_index([str(tmp_path / "a.fa")], "-")


def flip(path: Path) -> None:
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])


def edited(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], None]:
    def edit(index: Path) -> None:
        metadata = json.loads((index / INDEX_FILE).read_text())
        change(metadata)
        (index / INDEX_FILE).write_text(json.dumps(metadata))

    return edit


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda index: flip(index / "codes.bin"), r"codes\.bin: has changed"),
        (lambda index: flip(index / "runs.bin"), r"runs\.bin: has changed"),
        (lambda index: (index / "codes.bin").unlink(), r"codes\.bin: no such file; make the index again"),
        (lambda index: (index / INDEX_FILE).unlink(), "is not an index"),
        (lambda index: (index / INDEX_FILE).write_text("{"), "is damaged"),
        (lambda index: (index / INDEX_FILE).write_text("[]"), "is damaged"),
        (edited(lambda metadata: metadata.update(format_version=2)), "index format 2 needs genood 0.1.0"),
        (edited(lambda metadata: metadata.pop("files")), "is damaged"),
        (edited(lambda metadata: metadata["files"][0].pop("num_runs")), "is damaged"),
        (edited(lambda metadata: metadata["files"][0].update(num_runs=5)), r"genomes\.json: is damaged"),
        (edited(lambda metadata: metadata["files"][0].update(more=1)), "is damaged"),
        (edited(lambda metadata: metadata["sha256"].update(other="")), "is damaged"),
    ],
)
def test_damage(index: Path, damage: Callable[[Path], object], message: str) -> None:
    damage(index)
    with pytest.raises(InputError, match=message):
        load_index(index, min_length=1)
