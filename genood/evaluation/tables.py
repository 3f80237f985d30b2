"""Separation of the scores in two tables."""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from genood.errors import InputError
from genood.files import check_distinct, write_json
from genood.files.parquet import is_parquet, parquet_for
from genood.metrics import separation_intervals
from genood.readers.rows import whole_rows
from genood.readers.streams import DECOMPRESSION_ERRORS, check_readable_twice, decompressed, opened

logger = logging.getLogger(__package__)

# The second and third are of Parquet: a column of something else than numbers, and what pyarrow cannot read.
_UNREADABLE: tuple[type[Exception], ...] = (
    ValueError,
    TypeError,
    NotImplementedError,
    EOFError,
    OSError,
    *DECOMPRESSION_ERRORS,
)
_NO_NUMBER = "could not convert string to float"


def read_scores(path: str, column: str) -> npt.NDArray[np.float64]:
    """One column of a score table, text or Parquet, float64; an empty cell is NaN.

    Raises
    ------
    InputError
        No such file or column, a cell that is no finite number, or a row without its last cells; or it is a
        pipe.
    ConfigError
        The table is Parquet, and pyarrow is not installed.
    """
    scores = _read_column(path, column, np.float64)
    if np.isinf(scores).any():
        raise InputError(path, f"column {column!r} holds infinite values; make them finite or empty")
    return scores


def read_names(path: str) -> list[str]:
    """The names of the reads of a score table, text or Parquet; the errors are those of `read_scores`."""
    return list(map(str, _read_column(path, "read_id", str)))


def _read_column(path: str, column: str, dtype: type) -> npt.NDArray[Any]:
    check_readable_twice(path)
    try:
        return _of_parquet(path, column, dtype) if is_parquet(path) else _of_text(path, column, dtype)
    except _UNREADABLE as error:
        if str(error).startswith(_NO_NUMBER):
            raise InputError(path, f"column {column!r} holds what is no number ({error})") from error
        reason = " ".join(str(error).split())
        raise InputError(path, f"cannot be read as a score table ({reason})") from error


def _of_parquet(path: str, column: str, dtype: type) -> npt.NDArray[Any]:
    with parquet_for(path).ParquetFile(path) as table:
        _check_column(path, column, table.schema_arrow.names)
        return table.read([column]).column(0).to_numpy().astype(object if dtype is str else dtype)


def _of_text(path: str, column: str, dtype: type) -> npt.NDArray[Any]:
    with opened(path) as source, decompressed(path, source) as stream:
        names = pd.read_csv(stream, sep="\t", nrows=0, quoting=csv.QUOTE_NONE).columns.tolist()
        _check_column(path, column, names)
    with opened(path) as source, decompressed(path, source) as stream:
        table = pd.read_csv(
            whole_rows(path, stream),
            sep="\t",
            usecols=[names.index(column)],
            dtype={column: dtype},
            index_col=False,  # else a row longer than the header shifts the columns
            quoting=csv.QUOTE_NONE,
            keep_default_na=dtype is not str,  # a read may be called NA
        )
    return table[column].to_numpy()


def _check_column(path: str, column: str, names: Iterable[str]) -> None:
    if column not in names:
        raise InputError(path, f"has no column {column!r}; its columns are {', '.join(names)}")


def evaluate_tables(
    in_table: str,
    ood_table: str,
    *,
    column: str = "ood_score",
    num_resamples: int = 200,
    seed: int = 0,
    output: str | None = None,
) -> dict[str, Any]:
    """AUROC, AUPRC and FPR80 of two score tables with 95 % bootstrap intervals.

    Parameters
    ----------
    in_table, ood_table
        Score tables of in-distribution and of OOD reads; ``-`` is not taken.
    column
        Which score; higher means more OOD.
    num_resamples, seed
        Of the bootstrap.
    output
        Where to write the result as JSON too; ``-`` is standard output.

    Returns
    -------
    result
        JSON types: the tables, the numbers of reads scored and left out, the metrics.

    Raises
    ------
    GenoodError
        A table cannot be read or has no score, or would be overwritten.
    """
    check_distinct([in_table, ood_table], [output])
    scores = {"in": read_scores(in_table, column), "ood": read_scores(ood_table, column)}
    missing = {side: int(np.isnan(values).sum()) for side, values in scores.items()}
    for side, number in missing.items():
        if number:
            logger.warning("%d %s reads have no score and are left out", number, side)
    intervals = separation_intervals(scores["in"], scores["ood"], num_resamples=num_resamples, seed=seed)
    result = {
        "column": column,
        "tables": {"in": in_table, "ood": ood_table},
        "reads": {side: len(values) - missing[side] for side, values in scores.items()},
        "without_score": missing,
        "metrics": {name: interval._asdict() for name, interval in intervals.items()},
    }
    if output is not None:
        write_json(output, result)
    return result
