"""The alphabet: codes, reverse complement, mutation.

A sequence is a ``uint8`` array of codes: A C G T = 0 1 2 3, everything else (N, other IUPAC letters,
gaps) = 4. Lower case equals upper case and U equals T.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Codes = npt.NDArray[np.uint8]
"""Encoded sequence, uint8, one code (0 to 4) a base."""

BASES = "ACGT"
UNKNOWN = 4
"""The code of everything that is not A, C, G or T."""

_LETTERS = np.frombuffer(b"ACGTN", dtype=np.uint8)
_COMPLEMENT = np.array([3, 2, 1, 0, UNKNOWN], dtype=np.uint8)
_NUCLEOTIDE_LETTERS = b"ACGTUNRYSWKMBDHVXacgtunryswkmbdhvx-.*"
_FOREIGN = 255


def _make_encoding(foreign: int) -> bytes:
    """The code of each byte, that of foreign letters as given."""
    table = bytearray([foreign]) * 256
    for letter in _NUCLEOTIDE_LETTERS:
        table[letter] = UNKNOWN
    for letter, code in zip(b"ACGTUacgtu", [0, 1, 2, 3, 3] * 2, strict=True):
        table[letter] = code
    return bytes(table)


_ENCODING = _make_encoding(UNKNOWN)
_CHECKED_ENCODING = _make_encoding(_FOREIGN)


def encode(sequence: str | bytes) -> Codes:
    """Turn letters into codes.

    Parameters
    ----------
    sequence
        Nucleotide letters in any case. A letter that is none of A, C, G, T, U becomes 4;
        `first_foreign_letter` tells an IUPAC letter from garbage.

    Returns
    -------
    codes
        uint8, shape (L,), writable.
    """
    letters = sequence.encode("ascii", "replace") if isinstance(sequence, str) else sequence
    return np.frombuffer(bytearray(letters).translate(_ENCODING), dtype=np.uint8)


def encode_nucleotides(sequence: bytes) -> Codes | None:
    """As `encode`, or None if the sequence holds a letter that `first_foreign_letter` would find."""
    codes = bytearray(sequence).translate(_CHECKED_ENCODING)
    return None if _FOREIGN in codes else np.frombuffer(codes, dtype=np.uint8)


def decode(codes: Codes) -> str:
    """Turn codes, uint8 of shape (L,), into upper-case letters; 4 becomes N."""
    return _LETTERS[codes].tobytes().decode("ascii")


def first_foreign_letter(sequence: bytes) -> str | None:
    """The first character that no nucleotide sequence holds, or None if all are fine.

    Allowed are the IUPAC letters in any case, U, X, and the gap signs ``-``, ``.`` and ``*``.
    """
    foreign = sequence.translate(None, delete=_NUCLEOTIDE_LETTERS)
    return chr(foreign[0]) if foreign else None


def reverse_complement(codes: Codes) -> Codes:
    """Reverse the last axis of codes, uint8 of shape (..., L), and complement each base; 4 stays 4."""
    return _COMPLEMENT[codes[..., ::-1]]


def mutate(
    codes: Codes,
    rate: float,
    seed: int | np.random.Generator,
    *,
    substitute: Literal["different", "any"] = "different",
) -> Codes:
    """Substitute bases at random.

    Each A, C, G or T is hit independently with probability `rate`; a code of 4 is left alone.

    Parameters
    ----------
    codes
        uint8, any shape. Not changed.
    rate
        Mutation rate μ, from 0 to 1, in substitutions per base.
    seed
        A seed, or a generator to draw from.
    substitute
        ``"different"``: a hit base becomes one of the three others. ``"any"``: it becomes any of
        the four, so that a quarter of the hits change nothing.

    Returns
    -------
    mutated
        uint8, the shape of `codes`.

    Notes
    -----
    Source: Ren et al. 2019, section 4 and Algorithm 1. The paper's text and its released code
    substitute a different base, its Algorithm 1 draws from all four; the former is the default.
    """
    if not 0.0 <= rate <= 1.0:
        raise ValueError(f"mutation rate must lie between 0 and 1, not {rate}")
    if substitute not in ("different", "any"):
        raise ValueError(f"substitute must be 'different' or 'any', not {substitute!r}")
    generator = np.random.default_rng(seed)
    hit = (generator.random(codes.shape) < rate) & (codes < UNKNOWN)
    if substitute == "different":
        drawn = (codes + generator.integers(1, 4, size=codes.shape, dtype=np.uint8)) % 4
    else:
        drawn = generator.integers(0, 4, size=codes.shape, dtype=np.uint8)
    return np.where(hit, drawn, codes)


def pad(sequences: Sequence[Codes]) -> tuple[Codes, npt.NDArray[np.int64]]:
    """Stack B sequences of any lengths into one batch.

    Returns
    -------
    codes
        uint8, shape (B, L) with L the longest length, padded on the right with 4.
    lengths
        int64, shape (B,).
    """
    lengths = np.array([len(sequence) for sequence in sequences], dtype=np.int64)
    codes = np.full((len(sequences), int(lengths.max(initial=0))), UNKNOWN, dtype=np.uint8)
    for row, sequence in zip(codes, sequences, strict=True):
        row[: len(sequence)] = sequence
    return codes, lengths


def known_runs(codes: Codes, min_length: int) -> list[tuple[int, int]]:
    """Maximal stretches without a code of 4, as (start, stop), of at least `min_length` bases."""
    breaks = np.flatnonzero(codes == UNKNOWN)
    starts = np.concatenate(([0], breaks + 1))
    stops = np.concatenate((breaks, [len(codes)]))
    long_enough = stops - starts >= max(min_length, 1)
    return list(zip(starts[long_enough].tolist(), stops[long_enough].tolist(), strict=True))
