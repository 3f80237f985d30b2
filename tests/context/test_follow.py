"""Copy experts along a read against a base-by-base account in Python."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from toys import uniform_codes

from genood.context import kernel
from genood.context.arrays import NUM_EXPERTS, Arrays, Room, make_room
from genood.context.follow import BEFORE, Progress, follow
from genood.context.genes import END, GROUPS
from genood.context.mixture import BLOCK
from genood.context.record import TURNED
from genood.context.tables import Tables
from genood.context.votes import rank
from genood.sequence import UNKNOWN, Codes, mutate, reverse_complement

ReadOf = Callable[[int, int, int], Codes]


def is_weak(bases: int, codons: int) -> bool:
    return (bases & 0xFFFF).bit_count() < 5 and codons.bit_count() < 4


def blocks_of(tables: Tables, read: Codes) -> list[tuple[int, int, Room]]:
    """Base at which each block starts, its experts' number, and a copy of the room after it."""
    m: Arrays = tables.arrays()
    room = make_room(len(read), m.num_classes, m.stride)
    num_places = kernel._look_up(read, m, room)
    progress, blocks = Progress(0, 0), []
    for start in range(0, len(read), BLOCK):
        progress = follow(read, start, num_places, m, room, -1, progress)
        experts = room.experts._replace(**{k: v.copy() for k, v in room.experts._asdict().items()})
        blocks.append((start, progress.num_experts, room._replace(experts=experts)))
    return blocks


@pytest.fixture(scope="module")
def reads(read_of: ReadOf) -> list[Codes]:
    """Copies of what two classes share, of one class, mutated, on both strands, and beyond a block."""
    shared = mutate(read_of(0, 9900, 1200), 0.08, 1)
    shared[[3, 700, 701]] = UNKNOWN
    chimera = np.concatenate([read_of(2, 100, 200), uniform_codes(80, 77), read_of(3, 500, 300)])
    return [shared, reverse_complement(shared), chimera, read_of(1, 24_800, 200), uniform_codes(30, 5)]


@pytest.mark.parametrize("number", range(5))
def test_experts_keep_account_of_the_read(tables: Tables, reads: list[Codes], number: int) -> None:
    read = reads[number]
    reference = tables.reference
    num_checked = 0
    for start, num_experts, room in blocks_of(tables, read):
        stop = min(start + BLOCK, len(read))
        for e in range(num_experts):
            step, diagonal, _, _, _, first, end, states, expected = (column[e] for column in room.experts)
            theirs = reference[diagonal + step * np.arange(first - BEFORE, min(end, stop) + BEFORE)]
            theirs = theirs if step > 0 else TURNED[theirs]
            assert expected[first - start : min(end, stop) - start + 2 * BEFORE].tolist() == theirs.tolist()
            assert (theirs[BEFORE:-BEFORE] < END).all()
            bases = codons = None
            for t in range(first, min(end, stop)):
                state = int(states[t - start])
                assert state >> 40 & 255 == 255 - e
                if bases is None:
                    bases, codons = state & 0xFFFFFFFF, state >> 32 & 255
                assert (state & 0xFFFFFFFF, state >> 32 & 255) == (bases, codons)
                assert not is_weak(bases, codons)
                strength = bases.bit_count() + (bases & 0xFFF).bit_count() + 2 * codons.bit_count()
                assert state >> 48 == strength
                bases, codons = record_after(
                    read, t, theirs[t - first : t - first + BEFORE + 1], bases, codons
                )
                num_checked += 1
            if end <= stop:
                after = reference[diagonal + step * end]
                assert after >= END or (bases is not None and is_weak(bases, codons)) or end == first
            else:
                assert (room.experts.bases[e], room.experts.codons[e]) == (bases, codons)
    assert num_checked > 150 or number == 4


def record_after(
    read: Codes, t: int, theirs: npt.NDArray[np.uint8], bases: int, codons: int
) -> tuple[int, int]:
    """The record after base t, where the reference holds three bytes up to it."""
    if read[t] == UNKNOWN:
        return bases, codons
    place = theirs[2] >> 2
    bases = (bases << 1 | int(read[t] == theirs[2] & 3)) & 0xFFFFFFFF
    if place in (3, 4):
        agree = False
        if t >= 2:
            mine, other = read[t - 2 : t + 1] & 3, theirs & 3
            if place == 4:
                mine, other = 3 - mine[::-1], 3 - other[::-1]
            groups = [GROUPS[16 * int(c[0]) + 4 * int(c[1]) + int(c[2])] for c in (mine, other)]
            agree = groups[0] == groups[1]
        codons = (codons << 1 | int(agree)) & 255
    return bases, codons


@pytest.mark.parametrize("number", range(5))
def test_few_experts_at_a_time_none_twice(tables: Tables, reads: list[Codes], number: int) -> None:
    for start, num_experts, room in blocks_of(tables, reads[number]):
        experts = room.experts
        for t in range(start, min(start + BLOCK, len(reads[number]))):
            there = [e for e in range(num_experts) if experts.first[e] <= t < experts.end[e]]
            assert len(there) <= NUM_EXPERTS
            assert len({(experts.step[e], experts.diagonal[e]) for e in there}) == len(there)


def test_an_expert_goes_on_in_the_next_block(tables: Tables, read_of: ReadOf) -> None:
    read = read_of(1, 3000, 1300)
    (_, first_number, first), (_, number, second), (_, _, third) = blocks_of(tables, read)
    assert first_number == number == 1
    assert first.experts.diagonal[0] == second.experts.diagonal[0] == third.experts.diagonal[0]
    assert (second.experts.first[0], second.experts.end[0]) == (BLOCK, 2 * BLOCK + 1)
    assert third.experts.end[0] == 1301
    assert tables.labels[0] == first.experts.label[0]
    assert (second.experts.states[0] & np.uint64(0xFFFFFFFF) == 0xFFFFFFFF).all()


@pytest.mark.parametrize("without_class", [-1, 0, 1])
def test_ranks(tables: Tables, reads: list[Codes], without_class: int) -> None:
    """First the strongest, then the strongest that expects another base; of equals the earlier."""
    for read in reads:
        start, num_experts, room = blocks_of(tables, read)[0]
        strongest = np.full((2, BLOCK), 7, dtype=np.uint64)
        rank(read, start, num_experts, without_class, room, strongest)
        experts = room.experts
        for t in range(min(BLOCK, len(read))):
            there = [
                (-int(experts.states[e, t] >> np.uint64(48)), e, int(experts.expected[e, t + BEFORE] & 3))
                for e in range(num_experts)
                if experts.first[e] <= t < experts.end[e] and experts.label[e] != without_class
            ]
            best = min(there, default=None)
            other = min((one for one in there if best is not None and one[2] != best[2]), default=None)
            found = [int(experts.states[one[1], t]) if one is not None else 0 for one in (best, other)]
            assert strongest[:, t].tolist() == found
