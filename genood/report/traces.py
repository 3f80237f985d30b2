"""The values of each base, and of windows, of the most foreign reads."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd
import pysam

from genood.calibration import P_VALUE_BINS, p_value_counts
from genood.errors import InputError
from genood.report.chunks import TableFormat, at_row, chunks_of
from genood.report.top import TopRead
from genood.rounding import as_in_table
from genood.sequence import decode
from genood.stretches.pieces import Positions

MOST_BASES = 200_000
"""Reads that are longer have no trace."""
MOST_WINDOWS = 5_000
"""Windows of a read that are kept."""
WINDOW_LEVEL = 0.05

POSITIONS = TableFormat(
    kind="per-position table", words=("read_id", "base"), numbers=("position", "log_p", "llr")
)
WINDOWS = TableFormat(
    kind="window table",
    words=("read_id",),
    numbers=("mate", "start", "end", "llr_per_base", "p_value"),
)
_LONGEST_NAME = 50
_MANY_ROWS = 1_000_000
_INDEXES = (".tbi", ".csi")
_RELATIVE, _ABSOLUTE = 1e-3, 2e-5
"""By how much the mean of a trace may differ from the table's: both are rounded."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Trace:
    """Values of the L bases of a read: the letters, and nats, shape (L,), NaN where not scored."""

    bases: str
    log_p: Floats
    llr: Floats

    @classmethod
    def of(cls, read: Positions) -> Trace:
        """The trace of a read, with the digits that the table has."""
        log_p = np.where(read.scored, read.log_p.astype(np.float64), np.nan)
        background = np.where(read.scored, read.background_log_p.astype(np.float64), np.nan)
        return cls(
            bases="".join(decode(read.codes)),
            log_p=as_in_table(log_p),
            llr=as_in_table(log_p - background),
        )

    def is_of(self, read: TopRead) -> bool:
        """Whether it can be the trace of a read: as long, and with its mean."""
        if len(self.bases) != read.length:
            return False
        scored = self.llr[~np.isnan(self.llr)]
        if np.isnan(read.llr_per_base) or not len(scored):
            return True
        return bool(np.isclose(scored.mean(), read.llr_per_base, rtol=_RELATIVE, atol=_ABSOLUTE))


def read_traces(path: str, reads: Sequence[TopRead]) -> dict[int, Trace]:
    """Traces of reads from a per-position table, by row of the score table.

    A read is known by its name, its length and its mean. Those that are not found, and those of more than
    `MOST_BASES`, have none.

    Raises
    ------
    InputError
        The table cannot be read.
    ConfigError
        It is Parquet, and pyarrow is not installed.
    """
    wanted: dict[str, list[TopRead]] = defaultdict(list)
    for read in reads:
        if read.length <= MOST_BASES:
            wanted[read.name].append(read)
    parts: dict[str, list[pd.DataFrame]] = defaultdict(list)
    if wanted:
        for frame in _rows_of(path, wanted):
            for name, rows in frame.groupby("read_id", sort=False):
                parts[str(name)].append(rows)
    traces: dict[int, Trace] = {}
    for name, frames in parts.items():
        left = wanted[name]
        for trace in _traces_in(path, pd.concat(frames)):
            found = next((read for read in left if trace.is_of(read)), None)
            if found is not None:
                traces[found.row] = trace
                left.remove(found)
    return traces


def _rows_of(path: str, names: Iterable[str]) -> Iterator[pd.DataFrame]:
    """The rows of some reads of a per-position table."""
    if any(os.path.exists(path + ending) for ending in _INDEXES):
        yield from _rows_by_index(path, names)
        return
    wanted = set(names)
    for frame in chunks_of(path, POSITIONS, _MANY_ROWS):
        yield frame[frame["read_id"].isin(wanted)]


def _rows_by_index(path: str, names: Iterable[str]) -> Iterator[pd.DataFrame]:
    next(chunks_of(path, POSITIONS, 1), None)  # which says what is wrong with it
    try:
        with pysam.TabixFile(path) as table:
            indexed = set(table.contigs)
            for name in names:
                if name in indexed:
                    rows = [line.split("\t") for line in table.fetch(name)]
                    frame = pd.DataFrame(rows, columns=["read_id", "position", "base", "log_p", "_", "llr"])
                    for column in POSITIONS.numbers:
                        frame[column] = [float(cell or "nan") for cell in frame[column]]
                    yield frame
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(path, f"cannot be read by its index ({reason})") from error


def _traces_in(path: str, rows: pd.DataFrame) -> Iterator[Trace]:
    """The traces in the rows of one name: a new one begins where positions start anew."""
    name = str(rows["read_id"].iloc[0])[:_LONGEST_NAME]
    positions = rows["position"].to_numpy(dtype=np.float64)
    starts = np.flatnonzero(positions == 1)
    bounds = [*starts.tolist(), len(rows)]
    if bounds[0] != 0:
        raise InputError(path, f"the positions of {name!r} do not start at 1")
    if np.isinf(rows[["log_p", "llr"]].to_numpy(dtype=np.float64)).any():
        raise InputError(path, f"holds infinite values of {name!r}")
    for start, end in pairwise(bounds):
        if (positions[start:end] != np.arange(1, end - start + 1)).any():
            raise InputError(path, f"the positions of {name!r} do not follow each other")
        part = rows.iloc[start:end]
        letters = [base if base in {"A", "C", "G", "T"} else "N" for base in part["base"]]
        yield Trace(
            bases="".join(letters),
            log_p=part["log_p"].to_numpy(dtype=np.float64),
            llr=part["llr"].to_numpy(dtype=np.float64),
        )


@dataclass(kw_only=True)
class WindowCounts:
    """What a report says of the windows of a run.

    Attributes
    ----------
    num_windows, num_small
        Windows with a p-value, and those whose p-value is at most `WINDOW_LEVEL`.
    p_value_counts
        Of their p-values, see `genood.calibration.p_value_counts`.
    rows
        Start, end, ratio per base and p-value of the windows of the most foreign reads, by their row.
    """

    num_windows: int = 0
    num_small: int = 0
    p_value_counts: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.zeros(P_VALUE_BINS, dtype=np.int64)
    )
    rows: dict[int, list[tuple[int, int, float, float]]] = field(default_factory=dict)

    def add(self, p_values: Floats) -> None:
        """Count p-values of windows, none of them NaN."""
        self.num_windows += len(p_values)
        self.num_small += int((p_values <= WINDOW_LEVEL).sum())
        self.p_value_counts += p_value_counts(p_values)


def read_windows(path: str, reads: Sequence[TopRead]) -> WindowCounts:
    """Counts of a window table, and the windows of some reads.

    Raises
    ------
    InputError
        The table cannot be read, or has no such windows as these reads must have.
    ConfigError
        It is Parquet, and pyarrow is not installed.
    """
    counts = WindowCounts()
    by_name = {(read.name, read.mate): read.row for read in reversed(reads)}
    names = {read.name for read in reads}
    for frame in chunks_of(path, WINDOWS):
        p_values = frame["p_value"].to_numpy(dtype=np.float64)
        _check_windows(path, frame, p_values)
        known = p_values[~np.isnan(p_values)]
        counts.add(known)
        mine = frame[frame["read_id"].isin(names)]
        for name, *cells in mine[["read_id", *WINDOWS.numbers]].itertuples(index=False):
            mate, start, end, ratio, p_value = map(float, cells)
            row = by_name.get((name, int(mate)))
            if row is not None:
                kept = counts.rows.setdefault(row, [])
                if len(kept) < MOST_WINDOWS:
                    kept.append((int(start), int(end), ratio, p_value))
    for read in reads:
        if by_name[read.name, read.mate] == read.row and not _are_of(counts.rows.get(read.row, []), read):
            name = read.name[:_LONGEST_NAME]
            raise InputError(path, f"is of another run: it has no windows of {name!r} as in the score table")
    return counts


def _are_of(windows: Sequence[tuple[int, int, float, float]], read: TopRead) -> bool:
    """Whether windows can be those of a read: one ends with it; one that is all of it has its ratio."""
    if len(windows) == MOST_WINDOWS:
        return True
    last = [window for window in windows if window[1] == read.length]
    return any(
        start > 0 or np.isclose(ratio, read.llr_per_base, rtol=_RELATIVE, atol=_ABSOLUTE)
        for start, _, ratio, _ in last
    )


def _check_windows(path: str, frame: pd.DataFrame, p_values: Floats) -> None:
    wrong = (p_values < 0) | (p_values > 1) | np.isinf(frame["llr_per_base"].to_numpy(dtype=np.float64))
    for name in ("mate", "start", "end"):
        values = frame[name].to_numpy(dtype=np.float64)
        wrong |= ~((values >= 0) & (values < 2**53))
    if wrong.any():
        row = int(frame.index[np.flatnonzero(wrong)[0]])
        raise at_row(path, row, "is no row of a window table of genood score")
