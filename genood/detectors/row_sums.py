"""Sums along the rows of arrays: what every read that is scored needs, in one pass each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled_to_vectors
from genood.sequence import Codes

Ints = npt.NDArray[np.int64]


def row_sums(values: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    """Sums of the rows of float32 (B, L), taken in float64, shape (B,)."""
    if not values.flags.c_contiguous:
        return values.sum(axis=1, dtype=np.float64)
    sums = np.empty(len(values))
    _sum_rows(values, sums)
    return sums


def row_counts(codes: Codes, mask: npt.NDArray[np.bool_]) -> tuple[Ints, Ints]:
    """How many positions of each read are scored, and how many of these are C or G.

    Parameters
    ----------
    codes, mask
        uint8 and bool, shape (B, L).

    Returns
    -------
    num_scored, num_strong
        int64, shape (B,).
    """
    num_scored, num_strong = np.empty((2, len(codes)), dtype=np.int64)
    _count_rows(np.ascontiguousarray(codes), np.ascontiguousarray(mask), num_scored, num_strong)
    return num_scored, num_strong


@compiled_to_vectors
def _sum_rows(values: npt.NDArray[np.float32], sums: npt.NDArray[np.float64]) -> None:
    length = np.uint64(values.shape[1])
    for number in range(np.uint64(values.shape[0])):
        row = values[number]
        total = 0.0
        for place in range(length):
            total += np.float64(row[place])
        sums[number] = total


@compiled_to_vectors
def _count_rows(codes: Codes, mask: npt.NDArray[np.bool_], num_scored: Ints, num_strong: Ints) -> None:
    length = np.uint64(codes.shape[1])
    for number in range(np.uint64(codes.shape[0])):
        row, scored = codes[number], mask[number]
        all_scored = np.uint32(0)
        strong = np.uint32(0)
        for place in range(length):
            counts = np.uint32(scored[place])
            all_scored += counts
            # C and G are the codes 1 and 2.
            strong += counts & np.uint32(np.uint8(row[place] - np.uint8(1)) < np.uint8(2))
        num_scored[number] = all_scored
        num_strong[number] = strong
