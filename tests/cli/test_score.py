"""`genood score`: the tables, the summary, and the ways to give reads."""

from __future__ import annotations

import gzip
import json
import math
import random
import re
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from cli.score_tables import COLUMNS, CPU, TOTALS, rows_of
from conftest import Genood
from toys import TRAIN_OPTIONS, markov_codes, uniform_codes, write_fasta

from genood import __version__
from genood.bundle import Bundle
from genood.models.lstm import LSTM, LSTMConfig
from genood.sequence import Codes, decode

GOLDEN = Path(__file__).parents[1] / "data" / "golden_scores.tsv"


def mixed_reads() -> dict[str, Codes]:
    """Reads of 1 to 5,000 bases in no order; every third one uniform, one with unknown bases, one blank."""
    lengths = [1, 2, 3, 17, 24, 25, 26, 60, 75, 90, 100, 149, 150, 151, 250, 251, 700, 1200, 2500, 5000]
    random.Random(1).shuffle(lengths)
    reads = {
        f"read{i}": (uniform_codes if i % 3 == 0 else markov_codes)(length, 100 + i)
        for i, length in enumerate(lengths)
    }
    gapped = markov_codes(120, 90)
    gapped[[0, 50, 51, 119]] = 4
    return {**reads, "gapped": gapped, "blank": np.full(40, 4, dtype=np.uint8)}


READS = mixed_reads()


def write_fastq_gz(path: Path, records: dict[str, Codes]) -> Path:
    with gzip.open(path, "wt") as stream:
        for name, codes in records.items():
            stream.write(f"@{name} toy\n{decode(codes)}\n+\n{'I' * len(codes)}\n")
    return path


def numbers(rows: list[dict[str, str]], column: str) -> list[float]:
    return [float(row[column]) for row in rows if row["call"] != "na"]


def significant_digits(cell: str) -> int:
    return len(cell.partition("e")[0].replace("-", "").replace(".", "").strip("0"))


@pytest.fixture(scope="module")
def fasta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_fasta(tmp_path_factory.mktemp("reads") / "reads.fa", READS)


@pytest.fixture(scope="module")
def scored(genood: Genood, bundle_dir: Path, fasta: Path) -> Path:
    """A folder with everything that one run can write: scores.tsv, positions.tsv, summary.json."""
    folder = fasta.with_name("scored")
    folder.mkdir()
    result = genood(
        "score", "-m", bundle_dir, fasta, "-o", folder / "scores.tsv",
        "--per-position", folder / "positions.tsv", "--summary", folder / "summary.json",
        "--detector", "llr", "--detector", "likelihood", "--quiet", *CPU,
    )  # fmt: skip
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    return folder


@pytest.fixture(scope="module")
def rows(scored: Path) -> list[dict[str, str]]:
    return rows_of((scored / "scores.tsv").read_text())


def test_header(scored: Path) -> None:
    header = (scored / "scores.tsv").read_text().partition("\n")[0]
    assert header.split("\t") == [*COLUMNS, "ood_score_likelihood"]


def test_one_row_a_read_in_input_order(rows: list[dict[str, str]]) -> None:
    assert [row["read_id"] for row in rows] == list(READS)
    assert [row["length"] for row in rows] == [str(len(codes)) for codes in READS.values()]
    assert {row["mate"] for row in rows} == {"0"}


def test_counts_of_bases(rows: list[dict[str, str]]) -> None:
    for row, codes in zip(rows, READS.values(), strict=True):
        known = codes[codes < 4]
        assert row["num_scored"] == str(len(known))
        if len(known):
            assert float(row["gc"]) == pytest.approx(np.isin(known, [1, 2]).mean(), rel=1e-5)


def test_columns_agree(rows: list[dict[str, str]]) -> None:
    for row in rows:
        if row["call"] == "na":
            continue
        value = {name: float(row[name]) for name in row if name not in ("read_id", "call")}
        # Six digits of each likelihood, so that their difference is known to that of the larger.
        ratio = value["log_likelihood"] - value["background_log_likelihood"]
        assert value["llr"] == pytest.approx(ratio, abs=1e-5 * abs(value["log_likelihood"]))
        assert value["llr_per_base"] == pytest.approx(value["llr"] / value["num_scored"], rel=1e-5)
        assert value["ood_score"] == pytest.approx(-value["llr_per_base"], rel=2e-6)
        assert value["ood_score_likelihood"] == pytest.approx(
            -value["log_likelihood"] / value["num_scored"], rel=1e-5
        )
        assert 0 < value["p_value"] <= 1
        assert row["call"] == ("ood" if value["p_value"] <= 0.05 else "in")


def test_six_significant_digits(rows: list[dict[str, str]]) -> None:
    cells = [row[name] for row in rows for name in COLUMNS[4:11] if row[name]]
    assert max(map(significant_digits, cells)) == 6
    assert "-0" not in cells


def test_nothing_to_score(rows: list[dict[str, str]]) -> None:
    expected = dict.fromkeys([*COLUMNS, "ood_score_likelihood"], "")
    expected |= {"read_id": "blank", "mate": "0", "length": "40", "num_scored": "0", "call": "na"}
    assert rows[-1] == expected


def test_positions(scored: Path, rows: list[dict[str, str]]) -> None:
    text = (scored / "positions.tsv").read_text()
    assert text.startswith("read_id\tposition\tbase\tlog_p\tbackground_log_p\tllr\n")
    bases = iter(rows_of(text))
    for row, codes in zip(rows, READS.values(), strict=True):
        mine = list(islice(bases, len(codes)))
        assert {base["read_id"] for base in mine} == {row["read_id"]}
        assert [base["position"] for base in mine] == [str(i) for i in range(1, len(codes) + 1)]
        assert "".join(base["base"] for base in mine) == decode(codes)
        for column, total in TOTALS.items():
            assert [base[column] == "" for base in mine] == (codes == 4).tolist()
            values = [float(base[column]) for base in mine if base[column]]
            if values:
                assert sum(values) == pytest.approx(float(row[total]), rel=5e-6, abs=1e-5 * len(codes))
    assert next(bases, None) is None


def test_summary(scored: Path, rows: list[dict[str, str]], fasta: Path, bundle_dir: Path) -> None:
    summary = json.loads((scored / "summary.json").read_text())
    assert list(summary) == [
        *("tool", "version", "bundle", "inputs", "detectors", "alpha", "options", "device"),
        *("reads", "bases", "calls", "ood_fraction", "p_value_counts", "gc", "quantiles"),
        *("wall_seconds", "reads_per_second", "bases_per_second"),
    ]
    assert (summary["tool"], summary["version"]) == ("genood", __version__)
    assert summary["bundle"] == {"path": str(bundle_dir), "fingerprint": Bundle.load(bundle_dir).fingerprint}
    assert summary["inputs"] == [str(fasta)]
    assert (summary["detectors"], summary["alpha"]) == (["llr", "likelihood"], 0.05)
    options = {"min_quality": 0, "min_length": 1, "max_reads": None, "sample_fraction": 1.0, "seed": 0}
    assert summary["options"] == options
    assert summary["reads"] == {"in": 22, "scored": 21, "skipped": {"nothing to score": 1}}
    num_scored = [int(row["num_scored"]) for row in rows]
    assert summary["bases"] == {"in": sum(map(len, READS.values())), "scored": sum(num_scored)}
    calls = [row["call"] for row in rows]
    assert summary["calls"] == {call: calls.count(call) for call in ("in", "ood", "na")}
    strong = sum(g * n for g, n in zip(numbers(rows, "gc"), filter(None, num_scored), strict=True))
    assert summary["gc"] == pytest.approx(strong / sum(num_scored), rel=1e-4)
    above_half = sum(p > 0.5 for p in numbers(rows, "p_value"))
    fraction = summary["ood_fraction"]
    assert fraction["estimate"] == pytest.approx(max(0.0, 1 - 2 * above_half / 21))
    assert 0 <= fraction["low"] <= fraction["estimate"] <= fraction["high"] <= 1
    # In 40 bins, of which each holds its upper edge: what is called at 0.05 is in the first two.
    counts = summary["p_value_counts"]
    p_values = numbers(rows, "p_value")
    assert counts == [sum(i < 40 * p <= i + 1 for p in p_values) for i in range(40)]
    assert sum(counts[:2]) == calls.count("ood")
    assert summary["wall_seconds"] > 0
    assert summary["reads_per_second"] == pytest.approx(22 / summary["wall_seconds"])


def test_summary_quantiles(scored: Path, rows: list[dict[str, str]]) -> None:
    quantiles = json.loads((scored / "summary.json").read_text())["quantiles"]
    assert list(quantiles) == ["length", "llr_per_base", "ood_score_llr", "ood_score_likelihood"]
    assert list(quantiles["length"]) == ["0", "0.01", "0.05", "0.25", "0.5", "0.75", "0.95", "0.99", "1"]
    assert (quantiles["length"]["0"], quantiles["length"]["1"]) == (1, 5000)
    scores = sorted(numbers(rows, "ood_score"))
    assert quantiles["ood_score_llr"]["0.5"] == pytest.approx(scores[10], rel=1e-5)
    assert quantiles["llr_per_base"]["1"] == pytest.approx(-scores[0], rel=1e-5)


def test_inputs_give_identical_tables(genood: Genood, bundle_dir: Path, fasta: Path, tmp_path: Path) -> None:
    fastq = write_fastq_gz(tmp_path / "reads.fastq.gz", READS)
    tables = {}
    for name, source in {"fasta": fasta, "fastq": fastq}.items():
        assert genood("score", "-m", bundle_dir, source, "-o", tmp_path / name, *CPU).returncode == 0
        tables[name] = (tmp_path / name).read_text()
    piped = genood("score", "-m", bundle_dir, "-", *CPU, stdin=fastq.read_bytes())
    assert piped.returncode == 0
    assert re.fullmatch(r"genood: 22 reads: \d+ in, \d+ ood, \d+ na\n", piped.stderr)
    assert tables["fasta"] == tables["fastq"] == piped.stdout
    assert tables["fasta"].splitlines()[0].split("\t") == COLUMNS
    assert len(tables["fasta"].splitlines()) == 23


def test_several_files(genood_here: Genood, bundle_dir: Path, tmp_path: Path) -> None:
    names = list(READS)[:6]
    first = write_fasta(tmp_path / "first.fa", {name: READS[name] for name in names[:4]})
    second = write_fastq_gz(tmp_path / "second.fq.gz", {name: READS[name] for name in names[4:]})
    table = genood_here("score", "-m", bundle_dir, second, first, *CPU).stdout
    assert [row["read_id"] for row in rows_of(table)] == names[4:] + names[:4]


def test_gz_output_is_bgzf(genood_here: Genood, bundle_dir: Path, fasta: Path, tmp_path: Path) -> None:
    for name in ("plain.tsv", "packed.tsv.gz"):
        assert genood_here("score", "-m", bundle_dir, fasta, "-o", tmp_path / name, *CPU).returncode == 0
    packed = (tmp_path / "packed.tsv.gz").read_bytes()
    # A gzip member whose extra field is BC, of two bytes; and the empty block that ends a BGZF file.
    assert packed[:4] == b"\x1f\x8b\x08\x04"
    assert packed[10:16] == b"\x06\x00BC\x02\x00"
    assert packed.endswith(bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000"))
    assert gzip.decompress(packed) == (tmp_path / "plain.tsv").read_bytes()


def test_first_detector_calls(genood_here: Genood, bundle_dir: Path, fasta: Path) -> None:
    table = genood_here("score", "-m", bundle_dir, fasta, "--detector", "likelihood", *CPU).stdout
    both = genood_here(
        "score", "-m", bundle_dir, fasta, "--detector", "likelihood", "--detector", "llr", *CPU
    ).stdout
    assert table.splitlines()[0].split("\t") == COLUMNS
    assert both.splitlines()[0].split("\t") == [*COLUMNS, "ood_score_llr"]
    for row, wide in zip(rows_of(table), rows_of(both), strict=True):
        assert row == {name: wide[name] for name in COLUMNS}
        if row["call"] != "na":
            per_base = float(row["log_likelihood"]) / float(row["num_scored"])
            assert float(row["ood_score"]) == pytest.approx(-per_base, rel=1e-5)
            assert float(wide["ood_score_llr"]) == pytest.approx(-float(row["llr_per_base"]), rel=2e-6)


def test_who_says_what(genood: Genood, bundle_dir: Path, tmp_path: Path) -> None:
    """The program does; and with -v, which module."""
    empty = tmp_path / "empty.fa"
    empty.touch()
    result = genood("score", "-m", bundle_dir, empty, "-v", *CPU)
    said = [line.rpartition(": ")[0] for line in result.stderr.splitlines()]
    assert f"genood: warning: genood.readers.files: {empty} holds no sequences" in result.stderr
    assert said[-1] == "genood: genood.scoring: 0 reads"
    assert all(line.startswith("genood: ") for line in said)
    assert genood("score", "-m", bundle_dir, empty, "-q", *CPU).stderr == ""


def test_no_reads(genood: Genood, bundle_dir: Path, tmp_path: Path) -> None:
    empty = tmp_path / "empty.fa"
    empty.touch()
    result = genood("score", "-m", bundle_dir, empty, "--summary", tmp_path / "summary.json", *CPU)
    assert result.returncode == 0
    assert result.stdout == "\t".join(COLUMNS) + "\n"
    assert result.stderr.splitlines() == [
        f"genood: warning: {empty} holds no sequences",
        "genood: 0 reads: 0 in, 0 ood, 0 na",
    ]
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["reads"] == {"in": 0, "scored": 0, "skipped": {"nothing to score": 0}}
    assert (summary["gc"], summary["ood_fraction"], summary["quantiles"]) == (
        None,
        None,
        dict.fromkeys(("length", "llr_per_base", "ood_score_llr")),
    )


def test_existing_output_is_replaced(
    genood_here: Genood, bundle_dir: Path, fasta: Path, tmp_path: Path
) -> None:
    target = tmp_path / "scores.tsv"
    target.write_text("old\n")
    assert genood_here("score", "-m", bundle_dir, fasta, "-o", target, *CPU).returncode == 0
    assert [path.name for path in tmp_path.iterdir()] == ["scores.tsv"]
    assert len(rows_of(target.read_text())) == 22


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
    """See `test_golden`."""
    null = {
        "lengths": [4, 16],
        "num_independent": [999, 999],
        "levels": [0.0, 0.5, 1.0],
        "quantiles": [[-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]],
    }
    directory = tmp_path_factory.mktemp("golden") / "bundle"
    Bundle(
        foreground=constant_lstm(1 / 2, 1 / 4, 1 / 8, 1 / 8),
        background=constant_lstm(1 / 8, 1 / 8, 1 / 4, 1 / 2),
        metadata={"classes": ["Golden"], "seed": 0, "command": "", "data": {}, "metrics": {}},
        calibration={"format_version": 1, "source": "by hand", "detectors": {"llr": null}},
    ).save(directory)
    return directory


GOLDEN_READS = (
    ">two\nGT\n>ten\nAAAAAaaaac\n>twelve\nGGTTTTTTTTUU\n"
    ">sixteen\nAAACAAACAA\nACAAAC\n>gaps\nNGTGTGTGTGTRNGTGTGTGTGT\n>blank\nNNNN\n"
)


def test_golden(genood_here: Genood, golden_bundle: Path, tmp_path: Path) -> None:
    """Scores worked out by hand.

    In units of ln 2 = 0.693147, a base counts -1 (A), -2 (C) or -3 (G, T) under the foreground and -3
    (A, C), -2 (G) or -1 (T) under the background, so that its ratio is +2, +1, -1 or -2. *ten* holds
    nine A and one C: -11 ln 2 = -7.62462, -30 ln 2 = -20.7944, 19 ln 2 = 13.1698, over ten bases
    1.31698.

    The null is linear in the score: at 4 bases from -2 to 2, at 16 from -1 to 1, with 999 reads, so
    that a score s has p = (999 (1 - (s + 2) / 4) + 1) / 1000 at 4 and 1 below -1, 0.001 above 1 at 16.
    Ten bases lie (log2 10 - 2) / 2 = 0.660964 of the way from 4 to 16, which gives *ten*
    0.339036 x 0.829416 + 0.660964 x 1 = 0.942166; *twelve* likewise
    0.207519 x (999 (1 - 0.817692) + 1) / 1000 + 0.792481 x 0.001 = 0.0387944,
    and 7e-8 more as scores count a millionth lower for the sake of ties: 0.0387945, below 0.05. *two* is
    judged as if it had 4 bases, *gaps* with its 20 known bases as if it had 16.
    """
    reads = tmp_path / "reads.fa"
    reads.write_text(GOLDEN_READS)
    result = genood_here("score", "-m", golden_bundle, reads, *CPU)
    assert result.stdout == GOLDEN.read_text()


@pytest.mark.parametrize(
    ("alpha", "calls"),
    [("0.0005", "in in in in in na"), ("0.03", "in in in in ood na"), ("0.25", "ood in ood in ood na")],
)
def test_alpha(genood_here: Genood, golden_bundle: Path, tmp_path: Path, alpha: str, calls: str) -> None:
    reads = tmp_path / "reads.fa"
    reads.write_text(GOLDEN_READS)
    table = genood_here("score", "-m", golden_bundle, reads, "--alpha", alpha, *CPU).stdout
    assert [row["call"] for row in rows_of(table)] == calls.split()


def test_golden_positions(genood_here: Genood, golden_bundle: Path, tmp_path: Path) -> None:
    reads = tmp_path / "reads.fa"
    reads.write_text(">r\naNT\n")
    result = genood_here(
        "score", "-m", golden_bundle, reads, "-o", tmp_path / "scores.tsv", "--per-position", "-", *CPU
    )
    assert result.stdout == (
        "read_id\tposition\tbase\tlog_p\tbackground_log_p\tllr\n"
        "r\t1\tA\t-0.693147\t-2.07944\t1.38629\n"
        "r\t2\tN\t\t\t\n"
        "r\t3\tT\t-2.07944\t-0.693147\t-1.38629\n"
    )


def test_zero_has_no_sign(genood_here: Genood, tmp_path: Path) -> None:
    model = constant_lstm(1 / 4, 1 / 4, 1 / 4, 1 / 4)
    null = {"lengths": [4], "num_independent": [999], "levels": [0.0, 1.0], "quantiles": [[-1.0, 1.0]]}
    Bundle(
        foreground=model,
        background=model,
        metadata={"classes": ["Golden"], "seed": 0, "command": "", "data": {}, "metrics": {}},
        calibration={"format_version": 1, "source": "by hand", "detectors": {"llr": null}},
    ).save(tmp_path / "bundle")
    (tmp_path / "reads.fa").write_text(">r\nACGT\n")
    table = genood_here("score", "-m", tmp_path / "bundle", tmp_path / "reads.fa", *CPU).stdout
    row = rows_of(table)[0]
    assert [row[name] for name in ("llr", "llr_per_base", "ood_score", "p_value")] == [
        "0",
        "0",
        "0",
        "0.5005",
    ]


def test_trained_bundle_separates(genood_here: Genood, genome_files: list[Path], tmp_path: Path) -> None:
    options = (*TRAIN_OPTIONS, "--steps", "150", "--validation-interval", "50")
    bundle = tmp_path / "bundle"
    assert genood_here("train", *genome_files, "-o", bundle, *options).returncode == 0
    sides = {"in": markov_codes, "ood": uniform_codes}
    called = {}
    for side, draw in sides.items():
        reads = write_fasta(tmp_path / f"{side}.fa", {f"{side}{i}": draw(200, 500 + i) for i in range(50)})
        table = tmp_path / f"{side}.tsv"
        assert genood_here("score", "-m", bundle, reads, "-o", table, *CPU).returncode == 0
        called[side] = [row["call"] for row in rows_of(table.read_text())].count("ood")
    assert called["in"] <= 10
    assert called["ood"] >= 45
    result = genood_here("evaluate", tmp_path / "in.tsv", tmp_path / "ood.tsv")
    name, auroc, *_ = result.stdout.splitlines()[1].split("\t")
    assert name == "auroc"
    assert float(auroc) > 0.95


def test_bf16(genood_here: Genood, bundle_dir: Path, context_dir: Path, fasta: Path, tmp_path: Path) -> None:
    """Nearly the same scores; said in the summary, and refused where there are no products."""
    summary = tmp_path / "summary.json"
    tables = [
        rows_of(genood_here("score", "-m", bundle_dir, fasta, *options, *CPU).stdout)
        for options in ([], ["--precision", "bf16", "--summary", summary])
    ]
    exact, rounded = (np.array(numbers(rows, "log_likelihood")) for rows in tables)
    assert (exact != rounded).any()
    lengths = np.array(numbers(tables[0], "num_scored"))
    np.testing.assert_allclose(rounded / lengths, exact / lengths, atol=0.02)
    assert json.loads(summary.read_text())["device"] == "cpu, bf16"
    refused = genood_here("score", "-m", context_dir, fasta, "--precision", "bf16")
    assert refused.returncode == 1
    assert "no matrix products to run in bf16" in refused.stderr
