"""Read sequences from FASTA and FASTQ, plain or compressed, from files or standard input; or a dataset's.

Compression and format are recognised by content, not by name. Decompression is xopen's, parsing
dnaio's; what is added here is that every failure names the file and the record.
"""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import zlib
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from lzma import LZMAError
from typing import BinaryIO, NamedTuple, Self, TypeVar, cast

import dnaio
import numpy as np
import numpy.typing as npt
from xopen import xopen

from genood.dataset import check_codes, is_codes_file, is_dataset, open_codes
from genood.errors import InputError
from genood.sequence import UNKNOWN, Codes, encode_nucleotides, first_foreign_letter

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError
else:
    from backports.zstd import ZstdError

try:
    from isal.isal_zlib import IsalError
except ImportError:  # no build for this machine: xopen uses zlib in its place
    IsalError = zlib.error  # type: ignore[assignment]

logger = logging.getLogger(__name__)

T = TypeVar("T")

STDIN = "-"
_BLOCK_BASES = 131_072
_BLOCK_READS = 1_024
_PEEK_BYTES = 4096
_SAM_HEADER = re.compile(rb"@(HD|SQ|RG|PG|CO)\t")
_BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends a BGZF file."""
_DECOMPRESSION_ERRORS: tuple[type[Exception], ...] = (
    EOFError,
    zlib.error,
    cast(type[Exception], IsalError),
    LZMAError,
    ZstdError,
)
_PARSE_ERRORS = (dnaio.FileFormatError, UnicodeDecodeError)


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
    """

    names: list[str]
    mates: list[int]
    lengths: npt.NDArray[np.int64]
    codes: Codes

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
            names=[name for block in blocks for name in block.names],
            mates=[mate for block in blocks for mate in block.mates],
            lengths=np.concatenate([block.lengths for block in blocks]),
            codes=np.concatenate([block.codes for block in blocks]),
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
        )

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


def blocks_of(reads: Iterable[Read]) -> Iterator[ReadBlock]:
    """The same reads in blocks; those before a failure of `reads` come before it is raised."""
    return map(ReadBlock.of, _groups(reads, lambda read: len(read.codes)))


def read_blocks(paths: Iterable[str | os.PathLike[str]]) -> Generator[ReadBlock, None, None]:
    """The reads of several files in blocks, in the order given: the fast way to take many.

    Raises
    ------
    InputError
        As `read_file`; before the first read if a file is missing or standard input is named twice.
    """
    names = [os.fspath(path) for path in paths]
    check_readable(names)
    for name in names:
        yield from _read_blocks(name)


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


def check_readable(paths: Iterable[str]) -> None:
    """Raise InputError for the first path that cannot be opened for reading."""
    num_stdin = 0
    for path in paths:
        if path == STDIN:
            num_stdin += 1
            if num_stdin > 1:
                raise InputError(path, "can be named only once")
        elif is_dataset(path):
            raise InputError(path, "is a dataset; name one of its splits, such as test_in.npy in it")
        elif os.path.isdir(path):
            raise InputError(path, "is a directory; name the files in it")
        elif not os.path.exists(path):
            raise InputError(path, "no such file")
        elif not os.access(path, os.R_OK):
            raise InputError(path, "permission denied")


def read_file(path: str | os.PathLike[str]) -> Iterator[Read]:
    """The reads of one file, FASTA, FASTQ or a split of a dataset, in order.

    Parameters
    ----------
    path
        A file, plain or compressed with gzip, BGZF, bzip2, xz or zstd; ``-`` is standard input. Or
        ``<split>.npy`` of a dataset: its reads are named ``<split>:<row>``, rows counted from 0.

    Raises
    ------
    InputError
        The file cannot be opened, is of none of these formats, is truncated or corrupt, or a record
        is malformed, has no name, no sequence, or letters that are not nucleotides. The reads before
        come first.
    """
    return read_files([path])


def _read_blocks(path: str) -> Iterator[ReadBlock]:
    check_readable([path])
    if path != STDIN and is_codes_file(path):
        yield from _read_codes(path)
        return
    num_read = 0
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(_open_decompressed(path))
            parser = _open_parser(path, stream)
            for records in _groups(parser, len):
                yield from _to_blocks(path, num_read, records)
                num_read += len(records)
        except _PARSE_ERRORS as error:
            raise _format_error(path, num_read + 1, error) from error
        except _DECOMPRESSION_ERRORS as error:
            raise _compression_error(path, num_read, error) from error
        except OSError as error:
            if error.errno is None:  # gzip and bz2 report corrupt data as a bare OSError
                raise _compression_error(path, num_read, error) from error
            raise InputError(path, error.strerror or str(error)) from error
    if num_read == 0:
        _warn_of_none(path)


def _read_codes(path: str) -> Iterator[ReadBlock]:
    """The reads of a split of a dataset, from its memory map."""
    rows = open_codes(path)
    num_reads, length = rows.shape
    split = os.path.basename(path).removesuffix(".npy")
    step = min(_BLOCK_READS, max(1, _BLOCK_BASES // length))
    for start in range(0, num_reads, step):
        codes = np.array(rows[start : start + step])
        good = int((codes.max(axis=1) <= UNKNOWN).cumprod().sum())
        if good:
            yield ReadBlock(
                names=[f"{split}:{row}" for row in range(start, start + good)],
                mates=[0] * good,
                lengths=np.full(good, length, dtype=np.int64),
                codes=codes[:good].reshape(-1),
            )
        check_codes(path, codes[good:], start + good)
    if not num_reads:
        _warn_of_none(path)


def _warn_of_none(path: str) -> None:
    logger.warning("%s holds no sequences", path)


@contextmanager
def _open_decompressed(path: str) -> Iterator[io.BufferedReader]:
    with ExitStack() as stack:
        if path == STDIN:
            if sys.stdin is None:
                raise InputError(path, "is closed")
            source: BinaryIO = sys.stdin.buffer
        else:
            # Opened by descriptor, the file has no name, so that xopen must look at its content.
            source = stack.enter_context(open(os.open(path, os.O_RDONLY), "rb"))
            if source.seekable() and _lacks_bgzf_end(source):
                # A warning only, because bcl2fastq never writes it.
                logger.warning("%s lacks the block that ends a BGZF file; it may have been cut short", path)
        stream = xopen(source, "rb", threads=0)
        if stream is not source:
            stack.callback(stream.close)
        yield stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[arg-type]


def _lacks_bgzf_end(source: BinaryIO) -> bool:
    """Whether a BGZF file may have been cut between two blocks, which decompression cannot notice."""
    start = source.read(len(_BGZF_END))
    is_bgzf = start.startswith(_BGZF_END[:4]) and start[12:14] == _BGZF_END[12:14]
    if is_bgzf:
        source.seek(-min(len(start), len(_BGZF_END)), os.SEEK_END)
    end = source.read() if is_bgzf else b""
    source.seek(0)
    return is_bgzf and end != _BGZF_END


def _open_parser(path: str, stream: io.BufferedReader) -> Iterable[dnaio.SequenceRecord]:
    start = stream.peek(_PEEK_BYTES)[:_PEEK_BYTES]
    text = start.lstrip()
    if not start:
        return ()
    if start.startswith(b"BAM\1") or start.startswith(b"CRAM") or _SAM_HEADER.match(start):
        raise InputError(path, "is an alignment file (SAM, BAM or CRAM); convert it first: samtools fastq")
    if text.startswith((b">", b"#")):
        return dnaio.FastaReader(stream)
    if start.startswith(b"@"):
        return dnaio.FastqReader(stream)
    if text.startswith(b"@"):
        raise InputError(path, "starts with white space; a FASTQ file starts with '@'")
    raise InputError(path, "is neither FASTA nor FASTQ: it starts with neither '>' nor '@'")


def _groups(items: Iterable[T], num_bases: Callable[[T], int]) -> Iterator[list[T]]:
    """Lists of items, each worth a block; those before a failure of `items` come before it is raised."""
    group: list[T] = []
    num_bases_of_group = 0
    try:
        for item in items:
            group.append(item)
            num_bases_of_group += num_bases(item)
            if num_bases_of_group >= _BLOCK_BASES or len(group) == _BLOCK_READS:
                yield group
                group, num_bases_of_group = [], 0
    except Exception:
        if group:
            yield group
        raise
    if group:
        yield group


def _to_blocks(path: str, num_before: int, records: Sequence[dnaio.SequenceRecord]) -> Iterator[ReadBlock]:
    """A block of records; or one of those before the first bad one, for which InputError is raised."""
    names = [(record.name.split(maxsplit=1) or [""])[0] for record in records]
    sequences = [record.sequence for record in records]
    codes = encode_nucleotides("".join(sequences).encode("ascii"))
    if codes is not None and all(names) and all(sequences):
        yield ReadBlock(
            names=names,
            mates=[0] * len(names),
            lengths=np.fromiter(map(len, sequences), dtype=np.int64, count=len(sequences)),
            codes=codes,
        )
        return
    for num_good, (name, sequence) in enumerate(zip(names, sequences, strict=True)):
        problem = _problem(name, sequence.encode("ascii"))
        if problem is not None:
            if num_good:
                yield from _to_blocks(path, num_before, records[:num_good])
            raise InputError(path, problem, record=num_before + num_good + 1)


def _problem(name: str, letters: bytes) -> str | None:
    if not name:
        return "the record has no name"
    if not letters:
        return f"{name!r} has no sequence; drop such records (cutadapt -m 1 does), or re-create the file"
    foreign = first_foreign_letter(letters)
    return None if foreign is None else f"{name!r} holds {foreign!r}, which is no nucleotide"


def _format_error(path: str, number: int, error: Exception) -> InputError:
    if isinstance(error, dnaio.FileFormatError):
        problem, line = " ".join(str(error.message).split()).rstrip("."), error.line
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
