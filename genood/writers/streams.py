"""Streams for output, compressed by the ending of their name."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pysam
from xopen import xopen

from genood.errors import InputError
from genood.files import atomic_path, writing_to
from genood.readers import STDIN

STDOUT = STDIN
_STDOUT_NAME = "standard output"
COMPRESSIONS = (".gz", ".zst", ".xz", ".bz2")
"""Endings of compressed files; `.gz` is BGZF."""


@contextmanager
def open_output(target: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary stream for output: ``-`` is standard output, a name that ends as in `COMPRESSIONS` compresses.

    A file appears under its name only when the block ends well.
    """
    if os.fspath(target) == STDOUT:
        if sys.stdout is None:
            raise InputError(_STDOUT_NAME, "is closed; name a file")
        standard = _Output(_STDOUT_NAME, sys.stdout.buffer)
        yield cast(IO[bytes], standard)
        standard.flush()
        return
    with atomic_path(target) as path, open_stream(target, path) as stream:
        yield stream


@contextmanager
def open_stream(target: str | os.PathLike[str], path: Path) -> Iterator[IO[bytes]]:
    """As `open_output`, to a file at `path` that is to be named `target`."""
    with closing(_output_file(target, path)) as stream:
        yield cast(IO[bytes], stream)


def _output_file(target: str | os.PathLike[str], path: Path) -> _Output:
    """A stream to `path`, which will be `target`."""
    with write_errors_named(target):
        return _Output(target, _opened(path, compression_of(target)))


class _Output:
    """A stream to write to, whose errors name `target`, as the user knows it."""

    def __init__(self, target: str | os.PathLike[str], stream: Any) -> None:
        self._target = target
        self._stream = stream

    def write(self, data: bytes) -> None:
        with write_errors_named(self._target):
            self._stream.write(data)

    def flush(self) -> None:
        with write_errors_named(self._target):
            self._stream.flush()

    def close(self) -> None:
        with write_errors_named(self._target):
            self._stream.close()


def compression_of(target: str | os.PathLike[str]) -> str:
    """The ending of a file's name that says how it is compressed; empty for none."""
    return next((ending for ending in COMPRESSIONS if os.fspath(target).endswith(ending)), "")


def _opened(path: Path, compression: str) -> Any:
    if compression == ".gz":
        return pysam.BGZFile(os.fspath(path), "wb")  # type: ignore[call-arg]
    if compression:
        return xopen(path, "wb", format=compression[1:], threads=0)
    return open(path, "wb")


@contextmanager
def write_errors_named(target: str | os.PathLike[str]) -> Iterator[None]:
    """Name the file that could not be written, as the user knows it."""
    verbosity = pysam.set_verbosity(0)  # else htslib prints errors too
    try:
        with writing_to(target):
            yield
    finally:
        pysam.set_verbosity(verbosity)
