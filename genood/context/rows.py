"""Where the loops over bases put what a model says of reads, and its sums."""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled, compiled_to_vectors

Floats = npt.NDArray[np.float32]


class Rows(NamedTuple):
    """What a model says of B reads.

    Attributes
    ----------
    log_p
        float32, shape (B, L): log-probability of each base, nats, 0 where not scored. Or (1, L), room for
        a read at a time: where only their sums are wanted, what no cache holds need not be written.
    sums
        float64, shape (B,): those of the rows.
    """

    log_p: Floats
    sums: npt.NDArray[np.float64]

    @classmethod
    def of_shape(cls, shape: tuple[int, int], *, each_base: bool) -> Self:
        """Room for reads; without `each_base` for their sums."""
        num_reads, length = shape
        return cls(np.empty((num_reads if each_base else 1, length), dtype=np.float32), np.empty(num_reads))

    def part(self, reads: slice) -> Rows:
        """The room of some of the reads, which nobody else writes to."""
        sums = self.sums[reads]
        each_base = len(self.log_p) == len(self.sums)
        return Rows(self.log_p[reads] if each_base else np.empty_like(self.log_p), sums)


@compiled
def clear_row(rows: Rows, r: int) -> int:
    """Fill the row for the read of that number with 0; gives the row's own number."""
    place = r if len(rows.log_p) > 1 else 0
    rows.log_p[place, :] = np.float32(0.0)
    return place


@compiled_to_vectors
def sum_row(row: Floats) -> float:
    """Sum of a row, taken in float64."""
    total = 0.0
    for place in range(np.uint64(len(row))):
        total += np.float64(row[place])
    return total


def row_sums(values: Floats) -> npt.NDArray[np.float64]:
    """Sums of the rows of float32 (B, L), taken in float64, shape (B,)."""
    if not values.flags.c_contiguous:
        return values.sum(axis=1, dtype=np.float64)
    sums = np.empty(len(values))
    _sum_rows(values, sums)
    return sums


@compiled
def _sum_rows(values: Floats, sums: npt.NDArray[np.float64]) -> None:
    for number in range(len(values)):
        sums[number] = sum_row(values[number])
