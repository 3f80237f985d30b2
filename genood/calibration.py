"""From OOD scores to p-values, calls and the run's OOD fraction."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch
from genood.errors import BundleError

LENGTH_BINS = (1, 2, 5, 10, 25, 50, 75, 100, 150, 250, 500, 1000, 2000)
"""Numbers of scored bases at which a null distribution is kept."""

MIN_NULL_READS = 100
"""A detector is not calibrated on fewer in-distribution reads than this."""

_LEVELS = np.unique(np.concatenate([np.linspace(0.0, 1.0, 201), 1.0 - np.geomspace(1e-4, 0.1, 61)]))
_STOREY_LAMBDA = 0.5
_Z_95 = 1.959963984540054

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class NullDistribution:
    """Quantiles of one detector's OOD score over in-distribution reads, by length.

    Attributes
    ----------
    lengths
        Scored bases of each bin, ascending, shape (T,).
    num_reads
        In-distribution reads behind each bin.
    levels
        Levels of the quantiles, ascending from 0 to 1, shape (Q,).
    quantiles
        OOD scores, shape (T, Q).
    """

    lengths: tuple[int, ...]
    num_reads: int
    levels: Floats
    quantiles: Floats

    def p_values(self, scores: npt.NDArray[np.floating], num_scored: npt.NDArray[np.int64]) -> Floats:
        """The chance that an in-distribution read of that length scores at least as high.

        Between two bins the p-values of both are interpolated in the logarithm of the length; below
        the first and beyond the last bin that bin's serves. Never below 1 / (reads + 1).

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
        by_bin = np.stack([self._tail(scores, row) for row in self.quantiles])
        place = np.interp(
            np.log(np.maximum(num_scored, 1)), np.log(self.lengths), np.arange(len(self.lengths))
        )
        low = np.floor(place).astype(np.int64)
        high = np.minimum(low + 1, len(self.lengths) - 1)
        reads = np.arange(len(scores))
        weight = place - low
        return (1.0 - weight) * by_bin[low, reads] + weight * by_bin[high, reads]

    def _tail(self, scores: npt.NDArray[np.floating], quantiles: Floats) -> Floats:
        # Equal quantiles belong to a tie: a score there is reached by all of its reads, so the
        # lowest of their levels counts.
        distinct, first = np.unique(quantiles, return_index=True)
        below = np.interp(scores, distinct, self.levels[first])
        below = np.where(scores > distinct[-1], 1.0, below)
        return (self.num_reads * (1.0 - below) + 1.0) / (self.num_reads + 1.0)


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Null distributions by detector name, and where their reads came from."""

    nulls: Mapping[str, NullDistribution]
    source: str

    @classmethod
    def fit(cls, batches: list[ScoreBatch], detectors: Mapping[str, Detector], source: str) -> Self:
        """Learn null distributions from in-distribution reads.

        One long read serves every length: as a model never looks ahead, the score of its first n
        bases is that of a read of n bases.

        Parameters
        ----------
        batches
            In-distribution reads, all of one length, none of their bases unknown.
        detectors
            What to calibrate, by name.
        source
            Where the reads came from, for people.
        """
        longest = batches[0].codes.shape[1]
        lengths = tuple(sorted({n for n in LENGTH_BINS if n < longest} | {longest}))
        nulls = {}
        for name, detector in detectors.items():
            scores = np.array(
                [
                    np.concatenate([detector.score(batch.prefix(length)) for batch in batches])
                    for length in lengths
                ],
                dtype=np.float64,
            )
            nulls[name] = NullDistribution(
                lengths=lengths,
                num_reads=scores.shape[1],
                levels=_LEVELS,
                quantiles=np.quantile(scores, _LEVELS, axis=1).T,
            )
        return cls(nulls=nulls, source=source)

    def to_json(self) -> dict[str, Any]:
        """The calibration as JSON types; scores keep 7 significant digits."""
        return {
            "format_version": 1,
            "source": self.source,
            "detectors": {
                name: {
                    "lengths": list(null.lengths),
                    "num_reads": null.num_reads,
                    "levels": [float(f"{level:.7g}") for level in null.levels],
                    "quantiles": [[float(f"{score:.7g}") for score in row] for row in null.quantiles],
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
                    num_reads=int(null["num_reads"]),
                    levels=np.array(null["levels"], dtype=np.float64),
                    quantiles=np.array(null["quantiles"], dtype=np.float64),
                )
                for name, null in value["detectors"].items()
            }
            for null in nulls.values():
                if null.quantiles.shape != (len(null.lengths), len(null.levels)):
                    raise ValueError("quantiles do not fit lengths and levels")
            return cls(nulls=nulls, source=str(value["source"]))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise BundleError(f"calibration.json is damaged ({error}); train again") from error


class Fraction(NamedTuple):
    """An estimated fraction with a 95 % interval."""

    estimate: float
    low: float
    high: float


def ood_fraction(num_reads: int, num_above: int) -> Fraction | None:
    """The OOD fraction of a run, from how many of its p-values lie above one half.

    In-distribution p-values are uniform, so that half of them lie above; OOD reads have small ones.

    Parameters
    ----------
    num_reads
        Reads with a p-value.
    num_above
        Those whose p-value is above 0.5.

    Returns
    -------
    fraction
        None without reads. The estimate is low, never high, to the extent that the detector leaves
        OOD reads large p-values.

    Notes
    -----
    Source: Storey 2002, "A direct approach to false discovery rates", with λ = 0.5; the interval is
    Wilson's for the share above λ, carried over.
    """
    if num_reads == 0:
        return None
    share = num_above / num_reads
    z2 = _Z_95**2 / num_reads
    centre = (share + z2 / 2) / (1 + z2)
    half = _Z_95 / (1 + z2) * np.sqrt(share * (1 - share) / num_reads + z2 / (4 * num_reads))

    def ood(above: float) -> float:
        return float(np.clip(1.0 - above / (1.0 - _STOREY_LAMBDA), 0.0, 1.0))

    return Fraction(ood(share), ood(centre + half), ood(centre - half))
