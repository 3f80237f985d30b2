"""Tables of tab-separated text, plain or compressed: lines in, each with its number; rows out, atomically."""

from __future__ import annotations

import gzip
import io
import os
import sys
from codecs import getwriter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from xopen import xopen

from genood.errors import ConfigError, InputError
from genood.files import STANDARD, STDOUT_NAME, atomic_path, writing_to
from genood.readers import STDIN, check_readable


def read_lines(path: str | os.PathLike[str]) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each line of a file; compression is recognised by content.

    Line ends and a byte order mark are taken off. Bytes that are not UTF-8 become U+FFFD, so that one in a
    column that nobody here reads does no harm.

    Raises
    ------
    InputError
        The file cannot be opened, or is compressed and damaged: the lines before come first.
    """
    if os.fspath(path) == STDIN:
        raise InputError(path, "is not taken as a table; name a file")
    check_readable([os.fspath(path)])
    with ExitStack() as stack:
        # Opened by descriptor, the file has no name, so that xopen must look at its content.
        source = stack.enter_context(open(os.open(path, os.O_RDONLY), "rb"))
        number = 0
        while True:
            try:
                if number == 0:
                    stream = stack.enter_context(xopen(source, "rb", threads=0))
                line = stream.readline()
            except Exception as error:  # each compression has errors of its own
                raise InputError(
                    path, f"cannot be read on after line {number} ({error}); fetch it again"
                ) from error
            if not line:
                return
            number += 1
            text = line.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace")
            yield number, text.rstrip("\r\n")


def read_table(
    path: str | os.PathLike[str], required: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[int, dict[str, str]]]:
    """Line number and cells by column of each row of a table with a header; empty lines are left out.

    Parameters
    ----------
    path
        The first line that does not start with ``#`` is the header.
    required, optional
        Names of columns to read, in any order in the file; others are left alone. An optional one that the
        file lacks is empty.

    Raises
    ------
    InputError
        As `read_lines`; or the header lacks a column or has one twice, a row has more cells than it, or a
        later line starts with ``#``.
    """
    header: list[str] | None = None
    for number, text in read_lines(path):
        if not text.strip() or (header is None and text.startswith("#")):
            continue
        if text.startswith("#"):
            problem = "starts with #; take the line out, or put ./ before the # if it is of a file"
            raise InputError(path, problem, line=number)
        cells = [cell.strip() for cell in text.split("\t")]
        if header is None:
            header = cells
            missing = [name for name in required if name not in header]
            if missing:
                raise InputError(
                    path,
                    f"has no column {', '.join(missing)}; its header must be tab-separated and name "
                    f"{', '.join(required)}",
                    line=number,
                )
            twice = [name for name in (*required, *optional) if header.count(name) > 1]
            if twice:
                raise InputError(path, f"has the column {twice[0]} twice", line=number)
            continue
        if len(cells) > len(header):
            raise InputError(path, f"has {len(cells)} cells, but the header {len(header)}", line=number)
        row = dict(zip(header, cells, strict=False))  # editors take empty cells off the end of a line
        yield number, {name: row.get(name, "") for name in (*required, *optional)}
    if header is None:
        raise InputError(path, f"is empty; a header must name the columns {', '.join(required)}")


def check_name(path: str | os.PathLike[str], what: str, name: str, *, line: int | None = None) -> None:
    """Raise InputError for a name that no table can hold, or of which `read_lines` replaced bytes.

    Parameters
    ----------
    path, line
        Where it stands.
    what
        It is, such as a class.
    name
        The name.
    """
    if "\N{REPLACEMENT CHARACTER}" in name:
        raise InputError(path, f"{what} is {name!r}, which is not UTF-8; save the table as that", line=line)
    if not name.isprintable():
        raise InputError(path, f"{what} is {name!r}, which holds what is not printable; rename it", line=line)


def check_path(path: str) -> None:
    """Raise ConfigError for a path that no table can hold, which is to have it as a name."""
    if not path.isprintable():
        raise ConfigError(f"{path!r}: its name holds what no table can; rename it")


def write_table(
    target: str | os.PathLike[str], header: Sequence[str], rows: Iterable[Sequence[object]]
) -> None:
    """Write a table with a header; None is an empty cell.

    Parameters
    ----------
    target
        ``-`` is standard output. What ends in ``.gz`` is compressed, the same rows to the same bytes.
    header, rows
        Cells from left to right.

    Raises
    ------
    InputError
        The target cannot be written.
    """
    lines = (
        "\t".join("" if cell is None else str(cell) for cell in cells) + "\n" for cells in (header, *rows)
    )
    if os.fspath(target) == STANDARD:
        with standard_output() as stream:
            for line in lines:  # writelines would join them all
                stream.write(line)
        return
    try:
        with atomic_path(target) as temporary:
            _write_lines(temporary, lines, compress=os.fspath(target).endswith(".gz"))
    except BrokenPipeError:
        raise
    except OSError as error:  # it names the temporary file, of which the user knows nothing
        raise InputError(target, f"cannot be written ({error.strerror or error})") from error


@contextmanager
def standard_output() -> Iterator[TextIO]:
    """Standard output, to write text to, in UTF-8 whatever the locale.

    Raises
    ------
    InputError
        It is closed, or what is written to it is not taken.
    """
    if sys.stdout is None:
        raise InputError(STDOUT_NAME, "is closed; name a file")
    with writing_to(STDOUT_NAME):
        sys.stdout.flush()
        yield cast(TextIO, getwriter("utf-8")(sys.stdout.buffer))
        sys.stdout.buffer.flush()


def _write_lines(path: Path, lines: Iterable[str], *, compress: bool) -> None:
    with ExitStack() as stack:
        stream: BinaryIO = stack.enter_context(open(path, "wb"))
        if compress:
            # Without the name and the time, which would differ.
            packed = gzip.GzipFile(filename="", mode="wb", fileobj=stream, mtime=0)
            stream = cast(BinaryIO, stack.enter_context(packed))
        stack.enter_context(io.TextIOWrapper(stream, encoding="utf-8", newline="")).writelines(lines)
