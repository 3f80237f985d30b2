"""ROSE with a diagonal, by hand and against gradients of one read at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest
from toy_batches import likelihood_batch

from genood.detectors.base import ScoreBatch
from genood.detectors.rose_diagonal import RoseDiagonal


def with_gradients(num_bases: int = 1, **gradients: object) -> ScoreBatch:
    """Reads of so many bases with these gradients, by layer."""
    arrays = {name: np.array(values, dtype=np.float32) for name, values in gradients.items()}
    num_reads = len(next(iter(arrays.values())))
    batch = likelihood_batch(np.full((num_reads, num_bases), -1.0), np.zeros((num_reads, num_bases)))
    return replace(batch, gradients=arrays)


def test_by_hand() -> None:
    # F = (1 + 1 + 4 + 4) / 4 = 5/2 and (9 + 1 + 1 + 9) / 4 = 5, so that the forms of the training reads are
    # 2/5 + 9/5 = 11/5, 2/5 + 1/5 = 3/5, 8/5 + 1/5 = 9/5, 8/5 + 9/5 = 17/5: mean 2, variance 1.
    train = with_gradients(layer=[[1, 3], [-1, 1], [2, -1], [2, 3]])
    detector = RoseDiagonal(damping=0.0).fit([train])
    # (4, 5): 16 · 2/5 + 25/5 = 57/5, which is 47/5 above the mean; (0, 1): 1/5, which is below it.
    scores = detector.score(with_gradients(layer=[[4, 5], [0, 1]]))
    np.testing.assert_allclose(scores, [47 / 5, 0.0], rtol=1e-6)


def test_the_layer_that_is_furthest_out_counts() -> None:
    generator = np.random.default_rng(1)
    layers = {"one": generator.normal(size=(50, 2, 3)), "two": 9.0 * generator.normal(size=(50, 4))}
    detector = RoseDiagonal().fit([with_gradients(**layers)])
    reads = {
        "one": [np.full((2, 3), 1.0)] * 2 + [np.full((2, 3), 20.0)],
        "two": [[1.0] * 4, [90.0] * 4, [1.0] * 4],
    }
    alone = [
        RoseDiagonal().fit([with_gradients(**{name: values})]).score(with_gradients(**{name: reads[name]}))
        for name, values in layers.items()
    ]
    np.testing.assert_allclose(detector.score(with_gradients(**reads)), np.maximum(*alone), rtol=1e-6)
    assert alone[0][2] > alone[1][2]
    assert alone[0][1] < alone[1][1]


def test_twice_the_bases_give_twice_the_squares() -> None:
    """A read whose gradient has grown as that of independent bases does has the score of the shorter one."""
    generator = np.random.default_rng(2)
    detector = RoseDiagonal().fit([with_gradients(10, layer=generator.normal(size=(50, 6)))])
    gradients = 3 * generator.normal(size=(5, 6))
    np.testing.assert_allclose(
        detector.score(with_gradients(40, layer=2 * gradients)),
        detector.score(with_gradients(10, layer=gradients)),
        rtol=1e-5,
    )


@pytest.mark.parametrize("damping", [0.01, 1.0])
def test_damping(damping: float) -> None:
    """A multiple of the mean of F's entries is added to each; one that never moves would be 0/0 else."""
    train = with_gradients(layer=[[1, 0, 2], [1, 0, -2]])
    parts = RoseDiagonal(damping=damping).fit_fisher([train])["layer"]
    np.testing.assert_allclose(1 / parts["inverse"], np.array([[1, 0, 4]]) + damping * 5 / 3)


def test_a_layer_that_never_moves_says_nothing() -> None:
    train = with_gradients(still=np.zeros((4, 2)), layer=[[1], [2], [3], [4]])
    scores = RoseDiagonal().fit([train]).score(with_gradients(still=[[5, 5]], layer=[[9]]))
    alone = (
        RoseDiagonal().fit([with_gradients(layer=[[1], [2], [3], [4]])]).score(with_gradients(layer=[[9]]))
    )
    np.testing.assert_allclose(scores, alone)


def test_fits_all_batches() -> None:
    generator = np.random.default_rng(3)
    gradients = generator.normal(size=(30, 2, 3))
    together = RoseDiagonal().fit([with_gradients(layer=gradients)]).state()
    apart = RoseDiagonal().fit([with_gradients(layer=gradients[:7]), with_gradients(layer=gradients[7:])])
    _assert_same(apart.state(), together)


def _assert_same(found: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert set(found) == set(expected) == {"layer.inverse", "layer.mean", "layer.deviation"}
    for name, array in expected.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-9)


def test_without_gradients() -> None:
    batch = likelihood_batch(np.full((1, 2), -1.0), np.zeros((1, 2)))
    with pytest.raises(ValueError, match="no gradients"):
        RoseDiagonal().fit([batch])
