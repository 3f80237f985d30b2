"""What the strongest copy experts say of each base."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled, compiled_to_vectors
from genood.context.arrays import STRIDE, Arrays, Room
from genood.context.follow import BEFORE, CODONS_SHIFT, EXPERT_SHIFT
from genood.context.genes import PLACE_SHIFT
from genood.context.instructions import signed
from genood.context.mixture import BLOCK
from genood.context.record import NUM_FEATURES, NUM_LEVELS, NUM_PLACES, categories_of, codon_before, levels

NO_EXPERT = 255
"""In place of the codon place of an expert, where there is none."""

_BYTE = np.uint64(0xFF)
_BASES = np.uint64(0xFFFFFFFF)

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint64]


@compiled
def _row(rank: int, feature: int, place: int, level: int) -> int:
    """Where the weights of a level of a feature start."""
    return (((rank * NUM_FEATURES + feature) * NUM_PLACES + place) * NUM_LEVELS + level) * STRIDE


@compiled_to_vectors
def _add_rows(weights: Floats, row0: int, row1: int, row2: int, row3: int, total: Floats) -> None:
    """The sum of four rows of weights."""
    a, b, c, d = np.uint64(row0), np.uint64(row1), np.uint64(row2), np.uint64(row3)
    for i in range(STRIDE):
        at = np.uint64(i)
        total[at] = (weights[a + at] + weights[b + at]) + (weights[c + at] + weights[d + at])


@compiled
def rank(read: Bytes, start: int, num_experts: int, without_class: int, room: Room, strongest: Words) -> None:
    """The strongest expert of each base of a block, and the strongest of those that expect another base.

    Receives their states, or 0 where there is none, in `strongest`: uint64, shape (2, BLOCK). Experts of
    a class, -1 for none, take no part.
    """
    _, _, label, _, _, first, end, states, expected = room.experts
    stop = min(start + BLOCK, len(read))
    by_base = room.by_base
    by_base[: 4 * (stop - start)] = 0
    for e in range(num_experts):
        if label[e] != without_class:
            mine, bytes_ = states[e], expected[e]
            for i in range(first[e] - start, min(end[e], stop) - start):
                at = 4 * i + signed(bytes_[i + BEFORE] & 3)
                by_base[at] = max(by_base[at], mine[i])
    for i in range(stop - start):
        a, b, c, d = by_base[4 * i], by_base[4 * i + 1], by_base[4 * i + 2], by_base[4 * i + 3]
        more, less = max(a, b), min(a, b)
        other_more, other_less = max(c, d), min(c, d)
        strongest[0, i] = max(more, other_more)
        strongest[1, i] = max(min(more, other_more), less if more > other_more else other_less)


@compiled
def vote(
    read: Bytes,
    start: int,
    m: Arrays,
    room: Room,
    anew: bool,
    strongest: Words,
    before: Words,
    observing: bool,
    seen: Bytes,
    packed: npt.NDArray[np.uint16],
) -> None:
    """Fill votes, gates and leaders of the block of `room` that starts at a base of a read.

    Unless `anew`, what stands there was told by the strongest experts of `before`, and is left where the
    same are strongest now. If observing, states and packed categories are filled as
    `genood.context.kernel.observe` has them, instead of the votes.
    """
    weights, model_gates, no_expert_gates = m.weights, m.gates, m.no_expert_gates
    votes, gates, leaders = room.block.votes, room.block.gates, room.leaders
    label, expected, by_category = room.experts.label, room.experts.expected, room.by_category
    if anew:
        leaders[:] = -1
        votes[:] = 0.0
        gates[0, :], gates[1, :] = no_expert_gates[0], no_expert_gates[1]
    for i in range(min(BLOCK, len(read) - start)):
        if anew:
            if strongest[0, i] == 0:
                continue
        elif strongest[0, i] == before[0, i] and strongest[1, i] == before[1, i]:
            continue
        t = start + i
        leaders[i] = -1
        for b in range(4):
            votes[b, i] = np.float32(0.0)
        gates[0, i], gates[1, i] = no_expert_gates[0], no_expert_gates[1]
        two = codon_before(read, t) & 15
        for which in range(2):
            state = strongest[which, i]
            if state == 0:
                break
            e = 255 - signed((state >> EXPERT_SHIFT) & _BYTE)
            there = expected[e]
            at = signed(there[i + BEFORE]) >> PLACE_SHIFT
            around = 0
            for k in range(2 * BEFORE + 1):
                around = around << 2 | signed(there[i + k] & 3)
            four = categories_of(at, two, around, t)
            bases, codons = signed(state & _BASES), signed((state >> CODONS_SHIFT) & _BYTE)
            level0, level1, level2, level3 = levels(at, bases, codons)
            if observing:
                packed[t, which] = four
                seen[t, which, 0] = at
                seen[t, which, 1], seen[t, which, 2] = level0, level1
                seen[t, which, 3], seen[t, which, 4] = level2, level3
                continue
            if which == 0:
                leaders[i] = label[e]
                gates[0, i], gates[1, i] = model_gates[at, level3, 0], model_gates[at, level3, 1]
            row0, row1 = _row(which, 0, at, level0), _row(which, 1, at, level1)
            row2, row3 = _row(which, 2, at, level2), _row(which, 3, at, level3)
            _add_rows(weights, row0, row1, row2, row3, by_category)
            for b in range(4):
                votes[b, i] += by_category[(four >> (3 * b)) & 7]
