"""ODIN by hand."""

from __future__ import annotations

import math
from itertools import pairwise, product

import numpy as np
import numpy.typing as npt
import pytest
from classifier_batches import features_batch

from genood.detectors.base import ScoreBatch
from genood.detectors.odin import Odin
from genood.errors import ConfigError


def test_by_hand() -> None:
    # The gradient is (1 - p, -(1 - p)), so that the first feature grows by 0.5 and the second shrinks:
    # the logits are 2.5 and 0.5, and with one other class the score is their difference, whatever T is.
    score = Odin(temperature=4, epsilon=0.5).score(features_batch([[2.0, 1.0]]))
    assert score == pytest.approx([-2.0])


def test_of_three_classes_by_hand() -> None:
    # At T = 1/2 the others are e^-2 and e^-4 of the first, on average half their sum.
    score = Odin(temperature=0.5, epsilon=0).score(features_batch([[3.0, 2.0, 1.0]]))
    assert score == pytest.approx([0.5 * math.log((math.exp(-2) + math.exp(-4)) / 2)])


def test_without_perturbation_at_temperature_1_it_ranks_as_the_maximum_probability() -> None:
    reads = features_batch(np.log([[0.2, 0.7, 0.1], [0.4, 0.3, 0.3]]))
    # Against two other classes: log 0.3 / 0.7 and log 0.6 / 0.4, less the log 2 of three that are alike.
    expected = np.log([0.3 / 0.7 / 2, 0.6 / 0.4 / 2])
    assert Odin(temperature=1, epsilon=0).score(reads) == pytest.approx(expected)


def test_a_high_temperature_leaves_the_differences_between_logits() -> None:
    logits = np.array([[1.0, 0.0, 0.5], [1.0001, 0.0, 0.5]])
    score = Odin(temperature=1e6, epsilon=0).score(features_batch(logits))
    assert score == pytest.approx([-0.75, -0.7501], abs=1e-6)
    assert score[0] - score[1] == pytest.approx(1e-4, abs=1e-6)


def test_sure_reads_are_told_apart() -> None:
    score = Odin(temperature=1, epsilon=0).score(features_batch([[40.0, 0.0], [50.0, 0.0]]))
    assert score.tolist() == [-40.0, -50.0]


@pytest.mark.parametrize(("temperature", "sign"), [(1.0, -1.0), (5.0, 1.0)])
def test_the_temperature_is_in_the_gradient(temperature: float, sign: float) -> None:
    # Weights 1, 2, -2 on the only feature: the gradient is 3 p_2 - p_1, and p_1 / p_2 = exp(2 / T) by the
    # biases 1, 0, -2: below 0 at T = 1, above at T = 5.
    weight, bias = np.array([[1.0], [2.0], [-2.0]]), np.array([1.0, 0.0, -2.0])
    moved = np.exp((weight[:, 0] * sign * 0.01 + bias) / temperature)
    batch = features_batch([[0.0]], weight=weight, bias=bias)
    score = Odin(temperature=temperature, epsilon=0.01).score(batch)
    others = (moved[1] + moved[2]) / 2
    assert score == pytest.approx([temperature * math.log(others / moved[0])], rel=1e-6)


def test_a_read_is_never_made_surer_of_being_mutated() -> None:
    # Not class 2 but class 0 is pushed: 1 + 0.5 against -0.5 and 3 - 0.5.
    score = Odin(temperature=1, epsilon=0.5).score(features_batch([[1.0, 0.0, 3.0]], mutated_class=2))
    pushed = np.exp([1.5, -0.5, 2.5])
    assert score == pytest.approx([math.log((pushed[1] + pushed[2]) / 2 / pushed[0])])


@pytest.fixture
def reads() -> ScoreBatch:
    """Reads of a classifier of 10 classes with 200 features, not far from what training gives."""
    generator = np.random.default_rng(1)
    features = np.maximum(generator.normal(size=(20, 200)), 0)
    return features_batch(features, weight=generator.normal(scale=0.1, size=(10, 200)))


def test_every_value_of_the_grid_changes_scores(reads: ScoreBatch) -> None:
    temperatures, epsilons = Odin.grid["temperature"], Odin.grid["epsilon"]

    def score(temperature: float, epsilon: float) -> npt.NDArray[np.float32]:
        return Odin(temperature=temperature, epsilon=epsilon).score(reads)

    for temperature, (low, high) in product(temperatures, pairwise(epsilons)):
        assert (score(temperature, high) < score(temperature, low)).all()
    for epsilon, (low, high) in product(epsilons, pairwise(temperatures)):
        # From the largest of the differences between logits, at T = 0, to their mean.
        assert (score(high, epsilon) < score(low, epsilon)).all()


def test_ranks_change_with_both(reads: ScoreBatch) -> None:
    def order(temperature: float, epsilon: float) -> list[int]:
        return np.argsort(Odin(temperature=temperature, epsilon=epsilon).score(reads)).tolist()

    assert order(1000, 0) != order(1, 0)
    assert order(1000, 0.1) != order(1000, 0)


@pytest.mark.parametrize("values", [{"temperature": 0.0}, {"epsilon": -1.0}])
def test_values_without_sense(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"^odin: temperature must be above 0 and epsilon at least 0, not"):
        Odin(**values)
