"""The distance to the k-th nearest training read by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from classifier_batches import features_batch
from toy_batches import toy_batch, unscored

from genood.detectors.knn import Knn
from genood.errors import ConfigError

TRAINING = features_batch([[3, 0], [0, 0.5], [-7, 0]])


@pytest.mark.parametrize(("k", "distance"), [(1, 0.0), (2, math.sqrt(2)), (3, 2.0), (50, 2.0)])
def test_by_hand(k: int, distance: float) -> None:
    # Along (1, 0), (0, 1) and (-1, 0), at an angle of 0, 90 and 180 degrees.
    score = Knn(k=k).fit([TRAINING]).score(features_batch([[2, 0]]))
    assert score == pytest.approx([distance], abs=1e-6)


def test_features_without_direction() -> None:
    assert Knn(k=1).fit([TRAINING]).score(features_batch([[0, 0]])) == pytest.approx([1.0])


def test_the_sample_does_not_depend_on_batches() -> None:
    features = np.random.default_rng(3).normal(size=(200, 5))
    whole = Knn(max_reads=20).fit([features_batch(features)]).state()["features"]
    parts = [features_batch(part) for part in np.array_split(features, 9)]
    split = Knn(max_reads=20).fit(parts).state()["features"]
    assert whole.shape == (20, 5)
    np.testing.assert_array_equal(split, whole)
    assert len(np.unique(whole[:, 0])) == 20


def test_copies_are_one_neighbour() -> None:
    # Twice as long is the same direction.
    copies = features_batch([[3, 0], [0, 0.5], [3, 0], [6, 0], [-7, 0], [0, 0.5]])
    reads = features_batch([[2, 0], [1, 1], [0, -1]])
    for k in (1, 2, 3, 50):
        expected = Knn(k=k).fit([TRAINING]).score(reads)
        np.testing.assert_allclose(Knn(k=k).fit([copies]).score(reads), expected, rtol=1e-6)


def test_a_sample_with_copies_does_not_depend_on_batches() -> None:
    generator = np.random.default_rng(3)
    features = generator.normal(size=(40, 5))[generator.integers(0, 40, size=300)]
    whole = Knn(max_reads=20).fit([features_batch(features)]).state()["features"]
    parts = [features_batch(part) for part in np.array_split(features, 30)]
    split = Knn(max_reads=20).fit(parts).state()["features"]
    assert len(np.unique(whole, axis=0)) == 20
    np.testing.assert_array_equal(split, whole)


def test_no_reads() -> None:
    with pytest.raises(ConfigError, match=r"^there are no reads to learn features from$"):
        Knn().fit([unscored(toy_batch(3, 1, ood=False))])


@pytest.mark.parametrize("values", [{"k": 0}, {"max_reads": 0}])
def test_values_without_sense(values: dict[str, int]) -> None:
    with pytest.raises(ConfigError, match=r"^knn: k and max_reads must be at least 1, not"):
        Knn(**values)
