"""What is matched, and how far reads are from it, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_batches import classified, likelihood_batch, toy_batch

from genood.attack.config import AttackConfig, budget
from genood.attack.objectives import (
    FeatureObjective,
    LikelihoodObjective,
    ScoreObjective,
    check_served,
    distances,
    percentage_errors,
    spread,
)
from genood.detectors.llr import LikelihoodRatio
from genood.errors import ConfigError


@pytest.mark.parametrize(
    ("epsilon", "length", "number"),
    [
        (0.0, 250, 0),
        (0.02, 250, 5),
        (0.02, 249, 4),
        (0.29, 100, 29),
        (0.07, 100, 7),
        (1.0, 3, 3),
        (0.5, 1, 0),
    ],
)
def test_budget_is_rounded_down(epsilon: float, length: int, number: int) -> None:
    assert budget(epsilon, length) == number


def test_levels_begin_with_the_unattacked() -> None:
    assert AttackConfig(epsilons=(0.05, 0.01, 0.05)).levels == (0.0, 0.01, 0.05)


@pytest.mark.parametrize(
    "wrong",
    [
        {"epsilons": ()},
        {"epsilons": (1.5,)},
        {"epsilons": (float("nan"),)},
        {"candidates": 0},
        {"tries": 0},
        {"reads_at_once": 0},
        {"tolerance": -1.0},
        {"objective": "features", "detector": "llr"},
    ],
)
def test_configurations_that_make_no_sense(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        AttackConfig(**wrong)  # type: ignore[arg-type]


def test_likelihood_is_per_scored_base() -> None:
    batch = likelihood_batch(np.log([[1 / 2, 1 / 8, 1]]), np.zeros((1, 3)), np.array([[0, 1, 4]], np.uint8))
    assert LikelihoodObjective().values(batch)[0, 0] == pytest.approx(-np.log(16) / 2)


def test_score_is_the_detector_s() -> None:
    batch = likelihood_batch(np.log([[1 / 2, 1 / 2]]), np.log([[1 / 4, 1 / 8]]))
    assert ScoreObjective(LikelihoodRatio()).values(batch)[0, 0] == pytest.approx(-np.log(8) / 2)


def test_features_are_the_classifier_s() -> None:
    batch = toy_batch(4, 1, ood=False)
    assert batch.classified is not None
    alone = replace(batch, members=())
    np.testing.assert_array_equal(FeatureObjective().values(alone), batch.classified.features)


def test_features_of_an_ensemble_are_its_members() -> None:
    first, second = np.array([[1.0, 2, 3, 4, 5, 6, 7, 8]]), np.array([[9.0] * 8])
    batch = likelihood_batch(np.zeros((1, 2)), np.zeros((1, 2)))
    members = tuple(replace(batch, classified=classified(features)) for features in (first, second))
    ensemble = replace(batch, classified=classified(0 * first), members=members)
    np.testing.assert_array_equal(FeatureObjective().values(ensemble), np.hstack([first, second]))


def test_distances_by_hand() -> None:
    # (3² + 4²) / 2 = 12.5
    assert distances(np.array([[1.0, 6.0]]), np.array([[4.0, 2.0]]))[0] == pytest.approx(12.5**0.5)


def test_percentage_errors_by_hand() -> None:
    values = np.array([[1.0, 6.0], [0.0, 0.0], [1.0, 0.0]])
    targets = np.array([[5.0, -10.0], [0.0, 0.0], [0.0, 0.0]])
    # (4 + 16) / 2 over 10; nothing of nothing; something of nothing.
    assert percentage_errors(values, targets).tolist() == [1.0, 0.0, np.inf]


def test_spread_by_hand() -> None:
    assert spread(np.array([[1.0], [3.0]])) == pytest.approx(1.0)
    # Deviations of 1 and 2 from the means: (1 + 1 + 4 + 4) / 4.
    assert spread(np.array([[0.0, 0.0], [2.0, 4.0]])) == pytest.approx(2.5**0.5)
    assert spread(np.array([[-4.0]])) == 4.0
    assert spread(np.array([[0.0]])) == 1.0


def test_objectives_that_a_bundle_does_not_serve() -> None:
    check_served(LikelihoodObjective(), frozenset({"likelihood"}))
    with pytest.raises(ConfigError, match="gives no features"):
        check_served(FeatureObjective(), frozenset({"likelihood"}))
