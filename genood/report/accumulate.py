"""What a report knows of a run: counts, in bounded memory, whatever the run's size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from genood.calibration import (
    FRACTION_LAMBDAS,
    P_VALUE_BINS,
    Fraction,
    NullDistribution,
    fragments_of,
    ood_fraction,
    p_value_counts,
)
from genood.engine import CALLS, ScoredReads
from genood.report.agreement import DetectorCounts
from genood.report.binning import LENGTH_STARTS, Bins, GrowingHistogram, length_of, length_places
from genood.report.by_class import ClassCounts
from genood.report.top import TopRead, TopReads, foremost
from genood.rounding import as_in_table

GC_BINS = 50
SMALL_P_VALUES = 10.0 ** (np.arange(-48, 1) / 8)
"""Levels at which the smallest p-values are counted."""

_NUM_CALLS = len(CALLS)
_UNKNOWN_GC = GC_BINS
_COMPARED = 1000
_MOST_DIFFERENCE = 0.002
"""Of p-values on average; rounded scores may come to lie on the other side of a tie."""

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class ScoreColumns:
    """N rows of a score table, as far as reports use them; NaN where a cell is empty.

    Attributes
    ----------
    names
        Names of the reads.
    mates, lengths, num_scored
        int64, shape (N,).
    gc, llr_per_base, ood_scores, p_values
        float64, shape (N,).
    calls
        int64, shape (N,): places in `CALLS`.
    others
        Scores of further detectors by name, float64, shape (N,).
    classes
        The class that explains each read best, empty where there is none; None where that was not asked for.
    """

    names: Sequence[str]
    mates: Ints
    lengths: Ints
    num_scored: Ints
    gc: Floats
    llr_per_base: Floats
    ood_scores: Floats
    p_values: Floats
    calls: Ints
    others: Mapping[str, Floats] = field(default_factory=dict)
    classes: Sequence[str] | None = None

    @classmethod
    def of(cls, scored: ScoredReads) -> ScoreColumns:
        """The rows that a score table has of reads, with the digits that it has."""
        first, *others = scored.ood_scores
        return cls(
            names=scored.names,
            mates=np.array(scored.mates, dtype=np.int64),
            lengths=scored.lengths,
            num_scored=scored.num_scored,
            gc=as_in_table(scored.gc),
            llr_per_base=as_in_table(scored.llr_per_base.astype(np.float64)),
            ood_scores=as_in_table(scored.ood_scores[first].astype(np.float64)),
            p_values=as_in_table(scored.p_values),
            calls=np.array([CALLS.index(call) for call in scored.calls], dtype=np.int64),
            others={name: as_in_table(scored.ood_scores[name].astype(np.float64)) for name in others},
            classes=scored.predicted,
        )


class RunAccumulator:
    """Counts of one run.

    Parameters
    ----------
    null
        The score over in-distribution reads, where it is known.
    num_top
        How many of the most foreign reads to keep.
    other_nulls
        Those of further detectors by name, where they are known.
    """

    def __init__(
        self,
        null: NullDistribution | None = None,
        num_top: int = 20,
        other_nulls: Mapping[str, NullDistribution] | None = None,
    ) -> None:
        self.null = null
        self.detectors: dict[str, DetectorCounts] = {}
        """Counts of further detectors."""
        self.classes = ClassCounts()
        self._other_nulls = other_nulls if other_nulls is not None else {}
        self._num_top = num_top
        self.num_reads = 0
        self.num_bases = 0
        self.num_scored_bases = 0
        self.call_counts: Ints = np.zeros(_NUM_CALLS, dtype=np.int64)
        self.num_p_values = 0
        self.p_value_counts: Ints = np.zeros(P_VALUE_BINS, dtype=np.int64)
        self.num_at_most: Ints = np.zeros(len(SMALL_P_VALUES), dtype=np.int64)
        """P-values at most each of `SMALL_P_VALUES`."""
        self.length_counts: Ints = np.zeros((len(LENGTH_STARTS), _NUM_CALLS), dtype=np.int64)
        """Reads by the bin of their length, and call."""
        self.largest_called = math.nan
        """The largest p-value of a read called ``ood``."""
        self.null_differs = False
        """Whether p-values are not those that the null gives, judged by the first rows."""
        self._num_above: Ints = np.zeros(len(FRACTION_LAMBDAS), dtype=np.int64)
        self._p_values_by_mate: Ints = np.zeros(3, dtype=np.int64)
        self._scored_length_counts: Ints = np.zeros(len(LENGTH_STARTS), dtype=np.int64)
        self._inverse_null_reads = 0.0
        self._strong_bases = 0.0
        self._scores = GrowingHistogram((GC_BINS + 1) * _NUM_CALLS)
        self._top = TopReads(num_top)

    def add(self, columns: ScoreColumns) -> None:
        """Count rows of the score table, which follow those that were counted before."""
        self._add_top(columns)
        self.num_reads += len(columns.names)
        self.num_bases += int(columns.lengths.sum())
        self.num_scored_bases += int(columns.num_scored.sum())
        self._strong_bases += float(np.nansum(columns.gc * columns.num_scored))
        self.call_counts += np.bincount(columns.calls, minlength=_NUM_CALLS)
        flat = length_places(columns.lengths) * _NUM_CALLS + columns.calls
        self.length_counts += np.bincount(flat, minlength=self.length_counts.size).reshape(-1, _NUM_CALLS)
        self._add_p_values(columns)
        self._add_others(columns)
        known = ~np.isnan(columns.ood_scores)
        self._scores.add(
            columns.ood_scores[known], gc_places(columns.gc[known]) * _NUM_CALLS + columns.calls[known]
        )

    def _add_p_values(self, columns: ScoreColumns) -> None:
        known = ~np.isnan(columns.p_values)
        p_values, num_scored = columns.p_values[known], columns.num_scored[known]
        self.num_p_values += len(p_values)
        self.p_value_counts += p_value_counts(p_values)
        self._p_values_by_mate += np.bincount(np.clip(columns.mates[known], 0, 2), minlength=3)
        self.num_at_most += np.searchsorted(np.sort(p_values), SMALL_P_VALUES, side="right")
        self._num_above += [int((p_values > level).sum()) for level in FRACTION_LAMBDAS]
        self._scored_length_counts += np.bincount(length_places(num_scored), minlength=len(LENGTH_STARTS))
        if self.null is not None and len(p_values):
            self._compare(self.null, columns.ood_scores[known], p_values, num_scored)
            self._inverse_null_reads += float((1.0 / self.null.independent_reads(num_scored)).sum())
        called = p_values[columns.calls[known] == CALLS.index("ood")]
        self.largest_called = float(np.fmax(self.largest_called, called.max(initial=-math.inf)))
        if math.isinf(self.largest_called):
            self.largest_called = math.nan

    def _add_others(self, columns: ScoreColumns) -> None:
        for name, scores in columns.others.items():
            self._detector(name).add(
                scores,
                first_scores=columns.ood_scores,
                p_values=columns.p_values,
                calls=columns.calls,
                num_scored=columns.num_scored,
            )
        if columns.classes is not None:
            self.classes.add(columns.classes, columns.calls, columns.p_values)

    def _detector(self, name: str) -> DetectorCounts:
        return self.detectors.setdefault(name, DetectorCounts(self._other_nulls.get(name)))

    def _compare(self, null: NullDistribution, scores: Floats, p_values: Floats, num_scored: Ints) -> None:
        if self.num_p_values == len(p_values):
            first = slice(0, _COMPARED)
            differences = np.abs(null.p_values(scores[first], num_scored[first]) - p_values[first])
            self.null_differs = bool(np.nanmean(differences) > _MOST_DIFFERENCE)

    def _add_top(self, columns: ScoreColumns) -> None:
        rows = foremost(columns.p_values, columns.ood_scores, self._num_top).tolist()
        self._top.add(
            [
                TopRead(
                    row=self.num_reads + row,
                    name=str(columns.names[row]),
                    mate=int(columns.mates[row]),
                    length=int(columns.lengths[row]),
                    num_scored=int(columns.num_scored[row]),
                    gc=float(columns.gc[row]),
                    llr_per_base=float(columns.llr_per_base[row]),
                    ood_score=float(columns.ood_scores[row]),
                    p_value=float(columns.p_values[row]),
                    call=CALLS[int(columns.calls[row])],
                )
                for row in rows
            ]
        )

    def merge(self, other: RunAccumulator) -> None:
        """Add the counts of the rows that come after these; of the same null and number of top reads."""
        self._top.merge(other._top, self.num_reads)
        for name in ("num_reads", "num_bases", "num_scored_bases", "num_p_values"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.call_counts += other.call_counts
        self.p_value_counts += other.p_value_counts
        self.num_at_most += other.num_at_most
        self.length_counts += other.length_counts
        self.largest_called = float(np.fmax(self.largest_called, other.largest_called))
        self._num_above += other._num_above
        self._p_values_by_mate += other._p_values_by_mate
        self._scored_length_counts += other._scored_length_counts
        self._inverse_null_reads += other._inverse_null_reads
        self._strong_bases += other._strong_bases
        self._scores.merge(other._scores)
        self.classes.merge(other.classes)
        for name, counts in other.detectors.items():
            self._detector(name).merge(counts)

    @property
    def top_reads(self) -> list[TopRead]:
        """The most foreign reads, the first the most."""
        return self._top.reads

    @property
    def gc(self) -> float:
        """G and C among all scored bases; NaN without any."""
        return self._strong_bases / self.num_scored_bases if self.num_scored_bases else math.nan

    def fraction(self) -> Fraction | None:
        """The OOD fraction as `genood.calibration.ood_fraction` has it; None without p-values.

        Without a null its sampling error is unknown, and the interval that of the run's reads alone.
        """
        if not self.num_p_values:
            return None
        null_reads = self.num_p_values / self._inverse_null_reads if self._inverse_null_reads else math.inf
        num_above = (int(self._num_above[0]), int(self._num_above[1]))
        num_fragments = fragments_of(self._p_values_by_mate.tolist())
        return ood_fraction(self.num_p_values, num_above, null_reads, num_fragments=num_fragments)

    def score_quantile(self, level: float) -> float | None:
        """A quantile of the OOD scores, as exact as their bins."""
        return self._scores.quantile(level)

    def gc_quantile(self, place: int, level: float) -> float | None:
        """The same of the reads in one bin of GC."""
        return self._scores.quantile(level, slice(place * _NUM_CALLS, (place + 1) * _NUM_CALLS))

    def score_bins(self, most_bins: int, tail: float) -> Bins | None:
        """OOD scores by bin; counts have the shape (K, GC_BINS + 1, calls), unknown GC last."""
        bins = self._scores.view(most_bins, tail)
        if bins is None:
            return None
        counts = bins.counts.reshape(-1, GC_BINS + 1, _NUM_CALLS)
        return Bins(edges=bins.edges, counts=counts, below=bins.below, above=bins.above)

    def null_counts(self, edges: Floats) -> Floats | None:
        """How many of as many in-distribution reads of these lengths would score in each bin, shape (K,).

        The outermost bins take in all beyond them. None without a null.
        """
        if self.null is None or not self.num_p_values:
            return None
        places = np.flatnonzero(self._scored_length_counts)
        num_scored = np.array([length_of(place) for place in places.tolist()], dtype=np.int64)
        inner = edges[1:-1]
        tails = self.null.tails(np.tile(inner, len(places)), np.repeat(num_scored, len(inner)))
        weights = self._scored_length_counts[places]
        expected = (tails.reshape(len(places), -1) * weights[:, None]).sum(axis=0)
        return -np.diff(np.concatenate([[weights.sum()], expected, [0.0]]))


def gc_places(gc: Floats) -> Ints:
    """Bins of GC, shape (N,): `GC_BINS` equal ones from 0 to 1, and one more for those that are unknown."""
    # What lies on an edge but for rounding is above it.
    places = np.minimum(np.floor(np.nan_to_num(gc) * GC_BINS + 1e-6), GC_BINS - 1).astype(np.int64)
    return np.where(np.isnan(gc), _UNKNOWN_GC, places)
