"""Some columns of a table, text or Parquet, a part at a time."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from genood.errors import InputError
from genood.files.parquet import is_parquet, parquet_for
from genood.readers.streams import DECOMPRESSION_ERRORS, check_readable_twice, decompressed, opened

CHUNK_ROWS = 250_000
_LAYOUT: dict[str, Any] = {"sep": "\t", "quoting": csv.QUOTE_NONE, "encoding_errors": "replace"}

UNREADABLE: tuple[type[Exception], ...] = (
    ValueError,
    EOFError,
    OSError,
    NotImplementedError,
    *DECOMPRESSION_ERRORS,
)


@dataclass(frozen=True, kw_only=True)
class TableFormat:
    """What is read of a table.

    Attributes
    ----------
    kind
        What it is, for messages: ``score table``.
    words, numbers
        Columns of text and of numbers. An empty cell is an empty string, or NaN.
    """

    kind: str
    words: Sequence[str]
    numbers: Sequence[str]

    @property
    def columns(self) -> list[str]:
        """All columns that it needs."""
        return [*self.words, *self.numbers]


def chunks_of(path: str, table: TableFormat, rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
    """The columns of a table, at most so many rows at a time; the index counts rows from 0.

    Raises
    ------
    InputError
        No such file or column, or a cell that is no number; or it is a pipe.
    ConfigError
        The table is Parquet, and pyarrow is not installed.
    """
    check_readable_twice(path)
    parts = _of_parquet(path, table, rows) if is_parquet(path) else _of_text(path, table, rows)
    try:
        yield from parts
    except UNREADABLE as error:
        if isinstance(error, ValueError) and not is_parquet(path):
            _tell_of_bad_cell(path, table)
        reason = " ".join(str(error).split())
        raise InputError(path, f"cannot be read as a {table.kind} ({reason})") from error


def column_names(path: str, kind: str) -> list[str]:
    """The names of a table's columns; see `chunks_of`, of which `kind` is that of the format."""
    check_readable_twice(path)
    try:
        if is_parquet(path):
            with parquet_for(path).ParquetFile(path) as file:
                return list(file.schema_arrow.names)
        with opened(path) as source, decompressed(path, source, warns=False) as stream:
            return list(pd.read_csv(stream, nrows=0, **_LAYOUT).columns)
    except UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise InputError(path, f"cannot be read as a {kind} ({reason})") from error


def at_row(path: str, row: int, problem: str) -> InputError:
    """An error in a row, from 0, of a table: of text the line, of Parquet the record."""
    if is_parquet(path):
        return InputError(path, problem, record=row + 1)
    return InputError(path, problem, line=row + 2)


def _of_parquet(path: str, table: TableFormat, rows: int) -> Iterator[pd.DataFrame]:
    with parquet_for(path).ParquetFile(path) as file:
        _check_columns(path, table, file.schema_arrow.names)
        start = 0
        for batch in file.iter_batches(batch_size=rows, columns=table.columns):
            frame = batch.to_pandas(strings_to_categorical=False)
            for name in table.numbers:
                frame[name] = pd.to_numeric(frame[name]).astype("float64")
            for name in table.words:
                frame[name] = frame[name].astype("object").fillna("").astype(str)
            frame.index = pd.RangeIndex(start, start + len(frame))
            start += len(frame)
            yield frame


def _of_text(path: str, table: TableFormat, rows: int) -> Iterator[pd.DataFrame]:
    with opened(path) as source, decompressed(path, source, warns=False) as stream:
        _check_columns(path, table, pd.read_csv(stream, nrows=0, **_LAYOUT).columns)
    with opened(path) as source, decompressed(path, source) as stream:
        yield from pd.read_csv(
            stream,
            usecols=table.columns,
            dtype={**dict.fromkeys(table.numbers, "float64"), **dict.fromkeys(table.words, "object")},
            keep_default_na=False,
            na_values={name: [""] for name in table.numbers},
            index_col=False,  # else a row longer than the header shifts the columns
            skip_blank_lines=False,  # or rows could not be told by their number
            chunksize=rows,
            **_LAYOUT,
        )


def _check_columns(path: str, table: TableFormat, names: Sequence[str]) -> None:
    missing = [name for name in table.columns if name not in names]
    if missing:
        shown = ", ".join(map(repr, missing))
        raise InputError(path, f"is no {table.kind} of genood score: it has no column {shown}")


def _tell_of_bad_cell(path: str, table: TableFormat) -> None:
    """Raise InputError for the first cell of text that is no number, if there is one."""
    with opened(path) as source, decompressed(path, source, warns=False) as stream:
        header = stream.readline().decode(errors="replace").rstrip("\r\n").split("\t")
        places = {name: header.index(name) for name in table.numbers if name in header}
        for row, line in enumerate(stream):
            cells = line.decode(errors="replace").rstrip("\r\n").split("\t")
            for name, place in places.items():
                cell = cells[place] if place < len(cells) else ""
                if cell and not _is_number(cell):
                    raise at_row(path, row, f"column {name!r} holds {cell[:50]!r}, which is no number")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
