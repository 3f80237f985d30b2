"""Records as they were in the input, kept beside the reads for outputs that give them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain, compress
from typing import Any, Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Records:
    """The records of N reads, and maybe those between them that are no reads.

    Attributes
    ----------
    items
        In the order of the input: `dnaio.SequenceRecord` with the whole header line, the letters as they
        were and the qualities, if any; or `pysam.AlignedSegment`.
    rows
        int64, shape (N,), ascending: where among the items the record of each read is.
    header
        `pysam.AlignmentHeader` of the first alignment file among the inputs, where alignments are kept.
    keeps_others
        Whether records that are no reads, or are not taken, stay in their place, as alignments do.
    """

    items: list[Any]
    rows: npt.NDArray[np.int64]
    header: Any = None
    keeps_others: bool = False

    @classmethod
    def of_reads(cls, items: Sequence[Any]) -> Self:
        """Records each of which is a read."""
        return cls(items=list(items), rows=np.arange(len(items), dtype=np.int64))

    @classmethod
    def joined(cls, parts: Sequence[Records]) -> Self:
        """The records of several blocks, at least one."""
        starts = np.cumsum([0, *(len(part.items) for part in parts)])
        return cls(
            items=list(chain.from_iterable(part.items for part in parts)),
            rows=np.concatenate([part.rows + start for part, start in zip(parts, starts, strict=False)]),
            header=next((part.header for part in parts if part.header is not None), None),
            keeps_others=any(part.keeps_others for part in parts),
        )

    def ends(self) -> npt.NDArray[np.int64]:
        """Where the items of the first 0, 1, ... N reads end, int64, shape (N + 1,).

        Those between reads go with the next one, those after the last read with it.
        """
        ends = np.concatenate([np.zeros(1, dtype=np.int64), self.rows + 1])
        if len(self.rows):
            ends[-1] = len(self.items)
        return ends

    def part(self, start: int, stop: int) -> Records:
        """The records of the reads from `start` to before `stop`, and those that go with them."""
        if not len(self.rows):
            return self
        first, last = self.ends()[[start, stop]].tolist()
        return replace(self, items=self.items[first:last], rows=self.rows[start:stop] - first)

    def where(self, kept: npt.NDArray[np.bool_]) -> Records:
        """The records of the reads for which `kept`, bool of shape (N,), is true, and others that stay."""
        if self.keeps_others:
            return replace(self, rows=self.rows[kept])
        return replace(self, items=list(compress(self.items, kept)), rows=np.arange(int(kept.sum())))

    def interleaved(self, other: Records) -> Records:
        """The records of mates 1, which these are, and of mates 2, in turns; without others."""
        pairs = zip(self.reads(), other.reads(), strict=True)
        header = self.header if self.header is not None else other.header
        return replace(Records.of_reads(list(chain.from_iterable(pairs))), header=header)

    def reads(self) -> list[Any]:
        """The record of each read."""
        if len(self.rows) == len(self.items):
            return self.items
        return [self.items[row] for row in self.rows.tolist()]
