"""Counts along the rows of arrays, which every read that is scored needs, in one pass."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled_to_vectors
from genood.sequence import UNKNOWN, Codes

Ints = npt.NDArray[np.int64]


def row_counts(codes: Codes, lengths: Ints, leads: Ints | None = None) -> tuple[Ints, Ints]:
    """How many positions of each read are scored, and how many of these are C or G.

    Parameters
    ----------
    codes, lengths, leads
        See `ScoreBatch`.

    Returns
    -------
    num_scored, num_strong
        int64, shape (B,).
    """
    num_scored, num_strong = np.empty((2, len(codes)), dtype=np.int64)
    leads = np.zeros_like(lengths) if leads is None else leads
    _count_rows(np.ascontiguousarray(codes), leads, lengths, num_scored, num_strong)
    return num_scored, num_strong


@compiled_to_vectors
def _count_rows(codes: Codes, leads: Ints, lengths: Ints, num_scored: Ints, num_strong: Ints) -> None:
    for number in range(np.uint64(codes.shape[0])):
        row = codes[number, leads[number] : lengths[number]]
        known, strong = np.uint32(0), np.uint32(0)
        for place in range(np.uint64(len(row))):
            known += np.uint32(row[place] < np.uint8(UNKNOWN))
            # C and G are the codes 1 and 2.
            strong += np.uint32(np.uint8(row[place] - np.uint8(1)) < np.uint8(2))
        num_scored[number] = known
        num_strong[number] = strong
