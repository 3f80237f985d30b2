"""Rows of text tables, of which none may be without its last cells."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from genood.errors import InputError

_BUFFER_BYTES = 2**20


def whole_rows(path: str, stream: io.BufferedReader) -> io.BufferedReader:
    """The bytes of a text table; InputError, as they are read, for a row with fewer cells than the header.

    pandas would fill it up, and the last of its cells may be half a number.
    """
    return io.BufferedReader(_WholeRows(path, stream), _BUFFER_BYTES)


class _WholeRows(io.RawIOBase):
    """See `whole_rows`."""

    def __init__(self, path: str, stream: io.BufferedReader) -> None:
        self._path = path
        self._stream = stream
        self._num_columns = 0
        self._num_lines = 1
        # Of the last line, which goes on in the next bytes; not its text, as it may be a whole file.
        self._num_tabs = 0
        self._is_empty = True

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Look at the next bytes."""
        number = self._stream.readinto1(buffer)
        first, *lines = bytes(memoryview(buffer)[:number]).split(b"\n")
        self._take(first)
        if lines:
            self._end_line()
            last = lines.pop()
            self._look_at(lines)
            self._take(last)
        if not number:
            self._end_line()
        return number

    def _look_at(self, lines: Sequence[bytes]) -> None:
        """Look at whole lines; quickly, if nothing is odd about them."""
        if (
            self._num_columns
            and min((line.count(b"\t") for line in lines), default=0) + 1 >= self._num_columns
        ):
            self._num_lines += len(lines)
            return
        for line in lines:
            self._take(line)
            self._end_line()

    def _take(self, part: bytes) -> None:
        self._num_tabs += part.count(b"\t")
        self._is_empty = self._is_empty and not part.strip(b" \r")

    def _end_line(self) -> None:
        num_cells = self._num_tabs + 1
        if not self._is_empty:  # pandas leaves empty ones out
            if num_cells < self._num_columns:
                problem = f"has {num_cells} of {self._num_columns} cells; was the table cut short?"
                raise InputError(self._path, problem, line=self._num_lines)
            self._num_columns = self._num_columns or num_cells
        self._num_lines += 1
        self._num_tabs, self._is_empty = 0, True
