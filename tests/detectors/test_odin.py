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
    # the logits are 2.5 and 0.5, and their difference over T = 4 is 0.5.
    score = Odin(temperature=4, epsilon=0.5).score(features_batch([[2.0, 1.0]]))
    assert score == pytest.approx([1 / (1 + math.exp(0.5))])


def test_without_perturbation_at_temperature_1_it_is_the_maximum_probability() -> None:
    score = Odin(temperature=1, epsilon=0).score(features_batch([np.log([0.2, 0.7, 0.1])]))
    assert score == pytest.approx([0.3])


@pytest.mark.parametrize(("temperature", "sign"), [(1.0, -1.0), (5.0, 1.0)])
def test_the_temperature_is_in_the_gradient(temperature: float, sign: float) -> None:
    # Weights 1, 2, -2 on the only feature: the gradient is 3 p_2 - p_1, and p_1 / p_2 = exp(2 / T) by the
    # biases 1, 0, -2: below 0 at T = 1, above at T = 5.
    weight, bias = np.array([[1.0], [2.0], [-2.0]]), np.array([1.0, 0.0, -2.0])
    moved = np.exp((weight[:, 0] * sign * 0.01 + bias) / temperature)
    batch = features_batch([[0.0]], weight=weight, bias=bias)
    score = Odin(temperature=temperature, epsilon=0.01).score(batch)
    assert score == pytest.approx([1 - moved[0] / moved.sum()], rel=1e-6)


def test_a_read_is_never_made_surer_of_being_mutated() -> None:
    # Not class 2 but class 0 is pushed: 1 + 0.5 against -0.5 and 3 - 0.5.
    score = Odin(temperature=1, epsilon=0.5).score(features_batch([[1.0, 0.0, 3.0]], mutated_class=2))
    pushed = np.exp([1.5, -0.5, 2.5])
    assert score == pytest.approx([1 - pushed[0] / pushed.sum()])


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
        assert (score(high, epsilon) > score(low, epsilon)).all()


def test_ranks_change_with_both(reads: ScoreBatch) -> None:
    def order(temperature: float, epsilon: float) -> list[int]:
        return np.argsort(Odin(temperature=temperature, epsilon=epsilon).score(reads)).tolist()

    assert order(1000, 0) != order(1, 0)
    assert order(1000, 0.1) != order(1000, 0)


@pytest.mark.parametrize("values", [{"temperature": 0.0}, {"epsilon": -1.0}])
def test_values_without_sense(values: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=r"^odin: temperature must be above 0 and epsilon at least 0, not"):
        Odin(**values)
