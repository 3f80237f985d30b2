"""Where a genome is read in codons: open reading frames, the genetic code, a reduced alphabet.

The reference is annotated base by base. One byte holds the base in bits 0 and 1 and, in bits 2 to 4,
the *codon place*: 0 outside of open reading frames, 1 to 3 for the first to third base of a codon on
the strand at hand, 4 to 6 for the first to third base of a codon on the other strand.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled_to_allocate
from genood.context.instructions import signed

GENETIC_CODE = "KNKNTTTTRSRSIIMIQHQHPPPPRRRRLLLLEDEDAAAAGGGGVVVV*Y*YSSSS*CWCLFLF"
"""Amino acids of the codons AAA, AAC, AAG, AAT, ACA, ... TTT; translation table 11 of NCBI."""

AMINO_ACID_GROUPS = ("LVIM", "C", "A", "G", "ST", "P", "FYW", "EDNQ", "KR", "H")
"""Ten groups that proteins exchange freely.

Source: Murphy, Wallqvist and Levy 2000, "Simplified amino acid alphabets for protein fold recognition
and implications for folding".
"""
STOP = 15
"""Group of the stop codons."""

MIN_ORF_CODONS = 60
"""Shortest open reading frame that counts: chance makes longer ones rare, genes are longer."""

PLACE_SHIFT = 2
END = 0x80
"""Separates the segments of the reference."""
PADDING = 32
"""Of these before the first segment and after the last: the record of an expert may look past them."""

_GROUP_OF = {acid: number for number, group in enumerate(AMINO_ACID_GROUPS) for acid in group}
GROUPS: npt.NDArray[np.uint8] = np.array([_GROUP_OF.get(acid, STOP) for acid in GENETIC_CODE], dtype=np.uint8)
"""Amino acid group of a codon, uint8, shape (64,): codon b₁b₂b₃ at 16 b₁ + 4 b₂ + b₃."""

Codes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


def annotate(codes: Codes, starts: Ints, lengths: Ints) -> tuple[Codes, Ints]:
    """Lay segments out one after another, with their codon places.

    Of the open reading frames over a base, stop to stop or to the segment's end, the longest gives the
    place, if it has `MIN_ORF_CODONS`.

    Parameters
    ----------
    codes, starts, lengths
        Segments as in `genood.reference.genomes.Genomes`.

    Returns
    -------
    reference
        uint8, shape (N,): the segments, `END` between them, `PADDING` of it at both ends.
    offsets
        int64, shape (S,): where segment s starts in `reference`.
    """
    offsets = PADDING + np.cumsum(lengths + 1) - (lengths + 1)
    reference = np.full(2 * PADDING + int(lengths.sum()) + len(lengths), END, dtype=np.uint8)
    _annotate(codes, starts, lengths, offsets, reference, GROUPS, MIN_ORF_CODONS)
    return reference, offsets


def reference_codes(reference: Codes, offsets: Ints) -> tuple[Codes, Ints, Ints]:
    """Codes, starts and lengths of the segments that `annotate` was given."""
    ends = np.append(offsets[1:] - 1, len(reference) - PADDING - 1)
    lengths = ends - offsets
    codes = reference[reference < END] & np.uint8(3)
    return codes, np.cumsum(lengths) - lengths, lengths


@compiled_to_allocate
def _annotate(
    codes: Codes, starts: Ints, lengths: Ints, offsets: Ints, reference: Codes, groups: Codes, min_codons: int
) -> None:
    longest = np.zeros(lengths.max() if len(lengths) else 0, dtype=np.int32)
    for s in range(len(starts)):
        segment = codes[starts[s] : starts[s] + lengths[s]]
        length = len(segment)
        out = reference[offsets[s] : offsets[s] + length]
        for i in range(length):
            out[i] = segment[i]
            longest[i] = 0
        for frame in range(min(3, length)):
            for reverse in range(2):
                first = frame
                for i in range(frame, length + 3, 3):
                    ended = i + 3 > length
                    if not ended:
                        a, b, c = signed(segment[i]), signed(segment[i + 1]), signed(segment[i + 2])
                        codon = 63 - (16 * c + 4 * b + a) if reverse else 16 * a + 4 * b + c
                        if groups[codon] != STOP:
                            continue
                    num_codons = (i - first) // 3
                    if num_codons >= min_codons:
                        for j in range(first, i):
                            if longest[j] < num_codons:
                                longest[j] = num_codons
                                place = (6 - (j - first) % 3) if reverse else (1 + (j - first) % 3)
                                out[j] = segment[j] | (place << PLACE_SHIFT)
                    first = i + 3
                    if ended:
                        break
