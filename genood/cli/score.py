"""Score reads with a bundle."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from genood.cli.options import compute_options, logging_options, one_of, show_progress
from genood.detectors import DEFAULT_DETECTOR, DETECTORS
from genood.files import sha256_ahead

if TYPE_CHECKING:
    import torch


def _start_fast(function: Callable[..., None]) -> Callable[..., None]:
    """Hash the bundle's weights while torch is imported; and spare what is imported the garbage collector."""

    @wraps(function)
    def wrapper(*, bundle: str, **kwargs: Any) -> None:
        gc.disable()  # until the imports are done: they make many objects and no garbage
        hashes = sha256_ahead(Path(bundle).glob("*ground.safetensors"))
        try:
            function(bundle=bundle, hashes=hashes, **kwargs)
        finally:
            gc.enable()
            gc.freeze()  # the program's end would look through all objects, several times

    return wrapper


@click.command("score", no_args_is_help=True)
@click.argument("reads", nargs=-1, required=True)
@click.option("-m", "--bundle", required=True, metavar="BUNDLE", help="Directory from genood train.")
@click.option(
    "-o",
    "--output",
    default="-",
    show_default="standard output",
    metavar="FILE",
    help="Score table; .gz is compressed as BGZF.",
)
@click.option(
    "--detector",
    "detectors",
    type=one_of(DETECTORS),
    multiple=True,
    default=(DEFAULT_DETECTOR,),
    show_default=True,
    help="The first one calls; each further one adds a column. May be repeated.",
)
@click.option("--per-position", metavar="FILE", help="Per-position table.")
@click.option("--summary", metavar="JSON", help="Counts, fractions and quantiles of the run.")
@click.option(
    "--alpha",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    default=0.05,
    show_default=True,
    help="Call a read ood if its p-value is at most this.",
)
@_start_fast
@compute_options
@logging_options
def command(
    reads: tuple[str, ...],
    bundle: str,
    output: str,
    detectors: tuple[str, ...],
    per_position: str | None,
    summary: str | None,
    alpha: float,
    seed: int,
    device: torch.device,
    hashes: Mapping[Path, Future[str]],
) -> None:
    """Score reads from FASTQ or FASTA files, plain or compressed; - is standard input.

    A split of a dataset, such as dataset/test_in.npy, is taken too; its reads are named test_in:0,
    test_in:1 and so on, by row.

    Writes a table with one row a read, in input order.

    \b
    Examples:
      genood score -m bundle reads.fastq.gz -o scores.tsv --summary summary.json
      genood score -m bundle dataset/test_in.npy -o in.tsv
    """
    from genood.cli.progress import reads_progress
    from genood.scoring import ScoreJob, score_files

    gc.freeze()
    gc.enable()
    job = ScoreJob(
        bundle=bundle,
        inputs=reads,
        output=output,
        per_position=per_position,
        summary=summary,
        detectors=detectors,
        alpha=alpha,
        seed=seed,
    )
    with reads_progress(show=show_progress()) as progress:
        score_files(job, device=device, progress=progress, hashes=hashes)
