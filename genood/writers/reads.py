"""The reads of the input, in files of those that are out of distribution and of those that are not."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO, Any, Literal

from dnaio import SequenceRecord

from genood.engine import ScoredReads
from genood.errors import ConfigError, InputError
from genood.writers.streams import without_compression

MATE_MARK = "#"
"""Stands for 1 and 2 in the name of two files of mates."""
_FORMATS = {".fastq": "FASTQ", ".fq": "FASTQ", ".fasta": "FASTA", ".fa": "FASTA", ".fna": "FASTA"}


def format_by_name(target: str) -> str | None:
    """``FASTQ`` or ``FASTA``, as a file's name ends; None where it leaves that open."""
    return _FORMATS.get(os.path.splitext(without_compression(target))[1].lower())


def mate_files(target: str, pairs: Literal["two files", "interleaved"] | None) -> list[str]:
    """The files that reads are written to: two where the mates of the input are in two files, else one.

    Raises
    ------
    ConfigError
        The name does not say where 1 and 2 are to be, or does where mates are interleaved.
    """
    folder, name = os.path.split(target)
    if pairs == "two files":
        if name.count(MATE_MARK) != 1:
            raise ConfigError(
                f"{target}: --paired writes two files of reads; put a {MATE_MARK} in the name, which becomes "
                "1 and 2, as in ood_R#.fastq.gz"
            )
        return [os.path.join(folder, name.replace(MATE_MARK, mate)) for mate in "12"]
    if pairs == "interleaved" and MATE_MARK in name:
        raise ConfigError(
            f"{target}: mates that come interleaved are written interleaved, to one file; "
            f"{MATE_MARK} is for --paired"
        )
    return [target]


class ReadsWriter:
    """Writes reads as they were in the input, FASTQ or FASTA, in their order.

    Parameters
    ----------
    target
        The file's name, for errors and for its format, which it may leave open.
    stream
        Where to.
    """

    def __init__(self, target: str, stream: IO[bytes]) -> None:
        self._target = target
        self._stream = stream
        self._format = format_by_name(target)
        self._is_named = self._format is not None

    def check(self, record: SequenceRecord) -> None:
        """See that a read fits the file's format, which it decides if nothing has.

        Raises
        ------
        InputError
            See `write`.
        """
        has_qualities = record.qualities is not None
        if self._format is None:
            self._format = "FASTQ" if has_qualities else "FASTA"
        if has_qualities != (self._format == "FASTQ"):
            raise self._misfit(record.id, has_qualities)

    def write(self, records: Sequence[SequenceRecord]) -> None:
        """Append reads.

        Raises
        ------
        InputError
            A read has qualities, and the file's format has none; or the other way round.
        """
        self._stream.write(b"".join([self._text(record) for record in records]))

    def _text(self, record: SequenceRecord) -> bytes:
        self.check(record)
        if self._format == "FASTQ":
            return record.fastq_bytes()
        return f">{record.name}\n{record.sequence}\n".encode()

    def _misfit(self, name: str, has_qualities: bool) -> InputError:
        state = f"read {name!r} has qualities" if has_qualities else f"read {name!r} has no qualities"
        if not self._is_named:
            return InputError(self._target, f"{state}, while reads before it do not agree; score them apart")
        ending = ".fastq" if has_qualities else ".fasta"
        return InputError(
            self._target,
            f"is {self._format} by its name, but {state}; let it end in {ending}, or {ending}.gz",
        )


class ReadsOutput:
    """Takes the reads that are called ``ood``, or all others, mates of a pair together.

    Parameters
    ----------
    writers
        One; or two, for mates 1 and mates 2.
    takes_ood
        Whether it takes those that are ``ood``. Pairs go by the call of the pair; ``na`` is not ``ood``.
    """

    def __init__(self, writers: Sequence[ReadsWriter], *, takes_ood: bool) -> None:
        self._writers = writers
        self._takes_ood = takes_ood

    def check(self, scored: ScoredReads) -> None:
        """See that the first reads fit the formats, whatever they are called."""
        assert scored.records is not None
        for writer, record in zip(self._writers, scored.records.reads(), strict=False):
            writer.check(_as_text(record))

    def write(self, scored: ScoredReads) -> None:
        """Append reads; the engine must have been given their records."""
        assert scored.records is not None
        calls = scored.calls if scored.pair_calls is None else scored.pair_calls
        taken: list[list[SequenceRecord]] = [[] for _ in self._writers]
        for call, mate, record in zip(calls, scored.mates, scored.records.reads(), strict=True):
            if (call == "ood") == self._takes_ood:
                taken[mate - 1 if len(taken) == 2 else 0].append(_as_text(record))
        for writer, records in zip(self._writers, taken, strict=True):
            writer.write(records)


class FormatCheck:
    """Says at the first reads, before they are called, if an output's name does not fit them.

    Parameters
    ----------
    output
        That takes them, or others, once they are called.
    """

    def __init__(self, output: ReadsOutput) -> None:
        self._output = output
        self._is_done = False

    def write(self, scored: ScoredReads) -> None:
        """Check a window, unless one was."""
        if scored.names and not self._is_done:
            self._output.check(scored)
            self._is_done = True


def _as_text(record: Any) -> SequenceRecord:
    """The record itself, or an alignment's as it was sequenced, named as a mate."""
    if isinstance(record, SequenceRecord):
        return record
    from genood.readers.alignments import as_sequenced, mate_of, with_mate_number

    return with_mate_number(as_sequenced(record), mate_of(record))
