"""`genood score` with a context model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli.score_tables import COLUMNS, CPU, TOTALS, rows_of
from conftest import Genood
from toys import strain_of, uniform_codes, write_fasta

from genood.sequence import Codes, decode


def context_reads() -> dict[str, Codes]:
    """Reads of a strain of Beta, of random sequence, and odd ones: short, unknown in part, very long."""
    beta, unknown = strain_of(uniform_codes(24_000, 1), 9), uniform_codes(15_000, 30)
    reads = {f"in{i}": beta[400 * i : 400 * i + 250] for i in range(50)}
    reads |= {f"ood{i}": unknown[300 * i : 300 * i + 250] for i in range(50)}
    reads |= {f"short{n}": beta[500 : 500 + n] for n in (1, 2, 9, 15, 16, 17)}
    gaps = beta[1000:1250].copy()
    gaps[[0, 90, 91, 249]] = 4
    return reads | {
        "gaps": gaps,
        "blank": np.full(40, 4, dtype=np.uint8),
        "long": np.concatenate([beta, uniform_codes(76_000, 31)]),
    }


CONTEXT_READS = context_reads()


@pytest.fixture(scope="module")
def context_fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fasta(tmp_path_factory.mktemp("reads") / "reads.fa", CONTEXT_READS)


def test_context_bundle_separates(genood: Genood, context_dir: Path, context_fasta: Path) -> None:
    result = genood("score", "-m", context_dir, context_fasta, *CPU)
    assert result.returncode == 0
    rows = {row["read_id"]: row for row in rows_of(result.stdout)}
    assert list(rows) == list(CONTEXT_READS)
    assert [rows[f"in{i}"]["call"] for i in range(50)].count("in") >= 40
    assert {rows[f"ood{i}"]["call"] for i in range(50)} == {"ood"}
    assert (rows["gaps"]["num_scored"], rows["gaps"]["call"]) == ("246", "in")
    assert (rows["blank"]["num_scored"], rows["blank"]["call"]) == ("0", "na")
    assert (rows["long"]["length"], rows["long"]["num_scored"]) == ("100000", "100000")
    for length in (1, 2, 9, 15, 16, 17):
        assert 0 < float(rows[f"short{length}"]["p_value"]) <= 1


def test_context_scores_do_not_depend_on_threads(
    genood: Genood, context_dir: Path, context_fasta: Path, tmp_path: Path
) -> None:
    """Nor on which reads are beside each other."""
    tables = []
    for threads in ("1", "3"):
        result = genood("score", "-m", context_dir, context_fasta, "--device", "cpu", "--threads", threads)
        tables.append(result.stdout.splitlines())
    assert tables[0] == tables[1]
    backwards = write_fasta(tmp_path / "reads.fa", dict(reversed(CONTEXT_READS.items())))
    table = genood("score", "-m", context_dir, backwards, *CPU).stdout.splitlines()
    assert [table[0], *reversed(table[1:])] == tables[0]


def test_no_reads_for_a_context_bundle(genood_here: Genood, context_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.fa").touch()
    result = genood_here("score", "-m", context_dir, tmp_path / "empty.fa", *CPU)
    assert (result.returncode, result.stdout) == (0, "\t".join(COLUMNS) + "\n")


def test_context_positions(genood_here: Genood, context_dir: Path, tmp_path: Path) -> None:
    codes = uniform_codes(24_000, 2)[:60]
    reads = write_fasta(tmp_path / "reads.fa", {"r": codes})
    table = tmp_path / "scores.tsv"
    result = genood_here("score", "-m", context_dir, reads, "-o", table, "--per-position", "-", *CPU)
    bases = rows_of(result.stdout)
    [row] = rows_of(table.read_text())
    assert "".join(base["base"] for base in bases) == decode(codes)
    for column, total in TOTALS.items():
        assert sum(float(base[column]) for base in bases) == pytest.approx(float(row[total]), rel=1e-4)
