"""The likelihood ratio by hand."""

from __future__ import annotations

import numpy as np
import pytest
from toy_batches import likelihood_batch

from genood.detectors.base import ScoreBatch
from genood.detectors.llr import LikelihoodRatio


def test_by_hand(hand_batch: ScoreBatch) -> None:
    # log(2 · 1 · 1/2) = 0 over 3 bases.
    assert LikelihoodRatio().score(hand_batch)[0] == pytest.approx(0.0, abs=1e-6)


def test_per_scored_base() -> None:
    batch = likelihood_batch(np.log([[1 / 2, 1 / 2]]), np.log([[1 / 4, 1 / 8]]))
    # log(2 · 4) over 2 bases, and small where the foreground explains the read.
    assert LikelihoodRatio().score(batch)[0] == pytest.approx(-np.log(8) / 2)
