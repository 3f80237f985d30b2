"""`genood score --report`: the page made in the pass that scores, beside that made afterwards."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from conftest import Genood
from pages import Page, page_of
from refusals import CPU, check_refused
from toys import markov_codes, uniform_codes, write_fasta


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    """Reads of the bundle's kind and others, of many lengths; one of N, two of one name."""
    records = {f"known{i}": markov_codes(40 + 7 * i, 50 + i) for i in range(30)}
    records |= {f"foreign{i}": uniform_codes(60 + 11 * i, 90 + i) for i in range(12)}
    records["long"] = uniform_codes(1500, 5)
    records["blank"] = np.full(50, 4, dtype=np.uint8)
    return write_fasta(tmp_path / "reads.fa", records)


def test_one_pass_gives_the_same_page(
    genood_here: Genood, bundle_dir: Path, reads: Path, folder: Path
) -> None:
    """As the report that is made afterwards of all that was written."""
    tables = ("--per-position", "p.tsv", "--window-table", "w.tsv")
    more = ("--summary", "s.summary.json", "--windows", "200", "--alpha", "0.2", "--report", "once.html")
    result = genood_here("score", "-m", bundle_dir, reads, "-o", "s.tsv", *tables, *more, *CPU)
    assert result.returncode == 0
    once = Page(folder / "once.html")
    assert page_of(genood_here, "s.tsv", "-m", bundle_dir, *tables).source == once.source
    traces = once.data["run1-traces"]["reads"]
    assert len(traces) == 20
    assert all(len(read["bases"]) == len(read["llr"]) == read["length"] for read in traces)
    assert any("run1-chart5" in key for key in once.data)
    for form in (("p.tsv.gz", "p.tsv.gz"), ("p.parquet", "p.parquet")):
        genood_here("score", "-m", bundle_dir, reads, "-o", "t.tsv", "--per-position", form[0], *CPU)
        again = page_of(genood_here, "s.tsv", "-m", bundle_dir, "--per-position", form[1], *tables[2:])
        assert again.source == once.source


def test_windows_of_another_run(
    genood_here: Genood, bundle_dir: Path, context_dir: Path, reads: Path, folder: Path
) -> None:
    """Of other reads, of the same cut short, or scored by another bundle."""
    other = write_fasta(folder / "other.fa", {"foreign0": uniform_codes(50, 1), "x": uniform_codes(99, 2)})
    for bundle, file, name in ((bundle_dir, reads, "s"), (bundle_dir, other, "o"), (context_dir, reads, "c")):
        options = ("-o", f"{name}.tsv", "--window-table", f"{name}.w.tsv")
        assert genood_here("score", "-m", bundle, file, *options, *CPU).returncode == 0
    lines = Path("s.w.tsv").read_text().splitlines(keepends=True)
    Path("cut.w.tsv").write_text("".join(lines[: len(lines) // 2]))
    for table in ("o.w.tsv", "c.w.tsv", "cut.w.tsv"):
        arguments = ("s.tsv", "--window-table", table, "-o", "r.html")
        says = f"{table}: is of another run: it has no windows of '"
        check_refused(genood_here, folder, "report", *arguments, says=says)
    assert page_of(genood_here, "s.tsv", "--window-table", "s.w.tsv")


def test_one_pass_at_a_false_discovery_rate(
    genood_here: Genood, bundle_dir: Path, reads: Path, folder: Path
) -> None:
    """Calls come when all is scored, and positions before."""
    outputs = ("-o", "s.tsv", "--fdr", "0.3", "--summary", "s.summary.json", "--per-position", "p.tsv")
    result = genood_here("score", "-m", bundle_dir, reads, *outputs, "--report", "once.html", *CPU)
    assert result.returncode == 0
    later = page_of(genood_here, "s.tsv", "-m", bundle_dir, "--per-position", "p.tsv")
    assert later.source == (folder / "once.html").read_text()
    assert "false discovery rate 0.3" in later.source


def test_one_pass_of_pairs(genood_here: Genood, bundle_dir: Path, folder: Path) -> None:
    """Mates have one name, and traces of their own."""
    for mate in (1, 2):
        records = {f"pair{i}": uniform_codes(60, 10 * i + mate) for i in range(4)}
        write_fasta(folder / f"r{mate}.fa", records)
    options = ("--paired", "-o", "s.tsv", "--summary", "s.summary.json", "--per-position", "p.tsv")
    result = genood_here("score", "-m", bundle_dir, "r1.fa", "r2.fa", *options, "--report", "once.html", *CPU)
    assert result.returncode == 0
    later = page_of(genood_here, "s.tsv", "-m", bundle_dir, "--per-position", "p.tsv")
    assert later.source == (folder / "once.html").read_text()
    bases = [read["bases"] for read in later.data["run1-traces"]["reads"]]
    assert len(set(bases)) == 8
    assert {row[1][-2:] for row in later.tables["top"][1:]} == {"/1", "/2"}


def test_scoring_that_fails_leaves_no_page(
    genood_here: Genood, bundle_dir: Path, reads: Path, folder: Path
) -> None:
    reads.write_text(reads.read_text() + "@broken\n")
    arguments = ("score", "-m", bundle_dir, reads, "-o", "s2.tsv", "--report", "r.html", *CPU)
    check_refused(genood_here, folder, *arguments, says="reads.fa")
    named = ("score", "-m", bundle_dir, reads, "--report", "r.bam")
    check_refused(genood_here, folder, *named, says="r.bam: --report writes HTML, not .bam")
