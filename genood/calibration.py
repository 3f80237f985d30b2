"""From OOD scores to p-values, calls and the run's OOD fraction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch
from genood.errors import BundleError

LENGTH_BINS = (1, 2, 5, 10, 25, 50, 75, 100, 150, 250, 500, 1000, 2000, 5000, 10_000)
"""Numbers of scored bases at which a null distribution is kept, as far as there are reads for it."""

MIN_INDEPENDENT_READS = 20
"""A bin needs so many in-distribution reads that do not overlap: with fewer no p-value reaches 0.05."""

_LEVELS = np.unique(np.concatenate([np.linspace(0.0, 1.0, 201), 1.0 - np.geomspace(1e-4, 0.1, 61)]))
FRACTION_LAMBDAS = (0.5, 0.8)
"""The OOD fraction is estimated from the share of p-values above the first, and limited from above by
those above the second."""

P_VALUE_BINS = 40
_P_VALUE_EDGES = np.arange(P_VALUE_BINS + 1) / P_VALUE_BINS

_TIE = 1e-6
"""Relative to the score, or absolute below 1 nat."""
_Z_95 = 1.959963984540054
_PILE_UP_DEVIATIONS = 4.0

Floats = npt.NDArray[np.float64]


class NullSample(NamedTuple):
    """In-distribution reads of one length, none of their bases unknown.

    Attributes
    ----------
    batches
        The reads; gone through once.
    num_independent
        How many reads that do not overlap they are worth.
    """

    batches: Iterable[ScoreBatch]
    num_independent: float


@dataclass(frozen=True, kw_only=True)
class NullDistribution:
    """Quantiles of one detector's OOD score over in-distribution reads, by length.

    Attributes
    ----------
    lengths
        Scored bases of each bin, ascending, shape (T,).
    num_independent
        Independent in-distribution reads behind each bin, shape (T,).
    levels
        Levels of the quantiles, ascending from 0 to 1, shape (Q,).
    quantiles
        OOD scores, shape (T, Q).
    """

    lengths: tuple[int, ...]
    num_independent: tuple[float, ...]
    levels: Floats
    quantiles: Floats

    def p_values(self, scores: npt.NDArray[np.floating], num_scored: npt.NDArray[np.int64]) -> Floats:
        """The chance that an in-distribution read of that length scores at least as high.

        Between two bins the p-values of both are interpolated in the logarithm of the length; below
        the first and beyond the last bin that bin's serves. In a bin of n independent reads no
        p-value is below 1 / (n + 1).

        Parameters
        ----------
        scores
            OOD scores, shape (B,); NaN gives NaN.
        num_scored
            Scored bases, shape (B,).

        Returns
        -------
        p_values
            float64, shape (B,).
        """

        def in_bin(t: int, reads: npt.NDArray[np.int64]) -> Floats:
            number = self.num_independent[t]
            return (number * self._tail(scores[reads], self.quantiles[t]) + 1.0) / (number + 1.0)

        return self._between_bins(in_bin, num_scored)

    def tails(self, scores: npt.NDArray[np.floating], num_scored: npt.NDArray[np.int64]) -> Floats:
        """Share of in-distribution reads of that length that score at least as high, shape (B,).

        As `p_values`, but what the null's own reads had, which can be 0.
        """
        return self._between_bins(lambda t, reads: self._tail(scores[reads], self.quantiles[t]), num_scored)

    def independent_reads(self, num_scored: npt.NDArray[np.int64]) -> Floats:
        """Independent reads behind the p-value of a read with so many scored bases, shape (B,)."""
        return self._between_bins(lambda t, reads: self.num_independent[t], num_scored)

    def _between_bins(
        self,
        in_bin: Callable[[int, npt.NDArray[np.int64]], Floats | float],
        num_scored: npt.NDArray[np.int64],
    ) -> Floats:
        """Values at each read's own length, shape (B,).

        `in_bin` gives those of a bin, of the reads with these indices; it is asked for no others than
        the bin or the two bins of each read.
        """
        place = np.interp(
            np.log(np.maximum(num_scored, 1)), np.log(self.lengths), np.arange(len(self.lengths))
        )
        low = np.floor(place).astype(np.int64)
        weight = place - low
        values = np.empty(len(num_scored))
        for t in np.flatnonzero(np.bincount(low)).tolist():
            reads = np.flatnonzero(low == t)
            values[reads] = (1.0 - weight[reads]) * in_bin(t, reads)
            reads = reads[weight[reads] > 0]
            if len(reads):
                values[reads] += weight[reads] * in_bin(t + 1, reads)
        return values

    def _tail(self, scores: npt.NDArray[np.floating], quantiles: Floats) -> Floats:
        """Share of the null at or above each score.

        Short reads have few different scores, so that quantiles are tied. A score counts as tied
        where it differs by no more than the rounding of a float32, and then takes the whole tie.
        """
        scores = np.asarray(scores, dtype=np.float64)
        lowered = scores - _TIE * np.maximum(np.abs(scores), 1.0)
        after = np.searchsorted(quantiles, lowered, side="left")
        inside = (after > 0) & (after < len(quantiles))
        high = np.clip(after, 1, len(quantiles) - 1)
        low = high - 1
        rise = quantiles[high] - quantiles[low]
        part = np.divide(lowered - quantiles[low], rise, out=np.zeros_like(lowered), where=rise > 0)
        below = self.levels[low] + np.clip(part, 0.0, 1.0) * (self.levels[high] - self.levels[low])
        below = np.where(inside, below, np.where(after == 0, 0.0, 1.0))
        return np.where(np.isnan(scores), np.nan, 1.0 - below)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Null distributions by detector name, and where their reads came from."""

    nulls: Mapping[str, NullDistribution]
    source: str

    @classmethod
    def fit(cls, samples: Mapping[int, NullSample], detectors: Mapping[str, Detector], source: str) -> Self:
        """Learn null distributions from in-distribution reads.

        Parameters
        ----------
        samples
            In-distribution reads by length, at least one length.
        detectors
            What to calibrate, by name.
        source
            Where the reads came from, for people.
        """
        lengths = tuple(sorted(samples))
        quantiles: dict[str, list[Floats]] = {name: [] for name in detectors}
        for length in lengths:
            scores: dict[str, list[npt.NDArray[np.float32]]] = {name: [] for name in detectors}
            for batch in samples[length].batches:
                for name, detector in detectors.items():
                    scores[name].append(detector.score(batch))
            for name, parts in scores.items():
                quantiles[name].append(np.quantile(np.concatenate(parts).astype(np.float64), _LEVELS))
        nulls = {
            name: NullDistribution(
                lengths=lengths,
                num_independent=tuple(float(samples[length].num_independent) for length in lengths),
                levels=_LEVELS,
                quantiles=np.stack(rows),
            )
            for name, rows in quantiles.items()
        }
        return cls(nulls=nulls, source=source)

    def to_json(self) -> dict[str, Any]:
        """The calibration as JSON types; exact, so that ties stay ties."""
        return {
            "format_version": 1,
            "source": self.source,
            "detectors": {
                name: {
                    "lengths": list(null.lengths),
                    "num_independent": list(null.num_independent),
                    "levels": null.levels.tolist(),
                    "quantiles": null.quantiles.tolist(),
                }
                for name, null in self.nulls.items()
            },
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read what `to_json` wrote.

        Raises
        ------
        BundleError
            Something is missing or has another shape.
        """
        try:
            nulls = {
                name: NullDistribution(
                    lengths=tuple(int(n) for n in null["lengths"]),
                    num_independent=tuple(float(n) for n in null["num_independent"]),
                    levels=np.array(null["levels"], dtype=np.float64),
                    quantiles=np.array(null["quantiles"], dtype=np.float64),
                )
                for name, null in value["detectors"].items()
            }
            for null in nulls.values():
                shape = (len(null.lengths), len(null.levels))
                if null.quantiles.shape != shape or len(null.num_independent) != shape[0]:
                    raise ValueError("lengths, levels and quantiles do not fit")
            return cls(nulls=nulls, source=str(value["source"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"calibration.json is damaged ({error}); train again") from error


def p_value_counts(p_values: Floats) -> npt.NDArray[np.int64]:
    """P-values in `P_VALUE_BINS` equal bins, of which each holds its upper edge, and the first 0."""
    return np.bincount(p_value_places(p_values), minlength=P_VALUE_BINS).astype(np.int64)


def p_value_places(p_values: Floats) -> npt.NDArray[np.int64]:
    """The bins of `p_value_counts` in which p-values lie, shape (N,)."""
    # Multiplied, a p-value next to an edge may come to lie on its other side.
    places = np.maximum(np.ceil(p_values * P_VALUE_BINS).astype(np.int64) - 1, 0)
    places -= p_values <= _P_VALUE_EDGES[places]
    places += p_values > _P_VALUE_EDGES[places + 1]
    return np.maximum(places, 0)


class Fraction(NamedTuple):
    """An estimated fraction with a 95 % interval, and whether what it takes for granted may be true.

    Without `null_fits`, p-values pile up towards 1 as no mixture with uniform ones has them: the run's
    in-distribution reads are closer to the reference than those of the null, and all three are too low.
    """

    estimate: float
    low: float
    high: float
    null_fits: bool


def fragments_of(by_mate: Sequence[int]) -> int:
    """Fragments that reads are of, at least, by how many there are of mate 0 (no pair), 1 and 2."""
    single, *mates = by_mate
    return single + max(mates)


def ood_fraction(
    num_reads: int, num_above: tuple[int, int], null_reads: float, *, num_fragments: int | None = None
) -> Fraction | None:
    """The OOD fraction of a run, from how many of its p-values are large.

    In-distribution p-values are uniform, so that a share 1 - λ of them lies above λ; those of OOD reads
    are small. What can be known from p-values is the fraction that these force to be OOD: the true one
    less the OOD reads whose p-values are as large as in-distribution reads have them.

    Parameters
    ----------
    num_reads
        Reads with a p-value.
    num_above
        Those whose p-value is above each of `FRACTION_LAMBDAS`.
    null_reads
        Independent in-distribution reads behind the p-values. Which scores the null has above λ is
        uncertain by them, however many reads the run has.
    num_fragments
        How many fragments the reads are of, see `fragments_of`; None takes one a read. Mates count as one
        read does, as if their p-values were the same: they are where mates overlap wholly, and else the
        interval is wider than it has to be.

    Returns
    -------
    fraction
        None without reads. The estimate and the lower limit use λ = 0.5, where few reads decide little.
        To the extent that the detector leaves OOD reads p-values above 0.5, both are low: the limit
        holds whatever the detector misses. The upper limit uses λ = 0.8, above which it takes there to
        be no OOD read. No interval knows how the run's in-distribution reads differ from those of the
        null: where they are further from the reference (another strain, sequencing errors) all three are
        too high, where they are closer, too low; the latter is noticed where it is plain.
        `genood.making.recalibrate` fits a null to such reads.

    Notes
    -----
    Source: Storey 2002, "A direct approach to false discovery rates", for the estimate. That a fraction
    is known from below without more assumptions, and from above only if the alternative leaves some
    p-values to the null: Genovese and Wasserman 2004, "A stochastic process approach to false discovery
    control"; Patra and Sen 2016, "Estimation of a two-component mixture model". Each limit is one end of
    Wilson's interval for the share above λ, widened by the null's own sampling error, carried over.
    """
    if num_reads == 0:
        return None
    number = num_reads if num_fragments is None else num_fragments
    at_half, at_end = (above * number / num_reads for above in num_above)
    (_, low), (high, _) = (
        _forced(number, above, level, null_reads)
        for above, level in zip((at_half, at_end), FRACTION_LAMBDAS, strict=True)
    )
    estimate = _ood(at_half / number, FRACTION_LAMBDAS[0])
    null_fits = not _pile_up(at_half, at_end, null_reads)
    return Fraction(estimate, min(low, estimate), max(high, estimate), null_fits)


def _forced(num_reads: int, num_above: float, level: float, null_reads: float) -> tuple[float, float]:
    """Largest and smallest OOD fraction that p-values above a level allow, at 2.5 % error each."""
    share = num_above / num_reads
    z2 = _Z_95**2 / num_reads
    centre = (share + z2 / 2) / (1 + z2)
    sampling = _Z_95 / (1 + z2) * np.sqrt(share * (1 - share) / num_reads + z2 / (4 * num_reads))
    # The null's share above its own λ has the deviation sqrt(λ (1 - λ) / null_reads).
    null = _Z_95 * share * np.sqrt(level / ((1 - level) * null_reads))
    half = float(np.hypot(sampling, null))
    return _ood(centre - half, level), _ood(centre + half, level)


def _pile_up(num_above: float, num_far_above: float, null_reads: float) -> bool:
    """Whether p-values above the second level are more frequent than between both, by four deviations."""
    first, second = FRACTION_LAMBDAS
    widths = np.array([second - first, 1.0 - second])
    counts = np.array([num_above - num_far_above, num_far_above], dtype=np.float64)
    densities = counts / widths
    # Poisson's variance of each, and that of the null's own share of each interval, relative 1 / (n width).
    variances = counts / widths**2 + densities**2 / (null_reads * widths)
    return bool(densities[1] - densities[0] > _PILE_UP_DEVIATIONS * np.sqrt(variances.sum()))


def _ood(share_above: float, level: float) -> float:
    return float(np.clip(1.0 - share_above / (1.0 - level), 0.0, 1.0))
