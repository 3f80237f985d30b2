"""Mahalanobis' distance by hand."""

from __future__ import annotations

import numpy as np
import pytest
from classifier_batches import features_batch

from genood.detectors.base import ScoreBatch
from genood.detectors.mahalanobis import Mahalanobis

CROSS = np.array([[-1, 0], [1, 0], [0, -2], [0, 2]])
"""Variances 1/2 and 2 around its centre."""


@pytest.fixture
def two_classes() -> ScoreBatch:
    """A cross around (0, 0) and one around (10, 0)."""
    return features_batch(np.concatenate([CROSS, CROSS + np.array([10, 0])]), labels=[0] * 4 + [1] * 4)


def test_by_hand(two_classes: ScoreBatch) -> None:
    fitted = Mahalanobis(shrinkage=0.0).fit([two_classes])
    # 1 / 0.5 + 4 / 2 from the first class; 1 / 0.5 from the second.
    assert fitted.score(features_batch([[1, 2], [9, 0], [10, 0]])) == pytest.approx([4, 2, 0], abs=1e-6)


def test_shrunk_by_hand(two_classes: ScoreBatch) -> None:
    # Halfway to variances of 1.25: 0.875 and 1.625.
    fitted = Mahalanobis(shrinkage=0.5).fit([two_classes])
    assert fitted.score(features_batch([[1, 2]])) == pytest.approx([1 / 0.875 + 4 / 1.625])


@pytest.mark.parametrize("num_reads", [12, 500])
def test_collinear_features_and_few_reads(num_reads: int) -> None:
    generator = np.random.default_rng(2)
    labels = np.arange(num_reads) % 3
    varying = 5 * np.eye(3)[labels] + 0.5 * generator.normal(size=(num_reads, 3))
    spread = np.concatenate([np.eye(3), np.eye(3), np.zeros((3, 34))], axis=1)
    fitted = Mahalanobis().fit([features_batch(varying @ spread, labels=labels.tolist())])
    new = (5 * np.eye(3) + 0.1) @ spread
    out = np.concatenate([2.5 * np.ones((1, 6)), np.zeros((1, 34))], axis=1)
    never_seen = new[:1] + 5 * np.eye(40)[20]
    in_scores = fitted.score(features_batch(new))
    assert np.isfinite(in_scores).all()
    assert fitted.score(features_batch(np.concatenate([out, never_seen]))).min() > 2 * in_scores.max()
