"""`genood score --kraken-report --kraken-output`: the formats of Kraken 2."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Genood
from toys import strain_of, uniform_codes

from genood.sequence import Codes, decode

CPU = ("--device", "cpu", "--threads", "1")
STRAIN = strain_of(uniform_codes(24_000, 1), 77)
REPORT_LINE = re.compile(r"([ \d]{3}\.\d\d)\t(\d+)\t(\d+)\t([UR])\t([01])\t(unclassified|root)")
Run = Callable[..., list[dict[str, str]]]


def read_codes(i: int, mate: int) -> Codes:
    """Of a strain; every third fragment random, of every fifth a mate; a base unknown, of the fourth all."""
    if i % 3 == 0 or (i % 5 == 0 and mate == 2):
        codes = uniform_codes(120 + mate, 1000 + 2 * i + mate)
    else:
        codes = STRAIN[300 * i + 150 * mate : 300 * i + 150 * mate + 120 + mate].copy()
    codes[slice(None) if i == 4 else slice(7, 8)] = 4
    return codes


@pytest.fixture
def run(genood_here: Genood, context_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Score in a folder of its own; the rows of the table."""
    monkeypatch.chdir(tmp_path)
    for mate in (1, 2):
        lines = [f">r{i}/{mate} x\n{decode(read_codes(i, mate))}\n" for i in range(30)]
        Path(f"R{mate}.fa").write_text("".join(lines))

    def score(*arguments: str) -> list[dict[str, str]]:
        result = genood_here(
            "score", "-m", context_dir, *arguments, "-o", "scores.tsv",
            "--kraken-report", "report.txt", "--kraken-output", "reads.kraken.gz", *CPU,
        )  # fmt: skip
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        return list(csv.DictReader(io.StringIO(Path("scores.tsv").read_text()), delimiter="\t"))

    return score


def report() -> list[tuple[str, ...]]:
    rows = []
    for line in Path("report.txt").read_text().splitlines():
        found = REPORT_LINE.fullmatch(line)
        assert found is not None
        rows.append(found.groups())
    return rows


def output() -> list[list[str]]:
    return [
        line.split("\t")
        for line in gzip.decompress(Path("reads.kraken.gz").read_bytes()).decode().splitlines()
    ]


def bases(row: dict[str, str]) -> str:
    """Of a read, what counts for which taxon."""
    scored, others = int(row["num_scored"]), int(row["length"]) - int(row["num_scored"])
    counts = [("1" if row["call"] == "in" else "0", scored), ("A", others)]
    return " ".join(f"{name}:{number}" for name, number in counts if number)


@pytest.mark.parametrize("options", [(), ("--fdr", "0.1")])
def test_reads(run: Run, options: tuple[str, ...]) -> None:
    rows = run("R1.fa", *options)
    assert {row["call"] for row in rows} == {"in", "ood", "na"}
    num_in = sum(row["call"] == "in" for row in rows)
    others = len(rows) - num_in
    assert report() == [
        (f"{100 * others / 30:6.2f}", str(others), str(others), "U", "0", "unclassified"),
        (f"{100 * num_in / 30:6.2f}", str(num_in), str(num_in), "R", "1", "root"),
    ]
    assert output() == [
        [
            *(["C", row["read_id"], "1"] if row["call"] == "in" else ["U", row["read_id"], "0"]),
            "121",
            bases(row),
        ]
        for row in rows
    ]


def test_pairs_count_once(run: Run) -> None:
    """By the p-value of the pair; each mate's bases by its own call."""
    rows = run("--paired", "R1.fa", "R2.fa")
    is_in = [row["pair_p_value"] != "" and float(row["pair_p_value"]) > 0.05 for row in rows[::2]]
    assert [line[1:3] for line in report()] == [(str(is_in.count(flag)),) * 2 for flag in (False, True)]
    assert output() == [
        [
            *(["C", f"r{i}", "1"] if flag else ["U", f"r{i}", "0"]),
            "121|122",
            f"{bases(one)} |:| {bases(other)}",
        ]
        for i, (flag, one, other) in enumerate(zip(is_in, rows[::2], rows[1::2], strict=True))
    ]
    assert any("1:120" in line[4] and "0:121" in line[4] for line in output())


def test_no_reads(run: Run) -> None:
    Path("none.fa").touch()
    run("none.fa")
    assert [line[:3] for line in report()] == [("  0.00", "0", "0")] * 2
    assert output() == []
