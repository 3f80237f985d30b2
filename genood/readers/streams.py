"""Open files and standard input, and decompress what they hold, by content."""

from __future__ import annotations

import io
import logging
import os
import re
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from lzma import LZMAError
from typing import Any, BinaryIO, cast

from xopen import xopen

from genood.dataset import is_dataset
from genood.errors import InputError

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
BGZF_END = bytes.fromhex("1f8b08040000000000ff0600424302001b0003000000000000000000")
"""The empty block that ends a BGZF file."""
_SKIPPABLE_FRAME = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")
"""What a zstd file begins with where data for programs, such as pzstd's sizes, come first."""
_START_BYTES = 64
_MAX_BLANK = 65_536
_MAX_NAME = 256
_WITHOUT_QUALITIES = re.compile(rb"\n\r?\n\+[^\n]*\Z")
"""The end of a FASTQ record without a sequence, but for its last line."""
DECOMPRESSION_ERRORS: tuple[type[Exception], ...] = (
    EOFError,
    zlib.error,
    cast(type[Exception], IsalError),
    LZMAError,
    ZstdError,
)


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


def check_named_once(paths: Iterable[str]) -> None:
    """Raise InputError for the first file that is named more than once, whatever it is called."""
    seen: set[str] = set()
    for path in paths:
        real = os.path.realpath(path)
        if path != STDIN and real in seen:
            raise InputError(path, "is named twice")
        seen.add(real)


def check_readable_twice(path: str) -> None:
    """Raise InputError for what cannot be opened for reading, or whose bytes come only once, as a pipe's."""
    if path == STDIN:
        raise InputError(path, "is not taken here; name a file")
    check_readable([path])
    if not os.path.isfile(path):
        raise InputError(path, "is read twice, its header first; give a file")


@contextmanager
def opened(path: str) -> Iterator[io.BufferedReader]:
    """The bytes of a file, or of standard input, which stays open."""
    if path != STDIN:
        # Opened by descriptor, the file has no name, so that xopen must look at its content.
        with _buffered(os.open(path, os.O_RDONLY)) as source:
            yield source
        return
    if sys.stdin is None:
        raise InputError(path, "is closed")
    buffer = cast(io.BufferedReader, sys.stdin.buffer)
    try:
        descriptor = os.dup(buffer.fileno())
    except io.UnsupportedOperation:  # a caller's own stream
        yield buffer
        return
    # Apart from Python's stream, whose lock a thread that an interrupt leaves waiting would keep at exit.
    with _buffered(descriptor) as source:
        yield source


def _buffered(descriptor: int) -> io.BufferedReader:
    return io.BufferedReader(_PatientFile(descriptor))


class _PatientFile(io.FileIO):
    """A file whose first bytes, which tell the format, come together, even from a pipe that dribbles."""

    _has_begun = False

    def readinto(self, buffer: Any) -> int | None:
        number = super().readinto(buffer)
        if not self._has_begun:
            self._has_begun = True
            with memoryview(buffer) as view:
                while number and number < min(_START_BYTES, len(view)):
                    more = super().readinto(view[number:])
                    if not more:
                        break
                    number += more
        return number


def is_bam_or_cram(source: io.BufferedReader) -> bool:
    """Whether the bytes to come are BAM, usually compressed, or CRAM; none is consumed."""
    start = source.peek(4)
    if start.startswith(b"CRAM"):
        return True
    with suppress(zlib.error):  # not gzip, or broken, which is for the reader to say
        start = zlib.decompressobj(wbits=31).decompress(start, 4)
    return start.startswith(b"BAM\1")


@contextmanager
def decompressed(path: str, source: io.BufferedReader, *, warns: bool = True) -> Iterator[io.BufferedReader]:
    """What `source` holds, decompressed if it is compressed; warns of BGZF that may have been cut short."""
    if warns and path != STDIN and source.seekable() and _lacks_bgzf_end(source):
        # A warning only, because bcl2fastq never writes it.
        logger.warning("%s lacks the block that ends a BGZF file; it may have been cut short", path)
    form = "zst" if _SKIPPABLE_FRAME.match(source.peek(4)) else None  # else xopen finds out
    stream = xopen(source, "rb", threads=0, format=form)
    try:
        yield stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(stream)  # type: ignore[arg-type]
    finally:
        if stream is not source:
            stream.close()


def _lacks_bgzf_end(source: BinaryIO) -> bool:
    """Whether a BGZF file may have been cut between two blocks, which decompression cannot notice."""
    start = source.read(len(BGZF_END))
    is_bgzf = start.startswith(BGZF_END[:4]) and start[12:14] == BGZF_END[12:14]
    if is_bgzf:
        source.seek(-min(len(start), len(BGZF_END)), os.SEEK_END)
    end = source.read() if is_bgzf else b""
    source.seek(0)
    return is_bgzf and end != BGZF_END


class WithoutBlankEnd:
    """A stream but for the blank lines at its end, which a parser would take for half a FASTQ record.

    Line ends wait until something follows them; more than 64 kB of them do not, and are left to the parser.
    """

    def __init__(self, stream: io.BufferedReader) -> None:
        self._stream = stream
        self._ready = b""
        self._held = b""
        self._wants_line = False

    def read(self, size: int) -> bytes:
        """At most so many bytes; none at the end."""
        while not self._ready:
            chunk = self._stream.read(size)
            if not chunk and not self._wants_line:
                return b""
            self._take(chunk)
            if not chunk:
                break
        given, self._ready = self._ready[:size], self._ready[size:]
        return given

    def _take(self, chunk: bytes) -> None:
        """Make what comes before the last line ends ready; and those if they belong to a record."""
        is_end = not chunk
        chunk = self._held + chunk
        text = chunk.rstrip(b"\r\n")
        # With the text goes the end of its line.
        stop = chunk.find(b"\n", len(text)) + 1 or len(text) if text else 0
        if is_end or len(chunk) - stop > _MAX_BLANK:
            stop = len(chunk)
        elif text:
            self._wants_line = _WITHOUT_QUALITIES.search(text[-_MAX_NAME:]) is not None
        self._ready, self._held = chunk[:stop], chunk[stop:]
