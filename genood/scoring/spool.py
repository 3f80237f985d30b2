"""Scores that wait on disk until all of a run are known."""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from itertools import islice
from types import TracebackType
from typing import IO, Any, Self

import pysam

from genood.engine import ScoredReads
from genood.errors import GenoodError
from genood.writers.headers import CommonHeader

_LITTLE_COMPRESSION = [b"level=1"]


class ScoreSpool:
    """Windows of scored reads in temporary files, which have no names and are gone however the program ends.

    Written first, then read once; to be used as a context. Per-position values are not kept.

    Raises
    ------
    GenoodError
        From all methods: a temporary file cannot be written.
    """

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._num_windows = 0
        self._alignments: _AlignmentSpool | None = None

    def __enter__(self) -> Self:
        with _named_errors():
            self._file: IO[bytes] = self._stack.enter_context(tempfile.TemporaryFile(prefix="genood-"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def write(self, scored: ScoredReads) -> None:
        """Append a window."""
        with _named_errors():
            pickle.dump(self._packed(scored), self._file, pickle.HIGHEST_PROTOCOL)
        self._num_windows += 1

    def read(self) -> Iterator[ScoredReads]:
        """All windows, as they were; nothing can be written any more."""
        with _named_errors():
            self._file.seek(0)
            if self._alignments is not None:
                self._alignments.rewind()
        for _ in range(self._num_windows):
            # Of this process's own making, in a file without a name.
            yield self._unpacked(pickle.load(self._file))

    def _packed(self, scored: ScoredReads) -> ScoredReads:
        """The window without what pickle does not take: the alignments, which go to a file of their own."""
        records = scored.records
        if records is None or records.header is None:
            return replace(scored, positions=None)
        if self._alignments is None:
            self._alignments = self._stack.enter_context(_AlignmentSpool(records.header))
        items: list[Any] = []
        for item in records.items:
            is_alignment = isinstance(item, pysam.AlignedSegment)
            if is_alignment:
                self._alignments.write(item)
            items.append(None if is_alignment else item)
        return replace(scored, positions=None, records=replace(records, items=items, header=None))

    def _unpacked(self, scored: ScoredReads) -> ScoredReads:
        if scored.records is None or self._alignments is None:
            return scored
        alignments = self._alignments.read(sum(item is None for item in scored.records.items))
        items = [next(alignments) if item is None else item for item in scored.records.items]
        records = replace(scored.records, items=items, header=self._alignments.header)
        return replace(scored, records=records)


class _AlignmentSpool:
    """Alignments in a temporary BAM file."""

    def __init__(self, header: pysam.AlignmentHeader) -> None:
        self._headers = CommonHeader()
        self._headers.add(header)
        self.header = header
        self._file = tempfile.TemporaryFile(prefix="genood-")  # noqa: SIM115
        self._bam: Any = pysam.AlignmentFile(
            self._file,
            "wb",
            header=header,
            format_options=_LITTLE_COMPRESSION,  # type: ignore[arg-type]
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError), _silent():
            self._bam.close()
        self._file.close()

    def write(self, alignment: pysam.AlignedSegment) -> None:
        self._headers.add(alignment.header)
        self._bam.write(alignment)

    def rewind(self) -> None:
        self._bam.close()
        self._file.seek(0)
        self._bam = pysam.AlignmentFile(self._file, "rb", check_sq=False)
        self.header = self._bam.header

    def read(self, number: int) -> Iterator[pysam.AlignedSegment]:
        return islice(self._bam.fetch(until_eof=True), number)


@contextmanager
def _silent() -> Iterator[None]:
    """Keep htslib from printing what it fails with."""
    verbosity = pysam.set_verbosity(0)
    try:
        yield
    finally:
        pysam.set_verbosity(verbosity)


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        with _silent():
            yield
    except OSError as error:
        raise GenoodError(
            f"{tempfile.gettempdir()}: cannot hold the scores until all are known "
            f"({error.strerror or error}); name a directory with more room in TMPDIR"
        ) from error
