"""Score tables and per-position tables as Parquet: the same numbers as in text, with types."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np

from genood import __version__
from genood.engine import ScoredReads
from genood.errors import InputError
from genood.files import atomic_path
from genood.files.parquet import parquet_for
from genood.rounding import as_in_table
from genood.sequence import decode
from genood.stretches.pieces import Positions
from genood.text import Column
from genood.writers.streams import write_errors_named
from genood.writers.tables import CLASS_COLUMN, POSITION_COLUMNS, score_columns, score_values

_GROUP_ROWS = 131_072
"""Rows of a row group of the score table, at least."""
_GROUP_POSITIONS = 1_048_576
"""Rows of a row group of the per-position table, at most."""
_BASES = list(decode(np.arange(5, dtype=np.uint8)))


class _ParquetFile:
    """A Parquet file to append columns to; cells without a value are null.

    Parameters
    ----------
    target
        The name it is to have.
    path
        Where to write it.
    types
        Arrow types of its columns, by name.
    fingerprint
        Of the bundle, for the file's metadata.
    """

    def __init__(self, target: str, path: Path, types: dict[str, str], fingerprint: str) -> None:
        parquet = parquet_for(target)
        import pyarrow

        self._arrow = pyarrow
        self._target = target
        self._schema = pyarrow.schema(
            [(name, _type_of(pyarrow, kind)) for name, kind in types.items()],
            metadata={"genood.version": __version__, "genood.bundle": fingerprint},
        )
        with write_errors_named(target):
            self._writer = parquet.ParquetWriter(os.fspath(path), self._schema, compression="zstd")

    def table(self, columns: Sequence[Any]) -> Any:
        arrays = []
        for values, field in zip(columns, self._schema, strict=True):
            if isinstance(values, np.ndarray) and values.dtype == np.float64:
                rounded = as_in_table(values)
                arrays.append(self._arrow.array(rounded, mask=np.isnan(rounded)))
            elif isinstance(values, self._arrow.Array):
                arrays.append(values)
            else:
                arrays.append(self._arrow.array(values, type=field.type))
        return self._arrow.table(arrays, schema=self._schema)

    def coded(self, codes: Any, names: Sequence[str]) -> Any:
        """A column of few values: integers that say which of the names."""
        return self._arrow.DictionaryArray.from_arrays(self._arrow.array(codes), self._arrow.array(names))

    def write(self, tables: Sequence[Any]) -> None:
        """Append tables as one row group."""
        if tables:
            with write_errors_named(self._target):
                whole = self._arrow.concat_tables(tables).unify_dictionaries()
                self._writer.write_table(whole, row_group_size=max(len(whole), 1))

    def close(self) -> None:
        with write_errors_named(self._target):
            self._writer.close()


class ScoreParquetWriter:
    """Writes the score table; the parameters are those of `ScoreTableWriter` and `_ParquetFile`."""

    def __init__(
        self,
        target: str,
        path: Path,
        detectors: Sequence[str],
        *,
        paired: bool,
        fingerprint: str,
        classes: bool = False,
    ) -> None:
        self._detectors = tuple(detectors)
        self._also = {"paired": paired, "classes": classes}
        names = score_columns(detectors, **self._also)
        types = {
            "read_id": "string",
            "mate": "int8",
            "length": "int64",
            "num_scored": "int64",
            "call": "letters",
            "pair_call": "letters",
            CLASS_COLUMN: "names",
        }
        self._file = _ParquetFile(
            target, path, {name: types.get(name, "double") for name in names}, fingerprint
        )
        self._tables: list[Any] = []
        self._num_rows = 0

    def write(self, scored: ScoredReads) -> None:
        """Append rows."""
        values: list[Column] = score_values(scored, self._detectors, **self._also)
        self._tables.append(self._file.table(values))
        self._num_rows += len(scored.names)
        if self._num_rows >= _GROUP_ROWS:
            self._flush()

    def close(self) -> None:
        """Finish the file."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        self._file.write(self._tables)
        self._tables, self._num_rows = [], 0


class PositionParquetWriter:
    """Writes the per-position table, see `PositionTableWriter`."""

    def __init__(self, target: str, path: Path, *, fingerprint: str) -> None:
        kinds = ("names", "int64", "letters", "double", "double", "double")
        self._file = _ParquetFile(target, path, dict(zip(POSITION_COLUMNS, kinds, strict=True)), fingerprint)

    def write(self, scored: ScoredReads) -> None:
        """Append rows, in row groups of whole reads where those are short; needs positions."""
        assert scored.positions is not None
        names: list[str] = []
        parts: list[tuple[Positions, int, int]] = []
        num_rows = 0
        for name, read in zip(scored.names, scored.positions, strict=True):
            for start in range(0, len(read.codes), _GROUP_POSITIONS):
                stop = min(start + _GROUP_POSITIONS, len(read.codes))
                if num_rows + stop - start > _GROUP_POSITIONS:
                    self._write_parts(names, parts)
                    names, parts, num_rows = [], [], 0
                names.append(name)
                parts.append((read, start, stop))
                num_rows += stop - start
        self._write_parts(names, parts)

    def close(self) -> None:
        """Finish the file."""
        self._file.close()

    def _write_parts(self, names: list[str], parts: list[tuple[Positions, int, int]]) -> None:
        if not parts:
            return

        def joined(values: str) -> Any:
            return np.concatenate([getattr(read, values)[start:stop] for read, start, stop in parts])

        log_p, background = (
            np.where(joined("scored"), joined(values), np.nan).astype(np.float64)
            for values in ("log_p", "background_log_p")
        )
        different, places = np.unique(names, return_inverse=True)
        lengths = [stop - start for _, start, stop in parts]
        columns = [
            self._file.coded(np.repeat(places.astype(np.int32), lengths), different.tolist()),
            np.concatenate([np.arange(start + 1, stop + 1, dtype=np.int64) for _, start, stop in parts]),
            self._file.coded(joined("codes").astype(np.int8), _BASES),
            log_p,
            background,
            log_p - background,
        ]
        self._file.write([self._file.table(columns)])


@contextmanager
def score_parquet(
    target: str, detectors: Sequence[str], *, paired: bool, fingerprint: str, classes: bool = False
) -> Iterator[ScoreParquetWriter]:
    """A writer to a file that appears under its name when the block ends well."""
    with atomic_path(target) as path:
        writer = ScoreParquetWriter(
            target, path, detectors, paired=paired, fingerprint=fingerprint, classes=classes
        )
        with _closed(writer):
            yield writer


@contextmanager
def position_parquet(target: str, *, fingerprint: str) -> Iterator[PositionParquetWriter]:
    """As `score_parquet`."""
    with atomic_path(target) as path:
        writer = PositionParquetWriter(target, path, fingerprint=fingerprint)
        with _closed(writer):
            yield writer


@contextmanager
def _closed(writer: ScoreParquetWriter | PositionParquetWriter) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with suppress(InputError):  # of the same cause
            writer.close()
        raise
    writer.close()


def _type_of(arrow: Any, kind: str) -> Any:
    """An Arrow type by its name, or that of a column of few different ``names``."""
    if kind == "names":
        return arrow.dictionary(arrow.int32(), arrow.string())
    if kind == "letters":
        return arrow.dictionary(arrow.int8(), arrow.string())
    return arrow.type_for_alias(kind)
