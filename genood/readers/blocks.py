"""Reads, and blocks of them: how reads travel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress, islice
from typing import NamedTuple, Self, TypeVar

import numpy as np
import numpy.typing as npt

from genood.readers.records import Records
from genood.sequence import Codes

T = TypeVar("T")

BLOCK_BASES = 131_072
BLOCK_READS = 1_024


class Read(NamedTuple):
    """One sequence to score, or one record of a genome.

    Attributes
    ----------
    name
        The record's name up to the first white space.
    codes
        uint8, shape (L,), L at least 1.
    mate
        0 for an unpaired read, else 1 or 2.
    """

    name: str
    codes: Codes
    mate: int = 0


@dataclass(frozen=True, kw_only=True)
class ReadBlock:
    """N reads, their codes one after the other: what many reads are handled as.

    Attributes
    ----------
    names, mates
        Of each read, see `Read`.
    lengths
        int64, shape (N,), in bases, at least 1.
    codes
        uint8, as long as the lengths together.
    records
        What the reads were in the input; None where that was not asked for.
    from_alignments
        Whether they are of an alignment file, whose flags say which mate a read is.
    """

    names: list[str]
    mates: list[int]
    lengths: npt.NDArray[np.int64]
    codes: Codes
    records: Records | None = None
    from_alignments: bool = False

    @classmethod
    def of(cls, reads: Sequence[Read]) -> Self:
        """A block of reads, at least one."""
        return cls(
            names=[read.name for read in reads],
            mates=[read.mate for read in reads],
            lengths=np.array([len(read.codes) for read in reads], dtype=np.int64),
            codes=np.concatenate([read.codes for read in reads]),
        )

    @classmethod
    def joined(cls, blocks: Sequence[ReadBlock]) -> Self:
        """The reads of several blocks, at least one."""
        return cls(
            names=list(chain.from_iterable(block.names for block in blocks)),
            mates=list(chain.from_iterable(block.mates for block in blocks)),
            lengths=np.concatenate([block.lengths for block in blocks]),
            codes=np.concatenate([block.codes for block in blocks]),
            records=_joined_records(blocks),
            from_alignments=all(block.from_alignments for block in blocks),
        )

    def part(self, start: int, stop: int) -> ReadBlock:
        """The reads from `start` to before `stop`; the arrays are shared."""
        first = int(self.lengths[:start].sum())
        last = first + int(self.lengths[start:stop].sum())
        return ReadBlock(
            names=self.names[start:stop],
            mates=self.mates[start:stop],
            lengths=self.lengths[start:stop],
            codes=self.codes[first:last],
            records=None if self.records is None else self.records.part(start, stop),
            from_alignments=self.from_alignments,
        )

    def where(self, kept: npt.NDArray[np.bool_]) -> ReadBlock:
        """The reads for which `kept`, bool of shape (N,), is true."""
        return ReadBlock(
            names=list(compress(self.names, kept)),
            mates=list(compress(self.mates, kept)),
            lengths=self.lengths[kept],
            codes=self.codes[np.repeat(kept, self.lengths)],
            records=None if self.records is None else self.records.where(kept),
            from_alignments=self.from_alignments,
        )

    @property
    def is_empty(self) -> bool:
        """Whether there is neither a read nor anything else to pass on."""
        return not self.names and (self.records is None or not self.records.keeps_others)

    def sequences(self) -> list[Codes]:
        """The codes of each read, uint8, shape (L,); they share the memory of the block."""
        stops = np.cumsum(self.lengths)
        return [
            self.codes[start:stop]
            for start, stop in zip((stops - self.lengths).tolist(), stops.tolist(), strict=True)
        ]

    def reads(self) -> Iterator[Read]:
        """The reads one by one."""
        return map(Read, self.names, self.sequences(), self.mates)


def _joined_records(blocks: Sequence[ReadBlock]) -> Records | None:
    kept = [block.records for block in blocks if block.records is not None]
    return Records.joined(kept) if kept else None


def blocks_of(reads: Iterable[Read]) -> Iterator[ReadBlock]:
    """The same reads in blocks; those before a failure of `reads` come before it is raised."""
    return map(ReadBlock.of, grouped(reads, lambda read: len(read.codes)))


def grouped(items: Iterable[T], num_bases: Callable[[T], int], *, at_once: int = 1) -> Iterator[list[T]]:
    """Lists of items, each worth a block; those before a failure of `items` come before it is raised.

    Items are taken so many at once, and then looked at: more is faster, and may be as many too many.
    """
    group: list[T] = []
    num_bases_of_group = 0
    source = iter(items)
    is_over = False
    try:
        while not is_over:
            before = len(group)
            # If the source fails, what came before that is in the list.
            group.extend(islice(source, min(at_once, BLOCK_READS - before)))
            is_over = len(group) == before
            num_bases_of_group += sum(map(num_bases, group[before:]))
            if num_bases_of_group >= BLOCK_BASES or len(group) == BLOCK_READS:
                yield group
                group, num_bases_of_group = [], 0
    except Exception:
        if group:
            yield group
        raise
    if group:
        yield group
