"""Log-probabilities by a dense table at one order."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled, compiled_to_allocate, compiled_to_vectors
from genood.context.dense import NATS_PER_STEP
from genood.context.instructions import prefetch, signed
from genood.context.mixture import BLOCK, VECTOR, fast_exp, fast_log

_STEP = np.float32(-NATS_PER_STEP)

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]


@compiled_to_allocate
def look_up(codes: Bytes, lengths: Ints, table: Bytes, starts: Ints, out: Floats) -> None:
    """Log-probabilities of reads by a table over all classes, of the highest order that there are bases for.

    The memory is asked for all that a block of bases needs before the first answer is used: of a table
    that no cache holds, each would else be waited for.

    Parameters
    ----------
    codes, lengths
        uint8 (B, L) and int64 (B,), in bases.
    table
        Bytes of orders 0 to K, see `genood.context.dense`; the four of a context are brought to a sum of 1.
    starts
        `dense.start_of` the orders up to the one that is used, which K may exceed.
    out
        float32, shape (B, L), zeros: where the log-probabilities are put, in nats.
    """
    places = np.zeros(BLOCK, dtype=np.int64)
    words = np.zeros(BLOCK, dtype=np.uint32)
    totals = np.zeros(BLOCK, dtype=np.float32)
    for r in range(len(codes)):
        _look_up(codes[r, : lengths[r]], table, starts, places, words, totals, out[r])


@compiled
def _look_up(
    read: Bytes, table: Bytes, starts: Ints, places: Ints, words: Words, totals: Floats, out: Floats
) -> None:
    """Do `look_up` for a read."""
    order = len(starts) - 1
    mask = (1 << (2 * order)) - 1
    history = num_known = 0
    for start in range(0, len(read), BLOCK):
        number = min(BLOCK, len(read) - start)
        for i in range(number):
            places[i] = starts[num_known] + 4 * history
            prefetch(table, places[i])
            base = signed(read[start + i])
            if base > 3:
                history = num_known = 0
            else:
                history = ((history << 2) | base) & mask
                num_known += int(num_known < order)
        for i in range(number):
            word = np.uint32(0)
            for base in range(4):
                word |= np.uint32(table[places[i] + base]) << np.uint32(8 * base)
            words[i] = word
        _total(words, number, totals)
        for i in range(number):
            base = signed(read[start + i])
            if base < 4:
                step = signed((words[i] >> np.uint32(8 * base)) & np.uint32(0xFF))
                out[start + i] = np.float32(step) * _STEP - totals[i]


@compiled_to_vectors
def _total(words: Words, number: int, totals: Floats) -> None:
    """Logarithms of the sums of the probabilities that words stand for."""
    for i in range((number + VECTOR - 1) // VECTOR * VECTOR):
        at = np.uint64(i)
        total = np.float32(0.0)
        for base in range(4):
            step = np.int32((words[at] >> np.uint32(8 * base)) & np.uint32(0xFF))
            total += fast_exp(np.float32(step) * _STEP)
        totals[at] = fast_log(total)
