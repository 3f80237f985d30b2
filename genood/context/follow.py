"""Follow copy experts along a read: which are there at each base, and what they say of it."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genood.context.arrays import NUM_EXPERTS, STRIDE, Arrays, Room
from genood.context.compiled import compiled, compiled_to_vectors, ones, signed
from genood.context.genes import END, PLACE_SHIFT
from genood.context.hashing import segment_at
from genood.context.mixture import BLOCK
from genood.context.record import (
    ALL_CODONS,
    NUM_FEATURES,
    NUM_LEVELS,
    NUM_PLACES,
    base_agreements,
    base_at,
    byte_at,
    categories_of,
    codon_agreements,
    codon_at,
    codon_before,
    codons_agree,
    levels,
    strength,
)

NO_EXPERT = 255
"""In place of the codon place of an expert, where there is none."""

_MIN_AGREEMENTS = 18
"""Of the last 32 bases, for a place to be followed: a translated context alone comes up by chance."""
_MIN_RECENT_AGREEMENTS = 5
_MIN_CODONS = 4
"""An expert is given up below both: of the last 16 bases, of the last 8 codons."""

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]


class Progress(NamedTuple):
    """How far the following of a read has come.

    Attributes
    ----------
    num_experts
        Experts at the base to come.
    next_place
        The first of the proposed places that has not been looked at.
    num_left
        Places that were kept for another following of the read.
    """

    num_experts: int
    next_place: int
    num_left: int


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
def _strongest(rank_by: Ints, num_experts: int) -> int:
    """The first of the strongest experts, or -1."""
    first = -1
    for e in range(num_experts):
        if first < 0 or rank_by[e] > rank_by[first]:
            first = e
    return first


@compiled
def follow(
    read: Bytes,
    start: int,
    num_places: int,
    m: Arrays,
    room: Room,
    without_class: int,
    without_file: int,
    progress: Progress,
    observing: bool,
    states: npt.NDArray[np.uint8],
    packed: npt.NDArray[np.uint16],
) -> Progress:
    """Fill votes, gates and leaders of the block of `room` that starts at a base of a read.

    Of the proposed places in `room`, those that were not followed already and agree with the read are
    put in front, whatever their class. If observing, states and packed categories are filled as
    `genood.context.kernel.observe` has them, instead of the votes.
    """
    # By name, not within the tuples: to hand over a tuple copies it.
    reference, places = m.reference, room.places
    turned = room.turned[len(room.turned) - len(read) :]
    weights, model_gates, no_expert_gates = m.weights, m.gates, m.no_expert_gates
    offsets, blocks, labels, files = m.offsets, m.blocks, m.labels, m.files
    votes, gates, leaders = room.block.votes, room.block.gates, room.leaders
    position, step, bases, codons, label, coming, trio, rank_by = room.experts
    num_experts, next_place, num_left = progress
    by_category = room.by_category
    first = _strongest(rank_by, num_experts)
    stop = min(start + BLOCK, len(read))
    leaders[:] = -1
    votes[:] = 0.0
    gates[0, :], gates[1, :] = no_expert_gates[0], no_expert_gates[1]
    if observing:
        states[start:stop, :, 0] = NO_EXPERT
    t = start - 1
    while t + 1 < stop:
        t += 1
        if num_experts == 0:
            # On to where there may be one.
            t = max(t, places[next_place, 0]) if next_place < num_places else stop
            if t >= stop:
                break
        i = t - start
        base = signed(read[t])
        before = codon_before(read, t)

        # The strongest expert, and the strongest of those that expect another base.
        second = -1
        if first >= 0:
            leaders[i] = label[first]
            for e in range(num_experts):
                if ((coming[e] ^ coming[first]) & 3) != 0 and (second < 0 or rank_by[e] > rank_by[second]):
                    second = e
        for rank in range(2):
            e = first if rank == 0 else second
            if e < 0:
                break
            at = coming[e] >> PLACE_SHIFT
            around = (trio[e] & 15) << 6 | (coming[e] & 3) << 4
            around |= base_at(reference, position[e] + step[e], step[e]) << 2
            around |= base_at(reference, position[e] + 2 * step[e], step[e])
            four = categories_of(at, before & 15, around, t)
            level0, level1, level2, level3 = levels(at, bases[e], codons[e])
            if observing:
                packed[t, rank] = four
                states[t, rank, 0] = at
                states[t, rank, 1], states[t, rank, 2] = level0, level1
                states[t, rank, 3], states[t, rank, 4] = level2, level3
                continue
            if rank == 0:
                gates[0, i], gates[1, i] = model_gates[at, level3, 0], model_gates[at, level3, 1]
            row0, row1 = _row(rank, 0, at, level0), _row(rank, 1, at, level1)
            row2, row3 = _row(rank, 2, at, level2), _row(rank, 3, at, level3)
            _add_rows(weights, row0, row1, row2, row3, by_category)
            for b in range(4):
                votes[b, i] += by_category[(four >> (3 * b)) & 7]

        # Experts go on, and those that were wrong too often are given up.
        mine = ((before << 2) | (base & 3)) & 63
        kept = 0
        for e in range(num_experts):
            p, direction = position[e] + step[e], step[e]
            new_bases, new_codons = bases[e], codons[e]
            theirs = ((trio[e] << 2) | (coming[e] & 3)) & 63
            if base < 4:
                new_bases = ((new_bases << 1) | signed(base == coming[e] & 3)) & 0xFFFFFFFF
                at = coming[e] >> PLACE_SHIFT
                if at == 3 or at == 4:
                    agree = codons_agree(mine, theirs, at) if t >= 2 else 0
                    new_codons = ((new_codons << 1) | agree) & 0xFF
            byte = byte_at(reference, p, direction)
            if byte >= END or (
                ones(new_bases & 0xFFFF) < _MIN_RECENT_AGREEMENTS and ones(new_codons) < _MIN_CODONS
            ):
                continue
            position[kept], step[kept], label[kept] = p, direction, label[e]
            bases[kept], codons[kept], trio[kept], coming[kept] = new_bases, new_codons, theirs, byte
            rank_by[kept] = strength(new_bases, new_codons)
            kept += 1
        num_experts = kept

        # New experts, where contexts that end at this base propose them.
        while next_place < num_places and places[next_place, 0] == t:
            p, direction = places[next_place, 1], places[next_place, 2]
            next_place += 1
            known = False
            for e in range(num_experts):
                known |= (position[e] == p + direction) & (step[e] == direction)
            byte = byte_at(reference, p + direction, direction)
            if known or byte >= END:
                continue
            new_bases = base_agreements(reference, p, direction, read, turned, t)
            if ones(new_bases) < _MIN_AGREEMENTS:
                continue
            segment = segment_at(offsets, blocks, p)
            if files[segment] == without_file:
                continue
            places[num_left, 0], places[num_left, 1], places[num_left, 2] = t, p, direction
            num_left += 1
            if labels[segment] == without_class:
                continue
            e = num_experts
            if num_experts == NUM_EXPERTS:
                e = signed(np.argmin(rank_by))
                if rank_by[e] >= strength(new_bases, ALL_CODONS):
                    continue
            new_codons = codon_agreements(reference, p, direction, read, t)
            new_rank = strength(new_bases, new_codons)
            if num_experts == NUM_EXPERTS:
                if rank_by[e] >= new_rank:
                    continue
            else:
                num_experts += 1
            position[e], step[e], label[e] = p + direction, direction, labels[segment]
            bases[e], codons[e], rank_by[e] = new_bases, new_codons, new_rank
            coming[e], trio[e] = byte, codon_at(reference, p, direction)
        first = _strongest(rank_by, num_experts)
    return Progress(num_experts, next_place, num_left)
