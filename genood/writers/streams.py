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
from genood.files import (
    STANDARD,
    STDOUT_NAME,
    atomic_path,
    is_standard_output,
    open_descriptor,
    writing_to,
)

STDOUT = STANDARD
COMPRESSIONS = (".gz", ".zst", ".xz", ".bz2")
"""Endings of compressed files; `.gz` is BGZF."""


@contextmanager
def open_output(target: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """A binary stream for output: ``-`` is standard output, a name that ends as in `COMPRESSIONS` compresses.

    A file appears under its name only when the block ends well. An open descriptor, such as
    ``/dev/stderr``, is written to as it is.
    """
    if is_standard_output(target) and not compression_of(target):
        if sys.stdout is None:
            raise InputError(STDOUT_NAME, "is closed; name a file")
        standard = _Output(STDOUT_NAME, sys.stdout.buffer)
        yield cast(IO[bytes], standard)
        standard.flush()
        return
    descriptor = None if compression_of(target) else open_descriptor(target)
    if descriptor is not None:
        with closing(_Output(target, open(descriptor, "wb"))) as stream:
            yield cast(IO[bytes], stream)
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
    compression = compression_of(target)
    with write_errors_named(target):
        if compression == ".gz":
            return _Output(target, pysam.BGZFile(os.fspath(path), "wb"))  # type: ignore[call-arg]
        file = open(path, "wb")  # noqa: SIM115
        if not compression:
            return _Output(target, file)
        # A file that xopen opens itself would not tell that it could not be written to its end.
        return _Output(target, xopen(file, "wb", format=compression[1:], threads=0), file)


class _Output:
    """A stream to write to, whose errors name `target`, as the user knows it; and the file below it."""

    def __init__(self, target: str | os.PathLike[str], stream: Any, file: IO[bytes] | None = None) -> None:
        self._target = target
        self._stream = stream
        self._file = file

    def write(self, data: bytes) -> None:
        with write_errors_named(self._target):
            self._stream.write(data)

    def flush(self) -> None:
        with write_errors_named(self._target):
            self._stream.flush()

    def close(self) -> None:
        with write_errors_named(self._target):
            try:
                self._stream.close()
            finally:
                if self._file is not None:
                    self._file.close()


def compression_of(target: str | os.PathLike[str]) -> str:
    """The ending that says how a file is compressed, in lower case whatever the name's; empty for none."""
    name = os.fspath(target).lower()
    return next((ending for ending in COMPRESSIONS if name.endswith(ending)), "")


def without_compression(target: str) -> str:
    """A file's name but for the ending that says how it is compressed."""
    return target[: len(target) - len(compression_of(target))]


@contextmanager
def write_errors_named(target: str | os.PathLike[str]) -> Iterator[None]:
    """Name the file that could not be written, as the user knows it."""
    verbosity = pysam.set_verbosity(0)  # else htslib prints errors too
    try:
        with writing_to(target):
            yield
    finally:
        pysam.set_verbosity(verbosity)
