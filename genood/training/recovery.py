"""When a training has gone wrong: a loss that is not finite, or one that has leapt up and stays there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

_MEMORY = 100
"""Losses that a running mean is over, and how many there must be before any can be too high."""
_DEVIATIONS = 6.0
_PART = 0.05
"""By how many of its standard deviations, and by which part of it, a high loss exceeds the running mean."""
_IN_A_ROW = 5
"""High losses that are a spike: fewer are an odd batch, which does no harm."""


class Recovery(NamedTuple):
    """A step back.

    Attributes
    ----------
    step
        Where a loss had gone wrong.
    role
        The model whose loss it was.
    loss
        In the unit of its training loss; as text, as JSON has no word for what is not finite.
    back_to
        The step that training went on from.
    """

    step: int
    role: str
    loss: str
    back_to: int


def rate_after(num_recoveries: int) -> float:
    """What the learning rate is multiplied with after so many recoveries.

    The first one only draws other reads, in case the ones it met were the cause; each further one halves
    the learning rate, too.
    """
    return 0.5 ** max(0, num_recoveries - 1)


class LossWatch:
    """Watches the training losses of one model.

    A loss is high if it exceeds the running mean of those before by `_DEVIATIONS` of their standard
    deviations, and by `_PART` of it; high losses do not enter the mean.
    """

    def __init__(self) -> None:
        self._number = 0
        self._mean = 0.0
        self._variance = 0.0
        self._num_high = 0

    @property
    def is_calm(self) -> bool:
        """Whether the last loss was not high."""
        return self._num_high == 0

    def has_spiked(self, loss: float) -> bool:
        """Take in a step's loss; whether it is not finite, or the last of a row of high ones."""
        if not math.isfinite(loss):
            return True
        margin = max(_DEVIATIONS * math.sqrt(self._variance), _PART * abs(self._mean))
        if self._number >= _MEMORY and loss > self._mean + margin:
            self._num_high += 1
            return self._num_high >= _IN_A_ROW
        self._num_high = 0
        self._number += 1
        weight = 1.0 / min(self._number, _MEMORY)
        before = loss - self._mean
        self._mean += weight * before
        self._variance += weight * (before * (loss - self._mean) - self._variance)
        return False

    def state(self) -> list[float]:
        """All that it knows, JSON types."""
        return [self._number, self._mean, self._variance, self._num_high]

    def load_state(self, state: Sequence[float]) -> None:
        """Take back what `state` gave."""
        number, self._mean, self._variance, num_high = state
        self._number, self._num_high = int(number), int(num_high)
