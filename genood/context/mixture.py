"""The dense tables while a read is scored, and the softmax over what all experts say.

What has to go base by base is done by class, many classes at a time; the rest, which is most of the
arithmetic, is put off until the end of a block of bases and then done for many bases at a time.
"""

from __future__ import annotations

from math import factorial, log
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled, compiled_to_allocate, compiled_to_vectors
from genood.context.dense import NATS_PER_STEP
from genood.context.instructions import as_bits, as_float, prefetch, signed

BLOCK = 512
"""Bases at a time: of so many the dense tables are read at once, which the memory answers as fast as
one."""
VECTOR = 16
"""Blocks are computed in whole vectors, so that a base never falls to the loop over the rest, whose
last bit may differ."""

_STEP = np.float32(-NATS_PER_STEP)

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]
"""Rows of the dense table over all classes: the bytes of the four bases, the first lowest."""


class Block(NamedTuple):
    """What is said of `BLOCK` bases.

    Attributes
    ----------
    low
        uint32, shape (BLOCK,): the rows of the table over all classes.
    rows
        int64, shape (BLOCK,): where the rows of the table by class start.
    mixed
        float32, shape (4, BLOCK): probability of each base in the mixture of the classes, times any
        number.
    votes
        float32, shape (4, BLOCK): the logits of each base by copy experts.
    gates
        float32, shape (2, BLOCK): the weights of the two dense tables.
    """

    low: Words
    rows: Ints
    mixed: Floats
    votes: Floats
    gates: Floats


@compiled_to_allocate
def make_block() -> Block:
    """Room for a block."""
    return Block(
        np.zeros(BLOCK, dtype=np.uint32),
        np.zeros(BLOCK, dtype=np.int64),
        np.ones((4, BLOCK), dtype=np.float32),
        np.zeros((4, BLOCK), dtype=np.float32),
        np.zeros((2, BLOCK), dtype=np.float32),
    )


@compiled
def start_of(order: int) -> int:
    """Where an order starts in a dense table, in contexts."""
    return ((1 << (2 * order)) - 1) // 3


@compiled
def read_tables(
    read: Bytes,
    start: int,
    history: int,
    low_table: Words,
    low_order: int,
    by_class: Bytes,
    class_order: int,
    stride: int,
    low: Words,
    rows: Ints,
) -> int:
    """Read the dense tables for a block that starts at a base; gives the history after it.

    Fills `low` and `rows` of the block and brings the rows into the cache.
    """
    for i in range(min(BLOCK, len(read) - start)):
        k = min(start + i, low_order)
        low[i] = low_table[start_of(k) + (history & ((1 << (2 * k)) - 1))]
        k = min(start + i, class_order)
        row = 4 * stride * (start_of(k) + (history & ((1 << (2 * k)) - 1)))
        rows[i] = row
        for line in range(0, 4 * stride, 64):
            prefetch(by_class, row + line)
        history = ((history << 2) | signed(read[start + i] & 3)) & 0xFFFFFFFFFFFF
    return history


@compiled
def read_low(read: Bytes, start: int, history: int, table: Words, order: int, low: Words) -> int:
    """Read the table over all classes at one order for a block, into `low`; gives the history after it."""
    for i in range(min(BLOCK, len(read) - start)):
        k = min(start + i, order)
        low[i] = table[start_of(k) + (history & ((1 << (2 * k)) - 1))]
        history = ((history << 2) | signed(read[start + i] & 3)) & 0xFFFFFFFFFFFF
    return history


@compiled
def low_log(word: np.uint32, base: int) -> np.float32:
    """Log-probability of a base in a row of the table over all classes."""
    return np.float32(signed((word >> np.uint32(8 * base)) & np.uint32(0xFF))) * _STEP


# Both functions below go through powers of 2, whose exponent is that of the float. What is left of the
# logarithm is ln(m) with m in [√½, √2), as 2 artanh((m − 1) / (m + 1)); of the exponential, e^x with x
# in [−½ ln 2, ½ ln 2], as its series.
_LN2 = np.float32(log(2.0))
_PER_LN2 = np.float32(1.0 / log(2.0))
_ROOT_HALF = np.int32(np.float32(0.5**0.5).view(np.int32))
_MANTISSA = np.int32(23)
_ATANH_3, _ATANH_5, _ATANH_7, _ATANH_9 = (np.float32(2.0 / n) for n in (3, 5, 7, 9))
_EXP_2, _EXP_3, _EXP_4, _EXP_5, _EXP_6 = (np.float32(1.0 / factorial(n)) for n in (2, 3, 4, 5, 6))
_LEAST_EXPONENT = np.float32(-80.0)


@compiled_to_vectors
def fast_log(x: np.float32) -> np.float32:
    """Natural logarithm of a positive normal float32, to about 2e-7 of 1 or of itself."""
    bits = as_bits(x)
    # Each step to 32 bits again, as numba makes 64 of them.
    exponent = np.int32(np.int32(bits - _ROOT_HALF) >> _MANTISSA)
    m = as_float(np.uint32(bits - np.int32(exponent << _MANTISSA)))
    z = (m - np.float32(1.0)) / (m + np.float32(1.0))
    zz = z * z
    series = _ATANH_3 + zz * (_ATANH_5 + zz * (_ATANH_7 + zz * _ATANH_9))
    return np.float32(exponent) * _LN2 + (z * np.float32(2.0) + z * zz * series)


@compiled_to_vectors
def fast_exp(x: np.float32) -> np.float32:
    """Exponential of x of at most 0, to about 4e-7 of itself; e^-80 is the least."""
    x = max(x, _LEAST_EXPONENT)
    # Rounded to the nearest integer, as what is converted is below 0.
    power = np.int32(x * _PER_LN2 - np.float32(0.5))
    r = x - np.float32(power) * _LN2
    series = _EXP_3 + r * (_EXP_4 + r * (_EXP_5 + r * _EXP_6))
    value = np.float32(1.0) + r * (np.float32(1.0) + r * (_EXP_2 + r * series))
    return value * as_float(np.uint32((power + np.int32(127)) << _MANTISSA))


@compiled_to_vectors
def softmax(
    read: Bytes,
    start: int,
    low: Words,
    mixed: Floats,
    votes: Floats,
    gates: Floats,
    logs: Floats,
    out: Floats,
) -> None:
    """Log-probabilities of the bases of a block that starts at a base, into `out` at the same places.

    `logs` is room, float32 (5, BLOCK).
    """
    number = min(BLOCK, len(read) - start)
    for b in range(4):
        bits = np.uint32(8 * b)
        for i in range((number + VECTOR - 1) // VECTOR * VECTOR):
            at = np.uint64(i)
            step = np.float32(np.int32((low[at] >> bits) & np.uint32(0xFF)))
            logit = votes[b, at] + gates[0, at] * (step * _STEP)
            logs[b, at] = logit + gates[1, at] * fast_log(mixed[b, at])
    _normalise(read, start, logs, out)


@compiled_to_vectors
def softmax_of_all_classes(
    read: Bytes,
    start: int,
    power: np.float32,
    low: Words,
    votes: Floats,
    gates: Floats,
    logs: Floats,
    out: Floats,
) -> None:
    """As `softmax`, with the table over all classes to a power in place of both dense tables."""
    number = min(BLOCK, len(read) - start)
    for b in range(4):
        bits = np.uint32(8 * b)
        for i in range((number + VECTOR - 1) // VECTOR * VECTOR):
            at = np.uint64(i)
            step = np.float32(np.int32((low[at] >> bits) & np.uint32(0xFF)))
            logs[b, at] = votes[b, at] + (gates[0, at] + gates[1, at]) * (power * (step * _STEP))
    _normalise(read, start, logs, out)


@compiled_to_vectors
def _normalise(read: Bytes, start: int, logs: Floats, out: Floats) -> None:
    """From logits in `logs` to log-probabilities of the bases in `out`."""
    number = min(BLOCK, len(read) - start)
    for i in range((number + VECTOR - 1) // VECTOR * VECTOR):
        at = np.uint64(i)
        a, b, c, d = logs[0, at], logs[1, at], logs[2, at], logs[3, at]
        top = max(max(a, b), max(c, d))
        total = (fast_exp(a - top) + fast_exp(b - top)) + (fast_exp(c - top) + fast_exp(d - top))
        logs[4, at] = top + fast_log(total)
    for i in range(number):
        base = read[start + i]
        if base < 4:
            out[start + i] = logs[base, i] - logs[4, i]
