"""Read sequences from FASTA and FASTQ, plain or compressed, from files or standard input.

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
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from lzma import LZMAError
from typing import BinaryIO, NamedTuple, cast

import dnaio
from xopen import xopen

from genood.errors import InputError
from genood.sequence import Codes, encode, first_foreign_letter

if sys.version_info >= (3, 14):
    from compression.zstd import ZstdError
else:
    from backports.zstd import ZstdError

try:
    from isal.isal_zlib import IsalError
except ImportError:  # no build for this machine: xopen uses zlib in its place
    IsalError = zlib.error  # type: ignore[assignment]

logger = logging.getLogger(__name__)

STDIN = "-"
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


def read_files(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Read]:
    """The reads of several files, in the order given.

    Raises
    ------
    InputError
        As `read_file`; before the first read if a file is missing or standard input is named twice.
    """
    names = [os.fspath(path) for path in paths]
    check_readable(names)
    for name in names:
        yield from read_file(name)


def check_readable(paths: Iterable[str]) -> None:
    """Raise InputError for the first path that cannot be opened for reading."""
    num_stdin = 0
    for path in paths:
        if path == STDIN:
            num_stdin += 1
            if num_stdin > 1:
                raise InputError(path, "can be named only once")
        elif os.path.isdir(path):
            raise InputError(path, "is a directory; name the files in it")
        elif not os.path.exists(path):
            raise InputError(path, "no such file")
        elif not os.access(path, os.R_OK):
            raise InputError(path, "permission denied")


def read_file(path: str | os.PathLike[str]) -> Iterator[Read]:
    """The reads of one FASTA or FASTQ file, in order.

    Parameters
    ----------
    path
        A file, plain or compressed with gzip, BGZF, bzip2, xz or zstd; ``-`` is standard input.

    Raises
    ------
    InputError
        The file cannot be opened, is neither FASTA nor FASTQ, is truncated or corrupt, or a record
        is malformed, has no name, no sequence, or letters that are not nucleotides.
    """
    path = os.fspath(path)
    check_readable([path])
    num_read = 0
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(_open_decompressed(path))
            parser = _open_parser(path, stream)
            for record in parser:
                num_read += 1
                yield _to_read(path, num_read, record)
        except _PARSE_ERRORS as error:
            raise _format_error(path, num_read + 1, error) from error
        except _DECOMPRESSION_ERRORS as error:
            raise _compression_error(path, num_read, error) from error
        except OSError as error:
            if error.errno is None:  # gzip and bz2 report corrupt data as a bare OSError
                raise _compression_error(path, num_read, error) from error
            raise InputError(path, error.strerror or str(error)) from error
    if num_read == 0:
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


def _to_read(path: str, number: int, record: dnaio.SequenceRecord) -> Read:
    name = record.name.split(maxsplit=1)[0] if record.name.strip() else ""
    if not name:
        raise InputError(path, "the record has no name", record=number)
    letters = record.sequence.encode("ascii")
    if not letters:
        raise InputError(
            path,
            f"{name!r} has no sequence; drop such records (cutadapt -m 1 does), or re-create the file",
            record=number,
        )
    foreign = first_foreign_letter(letters)
    if foreign is not None:
        raise InputError(path, f"{name!r} holds {foreign!r}, which is no nucleotide", record=number)
    return Read(name, encode(letters))


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
