"""From read files to tables: all of `genood score` but the command line."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from genood import __version__
from genood.bundle import Bundle
from genood.detectors import DEFAULT_DETECTOR
from genood.engine import EngineConfig, Scorer
from genood.files import check_distinct
from genood.readers import check_readable, read_blocks
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
        FASTA or FASTQ files; ``-`` is standard input.
    output
        The score table; ``-`` is standard output.
    per_position, summary
        The per-position table and the summary, where wanted.
    detectors
        Names of detectors, the one that calls first.
    alpha
        Significance level of the calls.
    seed
        Of the sample behind the summary's quantiles.
    """

    bundle: str
    inputs: Sequence[str]
    output: str = STDOUT
    per_position: str | None = None
    summary: str | None = None
    detectors: Sequence[str] = (DEFAULT_DETECTOR,)
    alpha: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        check_distinct(self.inputs, [self.output, self.per_position, self.summary])


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
    check_readable(job.inputs)
    bundle = Bundle.load(job.bundle, device, hashes)
    scorer = Scorer(
        bundle,
        detectors=job.detectors,
        config=EngineConfig(
            alpha=job.alpha,
            batch_bases=bundle.foreground.batch_bases,
            overlap=bundle.foreground.overlap if torch.get_num_threads() > 1 else 0,
        ),
        keep_positions=job.per_position is not None,
    )
    summary = Summary(job.seed)
    with ExitStack() as stack:
        table = ScoreTableWriter(stack.enter_context(open_output(job.output)), job.detectors)
        summary_stream = None
        if job.summary is not None:
            summary_stream = stack.enter_context(open_output(job.summary))
        positions = None
        if job.per_position is not None:
            positions = PositionTableWriter(stack.enter_context(open_output(job.per_position)))
        for scored in scorer.score_blocks(read_blocks(job.inputs)):
            table.write(scored)
            if positions is not None:
                positions.write(scored)
            summary.add(scored)
            if progress is not None:
                progress(len(scored.names), int(scored.lengths.sum()))
        report = summary.to_json(
            run={
                "tool": "genood",
                "version": __version__,
                "bundle": {"path": os.fspath(job.bundle), "fingerprint": bundle.fingerprint},
                "inputs": list(job.inputs),
                "detectors": list(job.detectors),
                "alpha": job.alpha,
                "device": str(device),
            },
            seconds=time.perf_counter() - started,
        )
        if summary_stream is not None:
            summary_stream.write((json.dumps(report, indent=2, allow_nan=False) + "\n").encode())
    logger.info("%d reads: %d in, %d ood, %d na", report["reads"]["in"], *report["calls"].values())
    return report
