"""Windows of a stream of reads."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from toys import uniform_codes

from genood.intake.windowing import windows_of
from genood.readers import Read, blocks_of


def sizes(lengths: Sequence[int], *limits: int, first: Sequence[float] = ()) -> list[int]:
    reads = [Read(f"r{i}", uniform_codes(length, i)) for i, length in enumerate(lengths)]
    windows = list(windows_of(blocks_of(reads), *limits, first))
    assert [name for window in windows for name in window.names] == [read.name for read in reads]
    assert [n for window in windows for n in window.lengths.tolist()] == list(lengths)
    return [len(window.names) for window in windows]


@pytest.mark.parametrize("block_reads", [1, 3, 1_024])
def test_limits(block_reads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genood.readers.blocks.BLOCK_READS", block_reads)
    assert sizes([], 100, 4) == []
    assert sizes([10] * 9, 100, 4) == [4, 4, 1]
    assert sizes([10] * 9, 30, 4) == [3, 3, 3]
    assert sizes([500, 10, 10, 500, 10], 100, 4) == [1, 2, 1, 1]


@pytest.mark.parametrize("block_reads", [1, 3, 1_024])
def test_first_windows(block_reads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genood.readers.blocks.BLOCK_READS", block_reads)
    assert sizes([10] * 20, 1_000, 8, first=[0.25, 0.5]) == [2, 4, 8, 6]
    assert sizes([10] * 20, 80, 100, first=[0.25, 0.5]) == [2, 4, 8, 6]
    assert sizes([10] * 3, 1_000, 1, first=[0.25]) == [1, 1, 1]
