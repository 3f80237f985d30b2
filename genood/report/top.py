"""The most foreign reads of a run, few of them, however many there are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class TopRead:
    """A read among the most foreign ones.

    Attributes
    ----------
    row
        Of the score table, from 0.
    name, mate, length, num_scored, gc, llr_per_base, ood_score, p_value, call
        See the score table; NaN where there is no value.
    """

    row: int
    name: str
    mate: int
    length: int
    num_scored: int
    gc: float
    llr_per_base: float
    ood_score: float
    p_value: float
    call: str

    @property
    def rank(self) -> tuple[float, float, int]:
        """What they are sorted by: the p-value, of equal ones the score, then their order in the table."""
        return (self.p_value, -self.ood_score, self.row)


def foremost(p_values: Floats, ood_scores: Floats, number: int) -> Ints:
    """Indices of the most foreign reads, at most so many, by `TopRead.rank`; those without a p-value not."""
    known = np.flatnonzero(~np.isnan(p_values) & ~np.isnan(ood_scores))
    if len(known) > number:
        # Only these are sorted: no smaller p-values than those are left, though maybe equal ones.
        bound = np.partition(p_values[known], number - 1)[number - 1]
        known = known[p_values[known] <= bound]
    order = np.lexsort((known, -ood_scores[known], p_values[known]))[:number]
    return known[order]


class TopReads:
    """The `number` most foreign reads."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._reads: list[TopRead] = []

    def add(self, reads: Sequence[TopRead]) -> None:
        """Take reads in, of which the foremost stay."""
        self._reads = sorted([*self._reads, *reads], key=lambda read: read.rank)[: self._number]

    def merge(self, other: TopReads, num_before: int) -> None:
        """Take in those of a later part of the table, `num_before` rows on."""
        self.add([replace(read, row=read.row + num_before) for read in other._reads])

    @property
    def reads(self) -> list[TopRead]:
        """The reads, the most foreign first."""
        return list(self._reads)
