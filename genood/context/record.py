"""Copy experts: their records, what they predict, and how their states are told.

A *copy expert* is a place in the reference that the read seems to follow. It predicts the base at that
place, as far as its record makes it credible. In the sense of a context model, an expert is the context
of all bases since it set in, with substitutions forgiven (XM: Cao et al. 2007, "A simple statistical
algorithm for biological sequence compression"; tolerant context models: GeCo2, Pratas et al. 2019).

The record of an expert is a bit for each of the last 32 bases, whether read and reference agree, and a
bit for each of the last 8 codons, whether they code for amino acids of one group. For the mixing it is
summed up as a state of five numbers: codon place; agreements at first and second codon bases, at third
bases, of codons; and the length of the last run of agreements.
"""

from __future__ import annotations

from itertools import permutations

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled
from genood.context.genes import GENETIC_CODE, GROUPS, PLACE_SHIFT
from genood.context.instructions import ones, reversed_bits, same_bases, signed, trailing_zeros

NUM_PLACES = 7
NUM_FEATURES = 4
NUM_LEVELS = 17
"""Of each feature of a state, at most."""
NUM_RUNS = 10
"""Levels of the last feature, the run of agreements."""
NUM_CATEGORIES = 5
"""A base against an expert's: 0 the same; 1 transition, 2 transversion that keep the amino acid; 3 and
4 the same that change it, or are not in a gene."""
_WINDOW = 24

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


def _run_levels() -> Bytes:
    bounds = np.array([1, 2, 3, 4, 6, 9, 13, 20, 32])
    return np.searchsorted(bounds, np.arange(33), side="right").astype(np.uint8)


def _third_base_masks() -> Ints:
    """Which of the last 24 bases are third in their codon, by place of the base to come."""
    masks = np.zeros(NUM_PLACES, dtype=np.int64)
    for place in range(1, NUM_PLACES):
        for age in range(_WINDOW):
            before = (place - age - 2) % 3 + 1 if place <= 3 else (place - 3 + age) % 3 + 1
            if before == 3:
                masks[place] |= 1 << age
    # Outside of genes: the older third of the window stands in for the third bases.
    masks[0] = 0xFF0000
    return masks


def _keeps_amino_acid(place: int) -> npt.NDArray[np.bool_]:
    """Whether a base leaves the amino acid of the reference's codon, given the bases already read.

    By the two bases before it in the read, the codon in the direction of its gene, and the base; bool,
    shape (16, 64, 4).
    """
    two, codon, base = np.ogrid[:16, :64, :4]
    before = [two >> 2, two & 3]
    bases = [codon >> 4, codon >> 2 & 3, codon & 3]
    if place <= 3:
        seen = place - 1
        bases[:seen] = before[2 - seen :]
        bases[seen] = base
    else:
        # The gene runs the other way: the read has seen the codon's later bases.
        seen = 6 - place
        for k in range(seen):
            bases[2 - k] = 3 - before[2 - seen + k]
        bases[place - 4] = 3 - base
    acids = np.frombuffer(GENETIC_CODE.encode(), dtype=np.uint8)
    same = acids[16 * bases[0] + 4 * bases[1] + bases[2]] == acids[codon]
    return np.broadcast_to(same, (16, 64, 4))


def _make_categories() -> npt.NDArray[np.uint16]:
    """Categories of the four bases, 3 bits each, by place, two bases before, codon and expected base."""
    table = np.zeros((NUM_PLACES, 16, 64, 4), dtype=np.uint16)
    for place in range(NUM_PLACES):
        keeps = _keeps_amino_acid(place) if place > 0 else np.zeros((16, 64, 4), dtype=np.bool_)
        for base, expected in permutations(range(4), 2):
            category = np.where(keeps[:, :, base], 1, 3) + (base ^ expected != 2)
            table[place, :, :, expected] |= (category << (3 * base)).astype(np.uint16)
    return table.ravel()


def _turned_bytes() -> Bytes:
    """Bytes of the annotated reference as they are on the other strand."""
    places = np.array([0, 4, 5, 6, 1, 2, 3, 0])
    byte = np.arange(256)
    return np.where(byte < 4 * 8, places[byte >> 2 & 7] << 2 | (3 - (byte & 3)), byte).astype(np.uint8)


RUN_LEVELS = _run_levels()
THIRD_BASES = _third_base_masks()
CATEGORIES = _make_categories()
TURNED = _turned_bytes()


@compiled
def other_strand(codon: int) -> int:
    """The reverse complement of a codon: its bases turned around, each taken from 3."""
    return 63 - ((codon & 3) << 4 | (codon & 12) | codon >> 4)


@compiled
def trailing_ones(value: int) -> int:
    """Bits set before the first that is not, of 32."""
    return trailing_zeros(~value)


@compiled
def byte_at(reference: Bytes, position: int, step: int) -> int:
    """Byte of the reference at a place: base, codon place and end, in the direction of `step`, 1 or -1."""
    byte = reference[position]
    return signed(byte if step > 0 else TURNED[byte])


@compiled
def base_at(reference: Bytes, position: int, step: int) -> int:
    """Base of the reference at a place, read in the direction of `step`, 1 or -1."""
    base = signed(reference[position] & 3)
    return base if step > 0 else 3 - base


@compiled
def strength(bases: int, codons: int) -> int:
    """By which experts are ranked: agreements, the recent and those of codons counting double."""
    return ones(bases) + ones(bases & 0xFFF) + 2 * ones(codons)


@compiled
def base_agreements(reference: Bytes, position: int, step: int, read: Bytes, turned: Bytes, t: int) -> int:
    """Which of the last 32 bases of the read up to t agree with a place, the last base in bit 0.

    `turned` is the read's reverse complement. Before the read's start every other base counts as
    agreed. The padding of the reference makes all places readable; what lies beyond a segment agrees by
    chance.
    """
    if t >= 31:
        if step > 0:
            return reversed_bits(same_bases(reference, position - 31, read, t - 31))
        return same_bases(reference, position, turned, len(read) - 1 - t)
    bases = 0
    for age in range(min(32, t + 1)):
        bases |= signed(base_at(reference, position - age * step, step) == read[t - age]) << age
    return bases | ((0x55555555 << min(32, t + 1)) & 0xFFFFFFFF)


@compiled
def codons_agree(codon: int, other: int, place: int) -> int:
    """Whether two codons are of one amino acid group, 0 or 1.

    Both in the direction of the read, at whose last base the codon place is 3 or 4: in the latter case
    their gene runs the other way.
    """
    if place == 4:
        codon, other = other_strand(codon), other_strand(other)
    return signed(GROUPS[codon] == GROUPS[other])


@compiled
def codon_at(reference: Bytes, position: int, step: int) -> int:
    """The three bases of the reference up to a place, as a codon."""
    a = base_at(reference, position - 2 * step, step)
    b = base_at(reference, position - step, step)
    return 16 * a + 4 * b + base_at(reference, position, step)


@compiled
def codon_before(read: Bytes, t: int) -> int:
    """The three bases of the read before t, as a codon; A before the first base and where unknown."""
    codon = 0
    for age in range(min(3, t)):
        codon |= signed(read[t - 1 - age] & 3) << (2 * age)
    return codon


@compiled
def codon_agreements(reference: Bytes, position: int, step: int, read: Bytes, t: int) -> int:
    """Which of the last 8 codons up to t agree, the last in bit 0; half of those before the read do."""
    codons = 0
    num_codons = 0
    age = 0
    while age < min(26, t - 1):
        place = byte_at(reference, position - age * step, step) >> PLACE_SHIFT
        if place == 3 or place == 4:
            mine = 16 * signed(read[t - age - 2] & 3) + 4 * signed(read[t - age - 1] & 3)
            mine += signed(read[t - age] & 3)
            theirs = codon_at(reference, position - age * step, step)
            codons |= codons_agree(mine, theirs, place) << num_codons
            num_codons += 1
            if num_codons == 8:
                return codons
            age += 3
        else:
            age += 1
    return codons | ((0x55 << num_codons) & 0xFF)


@compiled
def levels(place: int, bases: int, codons: int) -> tuple[int, int, int, int]:
    """The state of an expert, but for the codon place of the base to come, which is given."""
    third = THIRD_BASES[place]
    return (
        ones(bases & (0xFFFFFF ^ third)),
        ones(bases & third),
        ones(codons),
        signed(RUN_LEVELS[trailing_ones(bases)]),
    )


@compiled
def categories_of(place: int, before: int, around: int, t: int) -> int:
    """Categories of the four bases that may come at t, 3 bits each.

    Parameters
    ----------
    place
        Codon place of the base to come.
    before
        The last two bases of the read, 4 bits.
    around
        Five bases of the expert, 10 bits: two before, the one to come, two after.
    t
        If the read does not hold the codon's earlier bases, what the codon codes for is not asked.
    """
    codon = 0
    seen = place - 1 if place <= 3 else 6 - place
    if place == 0 or t < seen:
        place = 0
    else:
        codon = (around >> (2 * seen)) & 63
        if place > 3:
            codon = other_strand(codon)
    return signed(CATEGORIES[((place * 16 + before) * 64 + codon) * 4 + ((around >> 4) & 3)])
