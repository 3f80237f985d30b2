"""The maximum class probability by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from classifier_batches import logits_batch

from genood.detectors.max_probability import MaxProbability


def test_by_hand() -> None:
    batch = logits_batch(np.log([[0.2, 0.7, 0.1], [0.25, 0.25, 0.5]]))
    assert MaxProbability().score(batch) == pytest.approx(-np.log([0.7, 0.5]))


def test_the_class_of_mutated_reads_is_never_the_maximum() -> None:
    batch = logits_batch(np.log([[0.2, 0.7, 0.1], [0.05, 0.9, 0.05]]), mutated_class=1)
    assert MaxProbability().score(batch) == pytest.approx(-np.log([0.2, 0.05]))


def test_binary() -> None:
    batch = logits_batch(np.log([[0.2, 0.8]]), mutated_class=1)
    assert MaxProbability().score(batch) == pytest.approx([-math.log(0.2)])


def test_sure_reads_are_told_apart() -> None:
    batch = logits_batch([[40.0, 0.0], [50.0, 0.0]])
    assert MaxProbability().score(batch) == pytest.approx([math.exp(-40), math.exp(-50)], rel=1e-5)


def test_reads_that_surely_are_mutated_are_told_apart() -> None:
    batch = logits_batch([[-40.0, 0.0], [-50.0, 0.0], [-1e6, 0.0]], mutated_class=1)
    assert MaxProbability().score(batch) == pytest.approx([40.0, 50.0, 1e6])
