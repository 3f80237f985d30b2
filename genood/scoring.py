"""From read files to tables: all of `genood score` but the command line."""

from __future__ import annotations

import json
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from genood import __version__
from genood.bundle import Bundle
from genood.detectors import DEFAULT_DETECTOR
from genood.engine import EngineConfig, ScoredReads, Scorer
from genood.fdr import FdrCaller
from genood.files import check_distinct
from genood.intake import IntakeConfig, check_inputs, files_read, intake
from genood.writers import STDOUT, PositionTableWriter, ScoreTableWriter, Summary, open_output

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class ScoreJob:
    """What to score with what, and where to write.

    Attributes
    ----------
    bundle
        Directory of the bundle.
    inputs
        Files of reads; ``-`` is standard input.
    intake
        How to read them, and which reads to take.
    output
        The score table; ``-`` is standard output.
    per_position, summary
        The per-position table and the summary, where wanted.
    detectors
        Names of detectors, the one that calls first.
    alpha
        Significance level of the calls.
    fdr
        False discovery rate of the calls over the whole run, in place of `alpha`.
    seed
        Of the sample behind the summary's quantiles.
    """

    bundle: str
    inputs: Sequence[str]
    intake: IntakeConfig = field(default_factory=IntakeConfig)
    output: str = STDOUT
    per_position: str | None = None
    summary: str | None = None
    detectors: Sequence[str] = (DEFAULT_DETECTOR,)
    alpha: float = 0.05
    fdr: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        check_distinct(files_read(self.inputs, self.intake), [self.output, self.per_position, self.summary])


def score_files(
    job: ScoreJob,
    *,
    device: torch.device,
    progress: Callable[[int, int], None] | None = None,
    hashes: Mapping[Path, Future[str]] | None = None,
) -> dict[str, Any]:
    """Score files and write what was asked for; on failure no output appears.

    Parameters
    ----------
    job
        What to score.
    device
        Where.
    progress
        Told the number of reads and of bases after each window.
    hashes
        See `Bundle.load`.

    Returns
    -------
    summary
        As it would be written to ``job.summary``.

    Raises
    ------
    GenoodError
        The bundle, the input or an output is unfit.
    """
    started = time.perf_counter()
    logger.debug("device %s, %d threads", device, torch.get_num_threads())
    check_inputs(job.inputs, job.intake)
    bundle = Bundle.load(job.bundle, device, hashes)
    scorer = _scorer_of(job, bundle)
    summary = Summary(job.seed)
    skipped: Counter[str] = Counter()
    caller = None if job.fdr is None else FdrCaller(job.fdr)
    with ExitStack() as stack:
        table = ScoreTableWriter(
            stack.enter_context(open_output(job.output)), job.detectors, paired=job.intake.pairs is not None
        )
        summary_stream = None
        if job.summary is not None:
            summary_stream = stack.enter_context(open_output(job.summary))
        positions = None
        if job.per_position is not None:
            positions = PositionTableWriter(stack.enter_context(open_output(job.per_position)))
        reads = intake(job.inputs, job.intake, skipped)
        windows = _as_scored(scorer.score_blocks(reads), positions, progress)
        for scored in windows if caller is None else caller.call(windows):
            table.write(scored)
            summary.add(scored)
        report = summary.to_json(
            run=_about(job, bundle, device, caller),
            seconds=time.perf_counter() - started,
            skipped=skipped,
        )
        if summary_stream is not None:
            summary_stream.write((json.dumps(report, indent=2, allow_nan=False) + "\n").encode())
    _tell_of_null(report["ood_fraction"])
    calls = report["calls"].values()
    note = f"; {skipped.total()} skipped" if skipped else ""
    logger.info("%d reads: %d in, %d ood, %d na%s", sum(calls), *calls, note)
    return report


def _scorer_of(job: ScoreJob, bundle: Bundle) -> Scorer:
    return Scorer(
        bundle,
        detectors=job.detectors,
        config=EngineConfig(
            alpha=job.alpha,
            batch_bases=bundle.foreground.batch_bases,
            piece_bases=bundle.foreground.piece_bases,
            overlap=bundle.foreground.overlap if torch.get_num_threads() > 1 else 0,
        ),
        keep_positions=job.per_position is not None,
        paired=job.intake.pairs is not None,
    )


def _about(job: ScoreJob, bundle: Bundle, device: torch.device, caller: FdrCaller | None) -> dict[str, Any]:
    """What the summary says about what ran on what."""
    return {
        "tool": "genood",
        "version": __version__,
        "bundle": {"path": os.fspath(job.bundle), "fingerprint": bundle.fingerprint},
        "inputs": list(job.inputs),
        "detectors": list(job.detectors),
        **_level(job.alpha, caller),
        "device": str(device),
    }


def _as_scored(
    windows: Iterable[ScoredReads],
    positions: PositionTableWriter | None,
    progress: Callable[[int, int], None] | None,
) -> Iterator[ScoredReads]:
    """The same windows; what does not wait for calls is done as they come."""
    for scored in windows:
        if positions is not None:
            positions.write(scored)
        if progress is not None:
            progress(len(scored.names), int(scored.lengths.sum()))
        yield scored


def _level(alpha: float, caller: FdrCaller | None) -> dict[str, float | None]:
    """What the summary says about the level of the calls."""
    if caller is None:
        return {"alpha": alpha}
    return {"alpha": None, "fdr": caller.level, "p_value_threshold": caller.threshold}


def _tell_of_null(fraction: Mapping[str, Any] | None) -> None:
    """Warn where p-values cannot be what they should be."""
    if fraction is not None and not fraction["null_fits"]:
        logger.warning(
            "p-values pile up near 1: in-distribution reads of this run are closer to the reference than "
            "those the bundle is calibrated on, so that p-values are too large and the OOD fraction too low; "
            "genood calibrate with known in-distribution reads mends it"
        )
