"""Columns to the rows of a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Column = Sequence[str] | npt.NDArray[np.int64] | npt.NDArray[np.float64]
"""Cells as they are (of a string each character is one), or numbers: floats have six significant digits,
NaN is an empty cell."""

WORTH_LOADING = 200_000
"""Rows that take Python longer than it takes to load numba."""


class RowText:
    """Makes the rows of one table.

    What a row becomes never depends on the way that it is made: where numba is loaded, as for a context
    model, or many rows have come, by compiled loops, in a tenth of the time and without the GIL.
    """

    def __init__(self) -> None:
        self._num_rows = 0

    def rows(self, columns: Sequence[Column]) -> bytes:
        """Rows of cells with tabs between them, in UTF-8.

        Parameters
        ----------
        columns
            At least one, equally long.
        """
        self._num_rows += len(columns[0])
        if self._num_rows >= WORTH_LOADING or "numba" in sys.modules:
            text = compiled_rows(columns)
            if text is not None:
                return text
        return plain_rows(columns)


def plain_rows(columns: Sequence[Column]) -> bytes:
    """See `RowText.rows`; by Python alone."""
    cells = [values if not isinstance(values, np.ndarray) else _plain_cells(values) for values in columns]
    return "".join(["\t".join(row) + "\n" for row in zip(*cells, strict=True)]).encode()


def _plain_cells(values: npt.NDArray[np.int64] | npt.NDArray[np.float64]) -> list[str]:
    if values.dtype.kind == "i":
        return list(map(str, values.tolist()))
    # Adding 0 makes a zero of -0; all in one string is faster than one by one.
    lines = "%.6g\n" * len(values) % tuple((values + 0.0).tolist())
    return lines.replace("nan", "").splitlines()


def compiled_rows(columns: Sequence[Column]) -> bytes | None:
    """See `RowText.rows`; None where numbers are beyond what compiled loops write."""
    from genood.text.cells import FLOAT, FLOAT_BYTES, INTEGER, INTEGER_BYTES, TEXT, TOO_EXTREME, join_cells

    num_rows = len(columns[0])
    kinds, places = [], []
    texts: list[Sequence[str]] = []
    numbers: dict[int, list[Column]] = {INTEGER: [], FLOAT: []}
    for values in columns:
        if len(values) != num_rows:
            raise ValueError(f"a column of {len(values)} cells beside one of {num_rows}")
        if isinstance(values, np.ndarray):
            kind = INTEGER if values.dtype.kind == "i" else FLOAT
            places.append(len(numbers[kind]))
            numbers[kind].append(values)
        else:
            kind = TEXT
            places.append(len(texts))
            texts.append(values)
        kinds.append(kind)
    pool = _pool(texts, num_rows)
    integers = np.array(numbers[INTEGER], dtype=np.int64).reshape(len(numbers[INTEGER]), num_rows)
    floats = np.array(numbers[FLOAT], dtype=np.float64).reshape(len(numbers[FLOAT]), num_rows)
    if pool is None or integers.min(initial=0) < 0:
        return None
    most = len(columns) + len(integers) * INTEGER_BYTES + len(floats) * FLOAT_BYTES
    out = np.empty(len(pool[0]) + num_rows * most, dtype=np.uint8)
    length = join_cells(np.array(kinds), np.array(places), *pool, num_rows, integers, floats, out)
    return None if length == TOO_EXTREME else out[:length].tobytes()


def _pool(
    columns: Sequence[Sequence[str]], num_rows: int
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]] | None:
    """All cells one after the other, in UTF-8, and where each column begins; see `join_cells`.

    None where a cell has a newline itself.
    """
    parts = ["\n".join([*cells, ""]).encode() for cells in columns]
    if any(part.count(b"\n") != num_rows for part in parts):
        return None
    starts = np.cumsum([0, *map(len, parts)], dtype=np.int64)[:-1]
    return np.frombuffer(b"".join(parts), dtype=np.uint8), starts
