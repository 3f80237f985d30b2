"""What the compiled loops read from, and what they write to while they are at one read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled_to_allocate, compiled_to_vectors
from genood.context.mixture import BLOCK, Block, make_block
from genood.context.propose import Frames, make_frames

NUM_EXPERTS = 8
"""Followed at a time."""
MOST_EXPERTS = 64
"""Followed in a block."""
STRIDE = 8
"""Floats between two rows of the weights: one a category, filled up to a whole vector."""

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]


class Arrays(NamedTuple):
    """What the loops read; see `genood.context.tables.Tables`."""

    reference: Bytes
    offsets: Ints
    blocks: Ints
    labels: Ints
    files: Ints
    nuc: npt.NDArray[np.uint64]
    nuc_sampling: int
    aa: npt.NDArray[np.uint64]
    aa_sampling: int
    low: Words
    low_order: int
    by_class: Bytes
    class_order: int
    num_classes: int
    stride: int
    weights: Floats
    gates: Floats
    no_expert_gates: Floats


class Experts(NamedTuple):
    """The copy experts of a block, in the order in which they set in; a row each.

    Attributes
    ----------
    step
        The direction in which the reference is followed: 1 or -1.
    diagonal
        Place in the reference of the read's first base, where it goes on like this.
    label
        Class.
    bases, codons
        The record at the end, see `record`.
    first, end
        The first base of the read that is expected, and the one after the last; more than the block's
        end where the expert goes on.
    states
        uint64, shape (MOST_EXPERTS, BLOCK): strength and record at each base, see `follow`.
    expected
        uint8, shape (MOST_EXPERTS, BLOCK + 4): bytes of the reference in the direction of the step,
        from two before the block's first base on.
    """

    step: Ints
    diagonal: Ints
    label: Ints
    bases: Ints
    codons: Ints
    first: Ints
    end: Ints
    states: npt.NDArray[np.uint64]
    expected: Bytes


class Room(NamedTuple):
    """What the loops write to while they are at one read.

    Attributes
    ----------
    hashes, ends, frames, places
        See `propose`.
    turned
        uint8: ends with the reverse complement of the read.
    groups
        See `follow.translate`.
    gains
        float64, by class: nats that its experts gained.
    posterior, least
        float32, by class: its weight in the mixture, and the least that it may get.
    block, logs
        See `mixture`.
    by_category
        float32, shape (STRIDE,): sums of weights.
    leaders
        int64, shape (BLOCK,): the class of the strongest expert at a base, or -1.
    experts
        The experts of the block.
    by_base
        uint64, shape (4 BLOCK,): the strongest expert that expects each base.
    strongest
        See `votes.rank`: of the model, and of its background.
    """

    hashes: npt.NDArray[np.uint64]
    ends: Ints
    places: Ints
    turned: Bytes
    groups: Bytes
    frames: Frames
    gains: npt.NDArray[np.float64]
    posterior: Floats
    least: Floats
    block: Block
    logs: Floats
    by_category: Floats
    leaders: Ints
    experts: Experts
    by_base: npt.NDArray[np.uint64]
    strongest: npt.NDArray[np.uint64]


@compiled_to_allocate
def _make_numbers() -> Ints:
    return np.zeros(MOST_EXPERTS, dtype=np.int64)


@compiled_to_allocate
def make_room(longest: int, num_classes: int, stride: int) -> Room:
    """Room for reads of at most `longest` bases."""
    return Room(
        np.empty((2, 2 * longest + 1), dtype=np.uint64),
        np.empty((2, 2 * longest + 1), dtype=np.int64),
        np.empty((4 * longest + 64, 3), dtype=np.int64),
        np.empty(longest, dtype=np.uint8),
        np.empty((2, longest), dtype=np.uint8),
        make_frames(longest),
        np.zeros(num_classes, dtype=np.float64),
        np.zeros(stride, dtype=np.float32),
        np.zeros(stride, dtype=np.float32),
        make_block(),
        np.empty((5, BLOCK), dtype=np.float32),
        np.empty(STRIDE, dtype=np.float32),
        np.empty(BLOCK, dtype=np.int64),
        Experts(
            _make_numbers(),
            _make_numbers(),
            _make_numbers(),
            _make_numbers(),
            _make_numbers(),
            _make_numbers(),
            _make_numbers(),
            np.empty((MOST_EXPERTS, BLOCK), dtype=np.uint64),
            np.empty((MOST_EXPERTS, BLOCK + 4), dtype=np.uint8),
        ),
        np.zeros(4 * BLOCK, dtype=np.uint64),
        np.zeros((2, 2, BLOCK), dtype=np.uint64),
    )


@compiled_to_vectors
def turn(read: Bytes, turned: Bytes) -> None:
    """Put the reverse complement of a read at the end of `turned`; 4 stays 4."""
    last = np.uint64(len(turned) - 1)
    for i in range(len(read)):
        at = np.uint64(i)
        turned[last - at] = np.uint8(3) ^ read[at] if read[at] < 4 else np.uint8(4)
