"""Codes, reverse complement and mutation."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from Bio.Seq import Seq
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from toys import uniform_codes

from genood.sequence import (
    UNKNOWN,
    Codes,
    decode,
    encode,
    encode_nucleotides,
    first_foreign_letter,
    known_runs,
    mutate,
    pad,
    reverse_complement,
)

any_codes = hnp.arrays(np.uint8, st.integers(0, 80), elements=st.integers(0, 4))


@pytest.mark.parametrize(
    ("letters", "codes"),
    [
        ("ACGT", [0, 1, 2, 3]),
        ("acgt", [0, 1, 2, 3]),
        ("Uu", [3, 3]),
        ("Nn", [4, 4]),
        ("RYSWKMBDHVX", [4] * 11),
        ("ryswkmbdhvx", [4] * 11),
        ("-.*", [4] * 3),
        ("@ \0é", [4] * 4),
        ("", []),
    ],
)
def test_encode_letters(letters: str, codes: list[int]) -> None:
    assert encode(letters).tolist() == codes
    assert encode(letters.encode("latin-1")).tolist() == codes


def test_encode_is_writable() -> None:
    codes = encode(b"ACGT")
    codes[0] = 3
    assert codes.dtype == np.uint8
    assert decode(codes) == "TCGT"


@pytest.mark.parametrize("letter", range(256))
def test_checked_encoding_is_the_same_but_for_foreign_letters(letter: int) -> None:
    letters = b"AC" + bytes([letter]) + b"GT"
    codes = encode_nucleotides(letters)
    assert (codes is None) == (first_foreign_letter(letters) is not None)
    if codes is not None:
        assert codes.tolist() == encode(letters).tolist()
        assert codes.flags.writeable


@given(any_codes)
def test_decode_then_encode(codes: Codes) -> None:
    assert encode(decode(codes)).tolist() == codes.tolist()


@given(st.text("ACGTN"))
def test_encode_then_decode(letters: str) -> None:
    assert decode(encode(letters)) == letters
    assert decode(encode(letters.lower())) == letters
    assert decode(encode(letters.replace("T", "U"))) == letters


@pytest.mark.parametrize(
    ("sequence", "foreign"),
    [
        (b"ACGTUNRYSWKMBDHVXacgtunryswkmbdhvx-.*", None),
        (b"", None),
        (b"ACGE", "E"),
        (b"AC GT", " "),
        (b"AC\xe9", "é"),
        (b"AJZ", "J"),
    ],
)
def test_foreign_letters(sequence: bytes, foreign: str | None) -> None:
    assert first_foreign_letter(sequence) == foreign


@given(st.text("ACGTN"))
def test_reverse_complement_agrees_with_biopython(letters: str) -> None:
    assert decode(reverse_complement(encode(letters))) == str(Seq(letters).reverse_complement())


@given(any_codes)
def test_reverse_complement_twice(codes: Codes) -> None:
    assert reverse_complement(reverse_complement(codes)).tolist() == codes.tolist()


def test_reverse_complement_of_a_batch() -> None:
    batch = np.array([[0, 0, 1, 4], [3, 2, 4, 1]], dtype=np.uint8)
    assert reverse_complement(batch).tolist() == [[4, 2, 3, 3], [2, 4, 1, 0]]


def test_mutate_rate() -> None:
    codes = uniform_codes(1_000_000, 1)
    hits = (mutate(codes, 0.1, 7) != codes).mean()
    assert hits == pytest.approx(0.1, abs=5 * np.sqrt(0.1 * 0.9 / 1e6))


@pytest.mark.parametrize(("substitute", "same", "other"), [("different", 0, 1 / 3), ("any", 1 / 4, 1 / 4)])
def test_mutate_draws_evenly(substitute: Literal["different", "any"], same: float, other: float) -> None:
    codes = uniform_codes(400_000, 1)
    counts = np.zeros((4, 4))
    np.add.at(counts, (codes, mutate(codes, 1.0, 7, substitute=substitute)), 1)
    shares = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.diag(shares), same, atol=0.01 * same)
    np.testing.assert_allclose(shares[~np.eye(4, dtype=bool)], other, atol=0.01)


def test_mutate_to_any_base_spares_a_quarter_of_the_hits() -> None:
    codes = uniform_codes(400_000, 1)
    changed = (mutate(codes, 0.4, 7, substitute="any") != codes).mean()
    assert changed == pytest.approx(0.3, abs=0.005)


@given(any_codes, st.floats(0, 1), st.integers(0, 2**32), st.sampled_from(["different", "any"]))
def test_mutate_any_input(
    codes: Codes, rate: float, seed: int, substitute: Literal["different", "any"]
) -> None:
    before = codes.copy()
    mutated = mutate(codes, rate, seed, substitute=substitute)
    assert mutated.dtype == np.uint8
    assert codes.tolist() == before.tolist()
    assert ((mutated == UNKNOWN) == (codes == UNKNOWN)).all()
    assert mutated.max(initial=0) <= UNKNOWN
    again = mutate(codes, rate, np.random.default_rng(seed), substitute=substitute)
    assert again.tolist() == mutated.tolist()


def test_mutate_at_rate_zero_and_one() -> None:
    codes = encode("ACGTNACGT" * 100)
    known = codes < UNKNOWN
    assert mutate(codes, 0.0, 1).tolist() == codes.tolist()
    assert (mutate(codes, 1.0, 1) != codes).tolist() == known.tolist()


def test_mutate_seeds_differ() -> None:
    codes = uniform_codes(1000, 1)
    assert (mutate(codes, 0.5, 1) != mutate(codes, 0.5, 2)).any()


def test_mutate_draws_each_row_of_a_batch_anew() -> None:
    batch = np.zeros((2, 1000), dtype=np.uint8)
    hit = mutate(batch, 0.5, 1) > 0
    assert (hit[0] & hit[1]).sum() == pytest.approx(250, abs=70)
    drawn = mutate(batch, 1.0, 1)
    assert (drawn[0] == drawn[1]).sum() == pytest.approx(333, abs=75)


@pytest.mark.parametrize("rate", [-0.01, 1.01, float("nan")])
def test_mutate_refuses_a_rate(rate: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        mutate(encode("ACGT"), rate, 1)


def test_mutate_refuses_a_substitute() -> None:
    with pytest.raises(ValueError, match="'different' or 'any'"):
        mutate(encode("ACGT"), 0.1, 1, substitute="other")  # type: ignore[arg-type]


def test_pad() -> None:
    codes, lengths = pad([encode("ACG"), encode(""), encode("T")])
    assert codes.dtype == np.uint8
    assert codes.tolist() == [[0, 1, 2], [4, 4, 4], [3, 4, 4]]
    assert lengths.tolist() == [3, 0, 1]
    assert pad([])[0].shape == (0, 0)


@pytest.mark.parametrize(
    ("letters", "min_length", "runs"),
    [
        ("ACGT", 1, [(0, 4)]),
        ("NACGTNNACN", 1, [(1, 5), (7, 9)]),
        ("NACGTNNACN", 2, [(1, 5), (7, 9)]),
        ("NACGTNNACN", 3, [(1, 5)]),
        ("NACGTNNACN", 4, [(1, 5)]),
        ("NACGTNNACN", 5, []),
        ("ANA", 0, [(0, 1), (2, 3)]),
        ("NNN", 0, []),
        ("", 1, []),
    ],
)
def test_known_runs(letters: str, min_length: int, runs: list[tuple[int, int]]) -> None:
    assert known_runs(encode(letters), min_length) == runs
