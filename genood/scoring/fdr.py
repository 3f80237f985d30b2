"""Calls at a false discovery rate, over a whole run, in bounded memory.

Which reads such calls take depends on the p-values of all. The scores therefore wait on disk; once all
p-values are known they are read back, in their order, with the calls that hold.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from genood.engine import ScoredReads, calls_at
from genood.errors import ConfigError
from genood.intake.pairs import starts_of_pairs
from genood.rounding import as_in_table
from genood.scoring.spool import ScoreSpool

logger = logging.getLogger(__name__)

_PENDING = 1_000_000
"""P-values that wait to be counted, at most: 8 MB."""

Floats = npt.NDArray[np.float64]


class PValueCounts:
    """Numbers of p-values of a run, enough of them to find Benjamini and Hochberg's threshold.

    P-values are taken as the score table has them, to six significant digits, so that the table is all
    that is needed to repeat the calls. There are at most 900,000 of them in a power of ten, 16 bytes
    each, however many reads there are; a null of n reads gives none below 1 / (n + 1), and those above
    the level do not matter.

    Parameters
    ----------
    level
        The false discovery rate, between 0 and 1.
    """

    def __init__(self, level: float) -> None:
        self._level = level
        self._values = np.empty(0)
        self._counts = np.empty(0, dtype=np.int64)
        self._pending: list[Floats] = []
        self._num_pending = 0
        self.num_tests = 0
        """P-values that were added; NaN is none."""

    def add(self, p_values: Floats) -> None:
        """Count p-values, shape (N,); those that are NaN are left out."""
        self.num_tests += int((~np.isnan(p_values)).sum())
        rounded = as_in_table(p_values)
        small = rounded[rounded <= self._level]
        self._pending.append(small)
        self._num_pending += len(small)
        if self._num_pending >= _PENDING:
            self._merge()

    def threshold(self) -> float | None:
        """The largest p-value that is called, or None where none is.

        It is the largest p with p · m / k ≤ level, for k of the m p-values at most p.

        Notes
        -----
        Source: Benjamini and Hochberg 1995, "Controlling the false discovery rate". That it also holds
        for p-values that share their null sample: Bates et al. 2023, "Testing for outliers with
        conformal p-values", theorem 2.
        """
        self._merge()
        num_below = np.cumsum(self._counts)
        called = np.flatnonzero(self._values * self.num_tests / num_below <= self._level)
        return float(self._values[called[-1]]) if len(called) else None

    def _merge(self) -> None:
        values = np.concatenate([self._values, *self._pending])
        counts = np.concatenate([self._counts, np.ones(self._num_pending, dtype=np.int64)])
        self._values, places = np.unique(values, return_inverse=True)
        self._counts = np.zeros(len(self._values), dtype=np.int64)
        np.add.at(self._counts, places, counts)
        self._pending, self._num_pending = [], 0


class FdrCaller:
    """Calls reads so that a bounded share of those called ``ood`` is expected to be in-distribution.

    Parameters
    ----------
    level
        That bound, between 0 and 1: the false discovery rate.

    Raises
    ------
    ConfigError
        The level is none.
    """

    def __init__(self, level: float) -> None:
        if not 0 < level < 1:
            raise ConfigError(f"the false discovery rate must lie between 0 and 1, not {level}")
        self.level = level
        self.threshold: float | None = None
        """The largest p-value called, once `call` gives its first reads; None where there is none."""
        self.pair_threshold: float | None = None
        """The same of the p-values of pairs, one for each; reads without a mate count as one."""

    def call(self, windows: Iterable[ScoredReads]) -> Iterator[ScoredReads]:
        """The same windows in their order, with new calls and without per-position values.

        The first comes after the last was taken.

        Raises
        ------
        GenoodError
            The temporary file cannot be written.
        """
        counts, pair_counts = PValueCounts(self.level), PValueCounts(self.level)
        most_null_reads = 0.0
        with ScoreSpool() as spool:
            for scored in windows:
                counts.add(scored.p_values)
                if scored.pair_p_values is not None:
                    pair_counts.add(_one_of_each_pair(scored, scored.pair_p_values))
                most_null_reads = max(most_null_reads, float(scored.null_reads.max(initial=0.0)))
                spool.write(scored)
            self.threshold, self.pair_threshold = counts.threshold(), pair_counts.threshold()
            self._tell(counts.num_tests, most_null_reads)
            for scored in spool.read():
                pair_calls = None
                if scored.pair_p_values is not None:
                    pair_calls = _calls(self.pair_threshold, scored.pair_p_values)
                calls = _calls(self.threshold, scored.p_values)
                yield replace(scored, calls=calls, pair_calls=pair_calls)

    def _tell(self, num_tests: int, most_null_reads: float) -> None:
        """Warn where the null is too small for the level, whatever the reads."""
        smallest = 1.0 / (most_null_reads + 1.0)
        if self.threshold is None and num_tests * smallest > self.level:
            logger.warning(
                "no read is ood at a false discovery rate of %g: a null of %.0f reads gives no p-value below "
                "%.2g, so that at least %.2g %% of the reads have to reach it; genood calibrate with more "
                "reads lowers that",
                self.level,
                most_null_reads,
                smallest,
                min(100.0, 100.0 * smallest / self.level),
            )


def _calls(threshold: float | None, p_values: Floats) -> list[str]:
    return calls_at(-1.0 if threshold is None else threshold, p_values)


def _one_of_each_pair(scored: ScoredReads, p_values: Floats) -> Floats:
    is_second = np.zeros(len(p_values), dtype=np.bool_)
    is_second[starts_of_pairs(scored.names, scored.mates) + 1] = True
    return p_values[~is_second]


def level_of(alpha: float, caller: FdrCaller | None, *, paired: bool) -> dict[str, float | None]:
    """What the summary says about the level of the calls."""
    if caller is None:
        return {"alpha": alpha}
    level = {"alpha": None, "fdr": caller.level, "p_value_threshold": caller.threshold}
    return level | ({"pair_p_value_threshold": caller.pair_threshold} if paired else {})
