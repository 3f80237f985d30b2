"""Log-probabilities by dense tables at one order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled, compiled_to_allocate, compiled_to_vectors
from genood.context.dense import NATS_PER_STEP
from genood.context.instructions import prefetch, signed
from genood.context.mixture import BLOCK, VECTOR, fast_exp, fast_log, start_of
from genood.context.rows import Rows, clear_row, sum_row
from genood.threads import share

_STEP = np.float32(-NATS_PER_STEP)

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]


def look_up(
    codes: Bytes, lengths: Ints, words: Words, order: int, said: Sequence[Rows], num_threads: int
) -> None:
    """Log-probabilities of reads by tables over all classes, of the highest order that there are bases for.

    Parameters
    ----------
    codes, lengths
        uint8 (B, L) and int64 (B,), in bases.
    words
        uint32: for each context of orders 0 to K, see `genood.context.dense`, the four bytes of one table,
        or those of two; of each table they are brought to a sum of 1.
    order
        Of at most K.
    said
        Where the tables' log-probabilities are put: of one, or of two.
    num_threads
        Threads to share the reads among.
    """

    def rows(part: slice) -> None:
        one, other = (each.part(part) for each in (said[0], said[-1]))
        _look_up_all(codes[part], lengths[part], words, len(said), order, one, other)

    share(rows, codes.shape, num_threads)


@compiled_to_allocate
def _look_up_all(
    codes: Bytes, lengths: Ints, words: Words, num_tables: int, order: int, one: Rows, other: Rows
) -> None:
    """Do `look_up` for some reads; nothing goes to `other` where there is one table."""
    places = np.zeros(BLOCK, dtype=np.int64)
    found = np.zeros((2, BLOCK), dtype=np.uint32)
    totals = np.zeros(BLOCK, dtype=np.float32)
    starts = np.zeros(order + 1, dtype=np.int64)
    for k in range(order + 1):
        starts[k] = start_of(k)
    for r in range(len(codes)):
        read = codes[r, : lengths[r]]
        row = one.log_p[clear_row(one, r)]
        other_row = other.log_p[clear_row(other, r)] if num_tables > 1 else row
        _look_up(read, words, num_tables, starts, places, found, totals, row, other_row)
        one.sums[r] = sum_row(row)
        if num_tables > 1:
            other.sums[r] = sum_row(other_row)


@compiled
def _look_up(
    read: Bytes,
    words: Words,
    num_tables: int,
    starts: Ints,
    places: Ints,
    found: Words,
    totals: Floats,
    row: Floats,
    other_row: Floats,
) -> None:
    """Do `look_up` for a read.

    The memory is asked for all that a block of bases needs before the first answer is used: of a table
    that no cache holds, each would else be waited for. Two tables are asked at one place.
    """
    order = len(starts) - 1
    mask = (1 << (2 * order)) - 1
    history = num_known = 0
    for start in range(0, len(read), BLOCK):
        number = min(BLOCK, len(read) - start)
        for i in range(number):
            places[i] = num_tables * (starts[num_known] + history)
            prefetch(words, places[i])
            base = signed(read[start + i])
            if base > 3:
                history = num_known = 0
            else:
                history = ((history << 2) | base) & mask
                num_known += int(num_known < order)
        for i in range(number):
            found[0, i] = words[places[i]]
            found[1, i] = words[places[i] + num_tables - 1]
        _read_off(read, start, found[0], totals, row)
        if num_tables > 1:
            _read_off(read, start, found[1], totals, other_row)


@compiled_to_vectors
def _read_off(read: Bytes, start: int, words: Words, totals: Floats, row: Floats) -> None:
    """Log-probabilities of the bases of a block by the words of their contexts."""
    number = min(BLOCK, len(read) - start)
    _total(words, number, totals)
    first = np.uint64(start)
    for i in range(np.uint64(number)):
        base = read[first + i]
        step = np.int32((words[i] >> np.uint32(8 * np.uint32(base & np.uint8(3)))) & np.uint32(0xFF))
        log_p = np.float32(step) * _STEP - totals[i]
        row[first + i] = log_p if base < np.uint8(4) else np.float32(0.0)


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
