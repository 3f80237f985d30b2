"""Calls at a false discovery rate."""

from __future__ import annotations

import errno
import json
import logging
import math
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest
from conftest import Genood
from dnaio import SequenceRecord
from scipy.stats import false_discovery_control
from toys import strain_of, uniform_codes, write_fasta

from genood.engine import Positions, ScoredReads
from genood.errors import ConfigError, GenoodError
from genood.readers import Records
from genood.scoring import fdr
from genood.scoring.fdr import FdrCaller, PValueCounts

LEVEL = "0.1"
CPU = ("--device", "cpu", "--threads", "1")


def window(p_values: list[float], null_reads: float = 1000.0) -> ScoredReads:
    """Scored reads of which only the p-values say something."""
    n = len(p_values)
    p = np.array(p_values)
    return ScoredReads(
        names=[f"r{i}" for i in range(n)],
        mates=[0] * n,
        lengths=np.full(n, 4),
        num_scored=np.full(n, 4),
        **{
            name: np.zeros(n)
            for name in ("gc", "log_likelihood", "background_log_likelihood", "llr", "llr_per_base")
        },
        ood_scores={"llr": 1 - p},
        p_values=p,
        null_reads=np.full(n, null_reads),
        calls=["in"] * n,
        positions=[
            Positions(
                codes=np.zeros(4, dtype=np.uint8),
                scored=np.ones(4, dtype=bool),
                log_p=np.zeros(4, dtype=np.float32),
                background_log_p=np.zeros(4, dtype=np.float32),
            )
        ]
        * n,
    )


def calls_of(level: float, *windows: list[float]) -> list[str]:
    caller = FdrCaller(level)
    return [call for scored in caller.call(map(window, windows)) for call in scored.calls]


def test_by_hand() -> None:
    """Limits of 0.1 k / 5 are 0.02, 0.04, 0.06, 0.08, 0.1: the third smallest p-value is the last below
    its own, though the second is above; the fourth, 0.081, is above."""
    assert calls_of(0.1, [0.5, 0.045, 0.06], [0.001, 0.081]) == ["in", "ood", "ood", "ood", "in"]


def test_a_p_value_at_its_limit_is_called() -> None:
    # Limits 0.25 and 0.5.
    assert calls_of(0.5, [0.5, 0.5]) == ["ood", "ood"]
    assert calls_of(0.5, [0.25, 0.51]) == ["ood", "in"]


def test_unscored_reads_are_no_tests() -> None:
    assert calls_of(0.1, [math.nan, 0.09, math.nan]) == ["na", "ood", "na"]


def test_ties_are_called_together() -> None:
    # One p-value of 0.03 has a limit of 0.025; that of the second is 0.05.
    assert calls_of(0.1, [0.03, 0.03, 0.9, 0.9]) == ["ood", "ood", "in", "in"]


@pytest.mark.parametrize("windows", [[], [[]], [[math.nan]]])
def test_nothing_to_call(windows: list[list[float]]) -> None:
    assert calls_of(0.1, *windows) == ["na"] * sum(map(len, windows))


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("level", [0.01, 0.05, 0.3])
def test_as_an_independent_implementation(seed: int, level: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fdr, "_PENDING", 100)
    generator = np.random.default_rng(seed)
    p_values = np.concatenate([generator.random(700), generator.integers(1, 40, 300) / 20001])
    generator.shuffle(p_values)
    counts = PValueCounts(level)
    for part in np.array_split(p_values, 7):
        counts.add(part)
    threshold = counts.threshold()
    rounded = np.array([float(f"{p:.6g}") for p in p_values])
    expected = false_discovery_control(rounded) <= level
    np.testing.assert_array_equal(rounded <= (threshold if threshold is not None else -1), expected)
    assert expected.any()


def test_expected_share_of_false_calls() -> None:
    """With a quarter of the reads OOD, a level of 0.2 gives at most 0.2 x 3/4 = 0.15 false calls."""
    generator = np.random.default_rng(3)
    shares = []
    for _ in range(200):
        null = np.sort(generator.normal(size=500))
        scores = np.concatenate([generator.normal(2.5, 1, 100), generator.normal(size=300)])
        p_values = (500 - np.searchsorted(null, scores) + 1) / 501
        called = np.array(calls_of(0.2, p_values.tolist())) == "ood"
        shares.append(called[100:].sum() / max(called.sum(), 1))
    assert 0.10 < np.mean(shares) < 0.17


def test_memory_follows_different_values_alone() -> None:
    counts = PValueCounts(0.05)
    for _ in range(30):
        counts.add(np.random.default_rng(0).integers(1, 101, 100_000) / 2001)
    assert counts.threshold() == pytest.approx(100 / 2001, rel=1e-5)
    assert len(counts._values) == 100


def test_windows_come_back_as_they_were() -> None:
    first, second = window([0.001, 0.5]), window([0.9])
    [one, two] = FdrCaller(0.1).call([first, second])
    assert (one.names, two.names) == (first.names, second.names)
    assert one.calls == ["ood", "in"]
    assert one.positions is None
    np.testing.assert_array_equal(one.ood_scores["llr"], first.ood_scores["llr"])


def test_records_come_back_as_they_were() -> None:
    """Text, and alignments with tags of which SAM text would lose digits; some of them no reads."""
    header = pysam.AlignmentHeader.from_text("@HD\tVN:1.6\n@SQ\tSN:c\tLN:100\n")
    alignments = []
    for flag in (0, 256, 16):
        alignment = pysam.AlignedSegment.fromstring(f"r\t{flag}\tc\t1\t60\t4M\t*\t0\t0\tACGT\tIIII", header)
        alignment.set_tag("XF", 0.123456789, "f")
        alignments.append(alignment)
    texts = [SequenceRecord("x y", "acgt", "IIII"), SequenceRecord("z", "A")]
    mixed = Records(items=[texts[0], *alignments], rows=np.array([0, 1, 3]), header=header, keeps_others=True)
    windows = [
        replace(window([0.1, 0.2]), records=Records.of_reads(texts)),
        replace(window([0.1] * 3), records=mixed),
        replace(window([0.1]), records=replace(mixed, items=alignments[:2], rows=np.array([0]))),
    ]
    first, second, third = (scored.records for scored in FdrCaller(0.1).call(windows))
    assert first is not None
    assert second is not None
    assert third is not None
    assert first.items == texts
    assert second.items[0] == texts[0]
    assert second.rows.tolist() == [0, 1, 3]
    assert [item.to_string() for item in second.items[1:]] == [item.to_string() for item in alignments]
    assert [item.to_string() for item in third.items] == [item.to_string() for item in alignments[:2]]
    assert second.items[3].get_tag("XF") == alignments[0].get_tag("XF") != 0.123457
    assert str(third.header) == str(header)


def test_a_failure_of_the_source_reaches_the_caller() -> None:
    def windows() -> Iterator[ScoredReads]:
        yield window([0.1])
        raise GenoodError("corrupt")

    with pytest.raises(GenoodError, match="corrupt"):
        next(FdrCaller(0.1).call(windows()))


def test_full_disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Full:
        def write(self, data: bytes) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        def __enter__(self) -> Full:
            return self

        def __exit__(self, *error: Any) -> None: ...

    monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: Full())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(GenoodError, match=r"hold the scores.*No space left on device.*TMPDIR"):
        list(FdrCaller(0.1).call([window([0.1])]))


def test_full_disk_for_alignments(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    header = pysam.AlignmentHeader.from_text("@HD\tVN:1.6\n")
    alignment = pysam.AlignedSegment.fromstring("r\t4\t*\t0\t0\t*\t*\t0\t0\tACGT\tIIII", header)
    records = Records(items=[alignment], rows=np.array([0]), header=header, keeps_others=True)
    with tempfile.TemporaryFile() as for_scores, open("/dev/full", "r+b", buffering=0) as for_alignments:
        files: list[Any] = [for_scores, for_alignments]
        monkeypatch.setattr(tempfile, "TemporaryFile", lambda **_: files.pop(0))
        with pytest.raises(GenoodError, match=r"cannot hold the scores.*TMPDIR"):
            list(FdrCaller(0.1).call([replace(window([0.1]), records=records)]))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_level_out_of_range(level: float) -> None:
    with pytest.raises(ConfigError, match="between 0 and 1"):
        FdrCaller(level)


def test_a_null_too_small_for_the_level_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """A null of 99 reads: no p-value below 0.01, so that a tenth of the reads must have that."""
    with caplog.at_level(logging.WARNING, logger="genood.scoring.fdr"):
        list(FdrCaller(0.1).call([window([0.01] + [0.5] * 99, null_reads=99)]))
    assert "a null of 99 reads gives no p-value below 0.01, so that at least 10 %" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="genood.scoring.fdr"):
        list(FdrCaller(0.1).call([window([0.01] * 10 + [0.5] * 90, null_reads=99)]))
    assert not caplog.text


def rows_of(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    strain = strain_of(uniform_codes(24_000, 1), 77)
    made = {f"in{i}": strain[200 * i : 200 * i + 200] for i in range(40)}
    made |= {f"ood{i}": uniform_codes(200, 100 + i) for i in range(20)}
    return write_fasta(tmp_path_factory.mktemp("fdr") / "reads.fa", made)


def test_command(genood_here: Genood, context_dir: Path, reads: Path, tmp_path: Path) -> None:
    """The table is that of --alpha but for its calls, which are those of its own p-values."""
    by_alpha, by_fdr, summary = tmp_path / "alpha.tsv", tmp_path / "fdr.tsv", tmp_path / "summary.json"
    genood_here("score", "-m", context_dir, reads, "-o", by_alpha, *CPU)
    result = genood_here(
        "score", "-m", context_dir, reads, "--fdr", LEVEL, "-o", by_fdr, "--summary", summary,
        "--per-position", tmp_path / "positions.tsv", *CPU,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    header, *rows = rows_of(by_fdr)
    place, last = header.index("p_value"), header.index("call")
    assert [row[:last] for row in rows] == [row[:last] for row in rows_of(by_alpha)[1:]]
    p_values = np.array([float(row[place]) for row in rows])
    expected = np.where(false_discovery_control(p_values) <= float(LEVEL), "ood", "in").tolist()
    assert [row[last] for row in rows] == expected
    assert set(expected) == {"in", "ood"}
    report = json.loads(summary.read_text())
    assert (report["alpha"], report["fdr"]) == (None, float(LEVEL))
    assert report["p_value_threshold"] == p_values[np.array(expected) == "ood"].max()
    assert report["calls"]["ood"] == expected.count("ood")
    assert len((tmp_path / "positions.tsv").read_text().splitlines()) == 60 * 200 + 1


def test_command_threads_and_standard_output(genood: Genood, context_dir: Path, reads: Path) -> None:
    tables = [
        genood("score", "-m", context_dir, reads, "--fdr", LEVEL, "--device", "cpu", "--threads", threads)
        for threads in ("1", "2")
    ]
    assert tables[0].returncode == 0, tables[0].stderr
    assert tables[0].stdout == tables[1].stdout
    assert len(tables[0].stdout.splitlines()) == 61


def test_one_way_to_call(genood_here: Genood, context_dir: Path, reads: Path) -> None:
    result = genood_here("score", "-m", context_dir, reads, "--fdr", "0.1", "--alpha", "0.05", *CPU)
    assert result.returncode == 2
    assert "--alpha and --fdr are two ways to call" in result.stderr
