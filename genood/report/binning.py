"""Counts in bins whose memory does not grow with the data, the same however the data come in pieces."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MOST_BINS = 4096
"""Bins that are kept of an axis whose range is not known beforehand."""
MOST_GRID_BINS = 512
"""The same of either axis of a grid."""
FINEST = -20
"""Power of two of the narrowest bin."""
_LARGEST = 2.0**40

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Bins:
    """K bins of an axis.

    Attributes
    ----------
    edges
        float64, shape (K + 1,), ascending; a bin holds its lower edge.
    counts
        int64, shape (K, C).
    below, above
        What the first and the last bin hold of values outside the edges.
    """

    edges: Floats
    counts: Ints
    below: int = 0
    above: int = 0


class GrowingHistogram:
    """Counts of values in bins of a power of two, as narrow as `MOST_BINS` of them span the values.

    What comes out depends on the values alone, not on their order nor on how they were cut into pieces,
    because a wider bin is always made of two whole narrower ones.

    Parameters
    ----------
    num_columns
        Kinds of values C that are counted apart.
    """

    def __init__(self, num_columns: int) -> None:
        self._exponent = FINEST
        self._first = 0
        self._counts: Ints = np.zeros((0, num_columns), dtype=np.int64)

    def add(self, values: Floats, columns: Ints) -> None:
        """Count finite values, shape (N,), each in a column, shape (N,).

        Values beyond ±2^40 are counted there.
        """
        if not len(values):
            return
        limited = np.clip(values, -_LARGEST, _LARGEST)
        places = np.floor(np.ldexp(limited, -self._exponent)).astype(np.int64)
        places >>= self._make_room(int(places.min()), int(places.max()))
        num_columns = self._counts.shape[1]
        flat = (places - self._first) * num_columns + columns
        self._counts += np.bincount(flat, minlength=self._counts.size).reshape(self._counts.shape)

    def merge(self, other: GrowingHistogram) -> None:
        """Add the counts of another histogram of the same columns."""
        if not len(other._counts):
            return
        if self._exponent < other._exponent:
            self._widen(other._exponent - self._exponent)
        shift = self._exponent - other._exponent
        rows = other._first + np.arange(len(other._counts), dtype=np.int64) >> shift
        rows >>= self._make_room(int(rows[0]), int(rows[-1]))
        np.add.at(self._counts, rows - self._first, other._counts)

    def _make_room(self, low: int, high: int) -> int:
        """Let bins from `low` to `high` be counted; the powers of two by which bins became wider."""
        if len(self._counts):
            low = min(low, self._first)
            high = max(high, self._first + len(self._counts) - 1)
        shift = 0
        while (high >> shift) - (low >> shift) >= MOST_BINS:
            shift += 1
        self._widen(shift)
        low, high = low >> shift, high >> shift
        counts = np.zeros((high - low + 1, self._counts.shape[1]), dtype=np.int64)
        if len(self._counts):
            start = self._first - low
            counts[start : start + len(self._counts)] = self._counts
        self._first, self._counts = low, counts
        return shift

    def _widen(self, shift: int) -> None:
        if shift and len(self._counts):
            rows = self._first + np.arange(len(self._counts), dtype=np.int64) >> shift
            counts = np.zeros((int(rows[-1] - rows[0]) + 1, self._counts.shape[1]), dtype=np.int64)
            np.add.at(counts, rows - rows[0], self._counts)
            self._first, self._counts = int(rows[0]), counts
        self._exponent += shift

    def quantile(self, level: float, columns: slice = slice(None)) -> float | None:
        """The middle of the bin in which a quantile lies, of all columns or of some; None without values."""
        place = quantile_place(self._counts[:, columns].sum(axis=1), level)
        return None if place is None else float(np.ldexp(self._first + place + 0.5, self._exponent))

    def view(self, most_bins: int, tail: float = 0.0) -> Bins | None:
        """The counts in at most so many bins; None without values.

        Parameters
        ----------
        most_bins
            How many.
        tail
            Share of the values at either end that need not have bins of their own: the outermost bins
            take them in.
        """
        total = self._counts.sum(axis=1)
        found = _trimmed(total, self._first, most_bins, tail)
        if found is None:
            return None
        shift, low, high, rows = found
        counts = np.zeros((high - low + 1, self._counts.shape[1]), dtype=np.int64)
        np.add.at(counts, np.clip(rows, low, high) - low, self._counts)
        return Bins(
            edges=np.ldexp(np.arange(low, high + 2, dtype=np.float64), self._exponent + shift),
            counts=counts,
            below=int(total[rows < low].sum()),
            above=int(total[rows > high].sum()),
        )


def _trimmed(total: Ints, first: int, most_bins: int, tail: float) -> tuple[int, int, int, Ints] | None:
    """How `view` draws bins: the powers of two by which they widen, the outermost, where each goes."""
    low, high = quantile_place(total, tail), quantile_place(total, 1.0 - tail)
    if low is None or high is None:
        return None
    low, high = low + first, high + first
    shift = 0
    while (high >> shift) - (low >> shift) >= most_bins:
        shift += 1
    return shift, low >> shift, high >> shift, first + np.arange(len(total), dtype=np.int64) >> shift


class GrowingGrid:
    """Counts of pairs of values, in bins as those of `GrowingHistogram`, at most `MOST_GRID_BINS` an axis."""

    def __init__(self) -> None:
        self.counts: Ints = np.zeros((0, 0), dtype=np.int64)
        """By the bins of the first value and of the second."""
        self._exponents = [FINEST, FINEST]
        self._firsts = [0, 0]

    def add(self, first: Floats, second: Floats) -> None:
        """Count pairs of finite values, shape (N,) each; those beyond ±2^40 are counted there."""
        if not len(first):
            return
        places = []
        for axis, values in enumerate((first, second)):
            limited = np.clip(values, -_LARGEST, _LARGEST)
            mine = np.floor(np.ldexp(limited, -self._exponents[axis])).astype(np.int64)
            mine >>= self._make_room(axis, int(mine.min()), int(mine.max()))
            places.append(mine - self._firsts[axis])
        flat = places[0] * self.counts.shape[1] + places[1]
        self.counts += np.bincount(flat, minlength=self.counts.size).reshape(self.counts.shape)

    def merge(self, other: GrowingGrid) -> None:
        """Add the counts of another grid."""
        if not other.counts.size:
            return
        rows = []
        for axis in (0, 1):
            if self._exponents[axis] < other._exponents[axis]:
                self._widen(axis, other._exponents[axis] - self._exponents[axis])
            shift = self._exponents[axis] - other._exponents[axis]
            mine = other._firsts[axis] + np.arange(other.counts.shape[axis], dtype=np.int64) >> shift
            mine >>= self._make_room(axis, int(mine[0]), int(mine[-1]))
            rows.append(mine - self._firsts[axis])
        np.add.at(self.counts, np.ix_(*rows), other.counts)

    def view(self, most_bins: int, tail: float = 0.0) -> tuple[Floats, Floats, Ints] | None:
        """Edges of both axes and counts, an axis as `GrowingHistogram.view` has it; None without values."""
        counts, edges = self.counts, []
        for axis in (0, 1):
            found = _trimmed(self.counts.sum(axis=1 - axis), self._firsts[axis], most_bins, tail)
            if found is None:
                return None
            shift, low, high, rows = found
            counts = _gathered(counts, axis, np.clip(rows, low, high) - low, high - low + 1)
            edges.append(np.ldexp(np.arange(low, high + 2, dtype=np.float64), self._exponents[axis] + shift))
        return edges[0], edges[1], counts

    def _make_room(self, axis: int, low: int, high: int) -> int:
        """Let bins from `low` to `high` be counted; the powers of two by which bins became wider."""
        size = self.counts.shape[axis]
        if size:
            low, high = min(low, self._firsts[axis]), max(high, self._firsts[axis] + size - 1)
            if high - low + 1 == size:
                return 0
        shift = 0
        while (high >> shift) - (low >> shift) >= MOST_GRID_BINS:
            shift += 1
        self._widen(axis, shift)
        low, high = low >> shift, high >> shift
        rows = self._firsts[axis] - low + np.arange(self.counts.shape[axis], dtype=np.int64)
        self.counts = _gathered(self.counts, axis, rows, high - low + 1)
        self._firsts[axis] = low
        return shift

    def _widen(self, axis: int, shift: int) -> None:
        size = self.counts.shape[axis]
        if shift and size:
            rows = self._firsts[axis] + np.arange(size, dtype=np.int64) >> shift
            self._firsts[axis] = int(rows[0])
            self.counts = _gathered(self.counts, axis, rows - rows[0], int(rows[-1] - rows[0]) + 1)
        self._exponents[axis] += shift


def _gathered(counts: Ints, axis: int, rows: Ints, size: int) -> Ints:
    """Counts whose rows along an axis are added up to `size` others."""
    shape = list(counts.shape)
    shape[axis] = size
    gathered = np.zeros(shape, dtype=np.int64)
    np.add.at(np.moveaxis(gathered, axis, 0), rows, np.moveaxis(counts, axis, 0))
    return gathered


def quantile_place(counts: Ints, level: float) -> int | None:
    """The bin in which the value lies of which a share `level` is smaller or equal; None without values."""
    total = int(counts.sum())
    if not total:
        return None
    rank = min(max(int(np.ceil(level * total)), 1), total)
    return int(np.searchsorted(np.cumsum(counts), rank))


_EXACT = 1024
_PER_OCTAVE = 32
_MOST_OCTAVES = 40

LENGTH_STARTS: Ints = np.concatenate(
    [
        np.arange(_EXACT),
        np.unique(np.rint(_EXACT * 2.0 ** (np.arange(_PER_OCTAVE * (_MOST_OCTAVES - 10) + 1) / _PER_OCTAVE))),
    ]
).astype(np.int64)
"""First length of each bin: one for each length up to 1,024, from there 32 for each doubling."""


def length_places(lengths: Ints) -> Ints:
    """The bins of lengths, shape (N,)."""
    return np.searchsorted(LENGTH_STARTS, lengths, side="right") - 1


def length_of(place: int) -> int:
    """A length that stands for all of a bin."""
    if place + 1 >= len(LENGTH_STARTS):
        return int(LENGTH_STARTS[place])
    return int((LENGTH_STARTS[place] + LENGTH_STARTS[place + 1] - 1) // 2)
