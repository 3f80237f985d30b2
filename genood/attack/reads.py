"""The reads that are attacked and those whose place they are to take."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import numpy as np
from dnaio import SequenceRecord

from genood.errors import InputError
from genood.readers import STDIN, ReaderConfig, read_blocks
from genood.sequence import UNKNOWN, Codes, decode

_DEFAULT = ReaderConfig()


@dataclass(frozen=True, kw_only=True, eq=False)
class AttackRead:
    """A read, or a piece of a longer sequence.

    Attributes
    ----------
    name
        Of a piece with its place, from 1: ``name:251-500``.
    codes
        uint8, shape (L,).
    letters, qualities
        As they were in the input; no qualities where it had none.
    """

    name: str
    codes: Codes
    letters: str
    qualities: str | None = None


def sampled_reads(
    paths: Sequence[str],
    *,
    length: int,
    max_reads: int,
    seed: tuple[int, int],
    reader: ReaderConfig = _DEFAULT,
) -> list[AttackRead]:
    """A uniform sample of the reads of some files, in their order.

    Parameters
    ----------
    paths
        See `read_file`.
    length
        Longer sequences are cut into reads of so many bases; what is left at their end is not taken.
    max_reads
        So many at most.
    seed
        Of the sample.
    reader
        How to read them.

    Returns
    -------
    reads
        Each with at least one known base.

    Raises
    ------
    InputError
        As `read_blocks`; or there is no such read.
    """
    generator = np.random.default_rng(seed)
    # The reads with the smallest numbers stay, those with the largest of these on top.
    kept: list[tuple[float, int, AttackRead]] = []
    for number, read in enumerate(_cut_reads(paths, length, reader)):
        draw = generator.random()
        if len(kept) < max_reads:
            heapq.heappush(kept, (-draw, number, read))
        elif draw < -kept[0][0]:
            heapq.heapreplace(kept, (-draw, number, read))
    if not kept:
        raise InputError(_shown(paths), "there is no read with a known base")
    return [read for _, _, read in sorted(kept, key=lambda item: item[1])]


def random_reads(num_reads: int, length: int, seed: tuple[int, int]) -> list[AttackRead]:
    """Reads of bases drawn independently and uniformly."""
    codes = np.random.default_rng(seed).integers(0, 4, (num_reads, length), dtype=np.uint8)
    return [
        AttackRead(name=f"random-{number}", codes=row, letters=decode(row))
        for number, row in enumerate(codes, 1)
    ]


def _cut_reads(paths: Sequence[str], length: int, reader: ReaderConfig) -> Iterator[AttackRead]:
    skipped: Counter[str] = Counter()
    config = ReaderConfig(reference=reader.reference, min_quality=reader.min_quality, keep_records="reads")
    with closing(read_blocks(paths, config=config, skipped=skipped)) as blocks:
        for block in blocks:
            assert block.records is not None
            for read, record in zip(block.reads(), block.records.reads(), strict=True):
                yield from _pieces(read.name, read.codes, _as_text(record), length)


def _pieces(name: str, codes: Codes, record: SequenceRecord, length: int) -> Iterator[AttackRead]:
    last_start = max(0, len(codes) - length)
    for start in range(0, last_start + 1, length):
        piece = slice(start, start + length)
        if (codes[piece] < UNKNOWN).any():
            yield AttackRead(
                name=f"{name}:{start + 1}-{start + length}" if last_start else name,
                # A copy, as the sample would else keep whole blocks in memory.
                codes=codes[piece].copy(),
                letters=record.sequence[piece],
                qualities=None if record.qualities is None else record.qualities[piece],
            )


def _as_text(record: Any) -> SequenceRecord:
    """The record itself, or an alignment's as it was sequenced."""
    if isinstance(record, SequenceRecord):
        return record
    from genood.readers.alignments import as_sequenced

    return as_sequenced(record)


def _shown(paths: Sequence[str]) -> str:
    if len(paths) > 1:
        return f"the {len(paths)} files"
    return paths[0] if paths else STDIN
