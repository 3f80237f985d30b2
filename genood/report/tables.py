"""Score tables as they are counted: their columns, checked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pandas as pd

from genood.engine import CALLS
from genood.report.accumulate import RunAccumulator, ScoreColumns
from genood.report.chunks import TableFormat, at_row, chunks_of, column_names
from genood.writers.tables import CLASS_COLUMN, SCORE_PREFIX

SCORES = TableFormat(
    kind="score table",
    words=("read_id", "call"),
    numbers=("mate", "length", "num_scored", "gc", "llr_per_base", "ood_score", "p_value"),
)
MOST_DETECTORS = 16
"""Further detectors that are shown; there are not more."""
_COUNTS = ("mate", "length", "num_scored")
_SHARES = ("gc", "p_value")

Floats = npt.NDArray[np.float64]


def count_table(path: str, accumulator: RunAccumulator) -> None:
    """Count the rows of a score table.

    Raises
    ------
    InputError
        It cannot be read, or a cell holds what no score table does.
    ConfigError
        It is Parquet, and pyarrow is not installed.
    """
    for columns in score_columns_of(path):
        accumulator.add(columns)


def score_columns_of(path: str) -> Iterator[ScoreColumns]:
    """The rows of a score table, some at a time; see `count_table`."""
    for frame in chunks_of(path, _with_others(path)):
        yield checked_columns(path, frame)


def _with_others(path: str) -> TableFormat:
    """The columns of a table that are read: those of all tables, and what this one has of others."""
    there = column_names(path, SCORES.kind)
    words = [name for name in there if name == CLASS_COLUMN]
    numbers = [name for name in there if _is_other(name)]
    return replace(
        SCORES, words=[*SCORES.words, *words], numbers=[*SCORES.numbers, *numbers[:MOST_DETECTORS]]
    )


def _is_other(name: str) -> bool:
    return name.startswith(SCORE_PREFIX) and name != SCORE_PREFIX


def checked_columns(path: str, frame: pd.DataFrame) -> ScoreColumns:
    """Rows of a score table, which holds the columns of `SCORES` and maybe others; see `count_table`."""
    calls = pd.Index(CALLS).get_indexer(pd.Index(frame["call"])).astype(np.int64)
    values = {name: frame[name].to_numpy(dtype=np.float64) for name in SCORES.numbers}
    first = int(frame.index[0]) if len(frame) else 0

    def refuse(wrong: npt.NDArray[np.bool_], name: str, what: str) -> None:
        if wrong.any():
            row = int(np.flatnonzero(wrong)[0])
            cell = frame[name].iloc[row]
            shown = repr(cell[:50]) if isinstance(cell, str) else f"{cell:g}"
            raise at_row(path, first + row, f"column {name!r} holds {shown}, which is no {what}")

    refuse(calls < 0, "call", f"call; calls are {', '.join(CALLS)}")
    for name in _COUNTS:
        column = values[name]
        refuse(~((column >= 0) & (column < 2**53) & (np.floor(column) == column)), name, "whole number")
    for name in _SHARES:
        refuse((values[name] < 0) | (values[name] > 1), name, "number from 0 to 1")
    others = {name: frame[name].to_numpy(dtype=np.float64) for name in map(str, frame) if _is_other(name)}
    for name in ("llr_per_base", "ood_score", *others):
        refuse(np.isinf(values[name] if name in values else others[name]), name, "finite number")
    return ScoreColumns(
        names=frame["read_id"].tolist(),
        mates=values["mate"].astype(np.int64),
        lengths=values["length"].astype(np.int64),
        num_scored=values["num_scored"].astype(np.int64),
        gc=values["gc"],
        llr_per_base=values["llr_per_base"],
        ood_scores=values["ood_score"],
        p_values=values["p_value"],
        calls=calls,
        others={name.removeprefix(SCORE_PREFIX): scores for name, scores in others.items()},
        classes=frame[CLASS_COLUMN].tolist() if CLASS_COLUMN in frame else None,
    )
