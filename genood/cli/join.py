"""Join bundles of different models into one."""

from __future__ import annotations

import logging
import shlex
import sys

import click

from genood.cli.examples import examples
from genood.cli.options import compute_options, logging_options

logger = logging.getLogger("genood")


@click.command(
    "join",
    no_args_is_help=True,
    epilog=examples(
        "genood join context lstm -o mixed",
        "genood join lstm markov -o mixed --val Escherichia__other.fna.gz --val Bacillus__other.fna.gz",
    ),
)
@click.argument("bundles", metavar="BUNDLE BUNDLE...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="BUNDLE", help="Directory to write the new bundle to.")
@click.option(
    "--val",
    multiple=True,
    metavar="FASTA|DATASET",
    help="In-distribution sequences to calibrate on, one file each time, that no bundle was trained on; of a "
    "dataset, its val_in.  [default: those of a context bundle's reference that the others held out]",
)
@click.option(
    "--classes",
    metavar="TSV",
    help="Class of each FASTA file of --val (columns: file, class); else the file name up to the first '__'.",
)
@compute_options
@logging_options
def command(
    bundles: tuple[str, ...],
    output: str,
    val: tuple[str, ...],
    classes: str | None,
    seed: int,
    device: str,
) -> None:
    """Join two or more bundles of density models, trained on the same files, into an ensemble.

    Each was trained by a genood train of its own; nothing is trained again, and they stay as they are. A
    base's probability is the mean of theirs, under the background too, and p-values are those of what they
    say together.
    """
    if len(bundles) < 2:
        raise click.UsageError("there is nothing to join: name two bundles or more")
    if classes is not None and not val:
        raise click.UsageError("--classes is for the files of --val; give that too")
    from genood.making.joining import JoinJob, join_bundles

    job = JoinJob(
        bundles=bundles,
        output=output,
        validation=val,
        classes=classes,
        seed=seed,
        command=shlex.join(["genood", *sys.argv[1:]]),
    )
    join_bundles(job, device=device)
    logger.info("wrote %s", output)
