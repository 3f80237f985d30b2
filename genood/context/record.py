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

import numpy as np
import numpy.typing as npt

from genood.context.compiled import compiled, signed
from genood.context.genes import GENETIC_CODE

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


def _keeps_amino_acid(base: int, place: int, before: tuple[int, int], codon: int) -> bool:
    """Whether `base` leaves the amino acid of the reference's codon, given the bases already read.

    `codon` is in the direction of its gene, `before` in that of the read.
    """
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
    return GENETIC_CODE[16 * bases[0] + 4 * bases[1] + bases[2]] == GENETIC_CODE[codon]


def _make_categories() -> npt.NDArray[np.uint16]:
    """Categories of the four bases, 3 bits each, by place, two bases before, codon and expected base."""
    table = np.zeros((NUM_PLACES, 16, 64, 4), dtype=np.uint16)
    for place, two, codon, base in np.ndindex(NUM_PLACES, 16, 64, 4):
        keeps = place > 0 and _keeps_amino_acid(base, place, (two >> 2, two & 3), codon)
        for expected in range(4):
            if base != expected:
                category = (1 if keeps else 3) + (base ^ expected != 2)
                table[place, two, codon, expected] |= category << (3 * base)
    return table.ravel()


RUN_LEVELS = _run_levels()
THIRD_BASES = _third_base_masks()
CATEGORIES = _make_categories()


@compiled
def ones(value: int) -> int:
    """Bits set in a non-negative integer of at most 32 bits."""
    value = value - ((value >> 1) & 0x55555555)
    value = (value & 0x33333333) + ((value >> 2) & 0x33333333)
    return (((value + (value >> 4)) & 0x0F0F0F0F) * 0x01010101 >> 24) & 0xFF


@compiled
def trailing_ones(value: int) -> int:
    """Bits set before the first that is not, of 32."""
    return 32 if value == 0xFFFFFFFF else ones((~value & (value + 1)) - 1)


@compiled
def base_at(reference: Bytes, position: int, step: int) -> int:
    """Base of the reference at a place, read in the direction of `step`, 1 or -1."""
    base = signed(reference[position] & 3)
    return base if step > 0 else 3 - base


@compiled
def place_at(reference: Bytes, position: int, step: int) -> int:
    """Codon place at a place of the reference, in the direction of `step`."""
    place = signed(reference[position]) >> 2
    if step > 0 or place == 0:
        return place
    return place + 3 if place <= 3 else place - 3


@compiled
def strength(bases: int, codons: int) -> int:
    """By which experts are ranked: agreements, the recent and those of codons counting double."""
    return ones(bases) + ones(bases & 0xFFF) + 2 * ones(codons)


@compiled
def base_agreements(reference: Bytes, position: int, step: int, read: Bytes, t: int) -> int:
    """Which of the last 32 bases of the read up to t agree with a place, the last base in bit 0.

    Before the read's start every other base counts as agreed. The padding of the reference makes all
    places readable; what lies beyond a segment agrees by chance.
    """
    bases = 0
    number = min(32, t + 1)
    if step > 0:
        for age in range(number):
            bases |= signed((reference[position - age] & 3) == read[t - age]) << age
    else:
        for age in range(number):
            bases |= signed(3 - (reference[position + age] & 3) == read[t - age]) << age
    return bases | ((0x55555555 << number) & 0xFFFFFFFF)


@compiled
def codon_agrees(
    reference: Bytes, position: int, step: int, read: Bytes, t: int, place: int, groups: Bytes
) -> int:
    """Whether the codons of read and reference that end at t are of one amino acid group, 0 or 1."""
    if t < 2:
        return 0
    a, b, c = signed(read[t - 2] & 3), signed(read[t - 1] & 3), signed(read[t] & 3)
    x = base_at(reference, position - 2 * step, step)
    y = base_at(reference, position - step, step)
    z = base_at(reference, position, step)
    if place == 3:
        return signed(groups[16 * a + 4 * b + c] == groups[16 * x + 4 * y + z])
    return signed(groups[63 - (16 * c + 4 * b + a)] == groups[63 - (16 * z + 4 * y + x)])


@compiled
def codon_agreements(reference: Bytes, position: int, step: int, read: Bytes, t: int, groups: Bytes) -> int:
    """Which of the last 8 codons up to t agree, the last in bit 0; half of those before the read do."""
    codons = 0
    num_codons = 0
    for age in range(min(26, t - 1)):
        place = place_at(reference, position - age * step, step)
        if place == 3 or place == 4:
            codons |= (
                codon_agrees(reference, position - age * step, step, read, t - age, place, groups)
                << num_codons
            )
            num_codons += 1
            if num_codons == 8:
                return codons
    return codons | ((0x55 << num_codons) & 0xFF)


@compiled
def describe(
    reference: Bytes,
    position: int,
    step: int,
    bases: int,
    codons: int,
    read: Bytes,
    t: int,
    third_bases: Ints,
    run_levels: Bytes,
    categories: npt.NDArray[np.uint16],
    state: Ints,
) -> int:
    """Fill the state of an expert about to predict position t; gives the categories of the four bases."""
    place = place_at(reference, position, step)
    third = third_bases[place]
    state[0] = place
    state[1] = ones(bases & (0xFFFFFF ^ third))
    state[2] = ones(bases & third)
    state[3] = ones(codons)
    state[4] = run_levels[trailing_ones(bases)]
    before = 0
    if t >= 2:
        before = 4 * signed(read[t - 2] & 3) + signed(read[t - 1] & 3)
    elif t == 1:
        before = signed(read[0] & 3)
    codon = 0
    seen = place - 1 if place <= 3 else 6 - place
    if place == 0 or t < seen:
        place = 0
    else:
        first = position - seen * step
        a = base_at(reference, first, step)
        b = base_at(reference, first + step, step)
        c = base_at(reference, first + 2 * step, step)
        codon = 16 * a + 4 * b + c if place <= 3 else 63 - (16 * c + 4 * b + a)
    expected = base_at(reference, position, step)
    return signed(categories[((place * 16 + before) * 64 + codon) * 4 + expected])
