"""Dense tables of the low orders: next-base probabilities interpolated from order 0 up.

A table of orders 0 to K holds them one after another; order k starts at `start_of(k)`.

Over all classes, a context has four bytes, one a base: of a probability p, round(−32 ln p).

By class, a context has the bytes of all classes for the first base, then those for the second, and so
on; there are `stride_of` of them for a base. Such a byte is a float of eight bits, which a processor
widens for many classes at a time: n stands for the float32 whose bits, as an integer, are those of 1
less n · 2^19. Its 16 steps for each halving are no larger than 1/16 of the probability.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled
from genood.context.instructions import signed

NATS_PER_STEP = 1.0 / 32.0
MAX_ORDER = 8
"""Order of the table over all classes, and the highest of that by class: higher ones no longer fit into a
processor's own cache, and tell reads apart no better."""
PRIOR_COUNT = 4.0
"""Weight of the next lower order in the interpolation over all classes, in bases."""
CLASS_PRIOR_COUNT = 16.0
"""The same for one class, where counts are fewer."""

ONE = 0x3F800000
SHIFT = 19
CLASS_PROBABILITIES = (ONE - (np.arange(256, dtype=np.uint32) << np.uint32(SHIFT))).view(np.float32)
"""float32, shape (256,): what a byte stands for in the table by class, from 1 down to 2^-16."""
NEVER = 255
"""The byte of classes that are there to fill up a vector."""
LANES = 8
"""Classes that are computed at a time."""

Counts = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


def start_of(order: int) -> int:
    """Where the table of an order starts, for one class."""
    return 4 * (4**order - 1) // 3


def stride_of(num_classes: int) -> int:
    """Bytes for a base of a context by class: one a class, filled up to whole vectors."""
    return -(-num_classes // LANES) * LANES


@compiled
def count(reference: Bytes, offsets: Ints, lengths: Ints, order: int, counts: Ints) -> None:
    """Add the (order + 1)-mers of both strands of segments to counts, int64, shape (4^(order + 1),)."""
    mask = (1 << (2 * (order + 1))) - 1
    for s in range(len(offsets)):
        forward = 0
        backward = 0
        for i in range(lengths[s]):
            base = signed(reference[offsets[s] + i] & 3)
            forward = ((forward << 2) | base) & mask
            backward = (backward >> 2) | ((3 - base) << (2 * order))
            if i >= order:
                counts[forward] += 1
                counts[backward] += 1


def lower_orders(counts: Counts, order: int) -> list[Counts]:
    """Counts of contexts and next bases, shape (4^k, 4), of all orders k up to that of `counts`."""
    by_order = [counts.reshape(-1, 4)]
    for _ in range(order):
        by_order.append(by_order[-1].reshape(4, -1, 4).sum(axis=0))
    return by_order[::-1]


def interpolate(by_order: Sequence[Counts], prior_count: float) -> list[Counts]:
    """Probabilities of each order, shape (4^k, 4), each smoothed towards the order below.

    p_k = (c_k + a p_(k−1)) / (n_k + a), with a = `prior_count` and p_(−1) = 1/4, as Dirichlet
    smoothing has it (MacKay and Bauman Peto 1995, "A hierarchical Dirichlet language model").
    """
    below: Counts = np.full((1, 4), 0.25, dtype=np.float32)
    tables = []
    for order, counts in enumerate(by_order):
        prior = np.tile(below, (4, 1)) if order else below
        total = counts.sum(axis=1, keepdims=True)
        below = ((counts + prior_count * prior) / (total + prior_count)).astype(np.float32)
        tables.append(below)
    return tables


def to_bytes(probabilities: Counts) -> Bytes:
    """Probabilities as bytes of the table over all classes, of the same shape."""
    steps = np.rint(np.log(probabilities) / -NATS_PER_STEP)
    return np.clip(steps, 0, 255).astype(np.uint8)


def mutated_counts(counts: Counts, rate: float) -> Counts:
    """Expected counts once each base is substituted, with chance `rate`, by one of the three others.

    Parameters
    ----------
    counts
        float32, shape (4^(order + 1),), of the (order + 1)-mers of a reference.
    rate
        μ, in substitutions per base, from 0 to 1.

    Returns
    -------
    mutated
        float32, the shape of `counts`; its sum is the same.
    """
    mutated = counts.copy()
    by_base = 4
    while by_base <= len(mutated):
        bases = mutated.reshape(-1, 4, len(mutated) // by_base)
        others = bases.sum(axis=1, keepdims=True) * np.float32(rate / 3)
        bases *= np.float32(1 - 4 * rate / 3)
        bases += others
        by_base *= 4
    return np.maximum(mutated, 0.0, out=mutated)  # rounding can leave less than nothing


def to_class_bytes(probabilities: Counts) -> Bytes:
    """Probabilities as bytes of the table by class, of the same shape."""
    between = (CLASS_PROBABILITIES[1:] + CLASS_PROBABILITIES[:-1])[::-1] / 2
    return (NEVER - np.searchsorted(between, probabilities)).astype(np.uint8)


@compiled
def add_scaled(total: Counts, counts: Counts, scale: float) -> None:
    """Add counts times a scale to a total, in place."""
    for i in range(len(total)):
        total[i] += np.float32(scale) * counts[i]
