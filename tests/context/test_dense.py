"""The dense tables, by hand and against counting in plain Python."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import uniform_codes

from genood.context.dense import (
    NATS_PER_STEP,
    Counts,
    add_scaled,
    count,
    interpolate,
    lower_orders,
    mutated_counts,
    start_of,
    to_bytes,
)
from genood.context.genes import annotate
from genood.sequence import Codes, decode, encode, mutate, reverse_complement


def counted(order: int, *segments: Codes) -> Counts:
    lengths = np.array([len(segment) for segment in segments])
    reference, offsets = annotate(np.concatenate(segments), np.cumsum(lengths) - lengths, lengths)
    counts = np.zeros(4 ** (order + 1), dtype=np.float32)
    count(reference, offsets, lengths, order, counts)
    return counts


def by_word(counts: Counts, order: int) -> dict[str, float]:
    """Counts that are not zero, by the letters of the (order + 1)-mer."""
    return {
        "".join("ACGT"[i >> 2 * (order - j) & 3] for j in range(order + 1)): counts[i].item()
        for i in np.flatnonzero(counts).tolist()
    }


def test_counts_by_hand() -> None:
    """AACG and its reverse complement CGTT: AA, AC, CG and CG, GT, TT."""
    assert by_word(counted(1, encode("AACG")), 1) == {"AA": 1, "AC": 1, "CG": 2, "GT": 1, "TT": 1}
    assert by_word(counted(0, encode("AACG")), 0) == {"A": 2, "C": 2, "G": 2, "T": 2}
    assert by_word(counted(3, encode("AACG")), 3) == {"AACG": 1, "CGTT": 1}
    assert by_word(counted(4, encode("AACG")), 4) == {}


def test_segments_are_counted_apart() -> None:
    assert by_word(counted(1, encode("AA"), encode("C"), encode("CA")), 1) == {
        "AA": 1,
        "TT": 1,
        "CA": 1,
        "TG": 1,
    }


@pytest.mark.parametrize("order", [0, 2, 5])
def test_counts_of_both_strands(order: int) -> None:
    codes = uniform_codes(500, 1)
    expected: Counter[str] = Counter()
    for letters in (decode(codes), decode(reverse_complement(codes))):
        expected.update(letters[i : i + order + 1] for i in range(len(letters) - order))
    assert by_word(counted(order, codes), order) == expected


def test_counting_adds() -> None:
    total = np.array([1.0, 2.0], dtype=np.float32)
    add_scaled(total, np.array([4.0, 6.0], dtype=np.float32), 0.5)
    assert total.tolist() == [3.0, 5.0]


def test_mutated_counts_by_hand() -> None:
    """Of 100 A at 30 %, 70 stay and 10 become each of the others; of AC, each base for itself."""
    assert mutated_counts(np.array([100, 0, 0, 0], np.float32), 0.3).tolist() == pytest.approx(
        [70, 10, 10, 10]
    )
    pairs = np.zeros((4, 4), np.float32)
    pairs[0, 1] = 100
    by_base = np.array([[0.7, 0.1, 0.1, 0.1], [0.1, 0.7, 0.1, 0.1]])
    expected = 100 * np.outer(by_base[0], by_base[1])
    np.testing.assert_allclose(mutated_counts(pairs.ravel(), 0.3).reshape(4, 4), expected, rtol=1e-5)
    assert pairs.sum() == 100


def test_mutated_counts_are_those_of_mutated_genomes() -> None:
    """On average, over 200 draws of mutations of 200 bases."""
    codes, generator = uniform_codes(200, 1), np.random.default_rng(2)
    drawn = sum(counted(2, mutate(codes, 0.2, generator)) for _ in range(200)) / 200
    expected = mutated_counts(counted(2, codes), 0.2)
    assert abs(drawn - expected).max() < 0.7 < abs(expected - counted(2, codes)).max()


@pytest.mark.parametrize("rate", [0.0, 0.75, 1.0])
def test_mutated_counts_at_the_ends(rate: float) -> None:
    """Nothing changes; every base is as likely as any; none is what it was. None is less than 0."""
    counts = counted(1, uniform_codes(100, 3))
    mutated = mutated_counts(counts, rate)
    assert mutated.min() >= 0
    assert mutated.sum() == pytest.approx(counts.sum())
    if rate < 1:
        expected = counts if rate == 0 else np.full(16, counts.mean())
        np.testing.assert_allclose(mutated, expected, rtol=1e-5)
    else:
        assert mutated_counts(np.array([9, 0, 0, 0], np.float32), rate).tolist() == pytest.approx(
            [0, 3, 3, 3]
        )


def test_lower_orders() -> None:
    """Order 1 of a context of two bases: the sum over the older one."""
    counts = np.arange(64, dtype=np.float32)
    orders = lower_orders(counts, 2)
    assert [table.shape for table in orders] == [(1, 4), (4, 4), (16, 4)]
    assert orders[2].ravel().tolist() == counts.tolist()
    for context in range(4):
        for base in range(4):
            words = [16 * older + 4 * context + base for older in range(4)]
            assert orders[1][context, base] == sum(words)
    assert orders[0][0].tolist() == [sum(range(base, 64, 4)) for base in range(4)]


def test_interpolation_by_hand() -> None:
    orders: list[Counts] = [
        np.array([[6, 2, 0, 0]], dtype=np.float32),
        np.array([[3, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 4, 4]], dtype=np.float32),
    ]
    first, second = interpolate(orders, 4.0)
    order_0 = [7 / 12, 3 / 12, 1 / 12, 1 / 12]
    np.testing.assert_allclose(first, [order_0], rtol=1e-6)
    after_a = [(3 + 7 / 3) / 8, (1 + 1) / 8, (1 / 3) / 8, (1 / 3) / 8]
    after_t = [(7 / 3) / 12, 1 / 12, (4 + 1 / 3) / 12, (4 + 1 / 3) / 12]
    np.testing.assert_allclose(second, [after_a, order_0, order_0, after_t], rtol=1e-6)


def test_each_order_is_smoothed_towards_the_one_of_the_shorter_context() -> None:
    counts = lower_orders(counted(3, uniform_codes(100, 2)), 3)
    tables = interpolate(counts, 2.0)
    for order in range(1, 4):
        for context in range(4**order):
            below = tables[order - 1][context % 4 ** (order - 1)]
            here = counts[order][context]
            expected = (here + 2.0 * below) / (here.sum() + 2.0)
            np.testing.assert_allclose(tables[order][context], expected, rtol=1e-5)
    for table in tables:
        np.testing.assert_allclose(table.sum(axis=1), 1.0, rtol=1e-5)


@given(st.floats(np.exp(-7.98), 1.0))
def test_bytes(probability: float) -> None:
    byte = to_bytes(np.array([probability], dtype=np.float32))
    assert byte.dtype == np.uint8
    assert abs(-NATS_PER_STEP * byte[0] - np.log(probability)) < 1 / 64 + 1e-5


def test_bytes_by_hand() -> None:
    values = np.array([1.0, np.exp(-1), np.exp(-0.1), np.exp(-7.9), 1e-9], dtype=np.float32)
    assert to_bytes(values).tolist() == [0, 32, 3, 253, 255]
    assert NATS_PER_STEP == 1 / 32


def test_start_of() -> None:
    assert [start_of(order) for order in range(5)] == [0, 4, 4 + 16, 4 + 16 + 64, 4 + 16 + 64 + 256]
    assert start_of(12) == sum(4**order for order in range(1, 13))
