"""The likelihood by hand."""

from __future__ import annotations

import math

import pytest

from genood.detectors.base import ScoreBatch
from genood.detectors.likelihood import Likelihood


def test_by_hand(hand_batch: ScoreBatch) -> None:
    # 1/2 · 1/4 · 1/8 = 1/64 over 3 bases.
    assert Likelihood().score(hand_batch)[0] == pytest.approx(math.log(64) / 3)
