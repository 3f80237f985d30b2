"""The shuffle on disk."""

from __future__ import annotations

from collections import Counter
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chisquare

from data_prep.shuffle import BucketShuffle, num_buckets_for

DTYPE = np.dtype([("number", "i4"), ("codes", "u1", (3,))])


def records(numbers: list[int]) -> np.ndarray:
    made = np.zeros(len(numbers), dtype=DTYPE)
    made["number"] = numbers
    made["codes"] = np.array(numbers)[:, None] % 5
    return made


def test_all_orders_are_as_likely(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    orders: Counter[tuple[int, ...]] = Counter()
    for _ in range(2400):
        with BucketShuffle(tmp_path, 3) as shuffle:
            for numbers in ([0, 1], [2, 3]):
                shuffle.add(records(numbers), generator.integers(3, size=2))
            parts = list(shuffle.shuffled(DTYPE, generator))
        orders[tuple(np.concatenate(parts)["number"].tolist())] += 1
    assert set(orders) == set(permutations(range(4)))
    assert 0.001 < chisquare(list(orders.values())).pvalue < 0.999


def test_records_come_back_whole_and_files_go(tmp_path: Path) -> None:
    generator = np.random.default_rng(1)
    with BucketShuffle(tmp_path, 7) as shuffle:
        for start in range(0, 5000, 1000):
            numbers = list(range(start, start + 1000))
            shuffle.add(records(numbers), generator.integers(7, size=1000))
        parts = list(shuffle.shuffled(DTYPE, generator))
    together = np.concatenate(parts)
    assert len(parts) == 7
    assert (together["codes"] == together["number"][:, None] % 5).all()
    assert together["number"].tolist() != sorted(together["number"])
    assert sorted(together["number"]) == list(range(5000))
    assert list(tmp_path.iterdir()) == []


def test_what_is_empty_is_left_out(tmp_path: Path) -> None:
    generator = np.random.default_rng(2)
    with BucketShuffle(tmp_path, 4) as shuffle:
        shuffle.add(records([1, 2]), np.array([3, 3]))
        shuffle.add(records([]), np.array([], dtype=np.int64))
        assert [len(part) for part in shuffle.shuffled(DTYPE, generator)] == [2]


def test_files_go_when_the_block_fails(tmp_path: Path) -> None:
    def fail() -> None:
        with BucketShuffle(tmp_path, 4) as shuffle:
            shuffle.add(records([1]), np.array([0]))
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_number_of_buckets() -> None:
    numbers = [1, 65_536, 65_537, 6_000_000, 10**9]
    assert [num_buckets_for(number) for number in numbers] == [1, 1, 2, 92, 128]
