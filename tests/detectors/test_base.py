"""What a batch of reads sums up to."""

from __future__ import annotations

import math

import pytest

from genood.detectors.base import ScoreBatch


def test_score_batch_sums(hand_batch: ScoreBatch) -> None:
    assert hand_batch.num_scored.tolist() == [3]
    assert hand_batch.log_likelihood[0] == pytest.approx(-math.log(64))
    assert hand_batch.background_log_likelihood[0] == pytest.approx(-math.log(64))
    assert hand_batch.llr[0] == pytest.approx(0.0, abs=1e-6)


def test_prefix_is_the_shorter_read(hand_batch: ScoreBatch) -> None:
    prefix = hand_batch.prefix(2)
    assert prefix.lengths.tolist() == [2]
    assert prefix.num_scored.tolist() == [2]
    assert prefix.llr[0] == pytest.approx(math.log(2))
