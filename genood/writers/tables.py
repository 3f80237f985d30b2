"""Score tables and per-position tables, as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

import numpy as np

from genood.engine import ScoredReads
from genood.sequence import decode
from genood.stretches.pieces import Positions
from genood.text import Column, RowText

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
PAIR_COLUMNS = ("pair_p_value", "pair_call")
CLASS_COLUMN = "predicted_class"
SCORE_PREFIX = "ood_score_"
"""What the columns of further detectors begin with."""
POSITION_COLUMNS = ("read_id", "position", "base", "log_p", "background_log_p", "llr")

_POSITIONS_AT_ONCE = 65_536


def score_columns(detectors: Sequence[str], *, paired: bool, classes: bool = False) -> list[str]:
    """Names of the columns of the score table; the parameters are those of `ScoreTableWriter`."""
    extra = [SCORE_PREFIX + name for name in detectors[1:]]
    return [*SCORE_COLUMNS, *extra, *(PAIR_COLUMNS if paired else []), *([CLASS_COLUMN] if classes else [])]


def score_values(
    scored: ScoredReads, detectors: Sequence[str], *, paired: bool, classes: bool = False
) -> list[Column]:
    """The columns of the score table, as many as `score_columns` names; NaN where there is no value."""
    first, *others = (scored.ood_scores[name] for name in detectors)
    columns: list[Column] = [
        scored.names,
        np.array(scored.mates, dtype=np.int64),
        scored.lengths,
        scored.num_scored,
        scored.gc,
        scored.log_likelihood,
        scored.background_log_likelihood,
        scored.llr,
        scored.llr_per_base,
        first,
        scored.p_values,
        scored.calls,
        *others,
    ]
    if paired:
        assert scored.pair_p_values is not None
        assert scored.pair_calls is not None
        columns += [scored.pair_p_values, scored.pair_calls]
    if classes:
        assert scored.predicted is not None
        columns.append(scored.predicted)
    return [
        values.astype(np.float64) if isinstance(values, np.ndarray) and values.dtype == np.float32 else values
        for values in columns
    ]


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
        Whether ``pair_p_value`` and ``pair_call`` come next.
    classes
        Whether ``predicted_class`` is the last column.
    """

    def __init__(
        self, stream: IO[bytes], detectors: Sequence[str], *, paired: bool = False, classes: bool = False
    ) -> None:
        self._stream = stream
        self._detectors = tuple(detectors)
        self._also = {"paired": paired, "classes": classes}
        self._text = RowText()
        self._stream.write(self._text.rows([[name] for name in score_columns(detectors, **self._also)]))

    def write(self, scored: ScoredReads) -> None:
        """Append rows."""
        self._stream.write(self._text.rows(score_values(scored, self._detectors, **self._also)))


class PositionTableWriter:
    """Writes the per-position table, one row a base; unscored bases have empty values."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.num_reads = 0
        """Reads that were written."""
        self.longest = 0
        """Bases of the longest of them."""
        self._text = RowText()
        self._stream.write(self._text.rows([[name] for name in POSITION_COLUMNS]))

    def write(self, scored: ScoredReads) -> None:
        """Append rows; the engine must have kept positions."""
        assert scored.positions is not None
        self.num_reads += len(scored.names)
        self.longest = max(self.longest, int(scored.lengths.max(initial=0)))
        for name, read in zip(scored.names, scored.positions, strict=True):
            for start in range(0, len(read.codes), _POSITIONS_AT_ONCE):
                self._write_part(name, read, start, start + _POSITIONS_AT_ONCE)

    def _write_part(self, name: str, read: Positions, start: int, stop: int) -> None:
        scored = read.scored[start:stop]
        log_p = np.where(scored, read.log_p[start:stop].astype(np.float64), np.nan)
        background = np.where(scored, read.background_log_p[start:stop].astype(np.float64), np.nan)
        columns: list[Column] = [
            [name] * len(scored),
            np.arange(start + 1, start + len(scored) + 1),
            decode(read.codes[start:stop]),
            log_p,
            background,
            log_p - background,
        ]
        self._stream.write(self._text.rows(columns))
