"""An index beside a compressed table, by which tabix finds the rows of a read."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import IO, NamedTuple, Protocol, TypeVar

import pysam

from genood.errors import InputError
from genood.files import appear_together, atomic_path
from genood.writers.streams import compression_of, open_stream
from genood.writers.tables import PositionTableWriter

logger = logging.getLogger(__name__)

_ENDINGS = (".tbi", ".csi")
_TBI_POSITIONS = 2**29
"""Positions that the older kind of index reaches."""
_MOST_READS = 200_000
"""Indexes take some 500 bytes of memory a read."""
_NO_COMMENTS = "\0"
"""Starts no line, so that a read may be named ``#1``."""


class TabixColumns(NamedTuple):
    """Where a table has what tabix looks for: columns from 0, and lines without it.

    Attributes
    ----------
    start, end
        Columns of the first position of a row and of its last, or, of half-open ones, of the one after it.
    half_open
        Whether positions count from 0, and the end is the one after the last.
    comments
        What lines start with that hold no row.
    header_lines
        Lines before the first row.
    """

    start: int
    end: int
    half_open: bool
    comments: str
    header_lines: int


class _Table(Protocol):
    """A writer that knows how many reads it had, and the bases of the longest."""

    num_reads: int
    longest: int


T = TypeVar("T", bound=_Table)


def index_names(target: str) -> list[str]:
    """The names, one of which the index of a table will have; none if it is not to have any."""
    return [target + ending for ending in _ENDINGS] if compression_of(target) == ".gz" else []


def indexed_position_table(target: str) -> AbstractContextManager[PositionTableWriter]:
    """See `indexed_table`."""
    columns = TabixColumns(start=1, end=1, half_open=False, comments=_NO_COMMENTS, header_lines=1)
    return indexed_table(target, PositionTableWriter, columns)


@contextmanager
def indexed_table(target: str, made: Callable[[IO[bytes]], T], columns: TabixColumns) -> Iterator[T]:
    """A writer, made of a stream, of a table ending in ``.gz``; both it and its index appear in the end.

    Where there cannot be an index, a message says why. An older one, of the table that was there before,
    is removed in any case, and before the new table is there.
    """
    with appear_together(), atomic_path(target, stale=index_names(target)) as path:
        with open_stream(target, path) as stream:
            writer = made(stream)
            yield writer
        if not path.is_file():
            return
        try:
            _write_index(target, path, writer, columns)
        except (_NotIndexedError, InputError) as error:
            logger.warning("%s has no index for tabix: %s", target, error)


class _NotIndexedError(Exception):
    """Why a table has no index."""


def _write_index(target: str, path: Path, table: _Table, columns: TabixColumns) -> None:
    """Index a table that is not yet under its name.

    Raises
    ------
    _NotIndexedError, InputError
        It cannot be indexed, or the index cannot be written.
    """
    if table.num_reads > _MOST_READS:
        raise _NotIndexedError(f"for more than {_MOST_READS} reads it would take much memory")
    is_long = table.longest > _TBI_POSITIONS
    index = target + _ENDINGS[is_long]
    with atomic_path(index, after=path) as place:
        if _is_indexed(path, os.fspath(place), columns, is_long=is_long):
            return
        # The library does not say why; where nothing is kept, only rows out of order are in its way.
        if _is_indexed(path, os.devnull, columns, is_long=is_long):
            raise InputError(index, "cannot be written (is the disk full?)")
        raise _NotIndexedError("names that come more than once, as those of mates, leave it unsorted")


def _is_indexed(path: Path, index: str, columns: TabixColumns, *, is_long: bool) -> bool:
    verbosity = pysam.set_verbosity(0)  # else htslib prints errors too
    try:
        pysam.tabix_index(
            os.fspath(path),
            force=True,
            seq_col=0,
            start_col=columns.start,
            end_col=columns.end,
            zerobased=columns.half_open,
            meta_char=columns.comments,
            line_skip=columns.header_lines,
            index=index,
            keep_original=True,
            csi=is_long,
        )
    except (OSError, ValueError):
        return False
    finally:
        pysam.set_verbosity(verbosity)
    return True
