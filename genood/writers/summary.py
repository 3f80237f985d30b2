"""The summary of a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from genood.calibration import FRACTION_LAMBDAS, P_VALUE_BINS, fragments_of, ood_fraction, p_value_counts
from genood.engine import CALLS, ScoredReads
from genood.intake.pairs import starts_of_pairs
from genood.rounding import as_in_table
from genood.writers.tables import SCORE_PREFIX

_QUANTILE_LEVELS = (0.0, 0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
_QUANTILE_SAMPLE = 100_000
_HALF_BITS = 30
_INVERSE_UNIT = 2.0 ** (-2 * _HALF_BITS)


class Summary:
    """Counts, fractions and quantiles of a run, in constant memory.

    Values count with the digits that the score table has, and sums are of integers: a summary made from
    the table says the same as the one made while scoring, however the reads came in parts.

    Parameters
    ----------
    detectors
        Names of those whose OOD scores have quantiles.
    seed
        Of the sample behind the quantiles of runs beyond 100,000 reads.
    paired
        Whether pairs are counted by their calls, too.
    """

    def __init__(self, detectors: Iterable[str], seed: int = 0, *, paired: bool = False) -> None:
        self._num_reads = 0
        self._num_bases = 0
        self._num_scored_bases = 0
        self._strong_bases = 0
        self._p_values_by_mate = np.zeros(3, dtype=np.int64)
        self._num_above = dict.fromkeys(FRACTION_LAMBDAS, 0)
        self._p_value_counts = np.zeros(P_VALUE_BINS, dtype=np.int64)
        self._inverse_null_reads = 0
        self._calls = dict.fromkeys(CALLS, 0)
        self._pair_calls = dict.fromkeys(CALLS, 0) if paired else None
        names = ("length", "llr_per_base", *(SCORE_PREFIX + name for name in detectors))
        self._quantiles = {name: _QuantileSketch(seed) for name in names}

    def add(self, scored: ScoredReads) -> None:
        """Count a window of reads."""
        self._num_reads += len(scored.names)
        self._num_bases += int(scored.lengths.sum())
        self._num_scored_bases += int(scored.num_scored.sum())
        self._strong_bases += int(np.rint(np.nan_to_num(as_in_table(scored.gc)) * scored.num_scored).sum())
        for call in CALLS:
            self._calls[call] += scored.calls.count(call)
        if self._pair_calls is not None:
            assert scored.pair_calls is not None
            # A read without its mate is no pair.
            starts = starts_of_pairs(scored.names, scored.mates).tolist()
            for call, number in Counter(scored.pair_calls[start] for start in starts).items():
                self._pair_calls[call] += number
        has_p_value = ~np.isnan(scored.p_values)
        p_values = as_in_table(scored.p_values[has_p_value])
        if any(scored.mates):
            mates = np.array(scored.mates, dtype=np.int64)[has_p_value]
            self._p_values_by_mate += np.bincount(mates, minlength=3)
        else:
            self._p_values_by_mate[0] += len(p_values)
        self._p_value_counts += p_value_counts(p_values)
        for level in FRACTION_LAMBDAS:
            self._num_above[level] += int((p_values > level).sum())
        self._inverse_null_reads += _sum_of_inverses(scored.null_reads[has_p_value])
        columns = {"length": scored.lengths.astype(np.float64), "llr_per_base": scored.llr_per_base}
        columns |= {SCORE_PREFIX + name: scores for name, scores in scored.ood_scores.items()}
        for name, values in columns.items():
            self._quantiles[name].add(values[~np.isnan(values)].astype(np.float64))

    def to_json(
        self, *, run: Mapping[str, Any], seconds: float, skipped: Mapping[str, int] | None = None
    ) -> dict[str, Any]:
        """The summary as JSON types.

        Parameters
        ----------
        run
            What ran on what: tool, version, bundle, inputs, options. Comes first.
        seconds
            Wall time.
        skipped
            Reads of the input that were not handed to the model, by reason.
        """
        skipped = skipped or {}
        fraction = None
        if num_p_values := int(self._p_values_by_mate.sum()):
            null_reads = num_p_values / (self._inverse_null_reads * _INVERSE_UNIT)
            at_half, at_end = self._num_above.values()
            num_fragments = fragments_of(self._p_values_by_mate.tolist())
            fraction = ood_fraction(num_p_values, (at_half, at_end), null_reads, num_fragments=num_fragments)
        return {
            **run,
            "reads": {
                "in": self._num_reads + sum(skipped.values()),
                "scored": self._num_reads - self._calls["na"],
                "skipped": {"nothing to score": self._calls["na"], **skipped},
            },
            "bases": {"in": self._num_bases, "scored": self._num_scored_bases},
            "calls": dict(self._calls),
            **({} if self._pair_calls is None else {"pairs": self._pair_calls}),
            "ood_fraction": None if fraction is None else fraction._asdict(),
            "p_value_counts": self._p_value_counts.tolist(),
            "gc": self._strong_bases / self._num_scored_bases if self._num_scored_bases else None,
            "quantiles": {name: sketch.to_json() for name, sketch in self._quantiles.items()},
            "wall_seconds": seconds,
            "reads_per_second": self._num_reads / seconds if seconds else None,
            "bases_per_second": self._num_bases / seconds if seconds else None,
        }


def _sum_of_inverses(numbers: npt.NDArray[np.float64]) -> int:
    """The sum of 1 / n, for n from 1 on, in units of `_INVERSE_UNIT`: an integer, in whatever order exact."""
    inverses = np.rint(1.0 / numbers / _INVERSE_UNIT).astype(np.int64)
    # In two halves, neither of whose sums overflows.
    high, low = inverses >> _HALF_BITS, inverses & (2**_HALF_BITS - 1)
    return (int(high.sum()) << _HALF_BITS) + int(low.sum())


class _QuantileSketch:
    """Quantiles from a uniform sample without replacement: exact until the sample is full.

    Of values with the digits that the score table has.
    """

    def __init__(self, seed: int) -> None:
        self._generator = np.random.default_rng(seed)
        self._values: list[npt.NDArray[np.float64]] = []
        self._keys: list[npt.NDArray[np.float64]] = []
        self._num_kept = 0
        self._largest_key = 1.0

    def add(self, values: npt.NDArray[np.float64]) -> None:
        """Take values in; those with the smallest random keys stay."""
        keys = self._generator.random(len(values))
        may_stay = keys < self._largest_key
        self._values.append(as_in_table(values[may_stay]))
        self._keys.append(keys[may_stay])
        self._num_kept += len(self._keys[-1])
        if self._num_kept >= 2 * _QUANTILE_SAMPLE:
            self._shrink()

    def _shrink(self) -> npt.NDArray[np.float64]:
        """The sample; nothing else is kept."""
        values, keys = (np.concatenate([np.empty(0), *parts]) for parts in (self._values, self._keys))
        if len(keys) > _QUANTILE_SAMPLE:
            order = np.argpartition(keys, _QUANTILE_SAMPLE)
            self._largest_key = float(keys[order[_QUANTILE_SAMPLE]])
            values, keys = values[order[:_QUANTILE_SAMPLE]], keys[order[:_QUANTILE_SAMPLE]]
        self._values, self._keys, self._num_kept = [values], [keys], len(keys)
        return values

    def to_json(self) -> dict[str, float] | None:
        values = self._shrink()
        if not len(values):
            return None
        quantiles = np.quantile(values, _QUANTILE_LEVELS)
        return {f"{level:g}": float(q) for level, q in zip(_QUANTILE_LEVELS, quantiles, strict=True)}
