"""`genood train`: what is in the way of a bundle, and input that is refused."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from bundle_dirs import BUNDLE_FILES
from conftest import Genood
from refusals import check_error, snapshot
from tiny_trainings import TINY, Train
from toys import markov_codes, write_fasta


def test_bundle_in_the_way(train: Train, finished: Path) -> None:
    before = snapshot(finished)
    check_error(train(finished), f"{finished}: there is a bundle already; remove it or give another")
    assert snapshot(finished) == before


def test_other_files_in_the_way(train: Train, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all of it")
    check_error(train(tmp_path), f"{tmp_path}: is not empty; give a new directory for the bundle")
    assert snapshot(tmp_path) == {"thesis.txt": b"all of it"}


def test_standard_output_is_no_directory(
    train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    check_error(train(Path("-")), "a bundle is a directory, and cannot go to standard output; name one")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/bundle", "file/deep/bundle"])
def test_file_in_the_way(train: Train, tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("here")
    check_error(train(tmp_path / name), f"{tmp_path / 'file'}: is a file; name a directory for the bundle")
    assert snapshot(tmp_path) == {"file": b"here"}


def test_directory_without_permission(train: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is refused before the training, not after. Root may write anywhere: the answer is made up."""
    monkeypatch.setattr(os, "access", lambda path, mode: not (Path(path) == tmp_path and mode == os.W_OK))
    check_error(
        train(tmp_path / "new" / "bundle"), f"{tmp_path}: cannot be written to; name another directory"
    )
    assert list(tmp_path.iterdir()) == []


def test_directory_that_the_system_refuses(genood: Genood, genome_files: list[Path]) -> None:
    markov = ("--model", "markov", "--order", "2", "--read-length", "60", "--quiet")
    result = genood("train", *genome_files, "-o", "/proc/bundle", *markov)
    check_error(result, "cannot be written")
    assert "/proc/." not in result.stderr


def test_empty_directory_is_taken(train: Train, tmp_path: Path) -> None:
    assert train(tmp_path, "--steps", "1").returncode == 0
    assert set(snapshot(tmp_path)) == BUNDLE_FILES


BAD_GENOMES = {
    "shorter than a read": (
        (">s\n" + "ACGTA" * 11 + "\n"),
        "class 'Short' has no stretch of 60 known bases; give longer sequences or a shorter --read-length",
    ),
    "full of unknown bases": (
        ">s\n" + ("ACGTA" * 11 + "N") * 50 + "\n",
        "class 'Short' has no stretch of 60 known bases",
    ),
    "nothing left to train on": (
        ">s\n" + "ACGTA" * 20 + "\n",
        "class 'Short' is too short to hold out a stretch of 60 bases for validation",
    ),
    "no sequence": ("", "class 'Short' has no stretch of 60 known bases"),
    "garbage": ("hello\n", "Short.fna: is neither FASTA nor FASTQ"),
    "foreign letter": (">s\nACGT\n>t\nAC!T\n", "Short.fna, record 2: 't' holds '!'"),
}


@pytest.mark.parametrize(("text", "says"), BAD_GENOMES.values(), ids=BAD_GENOMES)
def test_bad_genomes(train: Train, genome_files: list[Path], tmp_path: Path, text: str, says: str) -> None:
    genome = tmp_path / "Short.fna"
    genome.write_text(text)
    check_error(train(tmp_path / "bundle", genomes=[genome_files[0], genome]), says)
    assert set(snapshot(tmp_path)) == {"Short.fna"}


BAD_CLASSES = {
    "missing table": (None, "classes.tsv: no such file"),
    "no such class": (
        "file\tclass\nAlpha__one.fna\tX\n",
        "Beta__one.fna: is not named in the table of classes",
    ),
    "no header": (
        "Alpha__one.fna\tX\nBeta__one.fna\tY\n",
        "classes.tsv, line 1: needs a header line with the columns 'file' and 'class'",
    ),
    "empty class": (
        "file\tclass\nAlpha__one.fna\t\n",
        "classes.tsv, line 2: a row needs both a file and a class",
    ),
    "named twice": (
        "file\tclass\nAlpha__one.fna\tX\nAlpha__one.fna\tY\n",
        "classes.tsv, line 3: names 'Alpha__one.fna' twice",
    ),
    "quotes are of the name": (
        'file\tclass\nAlpha__one.fna\t"X\nBeta__one.fna\tY"\nAlpha__one.fna\tY\n',
        "classes.tsv, line 4: names 'Alpha__one.fna' twice",
    ),
    "too many cells": (
        "file\tclass\nAlpha__one.fna\tX\tY\n",
        "classes.tsv, line 2: a row has more cells than the header",
    ),
    "no line": (
        "file\tclass\nAlpha__one.fna\tX\0Y\nBeta__one.fna\tY\n",
        r"Alpha__one.fna: the class 'X\x00Y' holds a character that no table can",
    ),
}


@pytest.mark.parametrize(("text", "says"), BAD_CLASSES.values(), ids=BAD_CLASSES)
def test_bad_classes(train: Train, tmp_path: Path, text: str | None, says: str) -> None:
    table = tmp_path / "classes.tsv"
    if text is not None:
        table.write_text(text)
    check_error(train(tmp_path / "bundle", "--classes", table), says)
    assert not (tmp_path / "bundle").exists()


def test_validation_too_short(train: Train, tmp_path: Path) -> None:
    validation = write_fasta(tmp_path / "Alpha__val.fna", {"v": markov_codes(59, 8)})
    check_error(
        train(tmp_path / "bundle", "--val", validation),
        "class 'Alpha' has no stretch of 60 known bases; give longer sequences or a shorter --read-length",
    )
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    "name",
    ["Al\tpha__x.fna", "Al\npha__x.fna", "Al\udce9pha__x.fna"],
    ids=["tab", "line end", "no UTF-8"],
)
def test_classes_that_no_table_can_hold(train: Train, tmp_path: Path, name: str) -> None:
    genome = write_fasta(tmp_path / name, {"g": markov_codes(2_000, 3)})
    result = train(tmp_path / "bundle", genomes=[genome])
    assert result.returncode == 1
    shown = repr(name.partition("__")[0])
    assert result.stderr.endswith(f"__x.fna: the class {shown} holds a character that no table can\n")
    assert not (tmp_path / "bundle").exists()


def test_a_pipe_states_no_class(train: Train, tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(theirs)
    result = train(tmp_path / "bundle", genomes=[f"/dev/fd/{ours}"])
    os.close(ours)
    check_error(result, f"/dev/fd/{ours}: has no file name to take the class from; give --classes")


def test_names_that_are_no_utf8(genood: Genood, genome_files: list[Path], tmp_path: Path) -> None:
    """Of a file and a bundle: they are recorded with backslashes."""
    genome = tmp_path / "Alpha__\udce9.fna"
    genome.write_bytes(genome_files[0].read_bytes())
    result = genood("train", genome, *genome_files[1:], "-o", tmp_path / "bundle\udce9", *TINY)
    assert result.returncode == 0
    card = next((tmp_path / "bundle\udce9").glob("*.md")).read_text(encoding="utf-8")
    assert "Alpha__\\udce9.fna" in card


def test_no_room_for_the_network(train: Train, tmp_path: Path) -> None:
    check_error(train(tmp_path / "bundle", "--hidden-size", "1000000"), "not enough memory")
    assert not (tmp_path / "bundle").exists()


def test_missing_genome(train: Train, genome_files: list[Path], tmp_path: Path) -> None:
    genomes = [genome_files[0], tmp_path / "none.fna"]
    check_error(train(tmp_path / "bundle", genomes=genomes), "none.fna: no such file")
    assert list(tmp_path.iterdir()) == []
