"""`genood score --window-table` and `--regions`."""

from __future__ import annotations

import gzip
import json
import logging
import math
from pathlib import Path

import numpy as np
import pysam
import pytest
import torch
from cli.score_tables import rows_of
from conftest import Genood
from toys import strain_of, uniform_codes, write_fasta

from genood.bundle import Bundle
from genood.models.lstm import LSTM, LSTMConfig
from genood.writers.regions import bed_score

CPU = ("--device", "cpu", "--threads", "1")
WINDOW_COLUMNS = [
    "read_id",
    "mate",
    "start",
    "end",
    "num_scored",
    "llr",
    "llr_per_base",
    "ood_score",
    "p_value",
]
BED_HEADER = "#chrom\tstart\tend\tname\tscore\tstrand\tnum_scored\tllr_per_base\tp_value\texpected_false\n"


def constant_lstm(*probabilities: float) -> LSTM:
    """An LSTM that gives A, C, G and T these probabilities, whatever came before."""
    model = LSTM(LSTMConfig(hidden_size=1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        model.dense.bias.copy_(torch.tensor([math.log(p) for p in probabilities]))
    return model


@pytest.fixture(scope="module")
def golden_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An A has a ratio of ln 4 and a T of -ln 4; 999 reads have OOD scores from -1 to 1."""
    null = {
        "lengths": [1],
        "num_independent": [999],
        "levels": [0.0, 1.0],
        "quantiles": [[-1.0, 1.0]],
    }
    directory = tmp_path_factory.mktemp("golden") / "bundle"
    Bundle(
        foreground=constant_lstm(1 / 2, 1 / 4, 1 / 8, 1 / 8),
        background=constant_lstm(1 / 8, 1 / 4, 1 / 8, 1 / 2),
        metadata={"classes": ["Golden"], "seed": 0, "command": "", "data": {}, "metrics": {}},
        calibration={"format_version": 1, "source": "by hand", "detectors": {"llr": null}},
    ).save(directory)
    return directory


GOLDEN_READS = {
    "home": "A" * 400,
    "island": "A" * 207 + "T" * 40 + "A" * 153,
    "gap": "A" * 100 + "T" * 40 + "N" * 30 + "T" * 30 + "A" * 200,
    "blank": "N" * 30,
    "foreign": "T" * 25,
}


@pytest.fixture
def golden_reads(tmp_path: Path) -> Path:
    path = tmp_path / "reads.fa"
    path.write_text("".join(f">{name} golden\n{bases}\n" for name, bases in GOLDEN_READS.items()))
    return path


def test_regions_by_hand(
    genood_here: Genood, golden_bundle: Path, golden_reads: Path, tmp_path: Path
) -> None:
    """With windows of 20 bases; a window of Ts alone scores ln 4 and has p = 0.001.

    *island*: of the windows with a T, that from 220 to 240 is full of them. That at 200 scores
    6/20 ln 4 = 0.416 (13 T, 7 A), p = (999 x 0.292 + 1) / 1000, and that at 240 less. So E is
    0.001 (2 x 400 / 20 - 1) = 0.039, the score -100 log10 0.039 = 140.9, and the ends are found in the
    windows beside it.

    *gap*: 70 of 370 scored bases; the window from 140 to 160 holds no scored base and parts two
    candidates. That from 100 to 140 has E = 0.001 (740 / 40 - 1) = 0.0175, the score 175.7. That from 160
    begins with 10 unknown bases: it has the 30 Ts of its two windows, E = 0.001 (740 / 30 - 1) = 0.0236667,
    the score 162.6.

    *foreign* is one window: E = p = 0.001.
    """
    bed = tmp_path / "regions.bed"
    result = genood_here(
        "score", "-m", golden_bundle, golden_reads, "-o", tmp_path / "scores.tsv",
        "--windows", "20", "--regions", bed, "--summary", tmp_path / "summary.json", *CPU,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, "")
    assert bed.read_text() == BED_HEADER + "".join(
        "\t".join(line.split()) + "\n"
        for line in (
            "island 207 247 ood 141 . 40 -1.38629 0.001 0.039",
            "gap 100 140 ood 176 . 40 -1.38629 0.001 0.0175",
            "gap 170 200 ood 163 . 30 -1.38629 0.001 0.0236667",
            "foreign 0 25 ood 300 . 25 -1.38629 0.001 0.001",
        )
    )
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["regions"] == {"window": 20, "fdr": 0.05, "sequences": 3, "regions": 4, "bases": 135}


def test_window_table_by_hand(genood_here: Genood, golden_bundle: Path, golden_reads: Path) -> None:
    """Windows of 200 bases.

    The second half of *island* sums to (153 A + 7 A - 40 T) ln 4 = 120 ln 4 = 166.355, and has
    p = (999 x (1 + 0.831777) / 2 + 1) / 1000; the first half of *gap* sums to (100 - 70) ln 4 = 41.5888 over
    170 scored bases.
    """
    result = genood_here(
        "score", "-m", golden_bundle, golden_reads, "-o", "/dev/null",
        "--windows", "200", "--window-table", "-", *CPU,
    )  # fmt: skip
    rows = rows_of(result.stdout)
    assert list(rows[0]) == WINDOW_COLUMNS
    assert {row["mate"] for row in rows} == {"0"}
    cells = [" ".join([*list(row.values())[:1], *list(row.values())[2:]]) for row in rows]
    assert cells == [
        "home 0 200 200 277.259 1.38629 -1.38629 1",
        "home 200 400 200 277.259 1.38629 -1.38629 1",
        "island 0 200 200 277.259 1.38629 -1.38629 1",
        "island 200 400 200 166.355 0.831777 -0.831777 0.915973",
        "gap 0 200 170 41.5888 0.24464 -0.24464 0.622698",
        "gap 200 400 200 277.259 1.38629 -1.38629 1",
        "blank 0 30 0    ",
        "foreign 0 25 25 -34.6574 -1.38629 1.38629 0.001",
    ]


@pytest.fixture(scope="module")
def contigs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pieces of another strain of Beta (see `strain_files`): one as it is, one with foreign bases."""
    home = strain_of(uniform_codes(24_000, 1), 99)
    foreign = uniform_codes(6_000, 98)
    records = {
        "home": home[:12_000],
        "mixed": np.concatenate([home[:5_000], foreign, home[5_000:14_000]]),
    }
    return write_fasta(tmp_path_factory.mktemp("contigs") / "contigs.fa", records)


def test_context_model_finds_a_foreign_stretch(
    genood_here: Genood, context_dir: Path, contigs: Path, tmp_path: Path
) -> None:
    bed = tmp_path / "regions.bed.gz"
    options = ("--windows", "500", "--regions", bed, "--regions-fdr", "0.2")
    assert genood_here("score", "-m", context_dir, contigs, "-o", "/dev/null", *options, *CPU).returncode == 0
    with pysam.TabixFile(str(bed)) as tabix:
        assert tabix.contigs == ["mixed"]
        (region,) = [line.split("\t") for line in tabix.fetch("mixed", 8_000, 8_001)]
        assert list(tabix.fetch("mixed", 0, 4_000)) == []
    assert int(region[1]) == pytest.approx(5_000, abs=50)
    assert int(region[2]) == pytest.approx(11_000, abs=50)


def test_files_are_the_same_whatever_the_rest(
    genood_here: Genood, bundle_dir: Path, contigs: Path, tmp_path: Path
) -> None:
    """Calls by false discovery rate, other outputs and threads do not change them; .gz is only compressed."""
    runs = {
        "plain": ("", "--alpha", "0.01", *CPU),
        "fdr": (".gz", "--fdr", "0.1", "--device", "cpu", "--threads", "2"),
        "positions": (".gz", "--per-position", tmp_path / "positions.tsv", *CPU),
    }
    texts = []
    for name, (ending, *options) in runs.items():
        files = [tmp_path / f"{name}.tsv{ending}", tmp_path / f"{name}.bed{ending}"]
        result = genood_here(
            "score", "-m", bundle_dir, contigs, "-o", tmp_path / "scores.tsv", "--regions-fdr", "0.9",
            "--window-table", files[0], "--regions", files[1], *options,
        )  # fmt: skip
        assert result.returncode == 0
        texts.append([(gzip.decompress if ending else bytes)(path.read_bytes()) for path in files])
    assert texts[0] == texts[1] == texts[2]
    assert len(texts[0][0].splitlines()) == 1 + 12 + 20


def test_windows_sum_up_to_the_read(
    genood_here: Genood, bundle_dir: Path, contigs: Path, tmp_path: Path
) -> None:
    windows = tmp_path / "windows.tsv"
    scores = genood_here("score", "-m", bundle_dir, contigs, "--window-table", windows, *CPU).stdout
    for row in rows_of(scores):
        mine = [window for window in rows_of(windows.read_text()) if window["read_id"] == row["read_id"]]
        assert sum(int(window["num_scored"]) for window in mine) == int(row["num_scored"])
        assert sum(float(window["llr"]) for window in mine) == pytest.approx(float(row["llr"]), rel=1e-4)
        assert mine[-1]["end"] == row["length"]


def test_detector_that_calls_judges(
    genood_here: Genood, bundle_dir: Path, contigs: Path, tmp_path: Path
) -> None:
    windows = tmp_path / "windows.tsv"
    options = ("--detector", "likelihood", "--window-table", windows, "--windows", "50000")
    scores = rows_of(genood_here("score", "-m", bundle_dir, contigs, *options, *CPU).stdout)
    for row, window in zip(scores, rows_of(windows.read_text()), strict=True):
        assert {name: window[name] for name in ("llr", "ood_score", "p_value")} == {
            name: row[name] for name in ("llr", "ood_score", "p_value")
        }


def test_mates(genood_here: Genood, golden_bundle: Path, tmp_path: Path) -> None:
    fastq = tmp_path / "pairs.fq"
    fastq.write_text("".join(f"@{name}\n{'T' * 30}\n+\n{'I' * 30}\n" for name in ("a/1", "a/2", "b", "b")))
    bed = tmp_path / "regions.bed.gz"
    result = genood_here(
        "score", "-m", golden_bundle, fastq, "-o", "/dev/null", "--interleaved", "--regions", bed, *CPU
    )
    assert result.returncode == 0
    with pysam.TabixFile(str(bed)) as tabix:
        assert tabix.contigs == ["a/1", "a/2", "b/1", "b/2"]


def test_no_region(genood_here: Genood, golden_bundle: Path, tmp_path: Path) -> None:
    reads = tmp_path / "reads.fa"
    reads.write_text(">home\nAAAAAAAA\n")
    bed = tmp_path / "regions.bed.gz"
    assert genood_here("score", "-m", golden_bundle, reads, "--regions", bed, *CPU).returncode == 0
    with pysam.TabixFile(str(bed)) as tabix:
        assert (tabix.contigs, list(tabix.header)) == ([], [BED_HEADER.strip()])


def test_name_that_makes_a_comment(genood_here: Genood, golden_bundle: Path, tmp_path: Path) -> None:
    reads, bed = tmp_path / "reads.fa", tmp_path / "regions.bed"
    reads.write_text(">home\nAAAAAAAA\n>#1\nAAAAAAAA\n")
    result = genood_here(
        "score", "-m", golden_bundle, reads, "--regions", bed, "-o", tmp_path / "s.tsv", *CPU
    )
    assert (result.returncode, result.stderr) == (
        1,
        f"genood: error: {bed}: cannot hold regions of '#1': lines that start with '#' are comments; "
        "rename it\n",
    )
    assert list(tmp_path.iterdir()) == [reads]


def test_no_index_for_names_that_repeat(
    genood_here: Genood, golden_bundle: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And none of another file is left beside it."""
    reads = tmp_path / "reads.fa"
    reads.write_text("".join(f">{name}\nTTTTTTTT\n" for name in "aba"))
    bed = tmp_path / "regions.bed.gz"
    Path(f"{bed}.tbi").write_text("of a file that was here before")
    logging.getLogger("genood").propagate = True
    with caplog.at_level(logging.WARNING):
        result = genood_here(
            "score", "-m", golden_bundle, reads, "-o", tmp_path / "s.tsv", "--regions", bed, *CPU
        )
    assert (result.returncode, len(gzip.decompress(bed.read_bytes()).splitlines())) == (0, 4)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reads.fa", "regions.bed.gz", "s.tsv"]
    assert any("has no index for tabix" in message for message in caplog.messages)


def test_failure_leaves_what_was_there(
    genood_here: Genood, bundle_dir: Path, contigs: Path, tmp_path: Path
) -> None:
    packed = tmp_path / "reads.fa.gz"
    packed.write_bytes(gzip.compress(contigs.read_bytes())[:-100])
    names = ("windows.tsv.gz", "regions.bed.gz", "regions.bed.gz.tbi")
    for name in names:
        (tmp_path / name).write_text("old")
    result = genood_here(
        "score", "-m", bundle_dir, packed, "-o", tmp_path / "scores.tsv",
        "--window-table", tmp_path / names[0], "--regions", tmp_path / names[1], *CPU,
    )  # fmt: skip
    assert result.returncode == 1
    assert {path.name for path in tmp_path.iterdir()} == {"reads.fa.gz", *names}
    assert {(tmp_path / name).read_text() for name in names} == {"old"}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--windows", "500"], "--windows says how long windows are; give --window-table or --regions too"),
        (["--regions-fdr", "0.1"], "--regions-fdr is the error level of --regions; give that too"),
        (["--windows", "0", "--regions", "x.bed"], "0 is not in the range 1<=x<=2147483647"),
        (["--regions", "x.bed", "--regions-fdr", "1"], "1.0 is not in the range 0<x<1"),
    ],
)
def test_usage(
    genood_here: Genood, bundle_dir: Path, contigs: Path, options: list[str], message: str
) -> None:
    result = genood_here("score", "-m", bundle_dir, contigs, *options, *CPU)
    assert (result.returncode, result.stdout) == (2, "")
    assert message in " ".join(result.stderr.split())


@pytest.mark.parametrize(
    ("out", "options", "message"),
    [
        (
            "s.tsv",
            ["--regions", "x", "--window-table", "x"],
            "x: two outputs have the same name; give each its own",
        ),
        ("-", ["--regions", "-"], "standard output: two outputs have the same name; give each its own"),
        (
            "s.tsv",
            ["--regions", "x.bed.gz", "--summary", "x.bed.gz.tbi"],
            "x.bed.gz.tbi: two outputs have the same name; give each its own",
        ),
        (
            "s.tsv",
            ["--window-table", "x.parquet"],
            "x.parquet: --window-table writes text, not .parquet; name it otherwise",
        ),
        ("s.tsv", ["--regions", "missing/x.bed"], "missing/x.bed: its directory "),
    ],
)
def test_outputs_that_cannot_be(
    genood_here: Genood, bundle_dir: Path, contigs: Path, out: str, options: list[str], message: str,
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    result = genood_here("score", "-m", bundle_dir, contigs, "-o", out, *options, *CPU)
    assert (result.returncode, result.stdout) == (1, "")
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_bed_scores() -> None:
    assert [bed_score(n) for n in (10.0, 1.0, 0.05, 0.001, 1e-30)] == [0, 0, 130, 300, 1000]
