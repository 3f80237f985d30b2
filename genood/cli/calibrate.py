"""Refit a bundle's p-values on in-distribution reads of your own."""

from __future__ import annotations

import shlex
import sys

import click

from genood.cli.examples import examples
from genood.cli.options import compute_options, logging_options, show_progress


@click.command(
    "calibrate",
    no_args_is_help=True,
    epilog=examples("genood calibrate -m bundle control_run.fastq.gz -o bundle_run7"),
)
@click.argument("reads", nargs=-1, required=True)
@click.option("-m", "--bundle", required=True, metavar="BUNDLE", help="Directory from genood train.")
@click.option(
    "-o", "--output", required=True, metavar="BUNDLE", help="Directory to write the calibrated bundle to."
)
@click.option(
    "--reference", metavar="FASTA", help="Genome that CRAM files were made with; indexed if need be."
)
@click.option(
    "--min-quality",
    type=click.IntRange(0, 93),
    default=0,
    metavar="Q",
    help="Treat bases of a lower Phred quality as N; give it as genood score will be given it.",
)
@click.option(
    "--max-reads",
    type=click.IntRange(min=100),
    default=10_000,
    show_default=True,
    help="Pieces of reads to calibrate on at each length, at most.",
)
@compute_options
@logging_options
def command(
    reads: tuple[str, ...],
    bundle: str,
    output: str,
    reference: str | None,
    min_quality: int,
    max_reads: int,
    seed: int,
    device: str,
) -> None:
    """Refit a bundle's p-values on reads known to be in-distribution.

    READS are negatives: of organisms of the reference's classes, sequenced and prepared as the reads to
    be scored will be; nothing foreign may be among them. The models stay as they are, and so does BUNDLE;
    the bundle written holds p-values for reads like these, with their errors and at their lengths and
    below. At least 100 reads, better 10,000.
    """
    from genood.cli.progress import reads_progress
    from genood.making.recalibrate import CalibrateJob, recalibrate_bundle
    from genood.readers import ReaderConfig

    job = CalibrateJob(
        bundle=bundle,
        inputs=reads,
        output=output,
        reader=ReaderConfig(reference=reference, min_quality=min_quality),
        max_reads=max_reads,
        seed=seed,
        command=shlex.join(["genood", *sys.argv[1:]]),
    )
    with reads_progress(show=show_progress()) as progress:
        recalibrate_bundle(job, device=device, progress=progress)
