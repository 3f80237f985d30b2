"""From read files to tables: all of `genood score` but the command line."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Literal, Protocol

from genood import __version__
from genood.bundle import prepare
from genood.bundles.shipped import named
from genood.engine import EngineConfig, ScoredReads, Scorer
from genood.ensemble import AnyBundle, load_bundle
from genood.errors import ConfigError
from genood.files import appear_together, check_distinct, check_outside
from genood.files.parquet import is_parquet
from genood.intake.stream import IntakeConfig, check_inputs, files_read, intake
from genood.multiqc.content import check_content_name
from genood.recipes import Precision
from genood.scoring.fdr import FdrCaller, level_of
from genood.threads import num_threads
from genood.writers import (
    STDOUT,
    AlignmentsConfig,
    FormatCheck,
    KrakenWriter,
    PositionTableWriter,
    ReadsOutput,
    ReadsWriter,
    RegionConfig,
    RegionOutputs,
    ScoreTableWriter,
    Summary,
    alignments_output,
    check_ending,
    index_names,
    indexed_position_table,
    kraken_report,
    mate_files,
    open_output,
    position_parquet,
    score_parquet,
    summary_files,
)

if TYPE_CHECKING:  # it is imported where a report is wanted
    from genood.report.output import ReportOutput

logger = logging.getLogger(__package__)


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
    per_position, summary, multiqc, report
        The per-position table, the summary, the same for MultiQC and a page that shows the run, where wanted.
    regions
        What is wanted of windows and foreign regions.
    ood_out, in_out
        Files of the reads that are called ``ood``, and of all others, where wanted; of two files of mates
        a name with ``#``, see `mate_files`.
    bam_out
        File of alignments with the scores as tags, where wanted.
    kraken_report, kraken_output
        Counts, and a line for each fragment, in the formats of Kraken 2, where wanted.
    detectors
        Names of detectors, the one that calls first; none takes the bundle's default.
    predict_classes
        Whether the table tells which class of the reference explains each read best.
    alpha
        Significance level of the calls.
    fdr
        False discovery rate of the calls over the whole run, in place of `alpha`.
    precision
        What matrix products run in, of networks.
    seed
        Of the sample behind the summary's quantiles.
    command
        The command line, for headers.
    """

    bundle: str
    inputs: Sequence[str]
    intake: IntakeConfig = field(default_factory=IntakeConfig)
    output: str = STDOUT
    per_position: str | None = None
    summary: str | None = None
    multiqc: str | None = None
    report: str | None = None
    regions: RegionConfig = field(default_factory=RegionConfig)
    ood_out: str | None = None
    in_out: str | None = None
    bam_out: str | None = None
    kraken_report: str | None = None
    kraken_output: str | None = None
    detectors: Sequence[str] = ()
    predict_classes: bool = False
    alpha: float = 0.05
    fdr: float | None = None
    precision: Precision = "fp32"
    seed: int = 0
    command: str = ""

    def __post_init__(self) -> None:
        check_distinct(files_read(self.inputs, self.intake), self.outputs())
        check_outside(self.bundle, self.outputs())
        self._check_endings()
        self.alignments()  # raises if it is not to be
        if self.report is not None:
            from genood.report.shell import check_installed

            check_installed()

    def _check_endings(self) -> None:
        targets = {
            "--output": self.output,
            "--per-position": self.per_position,
            "--window-table": self.regions.window_table,
            "--regions": self.regions.regions,
            "--summary": self.summary,
            "--report": self.report,
            "--ood-out": self.ood_out,
            "--in-out": self.in_out,
            "--kraken-report": self.kraken_report,
            "--kraken-output": self.kraken_output,
        }
        for option, target in targets.items():
            if target is not None:
                check_ending(option, target)
        if self.multiqc is not None:
            check_content_name(self.multiqc)

    def outputs(self) -> list[str]:
        """All files that are written."""
        reads = [
            path
            for target in (self.ood_out, self.in_out)
            if target is not None
            for path in mate_files(target, self.intake.pairs)
        ]
        others = [self.output, self.per_position, self.summary, self.multiqc, self.report]
        others += [self.bam_out, self.kraken_report, self.kraken_output]
        indexes = [] if self.per_position is None else index_names(self.per_position)
        return [*(path for path in others if path is not None), *reads, *indexes, *self.regions.outputs]

    def kept_records(self) -> IntakeConfig:
        """`intake`, with the records that the outputs need."""
        if self.bam_out is None and self.ood_out is None and self.in_out is None:
            return self.intake
        keep: Literal["reads", "all"] = "reads" if self.bam_out is None else "all"
        return replace(self.intake, reader=replace(self.intake.reader, keep_records=keep))

    def alignments(self) -> AlignmentsConfig | None:
        """What `bam_out` is to be."""
        if self.bam_out is None:
            return None
        return AlignmentsConfig(
            target=self.bam_out,
            reference=self.intake.reader.reference,
            one_input=len(self.inputs) == 1,
            command=self.command,
        )


def prepare_scoring(job: ScoreJob) -> None:
    """Do ahead what takes time before `score_files` can score; what it would refuse at once is refused here.

    Raises
    ------
    GenoodError
        An input is unfit, or the bundle is none.
    """
    check_inputs(job.inputs, job.kept_records())
    prepare(job.bundle)


def score_files(
    job: ScoreJob,
    *,
    device: str = "auto",
    progress: Callable[[int, int], None] | None = None,
    hashes: Mapping[Path, Future[str]] | None = None,
) -> dict[str, Any]:
    """Score files and write what was asked for; on failure no output appears.

    All are whole before the first has its name, and the summary is the last to have it.

    Parameters
    ----------
    job
        What to score.
    device
        Where, see `Model.on`.
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
    check_inputs(job.inputs, job.kept_records())
    bundle = load_bundle(job.bundle, device, hashes)
    bundle.compute_in(job.precision)
    logger.debug("device %s, %d threads", bundle.device, num_threads())
    _tell_of_masks(job, bundle)
    scorer = _scorer_of(job, bundle)
    job = replace(job, detectors=tuple(scorer.detectors))
    summary = Summary(job.detectors, job.seed, paired=job.intake.pairs is not None)
    skipped: Counter[str] = Counter()
    caller = None if job.fdr is None else FdrCaller(job.fdr)
    with appear_together(), ExitStack() as stack:
        outputs = open_outputs(job, bundle.fingerprint, stack)
        outputs.at_once.extend(FormatCheck(w) for w in outputs.called if isinstance(w, ReadsOutput))
        regions = None
        if job.regions.wanted:
            regions = RegionOutputs(scorer, job.regions, stack)
            outputs.at_once.append(regions)
        page = None if job.report is None else _open_report(job, scorer, outputs, regions, stack)
        write_summary = stack.enter_context(summary_files(job.summary, job.multiqc))
        reads = intake(job.inputs, job.kept_records(), skipped)
        windows = _as_scored(scorer.score_blocks(reads), outputs.at_once, progress)
        for scored in windows if caller is None else caller.call(windows):
            for writer in outputs.called:
                writer.write(scored)
            summary.add(scored)
        report = summary.to_json(
            run=_about(job, bundle, caller) | ({} if regions is None else regions.about()),
            seconds=time.perf_counter() - started,
            skipped=skipped,
        )
        if page is not None:
            page.finish(report)
        write_summary(report)
    tell_of_null(report["ood_fraction"])
    calls = report["calls"].values()
    note = f"; {skipped.total()} skipped" if skipped else ""
    logger.info("%d reads: %d in, %d ood, %d na%s", sum(calls), *calls, note)
    return report


class Writer(Protocol):
    """Takes windows of reads."""

    def write(self, scored: ScoredReads) -> None:
        """Append a window."""


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What takes windows once they are scored, and what once they are called; all but the summary."""

    at_once: list[Writer]
    called: list[Writer]


def open_outputs(job: ScoreJob, fingerprint: str, stack: ExitStack) -> Outputs:
    """Open outputs; they appear under their names when the stack ends well."""

    def opened(target: str) -> IO[bytes]:
        return stack.enter_context(open_output(target))

    also = {"paired": job.intake.pairs is not None, "classes": job.predict_classes}
    at_once: list[Writer] = []
    called: list[Writer] = []
    if is_parquet(job.output):
        table = score_parquet(job.output, job.detectors, fingerprint=fingerprint, **also)
        called.append(stack.enter_context(table))
    else:
        called.append(ScoreTableWriter(opened(job.output), job.detectors, **also))
    if job.per_position is not None and is_parquet(job.per_position):
        at_once.append(stack.enter_context(position_parquet(job.per_position, fingerprint=fingerprint)))
    elif job.per_position is not None and index_names(job.per_position):
        at_once.append(stack.enter_context(indexed_position_table(job.per_position)))
    elif job.per_position is not None:
        at_once.append(PositionTableWriter(opened(job.per_position)))
    for target, takes_ood in ((job.ood_out, True), (job.in_out, False)):
        if target is not None:
            paths = mate_files(target, job.intake.pairs)
            called.append(ReadsOutput([ReadsWriter(p, opened(p)) for p in paths], takes_ood=takes_ood))
    alignments = job.alignments()
    if alignments is not None:
        called.append(stack.enter_context(alignments_output(alignments)))
    if job.kraken_report is not None:
        called.append(stack.enter_context(kraken_report(job.kraken_report)))
    if job.kraken_output is not None:
        called.append(KrakenWriter(opened(job.kraken_output)))
    return Outputs(at_once=at_once, called=called)


def _open_report(
    job: ScoreJob, scorer: Scorer, outputs: Outputs, regions: RegionOutputs | None, stack: ExitStack
) -> ReportOutput:
    """Open the page, which is told of all reads; it is written once the summary is known."""
    from genood.report.facts import BundleFacts
    from genood.report.output import ReportOutput

    assert job.report is not None
    page = ReportOutput(
        stack.enter_context(open_output(job.report)),
        table=job.output,
        bundle=BundleFacts.of(job.bundle, scorer.bundle),
        detector=job.detectors[0],
        keeps_positions=scorer.keep_positions,
        keeps_windows=job.regions.window_table is not None,
    )
    outputs.called.append(page)
    if page.traces is not None:
        outputs.at_once.append(page.traces)
    if regions is not None and page.windows is not None:
        regions.on_windows = page.windows.write
    return page


def _scorer_of(job: ScoreJob, bundle: AnyBundle) -> Scorer:
    keeps_positions = job.per_position is not None or job.regions.wanted
    if keeps_positions and "likelihood" not in bundle.gives:
        options = {
            "--per-position": job.per_position,
            "--window-table": job.regions.window_table,
            "--regions": job.regions.regions,
        }
        named = ", ".join(option for option, target in options.items() if target is not None)
        raise ConfigError(
            f"{job.bundle}: a classifier says nothing of single bases; {named} needs density models"
        )
    return Scorer(
        bundle,
        detectors=job.detectors or None,
        config=EngineConfig.suiting(bundle, alpha=job.alpha, num_threads=num_threads()),
        keep_positions=keeps_positions or (job.report is not None and "likelihood" in bundle.gives),
        paired=job.intake.pairs is not None,
        predict_classes=job.predict_classes,
    )


def _about(job: ScoreJob, bundle: AnyBundle, caller: FdrCaller | None) -> dict[str, Any]:
    """What the summary says about what ran on what."""
    return {
        "tool": "genood",
        "version": __version__,
        "bundle": named(job.bundle, bundle.fingerprint),
        "inputs": list(job.inputs),
        "detectors": list(job.detectors),
        **({"predicted_class": True} if job.predict_classes else {}),
        **level_of(job.alpha, caller, paired=job.intake.pairs is not None),
        "options": job.intake.options(),
        "device": bundle.device if job.precision == "fp32" else f"{bundle.device}, {job.precision}",
    }


def _as_scored(
    windows: Iterable[ScoredReads],
    writers: Sequence[Writer],
    progress: Callable[[int, int], None] | None,
) -> Iterator[ScoredReads]:
    """The same windows; what does not wait for calls is done as they come."""
    for scored in windows:
        for writer in writers:
            writer.write(scored)
        if progress is not None:
            progress(len(scored.names), int(scored.lengths.sum()))
        yield scored


def _tell_of_masks(job: ScoreJob, bundle: AnyBundle) -> None:
    """Warn where the null's reads were masked in another way than those that are scored."""
    of_null = bundle.metadata.get("calibration", {}).get("min_quality")
    of_reads = job.intake.reader.min_quality
    if of_null is not None and of_null != of_reads:
        logger.warning(
            "the bundle was calibrated with --min-quality %d, and reads are scored with %d: p-values may be "
            "off",
            of_null,
            of_reads,
        )


def tell_of_null(fraction: Mapping[str, Any] | None) -> None:
    """Warn where p-values cannot be what they should be."""
    if fraction is not None and not fraction["null_fits"]:
        logger.warning(
            "p-values pile up near 1: in-distribution reads of this run are closer to the reference than "
            "those the bundle is calibrated on, so that p-values are too large and the OOD fraction too low; "
            "genood calibrate with known in-distribution reads mends it"
        )
