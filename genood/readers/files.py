"""Records of files as blocks of reads.

Compression and format are recognised by content, not by name. Decompression is xopen's, parsing
dnaio's and htslib's; what is added here is that every failure names the file and the record.
"""

from __future__ import annotations

import codecs
import io
import logging
import os
import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import BinaryIO, Literal, cast

import dnaio
import numpy as np
import numpy.typing as npt

from genood.dataset import check_codes, is_codes_file, open_codes
from genood.errors import ConfigError, InputError
from genood.readers.blocks import BLOCK_BASES, BLOCK_READS, Read, ReadBlock, grouped
from genood.readers.records import Records
from genood.readers.streams import (
    DECOMPRESSION_ERRORS,
    STDIN,
    WithoutBlankEnd,
    check_readable,
    decompressed,
    is_bam_or_cram,
    opened,
)
from genood.sequence import UNKNOWN, Codes, decode, encode_nucleotides, first_foreign_letter

logger = logging.getLogger(__name__)

_PEEK_BYTES = 4096
_SAM_HEADER = re.compile(rb"@(HD|SQ|RG|PG|CO)\t")
_SAM_RECORD = re.compile(rb"[^@>#\s][^\t\n]*\t\d+\t[^\t\n]+\t\d+\t\d+\t")
_BYTE_ORDER_MARKS = (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_RECORDS_AT_ONCE = 64
_PARSE_ERRORS = (dnaio.FileFormatError, UnicodeDecodeError)
_NO_PLUS = "Line expected to start with '+'"
_PHRED_OFFSET = 33
_MAX_PHRED = 93


@dataclass(frozen=True, kw_only=True)
class ReaderConfig:
    """How files are read.

    Attributes
    ----------
    reference
        FASTA file of the genome that CRAM files were made with; htslib indexes it if it is not.
    min_quality
        Bases of a lower Phred quality become 4, unknown; 0 leaves all as they are.
    keep_records
        Which records travel with the blocks, as they are in the input: those of the ``reads``, of
        alignments as they were sequenced; or ``all``, of alignments those that are no reads and those
        that are not taken among them; or none.
    warns
        Whether what is odd, and no error, is logged.
    """

    reference: str | None = None
    min_quality: int = 0
    keep_records: Literal["reads", "all"] | None = None
    warns: bool = True

    def __post_init__(self) -> None:
        if not 0 <= self.min_quality <= _MAX_PHRED:
            raise ConfigError(f"min_quality must lie between 0 and {_MAX_PHRED}, not {self.min_quality}")


_DEFAULT = ReaderConfig()


def read_blocks(
    paths: Iterable[str | os.PathLike[str]],
    *,
    config: ReaderConfig = _DEFAULT,
    skipped: Counter[str] | None = None,
) -> Generator[ReadBlock, None, None]:
    """The reads of several files in blocks, in the order given: the fast way to take many.

    Parameters
    ----------
    paths
        See `read_file`.
    config
        How to read them.
    skipped
        Where to count, by reason, the alignment records that are no read of their own.

    Raises
    ------
    InputError
        As `read_file`; before the first read if a file is missing or standard input is named twice.
    """
    names = [os.fspath(path) for path in paths]
    check_readable([*names, *([] if config.reference is None else [config.reference])])
    for name in names:
        yield from _File(name, config, Counter() if skipped is None else skipped).blocks()


def read_files(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Read]:
    """The reads of several files, in the order given.

    Raises
    ------
    InputError
        As `read_blocks`.
    """
    with closing(read_blocks(paths)) as blocks:
        for block in blocks:
            yield from block.reads()


def read_file(path: str | os.PathLike[str]) -> Iterator[Read]:
    """The reads of one file, FASTA, FASTQ, SAM, BAM, CRAM or a split of a dataset, in order.

    Parameters
    ----------
    path
        A file, plain or compressed with gzip, BGZF, bzip2, xz or zstd; ``-`` is standard input. Or
        ``<split>.npy`` of a dataset: its reads are named ``<split>:<row>``, rows counted from 0.
        Alignments give the reads as they were sequenced; secondary, supplementary and QC-failed
        records and those without a sequence are left out.

    Raises
    ------
    InputError
        The file cannot be opened, is of none of these formats, is truncated or corrupt, or a record
        is malformed, has no name, no sequence, or letters that are not nucleotides. The reads before
        come first.
    """
    return read_files([path])


def holds_alignments(path: str) -> bool | None:
    """Whether a file is SAM, BAM or CRAM; None where only reading it tells, as of a stream."""
    if path == STDIN or not os.path.isfile(path):
        return None
    if is_codes_file(path):
        return False
    try:
        with opened(path) as source:
            if is_bam_or_cram(source):
                return True
            with decompressed(path, source, warns=False) as stream:
                start = stream.peek(_PEEK_BYTES)
                return _are_alignments(start) if start else None
    except DECOMPRESSION_ERRORS:
        return None
    except OSError:
        return None


class _File:
    """One file being read."""

    def __init__(self, path: str, config: ReaderConfig, skipped: Counter[str]) -> None:
        self.path = path
        self.config = config
        self.skipped = skipped
        self.num_read = 0
        """Records handed on in blocks."""

    def blocks(self) -> Iterator[ReadBlock]:
        check_readable([self.path])
        try:
            if self.path != STDIN and is_codes_file(self.path):
                if self.config.min_quality:
                    raise _without_qualities(self.path, 1)
                yield from _read_codes(self.path, self.config)
                return
            yield from self._parsed_blocks()
        except _PARSE_ERRORS as error:
            raise _format_error(self.path, self.num_read + 1, error) from error
        except DECOMPRESSION_ERRORS as error:
            raise _compression_error(self.path, self.num_read, error) from error
        except OSError as error:
            if error.errno is None:  # gzip and bz2 report corrupt data as a bare OSError
                raise _compression_error(self.path, self.num_read, error) from error
            raise InputError(self.path, error.strerror or str(error)) from error
        if self.num_read == 0 and self.config.warns:
            _warn_of_none(self.path)

    def _parsed_blocks(self) -> Iterator[ReadBlock]:
        with ExitStack() as stack:
            source = stack.enter_context(opened(self.path))
            if is_bam_or_cram(source):
                yield from self._alignment_blocks(source)
                return
            stream = stack.enter_context(decompressed(self.path, source, warns=self.config.warns))
            start = stream.peek(_PEEK_BYTES)[:_PEEK_BYTES]
            if _are_alignments(start):
                yield from self._alignment_blocks(stream)
                return
            parser = _open_parser(self.path, start, stream)  # kept until after `stream` is closed
            # A contig may be as long as a genome, and a read of a FASTQ file may not.
            for records in grouped(parser, len, at_once=1 if start.startswith(b">") else _RECORDS_AT_ONCE):
                numbers = range(self.num_read + 1, self.num_read + 1 + len(records))
                kept = None if self.config.keep_records is None else Records.of_reads(records)
                yield from self._blocks_of(records, numbers, [0] * len(records), kept)
                self.num_read += len(records)

    def _alignment_blocks(self, stream: io.BufferedReader) -> Iterator[ReadBlock]:
        from genood.readers.alignments import Alignments  # htslib takes its time to load

        config = self.config
        alignments = Alignments(
            self.path,
            stream,
            reference=config.reference,
            with_qualities=config.min_quality > 0 or config.keep_records == "reads",
            keep=config.keep_records,
        )
        with closing(alignments.groups()) as groups:
            for group in groups:
                # Here, not where they are parsed, ahead of what is taken.
                self.skipped.update(group.skipped)
                if not group.reads and group.kept is None:
                    continue
                records = [read.record for read in group.reads]
                numbers, mates = [read.number for read in group.reads], [read.mate for read in group.reads]
                for block in self._blocks_of(records, numbers, mates, group.kept):
                    yield replace(block, from_alignments=True)
                self.num_read += len(records)

    def _blocks_of(
        self,
        records: Sequence[dnaio.SequenceRecord],
        numbers: Sequence[int],
        mates: list[int],
        kept: Records | None,
    ) -> Iterator[ReadBlock]:
        """A block of records; or one of those before the first bad one, for which InputError is raised."""
        names, are_text = _names_of(records)
        sequences = [record.sequence for record in records]
        codes = encode_nucleotides("".join(sequences).encode("ascii"))
        is_used = self.config.min_quality > 0 or self.config.keep_records is not None
        qualities = [record.qualities or "" for record in records] if is_used else [""] * len(records)
        is_complete = not self.config.min_quality or all(qualities)
        are_text = are_text and (not is_used or _are_qualities("".join(qualities)))
        if codes is not None and is_complete and are_text and all(names) and all(sequences):
            if self.config.min_quality:
                _mask(codes, "".join(qualities), self.config.min_quality)
            yield ReadBlock(
                names=names,
                mates=mates,
                lengths=np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences)),
                codes=codes,
                records=kept,
            )
            return
        for i, (name, sequence) in enumerate(zip(names, sequences, strict=True)):
            problem = _problem(name, sequence.encode("ascii"), qualities[i])
            if problem is not None or (self.config.min_quality and not qualities[i]):
                if i:
                    before = None if kept is None else kept.part(0, i)
                    yield from self._blocks_of(records[:i], numbers[:i], mates[:i], before)
                if problem is None:
                    raise _without_qualities(self.path, numbers[i])
                raise InputError(self.path, problem, record=numbers[i])


def _names_of(records: Sequence[dnaio.SequenceRecord]) -> tuple[list[str], bool]:
    """Names up to the first white space, and whether all are printable."""
    names = [record.id for record in records]
    if all(names):
        headers = "".join([record.name for record in records])
        # A NUL ends what the parser takes for the name, and it knows no white space but blanks and tabs.
        if headers.isprintable() or ("\0" not in headers and "".join(names).isprintable()):
            return names, True
    names = [(record.name.split(maxsplit=1) or [""])[0] for record in records]
    return names, "".join(names).isprintable()


def _read_codes(path: str, config: ReaderConfig) -> Iterator[ReadBlock]:
    """The reads of a split of a dataset."""
    rows = open_codes(path)
    assert isinstance(rows, np.memmap)
    num_reads, length = rows.shape
    # Read, not mapped: a map of what is gone, or cannot be read, ends the process.
    place = rows.offset
    del rows
    # A space would end the name in FASTQ, a tab break the table.
    split = "_".join(os.path.basename(path).removesuffix(".npy").split())
    if not split.isprintable():
        raise InputError(path, "its reads would be named by it, which is no text; rename the file")
    step = min(BLOCK_READS, max(1, BLOCK_BASES // length))
    with open(path, "rb") as stream:
        stream.seek(place)
        for start in range(0, num_reads, step):
            codes = np.empty((min(step, num_reads - start), length), dtype=np.uint8)
            num_bytes = stream.readinto(codes.data)
            if num_bytes < codes.nbytes:
                number = start + num_bytes // length + 1
                raise InputError(path, "has become shorter while it was read", record=number)
            good = int((codes.max(axis=1) <= UNKNOWN).cumprod().sum())
            if good:
                names = [f"{split}:{row}" for row in range(start, start + good)]
                yield ReadBlock(
                    names=names,
                    mates=[0] * good,
                    lengths=np.full(good, length, dtype=np.int64),
                    codes=codes[:good].reshape(-1),
                    records=None if config.keep_records is None else _records_of(names, codes[:good]),
                )
            check_codes(path, codes[good:], start + good)
    if not num_reads and config.warns:
        _warn_of_none(path)


def _are_alignments(start: bytes) -> bool:
    """Whether something, decompressed, starts as alignments do."""
    return _SAM_HEADER.match(start) is not None or start.startswith((b"BAM\1", b"CRAM"))


def _records_of(names: Sequence[str], codes: Codes) -> Records:
    """Records of reads of a dataset, which have nothing but a name and bases."""
    pairs = zip(names, map(decode, codes), strict=True)
    return Records.of_reads([dnaio.SequenceRecord(name, sequence) for name, sequence in pairs])


def _warn_of_none(path: str) -> None:
    logger.warning("%s holds no sequences", path)


def _open_parser(path: str, start: bytes, stream: io.BufferedReader) -> Iterable[dnaio.SequenceRecord]:
    text = start.lstrip()
    if not start:
        return ()
    if text.startswith((b">", b"#")):
        return dnaio.FastaReader(stream)
    if start.startswith(b"@"):
        return dnaio.FastqReader(cast(BinaryIO, WithoutBlankEnd(stream)))
    if _SAM_RECORD.match(start):
        raise InputError(path, "is SAM without its header; write it with samtools view -h")
    if text.startswith(b"@"):
        raise InputError(path, "starts with white space; a FASTQ file starts with '@'")
    if start.startswith(_BYTE_ORDER_MARKS):
        raise InputError(
            path, "starts with a byte-order mark, as some editors write it; save it as ASCII text"
        )
    raise InputError(path, "is neither FASTA nor FASTQ, SAM, BAM or CRAM: it starts with neither '>' nor '@'")


def _mask(codes: Codes, qualities: str, min_quality: int) -> None:
    """Make bases of lower quality unknown."""
    phred: npt.NDArray[np.uint8] = np.frombuffer(qualities.encode("ascii"), dtype=np.uint8)
    codes[phred < min_quality + _PHRED_OFFSET] = UNKNOWN


def _are_qualities(text: str) -> bool:
    """Whether these are letters from ``!`` to ``~``."""
    return text.isprintable() and " " not in text


def _problem(name: str, letters: bytes, qualities: str) -> str | None:
    if not name:
        return "the record has no name"
    shown = repr(_shortened(name, 80))
    if not name.isprintable():
        return f"the name {shown} holds a control character; the file may be damaged"
    if not letters:
        return f"{shown} has no sequence; drop such records (cutadapt -m 1 does), or re-create the file"
    foreign = first_foreign_letter(letters)
    if foreign is not None:
        return f"{shown} holds {foreign!r}, which is no nucleotide"
    return (
        None if _are_qualities(qualities) else f"{shown} has base qualities beyond those of FASTQ, '!' to '~'"
    )


def _shortened(text: str, num_letters: int) -> str:
    return text if len(text) <= num_letters else f"{text[:num_letters]}..."


def _without_qualities(path: str, number: int) -> InputError:
    return InputError(path, "has no base qualities, which --min-quality is about", record=number)


def _format_error(path: str, number: int, error: Exception) -> InputError:
    if isinstance(error, dnaio.FileFormatError):
        problem, line = " ".join(_shortened(str(error.message), 400).split()).rstrip("."), error.line
        if problem.startswith(_NO_PLUS):
            problem += "; sequences have to be on one line, as seqtk seq -l0 writes them"
    else:
        problem, line = f"is not text: {error}", None
    if line is None and not isinstance(error, dnaio.FastaFormatError):
        # Found in a whole buffer, before the records at its start were handed out.
        return InputError(path, f"record {number} or a later one: {problem}")
    return InputError(path, problem, record=number, line=None if line is None else line + 1)


def _compression_error(path: str, num_read: int, error: Exception) -> InputError:
    state = "ends too early or goes on after its end" if isinstance(error, EOFError) else "is corrupt"
    return InputError(
        path,
        f"the compressed file {state}, after {num_read} complete records ({error}); fetch it again",
    )
