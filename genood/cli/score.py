"""Score reads with a bundle."""

from __future__ import annotations

import gc
import logging
import shlex
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genood.bundles.shipped import DEFAULT_BUNDLE, about_default
from genood.cli.examples import examples
from genood.cli.options import compute_options, logging_options, one_of, overrides, show_progress
from genood.detectors import DEFAULT_DETECTOR, DETECTORS
from genood.files import sha256_ahead

if TYPE_CHECKING:
    from genood.recipes import Precision

logger = logging.getLogger("genood")


def _start_fast(function: Callable[..., None]) -> Callable[..., None]:
    """Hash the bundle's weights while modules are imported; and spare these the garbage collector."""

    @wraps(function)
    def wrapper(*, bundle: str | None, **kwargs: Any) -> None:
        gc.disable()  # until the imports are done: they make many objects and no garbage
        places = ("*ground.safetensors", "classifier.safetensors", "member-*/*ground.safetensors")
        root = DEFAULT_BUNDLE if bundle is None else Path(bundle)
        hashes = sha256_ahead(path for place in places for path in sorted(root.glob(place)))
        try:
            function(bundle=bundle, hashes=hashes, **kwargs)
        finally:
            gc.enable()
            gc.freeze()  # the program's end would look through all objects, several times

    return wrapper


def _progress() -> AbstractContextManager[Callable[[int, int], None] | None]:
    """What draws progress, imported only where it is drawn."""
    if not show_progress():
        return nullcontext()
    from genood.cli.progress import reads_progress

    return reads_progress(show=True)


@click.command(
    "score",
    no_args_is_help=True,
    epilog=examples(
        "genood score -m bundle reads.fastq.gz -o scores.tsv --summary summary.json",
        "genood score -m bundle dataset/test_in.npy -o in.tsv",
        "genood score reads.fastq.gz -o scores.tsv",
    ),
)
@click.argument("reads", nargs=-1, required=True)
@click.option(
    "-m",
    "--bundle",
    metavar="BUNDLE",
    help="Directory from genood train or join.  [default: one of nine genera of bacteria that comes with "
    "genood, see genood info]",
)
@click.option(
    "-o",
    "--output",
    default="-",
    show_default="standard output",
    metavar="FILE",
    help="Score table; .parquet is Parquet; .gz (as BGZF), .zst, .xz and .bz2 compress it, as all outputs.",
)
@click.option(
    "--detector",
    "detectors",
    type=one_of(DETECTORS),
    multiple=True,
    help="The first one calls; each further one adds a column. May be repeated.  "
    f"[default: {DEFAULT_DETECTOR}; of a classifier, max-probability]",
)
@click.option(
    "--predicted-class",
    "predict_classes",
    is_flag=True,
    help="Add the column predicted_class: which class of the reference explains a read best, whatever its "
    "call. Of context models, classifiers but binary ones, and ensembles by class.",
)
@click.option(
    "--per-position", metavar="FILE", help="Per-position table, likewise; .gz gets an index for tabix."
)
@click.option(
    "--windows",
    "window",
    type=click.IntRange(1, 2**31 - 1),
    metavar="N",
    help="Bases of a window of --window-table and --regions.  [default: 1000]",
)
@click.option("--window-table", metavar="FILE", help="Scores of windows of N bases that tile each read.")
@click.option(
    "--regions",
    metavar="BED",
    help="Foreign stretches of long reads and contigs; .gz gets an index for tabix.",
)
@click.option(
    "--regions-fdr",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="Q",
    help="Error level of --regions within a sequence: the chance of any region where nothing is foreign, "
    "and the expected share of false ones among its regions.  [default: 0.05]",
)
@click.option("--summary", metavar="JSON", help="Counts, fractions and quantiles of the run.")
@click.option(
    "--multiqc",
    metavar="FILE_mqc.json",
    help="The summary as MultiQC shows it by itself; the sample is FILE.",
)
@click.option(
    "--report",
    metavar="HTML",
    help="A page that shows the run, as genood report writes it, with traces of the most foreign reads.",
)
@click.option(
    "--ood-out",
    metavar="FILE",
    help="Reads called ood, as they were in the input: FASTQ, or FASTA of reads without qualities. Mates "
    "stay together; with --paired, # in the name becomes 1 and 2.",
)
@click.option("--in-out", metavar="FILE", help="All other reads that are scored, likewise.")
@click.option(
    "--bam-out",
    metavar="FILE",
    help="All alignments of the input, or unaligned reads, as SAM, BAM or CRAM by the ending; with tags XL:f "
    "(llr per base), XP:f (p-value) and XC:Z (call) where scored.",
)
@click.option(
    "--kraken-report",
    metavar="FILE",
    help="Report as of Kraken 2, for MultiQC or Krona: in as root; ood and na as unclassified.",
)
@click.option(
    "--kraken-output", metavar="FILE", help="Output as of Kraken 2, a line a read or pair, for Recentrifuge."
)
@click.option(
    "--paired", is_flag=True, help="READS are two files of mates, R1 R2, in the same order; or several such."
)
@click.option("--interleaved", is_flag=True, help="In READS, mate 2 follows mate 1.")
@click.option(
    "--reference", metavar="FASTA", help="Genome that CRAM files were made with; indexed if need be."
)
@click.option(
    "--min-quality",
    type=click.IntRange(0, 93),
    default=0,
    metavar="Q",
    help="Treat bases of a lower Phred quality as N.",
)
@click.option(
    "--min-length",
    type=click.IntRange(min=1),
    default=1,
    metavar="N",
    help="Skip shorter reads, and their mates.",
)
@click.option(
    "--max-reads",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop after so many reads, not pairs; of an odd N with pairs, one fewer if it would cut one.",
)
@click.option(
    "--sample-fraction",
    type=click.FloatRange(0, 1, min_open=True),
    default=1.0,
    metavar="F",
    help="Score a share of the reads, drawn by name with --seed: in any file and order the same ones.",
)
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    show_default="0.05",
    help="Call a read ood if its p-value is at most this.",
)
@click.option(
    "--fdr",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    metavar="Q",
    help="Call in place of --alpha, over the whole run, by Benjamini and Hochberg: of the reads called ood, "
    "a share Q is expected to be in-distribution. Rows are written once all reads are scored.",
)
@click.option(
    "--precision",
    type=click.Choice(["fp32", "bf16"]),
    default="fp32",
    show_default=True,
    help="Of matrix products in an lstm or a cnn; bf16 is faster on GPUs, and on CPUs with AMX.",
)
@_start_fast
@compute_options
@logging_options
def command(
    reads: tuple[str, ...],
    bundle: str | None,
    output: str,
    detectors: tuple[str, ...],
    predict_classes: bool,
    per_position: str | None,
    window: int | None,
    window_table: str | None,
    regions: str | None,
    regions_fdr: float | None,
    summary: str | None,
    multiqc: str | None,
    report: str | None,
    ood_out: str | None,
    in_out: str | None,
    bam_out: str | None,
    kraken_report: str | None,
    kraken_output: str | None,
    paired: bool,
    interleaved: bool,
    reference: str | None,
    min_quality: int,
    min_length: int,
    max_reads: int | None,
    sample_fraction: float,
    alpha: float | None,
    fdr: float | None,
    precision: Precision,
    seed: int,
    device: str,
    hashes: Mapping[Path, Future[str]],
) -> None:
    """Score reads from FASTQ, FASTA, SAM, BAM or CRAM files, plain or compressed; - is standard input.

    Alignments are scored as they were sequenced; secondary, supplementary and QC-failed ones are skipped.

    A split of a dataset, such as dataset/test_in.npy, is taken too; its reads are named test_in:0,
    test_in:1 and so on, by row.

    Writes a table with one row a read, in input order.

    Without -m, reads are compared with a few genera of bacteria, and those of anything else are ood. For
    another reference, train a bundle of your own.
    """
    if alpha is not None and fdr is not None:
        raise click.UsageError("--alpha and --fdr are two ways to call; give one")
    if paired and interleaved:
        raise click.UsageError("--paired and --interleaved are two ways to give mates; give one")
    if (paired or interleaved) and max_reads == 1:
        raise click.UsageError("--max-reads counts reads, and a pair has two; give at least 2")
    if window is not None and window_table is None and regions is None:
        raise click.UsageError("--windows says how long windows are; give --window-table or --regions too")
    if regions_fdr is not None and regions is None:
        raise click.UsageError("--regions-fdr is the error level of --regions; give that too")
    from genood.cli.memory import keep_freed_memory
    from genood.intake.selection import SelectionConfig
    from genood.intake.stream import IntakeConfig
    from genood.readers import ReaderConfig
    from genood.scoring.running import ScoreJob, prepare_scoring, score_files
    from genood.writers import RegionConfig

    if bundle is None:
        logger.info(about_default())
    job = ScoreJob(
        bundle=str(DEFAULT_BUNDLE) if bundle is None else bundle,
        inputs=reads,
        intake=IntakeConfig(
            reader=ReaderConfig(reference=reference, min_quality=min_quality),
            pairs="two files" if paired else "interleaved" if interleaved else None,
            selection=SelectionConfig(
                min_length=min_length, max_reads=max_reads, sample_fraction=sample_fraction, seed=seed
            ),
        ),
        output=output,
        per_position=per_position,
        summary=summary,
        multiqc=multiqc,
        report=report,
        regions=RegionConfig(
            window_table=window_table, regions=regions, **overrides(window=window, fdr=regions_fdr)
        ),
        ood_out=ood_out,
        in_out=in_out,
        bam_out=bam_out,
        kraken_report=kraken_report,
        kraken_output=kraken_output,
        detectors=detectors,
        predict_classes=predict_classes,
        fdr=fdr,
        precision=precision,
        seed=seed,
        command=shlex.join(["genood", *sys.argv[1:]]),
        **overrides(alpha=alpha),
    )
    keep_freed_memory()
    prepare_scoring(job)
    gc.freeze()
    gc.enable()
    with _progress() as progress:
        score_files(job, device=device, progress=progress, hashes=hashes)
