"""Reads whose scores can be worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from toy_batches import likelihood_batch

from genood.detectors.base import ScoreBatch


@pytest.fixture
def hand_batch() -> ScoreBatch:
    """The read ACNG: foreground chances 1/2, 1/4, -, 1/8, background 1/4, 1/4, -, 1/4."""
    codes = np.array([[0, 1, 4, 2]], dtype=np.uint8)
    return likelihood_batch(np.log([[1 / 2, 1 / 4, 1, 1 / 8]]), np.log([[1 / 4, 1 / 4, 1, 1 / 4]]), codes)
