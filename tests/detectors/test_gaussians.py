"""Moments of features by class, and covariances that can be inverted."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from classifier_batches import features_batch
from sklearn.covariance import oas
from toy_batches import reads_of, toy_batch, unscored

from genood.detectors.base import ScoreBatch
from genood.detectors.gaussians import ClassMoments, oas_shrinkage, squared_distances, whitening
from genood.errors import ConfigError

RNG = np.random.default_rng(5)


def test_moments_by_hand() -> None:
    batch = features_batch([[0, 0], [2, 4], [9, 9]], labels=[3, 3, 7])
    moments = ClassMoments.of([batch])
    assert moments.counts.tolist() == [2, 1]
    assert moments.means.tolist() == [[1, 2], [9, 9]]
    assert moments.scatter.tolist() == [[2, 4], [4, 8]]
    assert moments.mean.tolist() == [11 / 3, 13 / 3]


def test_moments_do_not_depend_on_batches() -> None:
    features = 1000 + RNG.normal(size=(101, 6))
    labels = RNG.integers(0, 3, 101)
    whole = ClassMoments.of([features_batch(features, labels=labels.tolist())])

    def parts() -> Iterator[ScoreBatch]:
        for start in range(0, 101, 10):
            rows = slice(start, start + 10)
            yield features_batch(features[rows], labels=labels[rows].tolist())

    split = ClassMoments.of(parts())
    np.testing.assert_array_equal(split.counts, whole.counts)
    np.testing.assert_allclose(split.means, whole.means, rtol=1e-12)
    np.testing.assert_allclose(split.scatter, whole.scatter, rtol=1e-9, atol=1e-9)


def test_covariances_add_up_to_that_of_all_reads() -> None:
    features, labels = RNG.normal(size=(50, 4)).astype(np.float32), RNG.integers(0, 3, 50)
    moments = ClassMoments.of([features_batch(features, labels=labels.tolist())])
    total = moments.tied_covariance(0.0) + moments.between_covariance()
    np.testing.assert_allclose(total, np.cov(features.astype(np.float64), rowvar=False, bias=True))


def test_unscored_reads_do_not_count() -> None:
    batch = toy_batch(9, 1, ood=False)
    assert ClassMoments.of([batch, unscored(batch)]).num_reads == 9
    with pytest.raises(ConfigError, match=r"^there are no reads to learn features from$"):
        ClassMoments.of([unscored(batch)])


def test_labels_are_needed() -> None:
    with pytest.raises(ConfigError, match=r"these have no labels$"):
        ClassMoments.of([features_batch([[1.0, 2.0]])])


def test_shrinkage_by_hand() -> None:
    # p = 2, n = 7: tr S² = 10, tr² S = 16; (0 + 16) / (7 (10 - 8)) > 1, and of diag(1, 9), n = 19:
    # (0 + 100) / (19 (82 - 50)).
    assert oas_shrinkage(np.diag([1.0, 3.0]), 7) == 1
    assert oas_shrinkage(np.diag([1.0, 9.0]), 19) == pytest.approx(100 / (19 * 32))


def test_shrinkage_is_that_of_scikit_learn_when_features_are_many() -> None:
    features = RNG.normal(size=(400, 300)) * np.linspace(0.1, 3, 300)
    found = oas_shrinkage(features.T @ features / 400, 400)
    assert found == pytest.approx(oas(features, assume_centered=True)[1], rel=1e-2)


def test_shrunk_covariance_by_hand() -> None:
    moments = ClassMoments(counts=np.array([4.0]), means=np.zeros((1, 2)), scatter=np.diag([2.0, 8.0]))
    np.testing.assert_allclose(moments.tied_covariance(0.5), np.diag([0.875, 1.625]))


@pytest.mark.parametrize("num_reads", [2, 20, 2000])
@pytest.mark.parametrize("num_collinear", [0, 10])
def test_whitening_is_well_conditioned(num_reads: int, num_collinear: int) -> None:
    features = RNG.normal(size=(num_reads, 50))
    features[:, 50 - num_collinear :] = features[:, :num_collinear]
    moments = ClassMoments.of([features_batch(features, labels=[0] * num_reads)])
    assert np.linalg.cond(moments.tied_covariance()) < 1e5


def test_reads_at_their_centres() -> None:
    moments = ClassMoments.of([features_batch([[1, 2], [3, 4]], labels=[0, 1])])
    np.testing.assert_allclose(moments.tied_covariance(), np.eye(2))


def test_distances_are_those_of_the_inverse() -> None:
    root = RNG.normal(size=(5, 5))
    covariance = root @ root.T
    features, means = RNG.normal(size=(7, 5)), RNG.normal(size=(3, 5))
    found = squared_distances(features, means, whitening(covariance))
    apart = features[:, None] - means
    expected = np.einsum("bkf,fg,bkg->bk", apart, np.linalg.inv(covariance), apart)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


def test_whitening_of_what_has_no_inverse_is_finite() -> None:
    assert np.isfinite(whitening(np.ones((3, 3)))).all()


def test_reads_of_one_class_give_what_reads_of_it_alone_give() -> None:
    batch = toy_batch(30, 4, ood=False)
    assert batch.labels is not None
    rows = slice(0, 30, 3)
    one = ClassMoments.of([reads_of(batch, rows)])
    np.testing.assert_allclose(one.means[0], ClassMoments.of([batch]).means[0], rtol=1e-12)
