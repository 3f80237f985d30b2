"""The entropy of the class distribution by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from classifier_batches import logits_batch

from genood.detectors.entropy import Entropy


def test_by_hand() -> None:
    # 1/2 log 2 + 2 · 1/4 log 4
    batch = logits_batch(np.log([[0.5, 0.25, 0.25], [1 / 3, 1 / 3, 1 / 3]]))
    assert Entropy().score(batch) == pytest.approx([1.5 * math.log(2), math.log(3)])


def test_the_probability_of_mutated_reads_is_shared_out() -> None:
    # 1/8 + 1/4 and 3/8 + 1/4 of the two in-distribution classes; surely mutated means no class at all.
    batch = logits_batch([np.log([0.125, 0.5, 0.375]), [0.0, 50.0, 9.0]], mutated_class=1)
    by_hand = -(0.375 * math.log(0.375) + 0.625 * math.log(0.625))
    assert Entropy().score(batch) == pytest.approx([by_hand, math.log(2)])


def test_sure_reads_are_told_apart() -> None:
    # p log(1/p) of the other class, and 1 - p of it: e^-40 (40 + 1).
    assert Entropy().score(logits_batch([[40.0, 0.0]])) == pytest.approx([41 * math.exp(-40)], rel=1e-5)


def test_a_single_class_against_mutated_reads_tells_nothing() -> None:
    logits = np.random.default_rng(0).normal(0, 5, (50, 2))
    assert Entropy().score(logits_batch(logits, mutated_class=1)).tolist() == [0.0] * 50
