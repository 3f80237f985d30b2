"""Score tables and per-position tables, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

import numpy as np
import numpy.typing as npt

from genood.engine import ScoredReads
from genood.pieces import Positions
from genood.sequence import decode

SCORE_COLUMNS = (
    "read_id",
    "mate",
    "length",
    "num_scored",
    "gc",
    "log_likelihood",
    "background_log_likelihood",
    "llr",
    "llr_per_base",
    "ood_score",
    "p_value",
    "call",
)
PAIR_COLUMN = "pair_p_value"
POSITION_COLUMNS = ("read_id", "position", "base", "log_p", "background_log_p", "llr")

_POSITIONS_AT_ONCE = 65_536


class ScoreTableWriter:
    """Writes the score table, one row a read.

    Parameters
    ----------
    stream
        Where to.
    detectors
        Names in the order of the engine: the first one's score is ``ood_score``; each further one
        adds a column ``ood_score_NAME`` at the end.
    paired
        Whether ``pair_p_value`` is the last column.
    """

    def __init__(self, stream: IO[bytes], detectors: Sequence[str], *, paired: bool = False) -> None:
        self._stream = stream
        self._detectors = tuple(detectors)
        extra = [f"ood_score_{name}" for name in self._detectors[1:]]
        self._paired = paired
        self._stream.write(_row([*SCORE_COLUMNS, *extra, *([PAIR_COLUMN] if paired else [])]))

    def write(self, scored: ScoredReads) -> None:
        """Append rows."""
        first, *others = (scored.ood_scores[name] for name in self._detectors)
        columns: list[Sequence[str]] = [
            scored.names,
            _few_numbers(scored.mates),
            _few_numbers(scored.lengths),
            _few_numbers(scored.num_scored),
            _few_numbers(scored.gc),
            _numbers(scored.log_likelihood),
            _numbers(scored.background_log_likelihood),
            _numbers(scored.llr),
            _numbers(scored.llr_per_base),
            _numbers(first),
            _numbers(scored.p_values),
            scored.calls,
            *map(_numbers, others),
        ]
        if self._paired:
            assert scored.pair_p_values is not None
            columns.append(_numbers(scored.pair_p_values))
        self._stream.write(_rows(columns))


class PositionTableWriter:
    """Writes the per-position table, one row a base; unscored bases have empty values."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._stream.write(_row(POSITION_COLUMNS))

    def write(self, scored: ScoredReads) -> None:
        """Append rows; the engine must have kept positions."""
        assert scored.positions is not None
        for name, read in zip(scored.names, scored.positions, strict=True):
            for start in range(0, len(read.codes), _POSITIONS_AT_ONCE):
                self._write_part(name, read, start, start + _POSITIONS_AT_ONCE)

    def _write_part(self, name: str, read: Positions, start: int, stop: int) -> None:
        scored = read.scored[start:stop]
        log_p = np.where(scored, read.log_p[start:stop].astype(np.float64), np.nan)
        background = np.where(scored, read.background_log_p[start:stop].astype(np.float64), np.nan)
        columns = [
            [name] * len(scored),
            list(map(str, range(start + 1, start + len(scored) + 1))),
            decode(read.codes[start:stop]),
            _numbers(log_p),
            _numbers(background),
            _numbers(log_p - background),
        ]
        self._stream.write(_rows(columns))


def _numbers(values: npt.NDArray[np.float64], style: str = "%.6g") -> list[str]:
    """Six significant digits; NaN becomes an empty cell."""
    # Adding 0 makes a zero of -0; all in one string is faster than one by one.
    lines = f"{style}\n" * len(values) % tuple((values + 0.0).tolist())
    return lines.replace("nan", "").splitlines()


def _few_numbers(values: npt.ArrayLike) -> list[str]:
    """As `_numbers`, of integers as they are; fast where few values differ."""
    distinct, places = np.unique(values, return_inverse=True)
    cells = _numbers(distinct, "%d" if distinct.dtype.kind == "i" else "%.6g")
    return [cells[place] for place in places.tolist()]


def _row(cells: Sequence[str]) -> bytes:
    return ("\t".join(cells) + "\n").encode()


def _rows(columns: Sequence[Sequence[str]]) -> bytes:
    return "".join(["\t".join(cells) + "\n" for cells in zip(*columns, strict=True)]).encode()
