"""One run of a report: what was counted, what its summary and bundle say, and what to mind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genood.calibration import Fraction
from genood.errors import InputError
from genood.report.accumulate import RunAccumulator
from genood.report.facts import BundleFacts, detector_of, fraction_of
from genood.report.traces import Trace, WindowCounts

PILE_UP = (
    "P-values pile up near 1: in-distribution reads of this run are closer to the reference than those the "
    "bundle is calibrated on. P-values are too large and the OOD fraction is too low; genood calibrate with "
    "known in-distribution reads mends it."
)
NO_NULL = (
    "Neither summary nor bundle was given: the interval of the OOD fraction leaves out how uncertain the "
    "null itself is, and is too narrow."
)
EMPTY = "The table has no reads."
UNSCORED = "No read has a p-value."


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run.

    Attributes
    ----------
    name, table
        What it is called, and the file of its score table.
    counts
        What was counted of its reads.
    summary
        Content of its summary, where there is one.
    bundle
        What it was scored with, where that is known.
    traces
        Values of the bases of its most foreign reads, by their row; None where there is no such table.
    windows
        Of its window table, where there is one.
    """

    name: str
    table: str
    counts: RunAccumulator
    summary: Mapping[str, Any] | None = None
    bundle: BundleFacts | None = None
    traces: Mapping[int, Trace] | None = None
    windows: WindowCounts | None = None

    @property
    def fraction(self) -> Fraction | None:
        """The OOD fraction, as the summary states it if there is one."""
        stated = None if self.summary is None else fraction_of(self.summary)
        return self.counts.fraction() if stated is None else stated

    @property
    def detector(self) -> str:
        """The detector whose scores and p-values the run has."""
        return detector_of(self.summary, self.bundle)

    @property
    def notes(self) -> list[str]:
        """What a reader must mind."""
        if not self.counts.num_reads:
            return [EMPTY]
        if self.fraction is None:
            return [UNSCORED]
        notes = [] if self.fraction.null_fits else [PILE_UP]
        return notes if self.summary is not None or self.counts.null is not None else [*notes, NO_NULL]


def check_same_run(path: str, summary: Mapping[str, Any], table: str, counts: RunAccumulator) -> None:
    """Raise InputError if a summary counts other reads than a score table has."""
    stated = sum(summary["calls"].values())
    if stated != counts.num_reads:
        raise InputError(
            path, f"is of another run: it counts {stated} reads, and {table} has {counts.num_reads}"
        )


def check_null(bundle: BundleFacts, table: str, counts: RunAccumulator) -> None:
    """Raise InputError if a bundle gives the reads of a score table other p-values than it has."""
    if counts.null_differs:
        raise InputError(
            bundle.path, f"gives other p-values than {table} has; give the bundle that it was scored with"
        )


def check_same_bundle(bundle: BundleFacts, summary: Mapping[str, Any], name: str) -> None:
    """Raise InputError if a run was scored with another bundle than the one that is given."""
    stated = str(summary["bundle"].get("fingerprint"))
    if stated != bundle.fingerprint:
        raise InputError(
            bundle.path,
            f"is not the bundle that {name} was scored with: its fingerprint is {bundle.fingerprint[:12]}, "
            f"that of the run {stated[:12]}; give that bundle, or none",
        )
