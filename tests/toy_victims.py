"""Things to attack whose best substitutions are known."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genood.attack.objectives import Floats
from genood.attack.search import Attempt, Ints, Trajectory
from genood.sequence import Codes


class Weights:
    """A quantity that is a sum of weights, float64 (L, 4), of the bases at their positions."""

    def __init__(self, weights: Floats) -> None:
        self.weights = weights
        self.num_asked = 0

    def values(self, codes: Codes, lengths: Ints) -> Floats:
        self.num_asked += len(codes)
        padded = np.hstack([self.weights, np.zeros((len(self.weights), 1))])
        known = codes[:, : len(padded)]
        return padded[np.arange(known.shape[1]), known].sum(axis=1)[:, None]


def attempt(codes: Sequence[int], target: float, budget: int, number: int = 0) -> Attempt:
    return Attempt(
        number=number, codes=np.array(codes, dtype=np.uint8), target=np.array([target]), budget=budget
    )


def pairs(trajectory: Trajectory) -> list[tuple[int, int]]:
    """Substitutions as positions and bases."""
    return [tuple(edit) for edit in trajectory.edits]  # type: ignore[misc]
