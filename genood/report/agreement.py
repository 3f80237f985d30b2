"""What a report counts of further detectors: their scores, and how far they agree with the first."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from genood.calibration import NullDistribution
from genood.engine import CALLS
from genood.report.binning import Bins, GrowingGrid, GrowingHistogram

AGREEMENT_LEVEL = 0.05
"""Both detectors are asked at this level, whatever reads are called by."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class DetectorCounts:
    """Counts of one further detector.

    Parameters
    ----------
    null
        Its score over in-distribution reads, where it is known.
    """

    def __init__(self, null: NullDistribution | None = None) -> None:
        self.null = null
        self.both: Ints = np.zeros((2, 2), dtype=np.int64)
        """Reads by whether the first detector, and whether this one, has a p-value of at most
        `AGREEMENT_LEVEL`: those that neither has come first."""
        self._scores = GrowingHistogram(len(CALLS))
        self._grid = GrowingGrid()

    def add(
        self, scores: Floats, *, first_scores: Floats, p_values: Floats, calls: Ints, num_scored: Ints
    ) -> None:
        """Count N reads: their scores, and what the first detector says of them; NaN where it is nothing."""
        known = ~np.isnan(scores)
        self._scores.add(scores[known], calls[known])
        known &= ~np.isnan(first_scores)
        self._grid.add(first_scores[known], scores[known])
        if self.null is not None:
            known &= ~np.isnan(p_values)
            mine = self.null.p_values(scores[known], num_scored[known]) <= AGREEMENT_LEVEL
            first = p_values[known] <= AGREEMENT_LEVEL
            self.both += np.bincount(2 * first + mine, minlength=4).reshape(2, 2)

    def merge(self, other: DetectorCounts) -> None:
        """Add the counts of other reads, of the same detector and null."""
        self.both += other.both
        self._scores.merge(other._scores)
        self._grid.merge(other._grid)

    def score_bins(self, most_bins: int, tail: float) -> Bins | None:
        """Its scores by bin; counts have the shape (K, calls)."""
        return self._scores.view(most_bins, tail)

    def score_quantile(self, level: float) -> float | None:
        """A quantile of its scores, as exact as their bins."""
        return self._scores.quantile(level)

    def grid(self, most_bins: int, tail: float) -> tuple[Floats, Floats, Ints] | None:
        """Reads by the first detector's score and its own: edges of both, (K + 1,) and (M + 1,), counts."""
        return self._grid.view(most_bins, tail)

    def rank_correlation(self) -> float:
        """Spearman's, of the two scores as exact as their bins; NaN where one of them never differs.

        Notes
        -----
        Source: Spearman 1904, "The proof and measurement of association between two things". Values in
        one bin are ties, which get their mean rank.
        """
        counts = self._grid.counts.astype(np.float64)
        total = counts.sum()
        if not total:
            return math.nan
        first, other = (_centred_ranks(counts.sum(axis=axis)) for axis in (1, 0))
        spread = math.sqrt((counts.sum(axis=1) * first**2).sum() * (counts.sum(axis=0) * other**2).sum())
        return float(first @ counts @ other) / spread if spread else math.nan


def _centred_ranks(counts: Floats) -> Floats:
    """Mean ranks of the values in each bin, less the mean of all."""
    return np.cumsum(counts) - counts / 2 - counts.sum() / 2
