"""Records and states of copy experts, against slow references written from their description."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from Bio.Data import CodonTable
from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import uniform_codes

from genood.context.genes import END, annotate
from genood.context.record import (
    CATEGORIES,
    RUN_LEVELS,
    THIRD_BASES,
    base_agreements,
    base_at,
    byte_at,
    categories_of,
    codon_agreements,
    codon_at,
    codon_before,
    levels,
    strength,
    trailing_ones,
)
from genood.sequence import Codes, encode, reverse_complement

TABLE = CodonTable.unambiguous_dna_by_id[11]
ACIDS = {"".join(c): TABLE.forward_table.get("".join(c), "*") for c in product("ACGT", repeat=3)}
COMPLEMENT = dict(zip("ACGT", "TGCA", strict=True))
PURINES = {"A", "G"}


def reference_of(letters: str) -> Codes:
    codes = encode(letters)
    return annotate(codes, np.array([0]), np.array([len(codes)]))[0]


def with_places(letters: str, places: str) -> Codes:
    """A reference of one segment with the given codon places."""
    reference = reference_of(letters)
    reference[32 : 32 + len(letters)] |= np.array([int(place) << 2 for place in places], dtype=np.uint8)
    return reference


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_trailing_ones(value: int) -> None:
    assert trailing_ones(value) == len(bin(value)) - len(bin(value).rstrip("1"))


@pytest.mark.parametrize(("value", "number"), [(0, 0), (2**32 - 1, 32), (2**31 - 1, 31), (2**31, 0), (7, 3)])
def test_trailing_ones_by_hand(value: int, number: int) -> None:
    assert trailing_ones(value) == number


def test_run_levels() -> None:
    starts = [0, 1, 2, 3, 4, 6, 9, 13, 20, 32]
    assert RUN_LEVELS.tolist() == [
        max(i for i, start in enumerate(starts) if run >= start) for run in range(33)
    ]


def test_strength_by_hand() -> None:
    """Bits 0, 11, 12 and 31 of the bases, the former two recent; three codons."""
    assert strength(1 | 1 << 11 | 1 << 12 | 1 << 31, 0b10101) == 4 + 2 + 6


@pytest.mark.parametrize("strand", [0, 1])
@pytest.mark.parametrize("to_come", [1, 2, 3])
def test_third_bases(strand: int, to_come: int) -> None:
    """In a read along genes base n has place n mod 3 + 1, against them the places run downwards."""
    place_of = {n: (n % 3 + 1 if strand == 0 else 3 - n % 3) for n in range(200)}
    now = next(n for n in range(100, 103) if place_of[n] == to_come)
    third = [age for age in range(24) if place_of[now - 1 - age] == 3]
    assert THIRD_BASES[to_come + 3 * strand] == sum(1 << age for age in third)
    assert len(third) == 8


def test_third_bases_outside_of_genes() -> None:
    assert THIRD_BASES[0] == sum(1 << age for age in range(16, 24))


def category(place: int, before: str, codon: str, expected: str, base: str) -> int:
    """What a base of the read is to an expert that expects another, in letters."""
    if base == expected:
        return 0
    transversion = (base in PURINES) != (expected in PURINES)
    keeps = False
    if place:
        along = place <= 3
        # The codon as the read comes upon it, and how many of its bases the read has passed.
        in_read = codon if along else str(Seq(codon).reverse_complement())
        passed = place - 1 if along else 6 - place
        mine = before[len(before) - passed :] + base + in_read[passed + 1 :]
        keeps = ACIDS[mine if along else str(Seq(mine).reverse_complement())] == ACIDS[codon]
    return (1 if keeps else 3) + transversion


def test_categories() -> None:
    words = ["".join(letters) for letters in product("ACGT", repeat=2)]
    for (i, place), (j, before), (k, codon) in product(
        enumerate(range(7)), enumerate(words), enumerate(ACIDS)
    ):
        for n, expected in enumerate("ACGT"):
            packed = int(CATEGORIES[((i * 16 + j) * 64 + k) * 4 + n])
            found = [packed >> (3 * b) & 7 for b in range(4)]
            assert found == [category(place, before, codon, expected, base) for base in "ACGT"]


def test_categories_by_hand() -> None:
    """The third base of GCT: all four code for alanine. The first of TTA: CTA codes for leucine too."""

    def found(place: int, before: str, codon: str, expected: int) -> list[int]:
        j = 4 * "ACGT".index(before[0]) + "ACGT".index(before[1])
        packed = int(CATEGORIES[((place * 16 + j) * 64 + list(ACIDS).index(codon)) * 4 + expected])
        return [packed >> (3 * b) & 7 for b in range(4)]

    assert found(3, "GC", "GCT", 3) == [2, 1, 2, 0]
    assert found(0, "GC", "GCT", 3) == [4, 3, 4, 0]
    assert found(3, "GA", "GCT", 3) == [4, 3, 4, 0]
    assert found(1, "GC", "TTA", 3) == [4, 1, 4, 0]
    # From the other strand the same base is an A that a G may stand for, TAA having been passed.
    assert found(4, "TA", "TTA", 0) == [0, 4, 1, 4]


def test_base_and_place_on_both_strands() -> None:
    reference = with_places("ACGTACG", "1234560")
    assert [base_at(reference, 32 + i, 1) for i in range(4)] == [0, 1, 2, 3]
    assert [base_at(reference, 32 + i, -1) for i in range(4)] == [3, 2, 1, 0]
    forward, backward = ([byte_at(reference, 32 + i, step) for i in range(8)] for step in (1, -1))
    assert [byte >> 2 for byte in forward[:7]] == [1, 2, 3, 4, 5, 6, 0]
    assert [byte >> 2 for byte in backward[:7]] == [4, 5, 6, 1, 2, 3, 0]
    assert [byte & 3 for byte in backward[:7]] == [3 - (byte & 3) for byte in forward[:7]]
    assert forward[7] == backward[7] == END


def agreements(reference: Codes, position: int, step: int, read: Codes, t: int) -> int:
    return base_agreements(reference, position, step, read, reverse_complement(read), t)


def test_base_agreements_by_hand() -> None:
    """Before the read's start every other base agrees, the first of them not or so by the count."""
    reference = reference_of("ACGTTGCA")
    assert agreements(reference, 35, 1, encode("ACGT"), 3) == 0x55555550 | 0b1111
    assert agreements(reference, 35, 1, encode("ACCT"), 3) == 0x55555550 | 0b1101
    assert agreements(reference, 35, 1, encode("ANGT"), 3) == 0x55555550 | 0b1011
    assert agreements(reference, 34, 1, encode("ACGT"), 2) == 0xAAAAAAA8 | 0b111
    # ACGTTGCA read backwards is TGCAACGT.
    assert agreements(reference, 36, -1, encode("TGCA"), 3) == 0x55555550 | 0b1111
    assert agreements(reference, 36, -1, encode("TGGA"), 3) == 0x55555550 | 0b1101


def test_base_agreements_of_32_bases() -> None:
    codes = uniform_codes(100, 1)
    reference = annotate(codes, np.array([0]), np.array([100]))[0]
    read = codes[20:80].copy()
    assert agreements(reference, 32 + 79, 1, read, 59) == 0xFFFFFFFF
    read[59 - 31] ^= 1
    read[59 - 32] ^= 1
    assert agreements(reference, 32 + 79, 1, read, 59) == 0x7FFFFFFF


@pytest.mark.parametrize("step", [1, -1])
def test_base_agreements_against_one_base_after_another(step: int) -> None:
    generator = np.random.default_rng(1)
    codes = generator.integers(0, 2, 500).astype(np.uint8)
    reference = annotate(codes, np.array([0]), np.array([500]))[0]
    read = generator.choice(np.array([0, 1, 4], dtype=np.uint8), 90)
    for t in range(31, 90):
        position = int(generator.integers(32 + 31, 500))
        agreeing = [base_at(reference, position - age * step, step) == read[t - age] for age in range(32)]
        assert agreements(reference, position, step, read, t) == sum(1 << i for i in range(32) if agreeing[i])


def test_codon_agreements_by_hand() -> None:
    """GCT AAT CAT: Ala Asn His, against Ala Asp Leu, where Asn and Asp are of one group."""
    reference = with_places("GCTAATCAT", "123123123")
    assert codon_agreements(reference, 40, 1, encode("GCAGATCTT"), 8) == 0x55 << 3 & 0xFF | 0b110
    assert codon_agreements(reference, 39, 1, encode("GCAGATCT"), 7) == 0x55 << 2 & 0xFF | 0b11
    # The read begins within the first codon.
    assert codon_agreements(reference, 40, 1, encode("CAGATCTT"), 7) == 0x55 << 2 & 0xFF | 0b10
    # Backwards: AAG ATC TGC stands for the same codons on the other strand.
    assert codon_agreements(reference, 32, -1, encode("AAGATCTGC"), 8) == 0x55 << 3 & 0xFF | 0b011


def test_codon_agreements_outside_of_genes() -> None:
    assert codon_agreements(reference_of("GCTAATCAT"), 40, 1, encode("GCTAATCAT"), 8) == 0x55


def test_eight_codons_are_remembered() -> None:
    reference = with_places("GCT" * 10, "123" * 10)
    assert codon_agreements(reference, 61, 1, encode("GCT" * 10), 29) == 0xFF
    assert codon_agreements(reference, 61, 1, encode("GCT" * 2 + "CCT" + "GCT" * 7), 29) == 0x7F


def test_codons_by_hand() -> None:
    reference = reference_of("ACGTTGCA")
    assert codon_at(reference, 34, 1) == 0b00_01_10
    assert codon_at(reference, 34, -1) == 0b00_00_01
    assert [codon_before(encode("TGNC"), t) for t in range(5)] == [0, 0b11, 0b1110, 0b11_10_00, 0b10_00_01]


def described(reference: Codes, position: int, step: int, bases: int, codons: int, read: str) -> list[int]:
    """State of an expert, then the categories of the four bases."""
    place = byte_at(reference, position, step) >> 2
    around = sum(base_at(reference, position + i * step, step) << (4 - 2 * i) for i in range(-2, 3))
    packed = categories_of(place, codon_before(encode(read), len(read)) & 15, around, len(read))
    return [place, *levels(place, bases, codons), *(packed >> (3 * b) & 7 for b in range(4))]


def test_state_by_hand() -> None:
    reference = with_places("GCTAATCAT", "123123123")
    # Third base of GCT to come; third bases before it are 2, 5, 8, ... bases back.
    bases = 0b1_0010_1011
    assert described(reference, 34, 1, bases, 0b1011, "GC") == [3, 3, 2, 3, 2, 2, 1, 2, 0]
    # The other strand: its codon AGC, of which T is expected where the read comes upon the A.
    assert described(reference, 34, -1, 0, 0, "") == [6, 0, 0, 0, 0, 0, 2, 1, 2]
    # Too short to have passed the codon's first base: no amino acid to keep.
    assert described(reference, 33, 1, 0, 0, "") == [2, 0, 0, 0, 0, 4, 0, 4, 3]
    assert described(reference_of("GCT"), 34, 1, 0xFFFFFFFF, 0xFF, "GC") == [0, 16, 8, 8, 9, 4, 3, 4, 0]
