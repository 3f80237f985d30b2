"""From score tables to a page: all of `genood report` but the command line."""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from genood.errors import ConfigError, InputError
from genood.files import check_distinct, check_outside
from genood.readers.streams import check_readable
from genood.report.accumulate import RunAccumulator
from genood.report.facts import BundleFacts, detector_of, names_of, read_summary, summary_beside
from genood.report.output import NUM_TOP, TITLE
from genood.report.page import render
from genood.report.run import Run, check_null, check_same_bundle, check_same_run
from genood.report.shell import check_installed
from genood.report.tables import count_table
from genood.report.traces import read_traces, read_windows
from genood.writers.streams import open_output

logger = logging.getLogger(__name__)

MOST_TOP_READS = 1000


@dataclass(frozen=True, kw_only=True)
class ReportJob:
    """What to report, and where to.

    Attributes
    ----------
    tables
        Score tables, one a run.
    output
        The page.
    summaries
        Their summaries, one for each table in the same order; without any, those that lie beside the tables.
    bundle
        What they were scored with, for the null and the model card.
    per_position, window_tables
        Their per-position and window tables, likewise, where there are any.
    num_top
        How many of the most foreign reads of each run to show.
    title
        The page's heading.
    """

    tables: Sequence[str]
    output: str
    summaries: Sequence[str] = ()
    bundle: str | None = None
    per_position: Sequence[str] = ()
    window_tables: Sequence[str] = ()
    num_top: int = NUM_TOP
    title: str = TITLE

    def __post_init__(self) -> None:
        if not self.tables:
            raise ConfigError("a report needs a score table")
        if not 0 <= self.num_top <= MOST_TOP_READS:
            raise ConfigError(f"a report shows 0 to {MOST_TOP_READS} reads of a run, not {self.num_top}")
        beside = {
            "--summary": self.summaries,
            "--per-position": self.per_position,
            "--window-table": self.window_tables,
        }
        for option, paths in beside.items():
            if len(paths) not in (0, len(self.tables)):
                raise ConfigError(
                    f"{option} was given {len(paths)} times for {len(self.tables)} score tables; give it "
                    "once for each, in their order, or not at all"
                )
        if len({os.path.realpath(path) for path in self.tables}) < len(self.tables):
            raise ConfigError("a score table is named twice; each is a run of its own")
        check_distinct([*self.tables, *(path for paths in beside.values() for path in paths)], [self.output])
        if self.bundle is not None:
            check_outside(self.bundle, [self.output])


def write_report(job: ReportJob) -> list[Run]:
    """Write the page; the runs that are on it.

    Raises
    ------
    GenoodError
        A file cannot be read or is none of its kind, one does not belong to the others, the page cannot be
        written, or what it is made with is not installed.
    """
    check_installed()
    check_readable([*job.tables, *job.summaries, *job.per_position, *job.window_tables])
    bundle = None if job.bundle is None else BundleFacts.read(job.bundle)
    names = names_of(job.tables)
    with open_output(job.output) as stream:
        runs = [_run(job, place, name, bundle) for place, name in enumerate(names)]
        stream.write(render(runs, job.title).encode())
    logger.info("%s: %d runs, %d reads", job.output, len(runs), sum(run.counts.num_reads for run in runs))
    return runs


def _run(job: ReportJob, place: int, name: str, bundle: BundleFacts | None) -> Run:
    table = job.tables[place]
    given = job.summaries[place] if job.summaries else None
    found = None if given is not None else summary_beside(table)
    path = given or found
    summary: dict[str, Any] | None = None if path is None else read_summary(path)
    if summary is not None and bundle is not None:
        check_same_bundle(bundle, summary, name)
    null = None if bundle is None else bundle.nulls.get(detector_of(summary, bundle))
    counts = RunAccumulator(null, job.num_top, {} if bundle is None else bundle.nulls)
    count_table(table, counts)
    if bundle is not None:
        check_null(bundle, table, counts)
    if summary is not None and path is not None:
        try:
            check_same_run(path, summary, table, counts)
        except InputError as error:
            if given is not None:
                raise
            logger.warning("%s; it is left out", error)  # it only happens to lie there
            summary = None
    return Run(
        name=name,
        table=table,
        counts=counts,
        summary=summary,
        bundle=bundle,
        traces=read_traces(job.per_position[place], counts.top_reads) if job.per_position else None,
        windows=read_windows(job.window_tables[place], counts.top_reads) if job.window_tables else None,
    )
