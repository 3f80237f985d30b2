"""Windows of a stream of reads: so much as is scored, and kept in memory, at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat

import numpy as np
import numpy.typing as npt

from genood.intake.pairs import cuts_pair
from genood.readers import ReadBlock


def windows_of(
    blocks: Iterable[ReadBlock], most_bases: int, most_reads: int, first: Sequence[float] = ()
) -> Iterator[ReadBlock]:
    """The same reads in other blocks, which do not depend on how the given ones are cut.

    Parameters
    ----------
    blocks
        The reads, with their records or without.
    most_bases, most_reads
        What a window holds at most, though at least one read or pair; no window cuts a pair. Records
        that are kept count as reads.
    first
        Shares of it that the first windows hold at most.
    """
    shares = chain(first, repeat(1.0))
    parts: list[ReadBlock] = []
    num_bases = num_reads = 0
    share = next(shares)
    for block in blocks:
        if not block.names:  # records that are no reads
            assert block.records is not None
            parts.append(block)
            num_reads += len(block.records.items)
            if num_reads >= share * most_reads:
                yield ReadBlock.joined(parts)
                parts, num_bases, num_reads = [], 0, 0
                share = next(shares)
            continue
        bases = np.concatenate([[0], np.cumsum(block.lengths)])
        reads = np.arange(len(bases)) if block.records is None else block.records.ends()
        start = 0
        while start < len(block.names):
            stop = min(
                _last_within(bases, start, int(share * most_bases) - num_bases),
                _last_within(reads, start, int(share * most_reads) - num_reads),
            )
            stop -= cuts_pair(block.names, block.mates, stop)
            if parts and stop <= start:
                yield ReadBlock.joined(parts)
                parts, num_bases, num_reads = [], 0, 0
                share = next(shares)
                continue
            stop = max(stop, start + 1)
            stop += cuts_pair(block.names, block.mates, stop)
            parts.append(block.part(start, stop))
            num_bases += int(bases[stop] - bases[start])
            num_reads += int(reads[stop] - reads[start])
            start = stop
    if parts:
        yield ReadBlock.joined(parts)


def _last_within(counts_before: npt.NDArray[np.int64], start: int, most: int) -> int:
    """The last read before which no more than `most` is counted from the read `start` on."""
    return int(np.searchsorted(counts_before, counts_before[start] + most, side="right")) - 1
