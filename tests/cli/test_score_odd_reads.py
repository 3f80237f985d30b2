"""`genood score` of reads that are odd but no mistake: odd names, one name for all, N only, none at all."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pysam
import pytest
from conftest import Genood
from refusals import CPU
from toys import uniform_codes

from genood.sequence import decode

NAMES = [
    '"', '"quoted"', "'", "#comment", "@r1", ">r1", "=1+1", "-", ".", "NA", "nan", "None", "1e5", "\\t", "\\",
    "a,b;c|d", "a/1", "/2", "%s", "{}", "<b>&amp;", "~" * 100_000, "r", "r",
]  # fmt: skip
"""Printable ASCII, as FASTQ and FASTA may have it; the last twice."""
EMPTY = {
    "nothing": b"",
    "gzip": gzip.compress(b"", mtime=0),
    "FASTA comment": b"# nothing\n",
    "SAM": b"@HD\tVN:1.6\n",
}


def names_of(table: Path) -> list[str]:
    """The names in a score table, read by two programs."""
    with table.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    frame = pd.read_csv(table, sep="\t", quoting=csv.QUOTE_NONE, keep_default_na=False, na_values=[""])
    assert frame["llr"].dtype == np.float64
    names = [row["read_id"] for row in rows]
    assert names == frame["read_id"].tolist()
    assert {row["length"] for row in rows} == {"30"}
    assert len(table.read_bytes().splitlines()) == len(rows) + 1
    return names


def write_bam(path: Path, names: list[str], flags: list[int]) -> Path:
    header = pysam.AlignmentHeader.from_dict({"HD": {"VN": "1.6"}})
    with pysam.AlignmentFile(str(path), "wb", header=header) as writer:
        for number, (name, flag) in enumerate(zip(names, flags, strict=True)):
            record = pysam.AlignedSegment(header)
            record.query_name, record.flag = name, flag
            record.query_sequence = decode(uniform_codes(30, number))
            writer.write(record)
    return path


@pytest.mark.parametrize("form", ["FASTA", "FASTQ", "BAM"])
def test_odd_names(genood_here: Genood, bundle_dir: Path, tmp_path: Path, form: str) -> None:
    reads, table = tmp_path / "reads", tmp_path / "scores.tsv"
    names = [name for name in NAMES if form != "BAM" or len(name) < 255]  # the longest that BAM takes
    if form == "FASTA":
        reads.write_text("".join(f">{name}\tx\n{'ACG' * 10}\n" for name in names))
    elif form == "FASTQ":
        reads.write_text("".join(f"@{name}\tx\n{'ACG' * 10}\n+\n{'I' * 30}\n" for name in names))
    else:
        write_bam(reads, names, [4] * len(names))
    assert genood_here("score", "-m", bundle_dir, reads, "-o", table, *CPU).returncode == 0
    assert names_of(table) == names
    evaluated = genood_here("evaluate", table, table)
    assert (evaluated.returncode, evaluated.stderr) == (0, "")


def test_odd_names_of_splits(genood_here: Genood, bundle_dir: Path, tmp_path: Path) -> None:
    table = tmp_path / "scores.tsv"
    splits = []
    for name in ("a\tb.npy", "a\nb.npy", "a\rb\x85c.npy", "µ 1.npy"):
        splits.append(tmp_path / name)
        np.save(splits[-1], uniform_codes(60, 1).reshape(2, 30))
    assert genood_here("score", "-m", bundle_dir, *splits, "-o", table, *CPU).returncode == 0
    assert names_of(table)[::2] == ["a_b:0", "a_b:0", "a_b_c:0", "µ_1:0"]


def test_one_name_for_all(genood_here: Genood, bundle_dir: Path, tmp_path: Path) -> None:
    """Their order tells reads apart, and which is whose mate."""
    letters = [decode(uniform_codes(30, number)) for number in range(8)]
    for number, part in enumerate((letters, letters[::2], letters[1::2])):
        text = "".join(f"@r\n{sequence}\n+\n{'I' * 30}\n" for sequence in part)
        (tmp_path / f"{number}.fq").write_text(text)
    tables = {}
    for name, options in {
        "alone": ("0.fq",),
        "interleaved": ("0.fq", "--interleaved"),
        "paired": ("1.fq", "2.fq", "--paired"),
    }.items():
        paths = [tmp_path / option if option.endswith(".fq") else option for option in options]
        result = genood_here("score", "-m", bundle_dir, *paths, *CPU)
        assert result.returncode == 0
        tables[name] = [line.split("\t") for line in result.stdout.splitlines()[1:]]
    assert tables["interleaved"] == tables["paired"]
    p_values = [row[10] for row in tables["alone"]]
    assert len(set(p_values)) > 4
    assert [row[10] for row in tables["paired"]] == p_values
    assert [row[1] for row in tables["paired"]] == ["1", "2"] * 4
    for one, other in zip(tables["paired"][::2], tables["paired"][1::2], strict=True):
        low, high = sorted((float(one[10]), float(other[10])))
        assert float(one[-2]) == float(other[-2]) == pytest.approx(min(2 * low, high), rel=1e-5)


def test_one_name_for_all_with_flags(genood_here: Genood, bundle_dir: Path, tmp_path: Path) -> None:
    """Mates apart from each other, of two fragments of one name: those in the middle seem a pair."""
    bam = write_bam(tmp_path / "reads.bam", ["r"] * 4, [77, 77, 141, 141])
    result = genood_here("score", "-m", bundle_dir, bam, "--interleaved", *CPU)
    assert result.returncode == 0
    rows = [line.split("\t") for line in result.stdout.splitlines()[1:]]
    assert [row[1] for row in rows] == ["1", "1", "2", "2"]
    assert [row[-2] == row[10] for row in rows] in ([True, False, False, True], [True, True, False, True])


@pytest.mark.parametrize("option", [(), ("--fdr", "0.1"), ("--alpha", "0.5")])
def test_reads_of_unknown_bases_only(
    genood_here: Genood, bundle_dir: Path, tmp_path: Path, option: tuple[str, ...]
) -> None:
    """Far more than a window's worth; nothing is divided by their number of scored bases."""
    number = 20_000
    reads, table, summary = tmp_path / "reads.fq", tmp_path / "scores.tsv", tmp_path / "summary.json"
    reads.write_text("".join(f"@n{i}\n{'N' * 50}\n+\n{'!' * 50}\n" for i in range(number)))
    outputs = ("-o", table, "--summary", summary, "--detector", "llr", "--detector", "likelihood")
    result = genood_here("score", "-m", bundle_dir, reads, *outputs, *option, *CPU)
    assert (result.returncode, result.stderr) == (0, "")
    rows = table.read_text().splitlines()[1:]
    assert rows == [f"n{i}\t0\t50\t0\t\t\t\t\t\t\t\tna\t" for i in range(number)]
    report = json.loads(summary.read_text())
    assert report["reads"] == {"in": number, "scored": 0, "skipped": {"nothing to score": number}}
    assert report["bases"] == {"in": 50 * number, "scored": 0}
    assert report["calls"] == {"in": 0, "ood": 0, "na": number}
    assert (report["gc"], report["ood_fraction"], report["quantiles"]["llr_per_base"]) == (None, None, None)


def test_unknown_bases_by_position(genood_here: Genood, bundle_dir: Path, tmp_path: Path) -> None:
    reads, positions = tmp_path / "reads.fa", tmp_path / "positions.tsv"
    reads.write_text(">n\nNNN\n>a\nAN\n")
    result = genood_here("score", "-m", bundle_dir, reads, "--per-position", positions, *CPU)
    assert result.returncode == 0
    rows = [line.split("\t") for line in positions.read_text().splitlines()[1:]]
    assert [row[:3] for row in rows] == [["n", str(i), "N"] for i in (1, 2, 3)] + [
        ["a", "1", "A"],
        ["a", "2", "N"],
    ]
    assert [row[3:] == ["", "", ""] for row in rows] == [True, True, True, False, True]


@pytest.mark.parametrize("content", EMPTY.values(), ids=EMPTY)
def test_no_reads(genood_here: Genood, bundle_dir: Path, tmp_path: Path, content: bytes) -> None:
    """A sample may be empty: its table has a header; tests of the readers look at the warning."""
    reads, table, summary = tmp_path / "reads", tmp_path / "scores.tsv", tmp_path / "summary.json"
    reads.write_bytes(content)
    result = genood_here("score", "-m", bundle_dir, reads, "-o", table, "--summary", summary, *CPU)
    assert (result.returncode, result.stdout) == (0, "")
    assert [line.split("\t")[0] for line in table.read_text().splitlines()] == ["read_id"]
    assert json.loads(summary.read_text())["reads"] == {
        "in": 0,
        "scored": 0,
        "skipped": {"nothing to score": 0},
    }


@pytest.mark.parametrize("pairs", ["--paired", "--interleaved"])
def test_no_pairs(genood_here: Genood, bundle_dir: Path, tmp_path: Path, pairs: str) -> None:
    reads = [tmp_path / "R1.fq", tmp_path / "R2.fq"]
    for path in reads:
        path.touch()
    result = genood_here("score", "-m", bundle_dir, *reads, pairs, *CPU)
    assert (result.returncode, len(result.stdout.splitlines())) == (0, 1)
