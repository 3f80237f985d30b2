"""The report of a run that is written while it is scored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import IO, Any, Generic, TypeVar

import numpy as np

from genood.engine import ScoredReads
from genood.report.accumulate import RunAccumulator, ScoreColumns
from genood.report.facts import BundleFacts, name_of_output
from genood.report.page import render
from genood.report.run import Run
from genood.report.top import foremost
from genood.report.traces import MOST_BASES, MOST_WINDOWS, Trace, WindowCounts
from genood.rounding import as_in_table
from genood.stretches.pieces import Positions
from genood.stretches.scores import Stretches

NUM_TOP = 20
TITLE = "genood report"

T = TypeVar("T")


class _Kept(Generic[T]):
    """Something of each of the most foreign reads, while more of them come."""

    def __init__(self) -> None:
        self._num_reads = 0
        self._kept: list[tuple[tuple[float, float, int], T]] = []

    def add(self, scored: ScoredReads, things: Sequence[T]) -> None:
        """Take in reads and what is kept of each."""
        first = next(iter(scored.ood_scores.values()))
        p_values, scores = as_in_table(scored.p_values), as_in_table(first.astype(np.float64))
        for row in foremost(p_values, scores, NUM_TOP).tolist():
            rank = (float(p_values[row]), -float(scores[row]), self._num_reads + row)
            self._kept.append((rank, things[row]))
        self._kept = sorted(self._kept, key=lambda kept: kept[0])[:NUM_TOP]
        self._num_reads += len(scored.names)

    def by_row(self) -> dict[int, T]:
        """What is kept, by row of the score table."""
        return {rank[2]: thing for rank, thing in self._kept}


class TraceKeeper:
    """Values of the bases of the most foreign reads."""

    def __init__(self) -> None:
        self._kept: _Kept[Positions | None] = _Kept()

    def write(self, scored: ScoredReads) -> None:
        """Take in reads; the engine must have kept positions."""
        assert scored.positions is not None
        short = [read if len(read.codes) <= MOST_BASES else None for read in scored.positions]
        self._kept.add(scored, short)

    def traces(self) -> dict[int, Trace]:
        """Traces by row of the score table, as `read_traces` has them."""
        return {row: Trace.of(read) for row, read in self._kept.by_row().items() if read is not None}


class WindowKeeper:
    """Counts of windows, and those of the most foreign reads."""

    def __init__(self) -> None:
        self._counts = WindowCounts()
        self._kept: _Kept[Stretches] = _Kept()

    def write(self, scored: ScoredReads, windows: Sequence[Stretches]) -> None:
        """Take in reads and the windows of each."""
        self._kept.add(scored, windows)
        for one in windows:
            p_values = as_in_table(one.p_values)
            self._counts.add(p_values[~np.isnan(p_values)])

    def counts(self) -> WindowCounts:
        """The counts, as `read_windows` has them."""
        for row, one in self._kept.by_row().items():
            columns = (one.starts, one.ends, as_in_table(one.llr_per_base), as_in_table(one.p_values))
            self._counts.rows[row] = list(
                zip(*(column[:MOST_WINDOWS].tolist() for column in columns), strict=True)
            )
        return self._counts


class ReportOutput:
    """The page of one run; takes reads that are called.

    Parameters
    ----------
    stream
        Where to.
    table
        The score table's name.
    bundle
        What the run is scored with.
    detector
        The one that calls.
    keeps_positions, keeps_windows
        Whether there will be values of bases, and of windows.
    """

    def __init__(
        self,
        stream: IO[bytes],
        *,
        table: str,
        bundle: BundleFacts,
        detector: str,
        keeps_positions: bool,
        keeps_windows: bool,
    ) -> None:
        self._stream = stream
        self._table = table
        self._bundle = bundle
        self._counts = RunAccumulator(bundle.nulls[detector], NUM_TOP, bundle.nulls)
        self.traces = TraceKeeper() if keeps_positions else None
        """Takes reads as they are scored, with their positions."""
        self.windows = WindowKeeper() if keeps_windows else None
        """Takes reads as they are scored, with their windows."""

    def write(self, scored: ScoredReads) -> None:
        """Count reads."""
        self._counts.add(ScoreColumns.of(scored))

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Write the page of a run with this summary."""
        run = Run(
            name=name_of_output(self._table),
            table=self._table,
            counts=self._counts,
            summary=summary,
            bundle=self._bundle,
            traces=None if self.traces is None else self.traces.traces(),
            windows=None if self.windows is None else self.windows.counts(),
        )
        self._stream.write(render([run], TITLE).encode())
