"""What every training ends with."""

from __future__ import annotations

import numpy as np
import pytest
from toys import composition_bundle

from genood import bundling
from genood.bundling import calibrate
from genood.calibration import LENGTH_BINS
from genood.detectors.base import ScoreBatch


def test_calibration_reads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is independent, by their number, and of long reads by their bases; one length at a time."""
    monkeypatch.setattr(bundling, "MAX_NULL_BASES", 10_000)
    asked: list[tuple[int, int]] = []

    def score_null(length: int, num_reads: int) -> list[ScoreBatch]:
        asked.append((length, num_reads))
        zeros = np.zeros((num_reads, length), dtype=np.float32)
        return [
            ScoreBatch(
                codes=zeros.astype(np.uint8),
                lengths=np.full(num_reads, length, dtype=np.int64),
                mask=np.ones(zeros.shape, dtype=bool),
                log_p=zeros,
                background_log_p=zeros,
            )
        ]

    lengths = {10: 30.0, 50: 500.0, 100: 250.0, 20_000: 40.0}
    made = calibrate(composition_bundle(0.4, 0.1, 0.1, 0.4), score_null, lengths, 150, "toy")
    assert asked == [(10, 120), (50, 150), (100, 100), (20_000, 1)]
    assert made.nulls["llr"].num_independent == (30.0, 150.0, 100.0, 1.0)


def test_nulls_reach_long_reads() -> None:
    assert {50, 100, 150, 250, 1_000, 10_000} <= set(LENGTH_BINS)
