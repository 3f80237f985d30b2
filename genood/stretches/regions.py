"""Which stretches of a long sequence are foreign, with a stated error level."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from genood.errors import ConfigError
from genood.stretches.pieces import Positions
from genood.stretches.scores import Stretches, StretchScorer

logger = logging.getLogger(__name__)

NEUTRAL_P_VALUE = 0.08
"""A window with a smaller p-value speaks for a foreign stretch, one with a larger p-value against it.

Chosen on the genomes of benchmarks/regions.py: with 0.05 less of long stretches is found, with 0.1 regions
reach further into what is not foreign."""
_EVIDENCE_OF_AN_END = 150.0
"""Twice the logarithm of the likelihood ratio from which a change is one where nothing outside speaks for it.

For independent normal values 20 would be enough; but bases' scores depend on their neighbours', and foreign
genomes have parts that are closer to the reference than others. Chosen on genomes as in
benchmarks/regions.py: with 100 three times as many ends of foreign sequences were moved, 0.6 instead of
0.2 %, with 200 fewer heads that are not foreign were found, 50 instead of 59 %."""
_SAME_NATS = 1e-3
"""Scores of bases that differ by so little do not differ."""
_WORTH_A_WARNING = 20
"""Windows of a foreign stretch that should not be too short to be called."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Region:
    """A stretch that is called foreign.

    Attributes
    ----------
    start, end
        First base, from 0, and the one after the last; both are scored.
    num_scored
        Scored bases.
    llr_per_base
        Nats.
    p_value
        The chance that a stretch of an in-distribution sequence, so long and in a given place, scores at
        least as high as the windows of which the region was made.
    expected_false
        How many stretches like that an in-distribution sequence of this length is expected to have
        anywhere; see `RegionFinder`.
    """

    start: int
    end: int
    num_scored: int
    llr_per_base: float
    p_value: float
    expected_false: float


class RegionFinder:
    """Finds the foreign stretches of sequences, each sequence by itself.

    Parameters
    ----------
    scorer
        What scores stretches.
    fdr
        The error level Q, between 0 and 1, for each sequence: one that is in-distribution all along has
        any region with a chance of about Q at most; and of the regions of any one, a share of about Q at
        most is expected to lie where nothing is foreign, none counting as a share of 0.

    Raises
    ------
    ConfigError
        The level is none.

    Notes
    -----
    1. *Candidates* are the maximal scoring segments of the windows (Ruzzo and Tompa 1999, "A linear time
       algorithm for finding all maximal scoring subsequences"), for scores log(`NEUTRAL_P_VALUE` / p).
       Windows without a scored base part a sequence.
    2. *Error level.* In-distribution genomes have islands of their own, so that neighbouring windows are
       far from independent. The null of reads as long as the candidate knows of islands that long: let p
       be its p-value for a candidate of l of the sequence's L scored bases. Stretches so long that overlap
       by half have 2 L / l - 1 places, so that E = p max(1, 2 L / l - 1) in-distribution stretches are
       expected to score as high. The candidates with the smallest E are called, as many, k, as have
       E <= Q k: the rule of Benjamini and Hochberg 1995 with E in place of p m. That E counts as it
       should is measured, not proved: benchmarks/regions.py.
    3. *Ends.* Each is moved to the change of the mean of the bases' OOD scores that is most likely between
       the middles of what is called and what is not, at most a window away (the maximum likelihood for
       normal variables of one variance; Hinkley 1970, "Inference about the change-point in a sequence of
       random variables"). Where the sequence ends, or has no known base in the window beyond, a region may
       well have no other end than that: nothing says that there is a change at all. There it is looked for
       in the region's last two windows, and what it would cut off stays unless the likelihood ratio speaks
       strongly for it (`_EVIDENCE_OF_AN_END`) and what is cut off, judged as a window, against a foreign
       stretch.

    Differs from Benjamini-Hochberg over windows: at the same error that finds a fraction of the foreign
    bases, as windows of foreign sequence seldom have a small p-value one by one.
    """

    def __init__(self, scorer: StretchScorer, fdr: float) -> None:
        if not 0 < fdr < 1:
            raise ConfigError(f"the error level of regions must lie between 0 and 1, not {fdr}")
        self._scorer = scorer
        self.fdr = fdr
        self._longest = 0

    def find(self, name: str, read: Positions, windows: Stretches) -> list[Region]:
        """The foreign stretches of a sequence: disjoint, in their order.

        Parameters
        ----------
        name
            Of the sequence, for a warning.
        read
            Its per-position values.
        windows
            The windows that tile it.
        """
        segments = _candidates(windows.p_values)
        total = int(windows.num_scored.sum())
        p_values = np.empty(len(segments))
        expected = np.empty(len(segments))
        for i, (first, stop) in enumerate(segments):
            p_values[i], num_scored = windows.p_values[first], windows.num_scored[first]
            if stop > first + 1:
                whole = self._scorer.stretch(read, int(windows.starts[first]), int(windows.ends[stop - 1]))
                p_values[i], num_scored = whole.p_values[0], whole.num_scored[0]
            expected[i] = p_values[i] * _num_places(num_scored, total)
        called = np.sort(np.argsort(expected, kind="stable")[: num_called(expected, self.fdr)])
        if not len(called):
            self._tell(name, windows, total)
            return []
        ends = self._ends(read, windows, [segments[i] for i in called])
        return [
            self._region(read, *place, float(p_values[i]), float(expected[i]))
            for i, place in zip(called, ends, strict=True)
        ]

    def _region(self, read: Positions, start: int, end: int, p_value: float, expected: float) -> Region:
        scores = self._scorer.stretch(read, start, end)
        return Region(
            start=start,
            end=end,
            num_scored=int(scores.num_scored[0]),
            llr_per_base=float(scores.llr_per_base[0]),
            p_value=p_value,
            expected_false=expected,
        )

    def _ends(
        self, read: Positions, windows: Stretches, segments: list[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Start and end, to the base, of segments of windows."""
        starts, ends = windows.starts.tolist(), windows.ends.tolist()
        # Halfway from a segment to the next, so that regions stay apart.
        between = [(ends[a[1] - 1] + starts[b[0]]) // 2 for a, b in pairwise(segments)]
        limits = [0, *between, len(read.codes)]
        found = []
        for (first, stop), (lower, upper) in zip(segments, pairwise(limits), strict=True):
            scored = read.scored[starts[first] : ends[stop - 1]]
            start = starts[first] + int(scored.argmax())
            last = ends[stop - 1] - 1 - int(scored[::-1].argmax())
            middle = (start + last) // 2 + 1
            left = max(lower, starts[max(first - 1, 0)]), min(middle, ends[first])
            right = max(middle, starts[stop - 1]), min(upper, ends[min(stop, len(ends) - 1)])
            if last >= middle:
                wide = max(middle, starts[max(stop - 2, first)]), last + 1
                last = self._change(read, right, last, wide, step=-1)
            wide = start, min(middle, ends[min(first + 1, stop - 1)])
            found.append((self._change(read, left, start, wide, step=1), last + 1))
        return found

    def _change(
        self, read: Positions, stretch: tuple[int, int], edge: int, wide: tuple[int, int], *, step: int
    ) -> int:
        """The first base of a region in a stretch, or with a step of -1 its last one; `edge` without more.

        Where no scored base of the stretch lies outside, before `edge`, it is looked for in `wide` instead,
        more of the region.
        """
        places, scores = self._scorer.by_base(read, *stretch)
        places, scores = places[::step], scores[::step]
        num_outside = int((places == edge).argmax())
        if not num_outside:
            return self._change_inside(read, wide, edge, step=step)
        return int(places[change_point(scores)[0] or num_outside])

    def _change_inside(self, read: Positions, stretch: tuple[int, int], edge: int, *, step: int) -> int:
        """As `_change`, where nothing is known to lie outside, so that there may be no change at all."""
        places, scores = self._scorer.by_base(read, *stretch)
        places, scores = places[::step], scores[::step]
        number, evidence = change_point(scores)
        if evidence < _EVIDENCE_OF_AN_END:
            return edge
        start, last = sorted((edge, int(places[number - 1])))
        cut_off = self._scorer.stretch(read, start, last + 1)
        return int(places[number]) if cut_off.p_values[0] > NEUTRAL_P_VALUE else edge

    def _tell(self, name: str, windows: Stretches, total: int) -> None:
        """Warn, once, where the null is too small for foreign stretches that are not short."""
        if total <= self._longest:
            return
        self._longest = total
        long_enough = min(total, _WORTH_A_WARNING * int(windows.num_scored.max()))
        lengths = np.geomspace(long_enough, total, 100)
        null_reads = self._scorer.null.independent_reads(np.rint(lengths).astype(np.int64))
        callable_ = _num_places(lengths, total) / (null_reads + 1.0) <= self.fdr
        if callable_[0]:
            return
        self._longest = sys.maxsize
        # Two significant digits.
        shortest = f"of less than {float(f'{lengths[callable_.argmax()]:.2g}'):,.0f} bases "
        logger.warning(
            "%s: a single foreign stretch %swould not be called, whatever it is: a null of %.0f reads gives "
            "no p-value small enough for a sequence of %s bases; genood calibrate with more reads helps, "
            "or a higher --regions-fdr",
            name,
            shortest if callable_.any() else "",
            null_reads[0],
            f"{total:,}",
        )


def num_called(expected: Floats, level: float) -> int:
    """How many of K candidates are called: the largest k of which the k-th smallest is at most level k."""
    enough = np.flatnonzero(np.sort(expected) <= level * np.arange(1, len(expected) + 1))
    return int(enough[-1]) + 1 if len(enough) else 0


def maximal_segments(scores: Floats) -> list[tuple[int, int]]:
    """All maximal scoring segments of a sequence of scores, as (first, stop), in their order.

    The first is the segment of the largest sum; the others are those of what is left to either side, and
    so on, while sums are above 0.

    Notes
    -----
    Source: Ruzzo and Tompa 1999, "A linear time algorithm for finding all maximal scoring subsequences".
    """
    done: list[tuple[int, int]] = []
    # First and stop of each segment that may still grow, the sums of all scores before and up to them, and
    # the index of the last one among them with a smaller sum before, -1 for none. Without that each search
    # would look at all segments anew.
    open_: list[tuple[int, int, float, float, int]] = []
    total = 0.0
    for i, score in enumerate(scores.tolist()):
        before, total = total, total + score
        if score <= 0:
            continue
        first, j = i, len(open_) - 1
        while True:
            while j >= 0 and open_[j][2] >= before:
                j = open_[j][4]
            if j < 0 or open_[j][3] >= total:
                break
            first, _, before, _, link = open_[j]
            del open_[j:]
            j = link
        if j < 0:  # none of those before can grow any more: sums after them start lower
            done += [segment[:2] for segment in open_]
            open_ = []
        open_.append((first, i + 1, before, total, j))
    return done + [segment[:2] for segment in open_]


def change_point(values: Floats) -> tuple[int, float]:
    """Where the mean of N values most likely rises, and how much more likely that is than no change.

    Returns
    -------
    before
        The number of values before, 1 to N - 1: of the split whose means explain most of the squares, among
        those with the larger mean after it; 0 if there is none.
    evidence
        Twice the logarithm of the likelihood ratio of that change to none, for independent normal values.

    Notes
    -----
    Source: Hinkley 1970, "Inference about the change-point in a sequence of random variables";
    for a variance that is not known, as Worsley 1979, "On the likelihood ratio test for a shift in location
    of normal populations".
    """
    before = np.arange(1, len(values))
    after = len(values) - before
    sums = np.cumsum(values)[:-1]
    rise = (values.sum() - sums) / after - sums / before
    explained = before * after * rise * np.maximum(rise, 0.0) / max(1, len(values))
    most = explained.max(initial=0.0)
    if most <= 0.0:
        return 0, 0.0
    left = max(0.0, float(np.square(values - values.mean()).sum() - most)) + len(values) * _SAME_NATS**2
    return int(before[explained.argmax()]), float(len(values) * np.log1p(most / left))


def _candidates(p_values: Floats) -> list[tuple[int, int]]:
    """Segments of windows that may be foreign; none holds a window without a p-value."""
    if not (p_values < NEUTRAL_P_VALUE).any():
        return []
    scores = np.log(NEUTRAL_P_VALUE) - np.log(p_values)
    parts = np.flatnonzero(np.isnan(scores)).tolist()
    bounds = pairwise([-1, *parts, len(scores)])
    return [
        (part + 1 + first, part + 1 + stop)
        for part, end in bounds
        for first, stop in maximal_segments(scores[part + 1 : end])
    ]


def _num_places(num_scored: npt.ArrayLike, total: int) -> Floats:
    """Stretches of so many scored bases in a sequence of so many, each overlapping the next by half."""
    return np.maximum(1.0, 2.0 * total / np.asarray(num_scored) - 1.0)
