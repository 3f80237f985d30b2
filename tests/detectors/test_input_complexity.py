"""The likelihood against the code length, by hand."""

from __future__ import annotations

import lzma
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toy_batches import likelihood_batch
from toys import uniform_codes

from genood.detectors.base import ScoreBatch
from genood.detectors.input_complexity import InputComplexity, code_length
from genood.sequence import encode


def test_by_hand(hand_batch: ScoreBatch) -> None:
    # −log2 (1/2 · 1/4 · 1/8) = 6 bits over 3 bases. They fill one byte; DEFLATE writes 3 bits of a block's
    # header, 8 of the byte and 7 of the block's end in 3 bytes, and 2 bytes for nothing: a code of 1 byte.
    assert InputComplexity().score(hand_batch)[0] == pytest.approx((6 - 8) / 3)


def test_no_code_is_much_longer_than_the_bases() -> None:
    """What cannot be compressed is stored: two bits a base and at most three bytes of header."""
    for num_bases in (1, 40, 250, 1000):
        assert 2 * num_bases <= code_length(uniform_codes(num_bases, 1)) <= 2 * num_bases + 6 + 3 * 8


@pytest.mark.parametrize("unit", ["A", "AC", "ACG", "ACGTT", "ACGTTGC"])
def test_repeats_are_simple(unit: str) -> None:
    """Of any period, also one that does not fit into bytes."""
    repeats = encode((unit * 250)[:250])
    assert code_length(repeats) < 0.3 * code_length(uniform_codes(250, 2))


def test_simple_reads_are_ood_at_the_same_likelihood() -> None:
    codes = np.stack([encode("AC" * 125), uniform_codes(250, 3)])
    batch = likelihood_batch(np.full((2, 250), -1.3), np.zeros((2, 250)), codes)
    simple, complicated = InputComplexity().score(batch)
    assert simple > complicated


@given(st.lists(st.sampled_from([0, 1, 2, 3]), max_size=60))
def test_is_the_smallest_of_three(bases: list[int]) -> None:
    codes = np.array(bases, dtype=np.uint8)
    padded = bases + [0] * (-len(bases) % 4)
    packed = bytes(
        padded[i] << 6 | padded[i + 1] << 4 | padded[i + 2] << 2 | padded[i + 3]
        for i in range(0, len(padded), 4)
    )
    filters = [{"id": lzma.FILTER_LZMA1, "dict_size": 2**16, "lc": 0, "lp": 0, "pb": 0}]
    lengths = [
        # zlib's own header and checksum are 6 bytes, and no input makes 2 bytes more.
        len(zlib.compress(packed)) - 8,
        len(zlib.compress(bytes(bases))) - 8,
        len(lzma.compress(packed, lzma.FORMAT_RAW, filters=filters))
        - len(lzma.compress(b"", lzma.FORMAT_RAW, filters=filters)),
    ]
    assert code_length(codes) == 8 * min(lengths)
