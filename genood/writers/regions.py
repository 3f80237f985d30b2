"""Window tables and the BED file of foreign regions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import IO, Any

import numpy as np

from genood.calibration import Calibration
from genood.engine import ScoredReads, Scorer
from genood.errors import ConfigError, InputError
from genood.intake.pairs import fragment_of
from genood.stretches.regions import Region, RegionFinder
from genood.stretches.scores import DEFAULT_WINDOW, Stretches, StretchScorer
from genood.writers.index import TabixColumns, index_names, indexed_table
from genood.writers.streams import open_output

WINDOW_COLUMNS = (
    "read_id",
    "mate",
    "start",
    "end",
    "num_scored",
    "llr",
    "llr_per_base",
    "ood_score",
    "p_value",
)
BED_COLUMNS = (
    *("chrom", "start", "end", "name", "score", "strand"),
    *("num_scored", "llr_per_base", "p_value", "expected_false"),
)
_LABEL = "ood"
_BED = TabixColumns(start=1, end=2, half_open=True, comments="#", header_lines=0)


@dataclass(frozen=True, kw_only=True)
class RegionConfig:
    """What is wanted of windows and regions.

    Attributes
    ----------
    window
        Bases of a window.
    window_table, regions
        The window table and the BED file of foreign regions, where wanted; ``-`` is standard output.
    fdr
        Error level of the regions, see `genood.stretches.regions.RegionFinder`.
    """

    window: int = DEFAULT_WINDOW
    window_table: str | None = None
    regions: str | None = None
    fdr: float = 0.05

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ConfigError(f"a window has at least one base, not {self.window}")

    @property
    def outputs(self) -> list[str]:
        """All files that are written."""
        indexes = [] if self.regions is None else index_names(self.regions)
        return [*(path for path in (self.window_table, self.regions) if path is not None), *indexes]

    @property
    def wanted(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.outputs)


class RegionOutputs:
    """The window table and the BED file of one run.

    Parameters
    ----------
    scorer
        What scores the reads, and keeps positions. Its first detector judges.
    config
        What is wanted.
    stack
        Where the files are opened; they appear when it closes well.

    Raises
    ------
    GenoodError
        A file cannot be written, the detector has no scores by window, or the level is none.
    """

    def __init__(self, scorer: Scorer, config: RegionConfig, stack: ExitStack) -> None:
        name, detector = next(iter(scorer.detectors.items()))
        null = Calibration.from_json(scorer.bundle.calibration).nulls[name]
        self._config = config
        self._stretches = StretchScorer(detector, null)
        self._finder = RegionFinder(self._stretches, config.fdr)
        self._table = self._bed = None
        if config.window_table is not None:
            self._table = WindowTableWriter(stack.enter_context(open_output(config.window_table)))
        if config.regions is not None and index_names(config.regions):
            self._bed = stack.enter_context(indexed_table(config.regions, BedWriter, _BED))
        elif config.regions is not None:
            self._bed = BedWriter(stack.enter_context(open_output(config.regions)))
        self._counts = {"sequences": 0, "regions": 0, "bases": 0}
        self.on_windows: Callable[[ScoredReads, Sequence[Stretches]], None] | None = None
        """Told of reads and the windows of each."""

    def write(self, scored: ScoredReads) -> None:
        """Append the windows and regions of reads.

        Raises
        ------
        InputError
            The name of a read would make its lines in the BED file comments.
        """
        assert scored.positions is not None
        tiled = self._stretches.windows(scored.positions, self._config.window)
        if self.on_windows is not None:
            self.on_windows(scored, tiled)
        for name, mate, read, windows in zip(
            scored.names, scored.mates, scored.positions, tiled, strict=True
        ):
            if self._table is not None:
                self._table.write(name, mate, windows)
            if self._bed is not None:
                if name.startswith("#"):
                    assert self._config.regions is not None
                    raise InputError(
                        self._config.regions,
                        f"cannot hold regions of {name!r}: lines that start with '#' are comments; rename it",
                    )
                regions = self._finder.find(name, read, windows)
                self._bed.write(name, mate, regions)
                self._counts["sequences"] += bool(regions)
                self._counts["regions"] += len(regions)
                self._counts["bases"] += sum(region.end - region.start for region in regions)

    def about(self) -> dict[str, Any]:
        """What the summary says: level, sequences with a region, regions, their bases."""
        if self._bed is None:
            return {}
        return {"regions": {"window": self._config.window, "fdr": self._config.fdr, **self._counts}}


class WindowTableWriter:
    """Writes the window table, one row a window; what is not scored is empty."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._stream.write(("\t".join(WINDOW_COLUMNS) + "\n").encode())

    def write(self, name: str, mate: int, windows: Stretches) -> None:
        """Append the windows of one sequence."""
        numbers = (windows.llr, windows.llr_per_base, windows.ood_scores, windows.p_values)
        columns = [
            *(map(str, column.tolist()) for column in (windows.starts, windows.ends, windows.num_scored)),
            *(map(_cell, column.tolist()) for column in numbers),
        ]
        lines = ["\t".join([name, str(mate), *cells]) + "\n" for cells in zip(*columns, strict=True)]
        self._stream.write("".join(lines).encode())


class BedWriter:
    """Writes foreign regions as BED: six columns of BED and four of genood's, named in a comment."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.num_reads = 0
        """Sequences with a region."""
        self.longest = 0
        """Where the last region of any ends."""
        self._stream.write(("#" + "\t".join(BED_COLUMNS) + "\n").encode())

    def write(self, name: str, mate: int, regions: Sequence[Region]) -> None:
        """Append the regions of one sequence; a mate's name ends in /1 or /2."""
        self.num_reads += bool(regions)
        self.longest = max([self.longest, *(region.end for region in regions)])
        chrom = f"{fragment_of(name)}/{mate}" if mate else name
        for region in regions:
            numbers = (region.llr_per_base, region.p_value, region.expected_false)
            place = (chrom, region.start, region.end, _LABEL, bed_score(region.expected_false), ".")
            cells = [*map(str, place), str(region.num_scored), *map(_cell, numbers)]
            self._stream.write(("\t".join(cells) + "\n").encode())


def bed_score(expected_false: float) -> int:
    """BED's score of a region, 0 to 1000: 100 for each power of ten that its number is below 1."""
    return int(np.clip(np.rint(-100.0 * np.log10(expected_false)), 0, 1000))


def _cell(value: float) -> str:
    """Six significant digits, as in the score table; empty for NaN."""
    return "" if math.isnan(value) else f"{value + 0.0:.6g}"
