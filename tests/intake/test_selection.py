"""Reads by length, by number and by chance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from genood.errors import ConfigError
from genood.intake.selection import SelectionConfig, selected
from genood.readers import Read, ReadBlock

LENGTHS = [5, 9, 10, 11, 3, 20, 30, 10]


def blocks(size: int, lengths: list[int] = LENGTHS, *, mates: bool = False) -> Iterator[ReadBlock]:
    """Reads r0, r1, ... in blocks of a size; or pairs of the same name."""
    reads = [
        Read(f"r{i // 2 if mates else i}", np.full(length, i % 4, dtype=np.uint8), 1 + i % 2 if mates else 0)
        for i, length in enumerate(lengths)
    ]
    for start in range(0, len(reads), size):
        yield ReadBlock.of(reads[start : start + size])


def taken(
    stream: Iterator[ReadBlock], *, paired: bool = False, **options: Any
) -> tuple[list[str], Counter[str]]:
    skipped: Counter[str] = Counter()
    chosen = list(selected(stream, SelectionConfig(**options), paired=paired, skipped=skipped))
    assert all(block.names for block in chosen)
    for block in chosen:
        for read in block.reads():
            assert len(set(read.codes.tolist())) == 1
    return [name for block in chosen for name in block.names], skipped


@pytest.mark.parametrize("size", [1, 3, 8])
def test_all(size: int) -> None:
    assert taken(blocks(size)) == ([f"r{i}" for i in range(8)], {})


@pytest.mark.parametrize("size", [1, 3, 8])
def test_min_length(size: int) -> None:
    names, skipped = taken(blocks(size), min_length=10)
    assert names == ["r2", "r3", "r5", "r6", "r7"]
    assert skipped == {"shorter than --min-length": 3}


@pytest.mark.parametrize("size", [2, 4, 8])
def test_min_length_of_pairs(size: int) -> None:
    names, skipped = taken(blocks(size, mates=True), paired=True, min_length=10)
    assert names == ["r1", "r1", "r3", "r3"]
    assert skipped == {"shorter than --min-length": 4}
    names, skipped = taken(blocks(size, mates=True), min_length=10)
    assert names == ["r1", "r1", "r2", "r3", "r3"]
    assert skipped == {"shorter than --min-length": 3}


@pytest.mark.parametrize("size", [1, 3, 8])
@pytest.mark.parametrize("number", [1, 2, 3, 5, 8, 9])
def test_max_reads(size: int, number: int) -> None:
    assert taken(blocks(size), max_reads=number) == ([f"r{i}" for i in range(8)][:number], {})


@pytest.mark.parametrize("size", [2, 4, 8])
@pytest.mark.parametrize(("number", "pairs"), [(1, 0), (2, 1), (3, 1), (4, 2), (5, 2), (8, 4), (9, 4)])
def test_max_reads_cuts_no_pair(size: int, number: int, pairs: int) -> None:
    names, _ = taken(blocks(size, mates=True), paired=True, max_reads=number)
    assert names == [f"r{i // 2}" for i in range(2 * pairs)]


def test_max_reads_counts_those_taken() -> None:
    assert taken(blocks(3), min_length=10, max_reads=2)[0] == ["r2", "r3"]


def test_what_comes_after_the_last_read_is_not_read() -> None:
    def stream() -> Iterator[ReadBlock]:
        yield from blocks(8)
        raise AssertionError("read on")

    assert len(taken(stream(), max_reads=8)[0]) == 8


def sample(names: list[str], **options: Any) -> set[str]:
    reads = [Read(name, np.zeros(3, dtype=np.uint8)) for name in names]
    return set(taken(iter([ReadBlock.of(reads)]), **options)[0])


def test_sample_is_of_that_size_and_in_any_order_the_same() -> None:
    names = [f"read{i}" for i in range(10_000)]
    chosen = sample(names, sample_fraction=0.3)
    assert abs(len(chosen) - 3000) < 4 * np.sqrt(10_000 * 0.3 * 0.7)
    assert sample(names[::-1], sample_fraction=0.3) == chosen
    assert sample(names, sample_fraction=0.2) < chosen
    assert sample(names, sample_fraction=1.0) == set(names)
    other = sample(names, sample_fraction=0.3, seed=1)
    assert abs(len(chosen & other) - 900) < 4 * np.sqrt(10_000 * 0.09 * 0.91)


def test_sample_keeps_mates_together() -> None:
    names = [f"read{i}" for i in range(100)]
    chosen = sample(names, sample_fraction=0.5)
    assert sample([name + "/1" for name in names], sample_fraction=0.5) == {name + "/1" for name in chosen}
    assert sample([name + "/2" for name in names], sample_fraction=0.5) == {name + "/2" for name in chosen}


def test_sample_is_counted() -> None:
    _, skipped = taken(blocks(8), sample_fraction=1e-9)
    assert skipped == {"not sampled": 8}


@pytest.mark.parametrize(
    "options",
    [{"min_length": -1}, {"max_reads": 0}, {"sample_fraction": 0.0}, {"sample_fraction": 1.1}],
)
def test_senseless_selections(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        SelectionConfig(**options)  # type: ignore[arg-type]
