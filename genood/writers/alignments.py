"""Alignments with the scores as tags, in SAM, BAM or CRAM; unaligned records of reads that are none."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pysam
from dnaio import SequenceRecord

from genood import __version__
from genood.engine import CALLS, ScoredReads
from genood.errors import ConfigError, InputError
from genood.files import atomic_path
from genood.intake.pairs import fragment_of
from genood.writers.headers import CommonHeader, with_program
from genood.writers.streams import write_errors_named

LLR_TAG, P_VALUE_TAG, CALL_TAG, COMMENT_TAG = "XL", "XP", "XC", "CO"

_MODES = {".sam": "w", ".bam": "wb", ".cram": "wc"}
_UNALIGNED_FLAGS = {
    0: pysam.FUNMAP,
    1: pysam.FPAIRED | pysam.FUNMAP | pysam.FMUNMAP | pysam.FREAD1,
    2: pysam.FPAIRED | pysam.FUNMAP | pysam.FMUNMAP | pysam.FREAD2,
}
_NAME = re.compile(r"(?!\*\Z)[!-?A-~][!-~]{0,253}")
_NOT_TEXT = re.compile(r"[^!-~]+")
_FIELD = re.compile(
    r"([A-Za-z][A-Za-z0-9]):(?:(A):([!-~])|(i):([-+]?[0-9]{1,9})|(Z):([ -~]*)|(H):((?:[0-9A-F]{2})*)"
    r"|(f):([-+]?(?:[0-9]{1,8}(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-2]?[0-9])?))"
)
"""A field of SAM, ``TAG:TYPE:VALUE``, but for arrays and numbers that may be too large for BAM."""
_UNALIGNED_HEADER = "@HD\tVN:1.6\tSO:unsorted\n"
_SORT_ORDER = re.compile(r"^(@HD\t[^\n]*?SO:)[^\t\n]+", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class AlignmentsConfig:
    """Where alignments are written, and what their header says.

    Attributes
    ----------
    target
        A file ending in ``.sam``, ``.bam`` or ``.cram``.
    reference
        FASTA file of the genome, for CRAM of aligned reads.
    one_input
        Whether all records are of one file, so that they are sorted as it was.
    command
        The command line, for the header.

    Raises
    ------
    ConfigError
        The name does not say which format.
    """

    target: str
    reference: str | None = None
    one_input: bool = True
    command: str = ""

    def __post_init__(self) -> None:
        if self.mode is None:
            raise ConfigError(f"{self.target}: --bam-out needs a file ending in {', '.join(_MODES)}")

    @property
    def mode(self) -> str | None:
        """Of `pysam.AlignmentFile`."""
        return _MODES.get(os.path.splitext(self.target)[1].lower())


@contextmanager
def alignments_output(config: AlignmentsConfig) -> Iterator[AlignmentsWriter]:
    """A writer to a file that appears under its name when the block ends well."""
    with atomic_path(config.target, stale=_indexes_of(config.target)) as path:
        writer = AlignmentsWriter(config, path)
        try:
            yield writer
        except BaseException:
            with suppress(OSError, InputError):  # of the same cause
                writer.give_up()
            raise
        writer.close()


def _indexes_of(target: str) -> list[str]:
    """Names that an index of alignments may have."""
    stem, ending = os.path.splitext(target)
    index = {".bam": ".bai", ".cram": ".crai"}.get(ending.lower())
    return [] if index is None else [target + index, target + ".csi", stem + index]


class AlignmentsWriter:
    """Writes the records of the input with tags, and those that are no reads, or were not taken, without.

    ``XL:f`` is the log-likelihood ratio in nats per scored base, ``XP:f`` the p-value, ``XC:Z`` the call;
    a read of which nothing can be scored has the call alone. The header is that of the first alignments,
    with a ``@PG`` line more.

    Parameters
    ----------
    config
        See there.
    path
        Where to write what is to be named `config.target`.
    """

    def __init__(self, config: AlignmentsConfig, path: Path) -> None:
        self._config = config
        self._path = path
        self._headers = CommonHeader()
        self._file: Any = None

    def write(self, scored: ScoredReads) -> None:
        """Append records; the engine must have been given all of them.

        Raises
        ------
        GenoodError
            The inputs' headers disagree, a name is none in SAM, or the file cannot be written.
        """
        records = scored.records
        assert records is not None
        with write_errors_named(self._config.target):
            self._opened(records.header)
            reads = dict(zip(records.rows.tolist(), range(len(scored.names)), strict=True))
            values = list(
                zip(scored.llr_per_base.tolist(), scored.p_values.tolist(), scored.calls, strict=True)
            )
            for row, item in enumerate(records.items):
                read = reads.get(row)
                if isinstance(item, SequenceRecord):
                    assert read is not None
                    alignment = self._unaligned(item, scored.names[read], scored.mates[read])
                else:
                    self._headers.add(item.header)
                    alignment = item
                if read is not None:
                    _tag(alignment, *values[read])
                else:
                    _untag(alignment)
                self._file.write(alignment)

    def close(self) -> None:
        """Finish the file, which has a header even if there were no records."""
        with write_errors_named(self._config.target):
            self._opened(None)
            self._file.close()

    def give_up(self) -> None:
        """Let go of the file, which is of no use."""
        if self._file is not None:
            with write_errors_named(self._config.target):
                self._file.close()

    def _opened(self, header: pysam.AlignmentHeader | None) -> None:
        """Open the file at the first records; check the header of all others."""
        if self._file is not None:
            self._headers.add(header)
            return
        if header is None:
            header = pysam.AlignmentHeader.from_text(_UNALIGNED_HEADER)
        self._headers.add(header)
        config = self._config
        if config.mode == "wc" and header.nreferences and config.reference is None:
            raise ConfigError(
                f"{config.target}: CRAM of aligned reads needs their genome; give it with --reference"
            )
        if not config.one_input:
            header = pysam.AlignmentHeader.from_text(_SORT_ORDER.sub(r"\1unsorted", str(header)))
        hooks = sys.excepthook, sys.unraisablehook
        # Where the library cannot write the header, it raises that, and prints that it cannot close the file.
        sys.excepthook, sys.unraisablehook = (lambda *_: None), (lambda _: None)
        try:
            self._file = pysam.AlignmentFile(
                os.fspath(self._path),
                config.mode,
                header=with_program(header, __version__, config.command),
                reference_filename=config.reference if header.nreferences else None,
            )
        finally:
            sys.excepthook, sys.unraisablehook = hooks

    def _unaligned(self, record: SequenceRecord, read: str, mate: int) -> pysam.AlignedSegment:
        alignment = pysam.AlignedSegment(self._file.header)
        name = fragment_of(read) if mate else read
        if not _NAME.fullmatch(name):
            shown = repr(name) if len(name) <= 40 else f"{name[:40]!r}..."
            raise InputError(
                self._config.target,
                f"cannot hold the read {shown}: in SAM, names have 1 to 254 letters, do not start with '@' "
                "and are not '*'",
            )
        alignment.query_name = name
        alignment.flag = _UNALIGNED_FLAGS[mate]
        alignment.query_sequence = record.sequence
        if record.qualities is not None:
            alignment.query_qualities = pysam.qualitystring_to_array(record.qualities)
        # Of a header with a blank before the name, the parser takes all for the comment.
        comment = record.comment if record.id else "".join(record.name.split(maxsplit=1)[1:])
        if comment:
            _add_comment(alignment, comment)
        return alignment


def _add_comment(alignment: pysam.AlignedSegment, comment: str) -> None:
    """Fields of SAM in a comment as tags, as ``samtools fastq -T`` writes them; all else as one comment.

    A tag that comes again, or is genood's own, is text, too.
    """
    texts = []
    names = {LLR_TAG, P_VALUE_TAG, CALL_TAG, COMMENT_TAG}
    for field in comment.split("\t"):
        match = _FIELD.fullmatch(field)
        if match is None or match[1] in names:
            texts.append(field.removeprefix(f"{COMMENT_TAG}:Z:"))
            continue
        names.add(match[1])
        kind, value = (group for group in match.groups()[1:] if group is not None)
        typed = int(value) if kind == "i" else float(value) if kind == "f" else value
        alignment.set_tag(match[1], typed, kind)  # type: ignore[arg-type]
    text = _NOT_TEXT.sub(" ", " ".join(texts)).strip()
    if text:
        alignment.set_tag(COMMENT_TAG, text, "Z")


def _untag(alignment: pysam.AlignedSegment) -> None:
    """Take away what another run of genood has left, and nothing that is another program's."""
    for tag, kind in ((LLR_TAG, "f"), (P_VALUE_TAG, "f"), (CALL_TAG, "Z")):
        if alignment.has_tag(tag):
            value, found = alignment.get_tag(tag, with_value_type=True)
            if found == kind and (kind == "f" or value in CALLS):
                alignment.set_tag(tag, None)


def _tag(alignment: pysam.AlignedSegment, llr_per_base: float, p_value: float, call: str) -> None:
    is_scored = call != "na"
    # None takes away what another run may have left. A classifier has no ratio.
    alignment.set_tag(LLR_TAG, None if math.isnan(llr_per_base) else llr_per_base, "f")
    alignment.set_tag(P_VALUE_TAG, p_value if is_scored else None, "f")
    alignment.set_tag(CALL_TAG, call, "Z")
