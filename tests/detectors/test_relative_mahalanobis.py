"""The relative Mahalanobis distance by hand."""

from __future__ import annotations

import numpy as np
import pytest
from classifier_batches import features_batch

from genood.detectors.relative_mahalanobis import RelativeMahalanobis

CROSS = np.array([[-1, 0, 0], [1, 0, 0], [0, -2, 0], [0, 2, 0]])
TWO_CLASSES = features_batch(np.concatenate([CROSS, CROSS + np.array([10, 0, 0])]), labels=[0] * 4 + [1] * 4)


def test_by_hand() -> None:
    fitted = RelativeMahalanobis(shrinkage=0.0).fit([TWO_CLASSES])
    # From the class 1 / 0.5 + 4 / 2; from all, of mean (5, 0) and variances 0.5 + 25 and 2, 16 / 25.5 + 2.
    assert fitted.score(features_batch([[1, 2, 0]])) == pytest.approx([2 - 16 / 25.5])


def test_what_training_reads_never_do_cancels() -> None:
    fitted = RelativeMahalanobis().fit([TWO_CLASSES])
    scores = fitted.score(features_batch([[1, 2, 0], [1, 2, 3]]))
    assert scores[1] == pytest.approx(scores[0], rel=1e-5)
