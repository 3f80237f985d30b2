"""Follow copy experts along a read, one after the other: what each expects at each base."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled
from genood.context.arrays import NUM_EXPERTS, Arrays, Room
from genood.context.genes import END, GROUPS, PLACE_SHIFT
from genood.context.hashing import segment_at
from genood.context.instructions import ones, signed
from genood.context.mixture import BLOCK
from genood.context.record import (
    base_agreements,
    byte_at,
    codon_agreements,
    codon_at,
    other_strand,
    strength,
)

STRENGTH_SHIFT, EXPERT_SHIFT, CODONS_SHIFT = np.uint64(48), np.uint64(40), np.uint64(32)
"""What an expert is at a base, in one number: the stronger, the greater; of equals, the earlier."""
BEFORE = 2
"""Bytes of the reference that are kept before the first base of a block; as many after the last."""

_MIN_AGREEMENTS, _MIN_AGREEMENTS_TRANSLATED = 24, 22
"""Of the last 32 bases, for a place to be followed. A nucleotide context, all of the last 16, that comes up
by chance has some 20; a translated one, thirty bases long, may be right with fewer than 24. A read's
first 16 bases, if all agree, are just enough."""
_LAST_16 = 0xFFFF
_MIN_RECENT_AGREEMENTS = 5
_MIN_CODONS = 4
"""An expert is given up below both: of the last 16 bases, of the last 8 codons."""
_NO_GROUP = 255
"""In place of the amino acid group of a codon that begins before the read does."""

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Words = npt.NDArray[np.uint64]


class Progress(NamedTuple):
    """How far the following of a read has come.

    Attributes
    ----------
    num_experts
        Experts of the last block, its number of rows in `Experts`.
    next_place
        The first of the proposed places that has not been looked at.
    """

    num_experts: int
    next_place: int


@compiled
def translate(read: Bytes, groups: Bytes) -> None:
    """Amino acid groups of the codons that end at each base of a read, on both strands; uint8 (2, L)."""
    codon = 0
    for t in range(len(read)):
        codon = ((codon << 2) | signed(read[t] & 3)) & 63
        groups[0, t] = GROUPS[codon] if t >= 2 else _NO_GROUP
        groups[1, t] = GROUPS[other_strand(codon)] if t >= 2 else _NO_GROUP


@compiled
def follow(
    read: Bytes, start: int, num_places: int, m: Arrays, room: Room, without_file: int, progress: Progress
) -> Progress:
    """Follow experts through the block that starts at a base of a read.

    Those of the block before go on; places that were proposed and agree with the read set new ones in,
    unless `NUM_EXPERTS` are there. `Experts` in `room` receives what they expect.
    """
    # By name, not within the tuples: to hand over a tuple copies it.
    reference, places, groups = m.reference, room.places, room.groups
    turned = room.turned[len(room.turned) - len(read) :]
    offsets, blocks, labels, files = m.offsets, m.blocks, m.labels, m.files
    step, diagonal, label, bases, codons, first, end, states, expected = room.experts
    stop = min(start + BLOCK, len(read))
    num_experts = 0
    for e in range(progress.num_experts):
        if end[e] > start:
            n = num_experts
            step[n], diagonal[n], label[n] = step[e], diagonal[e], label[e]
            bases[n], codons[n], first[n] = bases[e], codons[e], start
            end[n], bases[n], codons[n] = _walk(
                read,
                groups,
                start,
                stop,
                start,
                reference,
                diagonal[n] + step[n] * start,
                step[n],
                bases[n],
                codons[n],
                n,
                states[n],
                expected[n],
            )
            num_experts += 1
    next_place = progress.next_place
    # An expert expects the base after the context that proposed it.
    while next_place < num_places and places[next_place, 0] + 1 < stop:
        t, p, direction = places[next_place, 0], places[next_place, 1], places[next_place, 2]
        next_place += 1
        mine = p - direction * t
        known = False
        num_there = 0
        for e in range(num_experts):
            there = end[e] > t + 1
            num_there += signed(there)
            known |= there & (diagonal[e] == mine) & (step[e] == direction)
        if known or num_there >= NUM_EXPERTS or num_experts == len(end):
            continue
        if byte_at(reference, p + direction, direction) >= END:
            continue
        new_bases = base_agreements(reference, p, direction, read, turned, t)
        is_exact = new_bases & _LAST_16 == _LAST_16
        if ones(new_bases) < (_MIN_AGREEMENTS if is_exact else _MIN_AGREEMENTS_TRANSLATED):
            continue
        segment = segment_at(offsets, blocks, p)
        if files[segment] == without_file:
            continue
        n = num_experts
        step[n], diagonal[n], label[n], first[n] = direction, mine, labels[segment], t + 1
        end[n], bases[n], codons[n] = _walk(
            read,
            groups,
            t + 1,
            stop,
            start,
            reference,
            p + direction,
            direction,
            new_bases,
            codon_agreements(reference, p, direction, read, t),
            n,
            states[n],
            expected[n],
        )
        num_experts += 1
    return Progress(num_experts, next_place)


@compiled
def _walk(
    read: Bytes,
    groups: Bytes,
    first: int,
    stop: int,
    start: int,
    reference: Bytes,
    position: int,
    step: int,
    bases: int,
    codons: int,
    number: int,
    states: Words,
    expected: Bytes,
) -> tuple[int, int, int]:
    """Let one expert expect the bases from `first` on, until it ends, is given up, or the block stops.

    Returns the base before which it ended, one more than `stop` if it did not; and its record there.
    """
    for i in range(BEFORE):
        expected[first - start + i] = byte_at(reference, position - (BEFORE - i) * step, step)
    codon = codon_at(reference, position - step, step)
    same = np.uint64(255 - number) << EXPERT_SHIFT
    end = stop + 1
    t = first
    while t < stop:
        byte = byte_at(reference, position, step)
        if byte >= END or (ones(bases & 0xFFFF) < _MIN_RECENT_AGREEMENTS and ones(codons) < _MIN_CODONS):
            end = t
            break
        state = np.uint64(strength(bases, codons)) << STRENGTH_SHIFT
        states[t - start] = state | same | np.uint64(codons) << CODONS_SHIFT | np.uint64(bases)
        expected[t - start + BEFORE] = byte
        codon = ((codon << 2) | (byte & 3)) & 63
        if read[t] < 4:
            bases = ((bases << 1) | signed(signed(read[t]) == byte & 3)) & 0xFFFFFFFF
            place = byte >> PLACE_SHIFT
            if place == 3:
                codons = ((codons << 1) | signed(groups[0, t] == GROUPS[codon])) & 0xFF
            elif place == 4:
                codons = ((codons << 1) | signed(groups[1, t] == GROUPS[other_strand(codon)])) & 0xFF
        position += step
        t += 1
    for i in range(BEFORE):
        expected[t - start + BEFORE + i] = byte_at(reference, position + i * step, step)
    return end, bases, codons
