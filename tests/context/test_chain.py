"""The chain fitted to a read, against counting in plain Python."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import markov_codes, uniform_codes

from genood.context.chain import read_chain
from genood.sequence import Codes, encode


def fitted(read: list[int], order: int) -> list[float]:
    """Log-probabilities of the bases of a read under its own chain of an order."""
    contexts = [tuple(read[t - order : t]) if t >= order else (4,) for t in range(len(read))]
    scored = [max(context, default=0) < 4 and base < 4 for context, base in zip(contexts, read, strict=True)]
    pairs = Counter(pair for pair, fine in zip(zip(contexts, read, strict=True), scored, strict=True) if fine)
    totals = Counter(context for context, fine in zip(contexts, scored, strict=True) if fine)
    return [
        math.log(pairs[context, base] / totals[context]) if fine else (-math.log(4) if base < 4 else 0.0)
        for context, base, fine in zip(contexts, read, scored, strict=True)
    ]


def reference(read: list[int]) -> list[float]:
    """Log-probabilities under the chain of the lowest BIC."""
    num_scored = max(1, sum(base < 4 for base in read))
    trials = [fitted(read, order) for order in range(4)]
    bics = [-2 * sum(trial) + 3 * 4**order * math.log(num_scored) for order, trial in enumerate(trials)]
    return trials[bics.index(min(bics))]


def order_of(read: Codes) -> list[int]:
    """The orders whose chain gives what was found."""
    found = read_chain(read[None], np.array([len(read)]))[0]
    trials = [fitted(read.tolist(), order) for order in range(4)]
    return [order for order, trial in enumerate(trials) if np.allclose(found, trial, atol=1e-5)]


@settings(deadline=None)
@given(st.lists(st.sampled_from([0, 1, 2, 3, 3, 3, 4]), min_size=1, max_size=300))
def test_equals_the_reference(read: list[int]) -> None:
    codes = np.array([read], dtype=np.uint8)
    np.testing.assert_allclose(read_chain(codes, np.array([len(read)]))[0], reference(read), atol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_longer_reads(seed: int) -> None:
    codes = np.stack([markov_codes(2000, seed, stay) for stay in (0.0, 0.2, 0.5, 0.9)])
    found = read_chain(codes, np.full(4, 2000))
    for row, read in zip(found, codes.tolist(), strict=True):
        np.testing.assert_allclose(row, reference(read), atol=1e-5)


def test_orders_that_are_chosen() -> None:
    assert order_of(uniform_codes(500, 1)) == [0]
    assert order_of(markov_codes(500, 1)) == [1]
    assert order_of(encode("AAAC" * 1000)) == [3]


def test_by_hand() -> None:
    """Three A and one C: the order is 0, as 12 ln 4 is a higher price than 3 ln 4."""
    found = read_chain(encode("AAAC")[None], np.array([4]))
    np.testing.assert_allclose(found[0], [math.log(0.75)] * 3 + [math.log(0.25)], rtol=1e-6)
    assert found.dtype == np.float32


def test_unknown_bases() -> None:
    """Within ACACAC... the base after N has no full context."""
    letters = "AC" * 30 + "N" + "CA" * 30
    found = read_chain(encode(letters)[None], np.array([121]))[0]
    expected = [0.0] * 121
    expected[0] = expected[61] = -math.log(4)
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_padding_and_reads_without_bases() -> None:
    codes = np.full((4, 50), 4, dtype=np.uint8)
    codes[0, :30] = markov_codes(30, 1)
    codes[1] = markov_codes(50, 2)
    codes[3, :20] = codes[0, :20]
    codes[3, 20:] = 1
    found = read_chain(codes, np.array([30, 50, 0, 20]))
    for row, length in ((0, 30), (1, 50), (3, 20)):
        np.testing.assert_allclose(found[row, :length], reference(codes[row, :length].tolist()), atol=1e-5)
        assert not found[row, length:].any()
    assert not found[2].any()
    assert not read_chain(np.full((1, 10), 4, dtype=np.uint8), np.array([10])).any()
    assert read_chain(np.empty((2, 0), dtype=np.uint8), np.array([0, 0])).shape == (2, 0)
