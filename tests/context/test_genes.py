"""Codon places and the genetic code, against Biopython and a slow search for open reading frames."""

from __future__ import annotations

from itertools import product

import numpy as np
import numpy.typing as npt
import pytest
from Bio.Data import CodonTable
from Bio.Seq import Seq
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import uniform_codes

from genood.context.genes import (
    AMINO_ACID_GROUPS,
    END,
    GENETIC_CODE,
    GROUPS,
    MIN_ORF_CODONS,
    PADDING,
    STOP,
    annotate,
    reference_codes,
)
from genood.sequence import Codes, decode, encode, reverse_complement

CODONS = ["".join(letters) for letters in product("ACGT", repeat=3)]
UNIT = "GCTAATCATCTA"
"""Four codons, Ala Asn His Leu; repeated, all five other reading frames have a stop in every unit."""


def annotated(*segments: Codes) -> tuple[Codes, npt.NDArray[np.int64]]:
    lengths = np.array([len(segment) for segment in segments], dtype=np.int64)
    return annotate(np.concatenate(segments), np.cumsum(lengths) - lengths, lengths)


def places(letters: str) -> list[int]:
    """Codon places of one segment."""
    reference, offsets = annotated(encode(letters))
    return (reference[offsets[0] : offsets[0] + len(letters)] >> 2).tolist()


def test_genetic_code_is_table_11() -> None:
    table = CodonTable.unambiguous_dna_by_id[11]
    assert [table.forward_table.get(codon, "*") for codon in CODONS] == list(GENETIC_CODE)
    assert {codon for codon, acid in zip(CODONS, GENETIC_CODE, strict=True) if acid == "*"} == {
        *table.stop_codons
    }


def test_groups() -> None:
    assert sorted("".join(AMINO_ACID_GROUPS)) == sorted({*GENETIC_CODE} - {"*"})
    for codon, group in zip(CODONS, GROUPS.tolist(), strict=True):
        acid = str(Seq(codon).translate(table=11))
        assert group == STOP if acid == "*" else acid in AMINO_ACID_GROUPS[group]


@pytest.mark.parametrize("frame", range(3))
def test_gene_between_stops(frame: int) -> None:
    before = "C" * frame + "TAA"
    letters = before + UNIT * 15 + "TAG" + "CC"
    expected = [0] * len(before) + [1, 2, 3] * 60 + [0] * 5
    assert places(letters) == expected
    other_strand = [place and place + 3 for place in expected[::-1]]
    assert places(decode(reverse_complement(encode(letters)))) == other_strand


def test_gene_of_59_codons_is_none() -> None:
    assert MIN_ORF_CODONS == 60
    assert set(places("TAA" + (UNIT * 15)[:-3] + "TAG")) == {0}


def test_gene_cut_off_by_the_ends_of_the_segment() -> None:
    assert places(UNIT * 15) == [1, 2, 3] * 60
    assert places(UNIT * 15 + "A") == [1, 2, 3] * 60 + [0]
    assert set(places((UNIT * 15)[:-1])) == {0}


def frame_lengths(letters: str) -> list[dict[int, int]]:
    """By base: codon place to codons of the open reading frame that gives it, if it has enough."""
    lengths: list[dict[int, int]] = [{} for _ in letters]
    for strand, text in enumerate((letters, str(Seq(letters).reverse_complement()))):
        for frame in range(3):
            num_codons = (len(text) - frame) // 3
            acids = str(Seq(text[frame : frame + 3 * num_codons]).translate(table=11))
            start = frame
            for piece in acids.split("*"):
                for i in range(3 * len(piece) if len(piece) >= MIN_ORF_CODONS else 0):
                    at = start + i if strand == 0 else len(text) - 1 - start - i
                    lengths[at][i % 3 + 1 + 3 * strand] = len(piece)
                start += 3 * len(piece) + 3
    return lengths


@pytest.mark.parametrize("seed", range(3))
def test_longest_gene_gives_the_place(seed: int) -> None:
    letters = decode(uniform_codes(6000, seed))
    found = places(letters)
    num_overlaps = 0
    for place, lengths in zip(found, frame_lengths(letters), strict=True):
        longest = max(lengths.values(), default=0)
        assert place in [p for p, length in lengths.items() if length == longest] or not (place or lengths)
        num_overlaps += len(lengths) > 1
    assert num_overlaps > 100
    assert set(found) == set(range(7))


def test_layout() -> None:
    reference, offsets = annotated(encode("ACG"), encode("T"), encode("GGTT"))
    padding = [END] * PADDING
    assert reference.tolist() == [*padding, 0, 1, 2, END, 3, END, 2, 2, 3, 3, END, *padding]
    assert offsets.tolist() == [32, 36, 38]


def test_segments_are_taken_from_within_the_codes() -> None:
    starts, lengths = np.array([5, 1]), np.array([2, 3])
    reference, offsets = annotate(encode("AACGTTCG"), starts, lengths)
    assert reference[PADDING:-PADDING].tolist() == [3, 1, END, 0, 1, 2, END]
    assert offsets.tolist() == [32, 35]


def test_no_segments() -> None:
    nothing = np.empty(0, dtype=np.int64)
    reference, offsets = annotate(np.empty(0, dtype=np.uint8), nothing, nothing)
    assert reference.tolist() == [END] * (2 * PADDING)
    assert [len(array) for array in reference_codes(reference, offsets)] == [0, 0, 0]


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(1, 400), st.integers(0, 9)), min_size=1, max_size=6),
    st.integers(0, 2**32),
)
def test_round_trip(parts: list[tuple[int, int]], seed: int) -> None:
    lengths = np.array([length for length, _ in parts])
    gaps = np.array([gap for _, gap in parts])
    starts = np.cumsum(lengths + gaps) - lengths
    codes = uniform_codes(int((lengths + gaps).sum()), seed)
    back, back_starts, back_lengths = reference_codes(*annotate(codes, starts, lengths))
    assert back_lengths.tolist() == lengths.tolist()
    for start, length, mine in zip(starts, lengths, back_starts, strict=True):
        assert back[mine : mine + length].tolist() == codes[start : start + length].tolist()
    assert len(back) == lengths.sum()
