"""The energy by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from classifier_batches import logits_batch

from genood.detectors.energy import Energy


def test_by_hand() -> None:
    logits = np.log([[1.0, 2.0, 5.0]])
    assert Energy().score(logits_batch(logits)) == pytest.approx([-math.log(8)])
    assert Energy().score(logits_batch(logits, mutated_class=2)) == pytest.approx([-math.log(3)])


def test_large_logits() -> None:
    assert Energy().score(logits_batch([[1000.0, 1000.0]])) == pytest.approx([-1000 - math.log(2)])
