"""Records of SAM, BAM and CRAM, parsed by htslib, as they were sequenced."""

from __future__ import annotations

import io
import os
import select
import sys
import threading
from array import array
from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, Literal, NamedTuple

import dnaio
import numpy as np
import pysam

from genood.errors import InputError
from genood.overlap import ahead
from genood.readers.blocks import grouped
from genood.readers.records import Records
from genood.readers.streams import BGZF_END

SKIPPED_FLAGS = {
    pysam.FSECONDARY: "secondary",
    pysam.FSUPPLEMENTARY: "supplementary",
    pysam.FQCFAIL: "failed quality control",
}
"""Records with these flags are no reads of their own, or bad ones."""
WITHOUT_SEQUENCE = "without sequence"

_SKIPPED = sum(SKIPPED_FLAGS)
_CRAM_ENDS = (
    bytes.fromhex("0b000000ffffffff0fe0454f460000000001000001000606010001000100"),
    bytes.fromhex("0f000000ffffffff0fe0454f4600000000010005bdd94f0001000606010001000100ee63014b"),
)
"""The containers that end a CRAM file, of version 2.1 and from 3.0 on; earlier ones have none."""
_END_BYTES = max(map(len, _CRAM_ENDS))
_CHUNK_BYTES = 65_536
_PAUSE_MILLISECONDS = 100
_STOP_SECONDS = 1.0
_TO_TEXT = bytes(min(phred, 93) + 33 for phred in range(256))


class AlignedRead(NamedTuple):
    """A read.

    Attributes
    ----------
    record
        Name, sequence and maybe qualities, as sequenced.
    number
        Of its record in the file, from 1.
    mate
        0, or 1 or 2 by the flags.
    alignment
        What it was made from, where that is kept.
    """

    record: dnaio.SequenceRecord
    number: int
    mate: int
    alignment: pysam.AlignedSegment | None = None


Item = AlignedRead | pysam.AlignedSegment
"""A read, or a record that is none."""


class AlignedReads(NamedTuple):
    """Reads worth a block, their records where those are kept, and what was left out among them.

    Attributes
    ----------
    reads
        In the order of the file.
    kept
        All records of the file up to the last read, or those of the reads; or None.
    skipped
        Records left out since the group before, by reason.
    """

    reads: list[AlignedRead]
    kept: Records | None
    skipped: Counter[str]


class Alignments:
    """The reads of an alignment file.

    Parameters
    ----------
    path
        The file's name, for errors.
    stream
        Its content from the start, in one of the formats that htslib knows.
    reference
        FASTA file of the genome that a CRAM file was made with.
    with_qualities
        Whether to convert base qualities.
    keep
        Which records to keep, see `ReaderConfig.keep_records`.
    """

    def __init__(
        self,
        path: str,
        stream: io.BufferedReader,
        *,
        reference: str | None = None,
        with_qualities: bool = False,
        keep: Literal["reads", "all"] | None = None,
    ) -> None:
        self._path = path
        self._stream = stream
        self._reference = reference
        self._with_qualities = with_qualities
        self._keep = keep
        self._header: Any = None
        self._skipped: Counter[str] = Counter()

    def groups(self) -> Generator[AlignedReads, None, None]:
        """The reads in lists, each worth a block; those before a failure come before it is raised.

        Where all records are kept, a list may be without reads, and there is one even for a file without
        records, for its header. So may the last one be, of what was left out at the end.

        They are parsed in a thread, as htslib's waiting for input cannot be interrupted, and waiting for
        the thread can.

        Raises
        ------
        InputError
            The file is truncated or corrupt, or a CRAM file lacks its reference. The reads before
            come first.
        """
        feed = _Feed(self._stream)
        parsed = ahead(self._groups(feed))
        try:
            # Not `yield from`, which would close `parsed` before the feed has ended, for which it waits.
            for group in parsed:  # noqa: UP028
                yield group
        finally:
            feed.end()
            parsed.close()
            feed.close()

    def _groups(self, feed: _Feed) -> Iterator[AlignedReads]:
        is_header_due = self._keep == "all"
        for items in grouped(self._items(feed), _num_bases):
            reads = [item for item in items if isinstance(item, AlignedRead)]
            kept = None if self._keep is None else self._records(items, reads)
            yield AlignedReads(reads, kept, self._newly_skipped())
            is_header_due = False
        if is_header_due or self._skipped:
            kept = self._records([], []) if self._keep == "all" else None
            yield AlignedReads([], kept, self._newly_skipped())

    def _newly_skipped(self) -> Counter[str]:
        """Records left out since this was asked for last."""
        skipped, self._skipped = self._skipped, Counter()
        return skipped

    def _records(self, items: Sequence[Item], reads: Sequence[AlignedRead]) -> Records:
        if self._keep == "reads":
            return Records.of_reads([with_mate_number(read.record, read.mate) for read in reads])
        return Records(
            items=[item.alignment if isinstance(item, AlignedRead) else item for item in items],
            rows=np.array(
                [row for row, item in enumerate(items) if isinstance(item, AlignedRead)], dtype=np.int64
            ),
            header=self._header,
            keeps_others=True,
        )

    def _items(self, feed: _Feed) -> Iterator[Item]:
        """The reads, and where all are kept the other records too."""
        verbosity = pysam.set_verbosity(0)  # else htslib prints errors too
        keeps = self._keep == "all"
        number = 0
        try:
            with self._opened(feed) as alignments:
                self._header = alignments.header
                for number, alignment in enumerate(alignments.fetch(until_eof=True), start=1):
                    reason = _reason_to_skip(alignment)
                    if reason is None:
                        record = self._record_of(alignment, number)
                        yield AlignedRead(record, number, mate_of(alignment), alignment if keeps else None)
                        continue
                    self._skipped[reason] += 1
                    if keeps:
                        yield alignment
        except (OSError, ValueError, RuntimeError) as error:
            raise self._failure(feed, number, error) from error
        finally:
            pysam.set_verbosity(verbosity)
        if feed.error is not None or feed.is_cut_short():
            raise self._failure(feed, number, feed.error)

    @contextmanager
    def _opened(self, feed: _Feed) -> Iterator[Any]:
        with _failed_closing_ignored():
            alignments = pysam.AlignmentFile(  # type: ignore[call-arg]
                feed.output, "r", check_sq=False, check_header=False, reference_filename=self._reference
            )
        try:
            yield alignments
        except BaseException:
            with suppress(OSError):  # of the same cause
                alignments.close()
            raise
        alignments.close()  # which tells of what reading has not

    def _record_of(self, alignment: pysam.AlignedSegment, number: int) -> dnaio.SequenceRecord:
        try:
            return as_sequenced(alignment, with_qualities=self._with_qualities)
        except ValueError as error:
            raise InputError(self._path, f"is not text: {error}", record=number) from error

    def _failure(self, feed: _Feed, number: int, error: Exception | None) -> Exception:
        if feed.error is not None:
            return feed.error  # of the system, or of the decompression: named where those are
        state = f"the {feed.format} file is truncated or corrupt, after {number} complete records"
        if feed.format == "CRAM" and not feed.is_cut_short():
            if self._reference is None:
                hint = "or its reference genome is missing: give it with --reference FASTA"
            else:
                hint = f"or {self._reference} is not the genome it was made with"
            return InputError(self._path, f"{state}, {hint}")
        cause = f" ({' '.join(str(error).split())})" if error is not None else ""
        return InputError(self._path, f"{state}{cause}; fetch it again")


def _reason_to_skip(alignment: pysam.AlignedSegment) -> str | None:
    flag = alignment.flag
    if flag & _SKIPPED:
        return next(reason for bit, reason in SKIPPED_FLAGS.items() if flag & bit)
    return None if alignment.query_length else WITHOUT_SEQUENCE


def _num_bases(item: Item) -> int:
    return len(item.record) if isinstance(item, AlignedRead) else item.query_length


def as_sequenced(alignment: pysam.AlignedSegment, *, with_qualities: bool = True) -> dnaio.SequenceRecord:
    """Name, sequence and maybe qualities of an alignment before it was turned to fit the reference.

    Raises
    ------
    ValueError
        The name is not ASCII.
    """
    has_qualities = with_qualities and alignment.query_qualities is not None
    qualities = alignment.get_forward_qualities() if has_qualities else None
    text = None if qualities is None else array("B", qualities).tobytes().translate(_TO_TEXT).decode()
    return dnaio.SequenceRecord(alignment.query_name or "", alignment.get_forward_sequence() or "", text)


def with_mate_number(record: dnaio.SequenceRecord, mate: int) -> dnaio.SequenceRecord:
    """The record named ``/1`` or ``/2`` at its end, where it is a mate and was not."""
    suffix = f"/{mate}"
    if not mate or record.name.endswith(suffix):
        return record
    return dnaio.SequenceRecord(record.name + suffix, record.sequence, record.qualities)


def mate_of(alignment: pysam.AlignedSegment) -> int:
    """1 or 2; 0 where the flags say neither, or both, as of a read in the middle of a template."""
    flag = alignment.flag
    if not flag & pysam.FPAIRED:
        return 0
    is_first, is_last = bool(flag & pysam.FREAD1), bool(flag & pysam.FREAD2)
    return 0 if is_first == is_last else 1 if is_first else 2


@contextmanager
def _failed_closing_ignored() -> Iterator[None]:
    """Keep Python from printing that a file whose header could not be read could not be closed either."""
    hook = sys.unraisablehook
    sys.unraisablehook = lambda error: None if isinstance(error.exc_value, OSError) else hook(error)
    try:
        yield
    finally:
        sys.unraisablehook = hook


class _Feed:
    """A thread that hands a stream to htslib, which reads from descriptors only, through a pipe.

    What has been looked at of a pipe, to know its format, cannot be put back into it. And the feed sees
    the end of the stream, where htslib does not look for the mark of a whole file if it cannot seek.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self.error: Exception | None = None
        self._stream = stream
        self._start = stream.peek(4)
        self._end = b""
        self._is_started = False
        self._is_done = False
        self._is_closed = False
        self._closing = threading.Lock()
        self._stopped = threading.Event()
        self.output, self._input = os.pipe()
        os.set_blocking(self._input, False)
        self._thread = threading.Thread(target=self._run, name="alignments", daemon=True)
        self._thread.start()

    @property
    def format(self) -> str:
        if self._start.startswith(b"CRAM"):
            return "CRAM"
        return "SAM" if self._start.startswith(b"@") else "BAM"

    def is_cut_short(self) -> bool:
        """Whether all has been handed over and lacks the mark of a whole file."""
        if not self._is_done:
            return False
        if self._start.startswith(b"CRAM"):
            return self._start[4:6] > b"\2\0" and not self._end.endswith(_CRAM_ENDS)
        return self._start.startswith(BGZF_END[:4]) and not self._end.endswith(BGZF_END)

    def end(self) -> None:
        """Hand over no more: htslib finds the end of the pipe."""
        self._stopped.set()
        self._thread.join(_STOP_SECONDS)
        self._close_input()  # even if a decompressor waits for standard input, which nothing can end

    def close(self) -> None:
        """Close the pipe, once htslib is done with it."""
        os.close(self.output)

    def _run(self) -> None:
        try:
            while not self._stopped.is_set():
                chunk = self._read()
                if chunk is None:
                    continue
                if not chunk:
                    self._is_done = True
                    return
                self._end = (self._end + chunk)[-_END_BYTES:]
                self._write(chunk)
        except BrokenPipeError:
            pass  # htslib has given up, and says so
        except Exception as error:
            self.error = error
        finally:
            self._close_input()

    def _close_input(self) -> None:
        with self._closing:
            if not self._is_closed:
                os.close(self._input)
            self._is_closed = True

    def _read(self) -> bytes | None:
        """The next bytes, none at the end; or None if they let wait for them."""
        if not self._is_started:
            self._is_started = True
            return self._stream.read1(len(self._start)) if self._start else b""
        raw = self._stream.raw
        if not isinstance(raw, io.FileIO):
            return self._stream.read1(_CHUNK_BYTES)
        # Past the buffer, whose lock would be held while waiting, and so that waiting can be ended.
        return os.read(raw.fileno(), _CHUNK_BYTES) if _is_ready(raw.fileno(), select.POLLIN) else None

    def _write(self, chunk: bytes) -> None:
        rest = memoryview(chunk)
        while rest and not self._stopped.is_set():
            if _is_ready(self._input, select.POLLOUT):
                with suppress(BlockingIOError):  # fewer bytes are free than the smallest write
                    rest = rest[os.write(self._input, rest) :]


def _is_ready(descriptor: int, event: int) -> bool:
    """Whether reading or writing would not wait, at the latest after a pause."""
    poll = select.poll()
    poll.register(descriptor, event)
    return bool(poll.poll(_PAUSE_MILLISECONDS))
