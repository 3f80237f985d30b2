"""`genood score --predicted-class`: the column, in all forms, and what is made of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Genood
from pages import Page
from refusals import CPU, check_refused
from toys import strain_of, uniform_codes, write_fasta

SEEDS = {"Beta": 1, "Gamma": 2, "Delta": 3}
"""Of the genomes behind the fixture `context_dir`."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the command runs: reads of each class, named after it, foreign ones and one of N."""
    records = {}
    for name, seed in SEEDS.items():
        genome = strain_of(uniform_codes(24_000, seed), 90)
        records |= {f"{name}_{i}": genome[200 * i : 200 * i + 100 + i] for i in range(12)}
    records |= {f"foreign_{i}": uniform_codes(150, 50 + i) for i in range(12)}
    records["blank_0"] = np.full(60, 4, dtype=np.uint8)
    write_fasta(tmp_path / "reads.fa", records)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def column_of(path: Path) -> dict[str, str]:
    header, *rows = (line.split("\t") for line in path.read_text().splitlines())
    assert header[-1] == "predicted_class"
    return {row[0]: row[-1] for row in rows}


def score(genood_here: Genood, bundle: Path, *options: str | Path) -> None:
    result = genood_here("score", "-m", bundle, "reads.fa", "--predicted-class", *options, *CPU)
    assert (result.returncode, result.stderr) == (0, "")


def test_the_column(genood_here: Genood, context_dir: Path, folder: Path) -> None:
    score(genood_here, context_dir, "-o", "s.tsv", "--summary", "s.json", "--detector", "llr")
    found = column_of(folder / "s.tsv")
    for name, predicted in found.items():
        own = name.partition("_")[0]
        assert predicted == own or own == "foreign" or (own == "blank" and predicted == "")
        assert predicted in {*SEEDS, ""}
    assert json.loads(Path("s.json").read_text())["predicted_class"] is True
    score(genood_here, context_dir, "-o", "fdr.tsv", "--fdr", "0.1")
    assert column_of(folder / "fdr.tsv") == found
    pandas = pytest.importorskip("pandas")
    pytest.importorskip("pyarrow")
    score(genood_here, context_dir, "-o", "s.parquet")
    frame = pandas.read_parquet("s.parquet")
    assert frame.columns[-1] == "predicted_class"
    assert dict(zip(frame["read_id"], frame["predicted_class"], strict=True)) == found


def test_without_it_the_table_is_as_it_was(genood_here: Genood, context_dir: Path, folder: Path) -> None:
    score(genood_here, context_dir, "-o", "with.tsv")
    assert genood_here("score", "-m", context_dir, "reads.fa", "-o", "s.tsv", *CPU).returncode == 0
    lines = Path("with.tsv").read_text().splitlines()
    assert [line.rpartition("\t")[0] for line in lines] == Path("s.tsv").read_text().splitlines()


def test_reports_by_class_and_detector(genood_here: Genood, context_dir: Path, folder: Path) -> None:
    """In the pass that scores as afterwards; at least every read of a class is counted in it."""
    options = ("--detector", "llr", "--detector", "likelihood", "--summary", "s.summary.json")
    score(
        genood_here, context_dir, "-o", "s.tsv", *options, "--report", "once.html", "--per-position", "p.tsv"
    )
    later = genood_here("report", "s.tsv", "-m", context_dir, "--per-position", "p.tsv", "-o", "later.html")
    assert later.returncode == 0
    assert Path("later.html").read_text() == Path("once.html").read_text()
    page = Page(folder / "once.html")
    classes = page.table("Reads by class and call: 48 reads of 3 classes.")
    assert {row[0] for row in classes[1:]} == set(SEEDS)
    assert sum(int(row[1]) for row in classes[1:]) == 48
    assert all(int(row[1]) >= 12 for row in classes[1:])
    agreed = page.table("Numbers of reads by the scores of llr and likelihood")
    assert sum(int(row[1]) for row in agreed[1:] if row[0].startswith("p ≤")) == 48


def test_parts_are_gathered_with_it(genood_here: Genood, context_dir: Path, folder: Path) -> None:
    score(genood_here, context_dir, "-o", "whole.tsv")
    genood_here("split", "reads.fa", "-n", "3", "-o", "part-%.fa", "--manifest", "parts.json")
    parts = sorted(folder.glob("part-*.fa"))
    assert len(parts) == 3
    for part in parts:
        options = ("-o", part.with_suffix(".tsv"), "--summary", part.with_suffix(".summary.json"))
        genood_here("score", "-m", context_dir, part, "--predicted-class", *options, *CPU)
    tables = [part.with_suffix(".tsv") for part in parts]
    result = genood_here("gather", *tables, "--manifest", "parts.json", "-o", "gathered.tsv")
    assert (result.returncode, result.stderr) == (0, "")
    assert Path("gathered.tsv").read_text() == Path("whole.tsv").read_text()
    options = ("-o", tables[0], "--summary", tables[0].with_suffix(".summary.json"))
    genood_here("score", "-m", context_dir, parts[0], *options, *CPU)
    arguments = ("gather", *tables, "--manifest", "parts.json", "-o", "again.tsv")
    check_refused(genood_here, folder, *arguments, says="are not both scored with --predicted-class")


def test_bundles_that_name_no_classes(genood_here: Genood, bundle_dir: Path, folder: Path) -> None:
    arguments = ("score", "-m", bundle_dir, "reads.fa", "-o", "s.tsv", "--predicted-class", *CPU)
    check_refused(genood_here, folder, *arguments, says="the bundle names no classes")
