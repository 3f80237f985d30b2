"""Train a bundle on reference sequences."""

from __future__ import annotations

import logging
import shlex
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from genood.cli import EXIT_INTERRUPTED
from genood.cli.options import compute_options, logging_options, one_of, overrides, show_progress
from genood.models import MODELS
from genood.recipes import DEFAULT_PRESET, PRESETS

if TYPE_CHECKING:
    import torch

logger = logging.getLogger("genood")


@click.command("train", no_args_is_help=True)
@click.argument("fasta", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="BUNDLE", help="Directory to write the bundle to.")
@click.option("--model", type=one_of(MODELS), default="lstm", show_default=True, help="Density model.")
@click.option(
    "--preset",
    type=one_of(PRESETS),
    default=DEFAULT_PRESET,
    show_default=True,
    help="demo: minutes on a laptop. small: hours. paper: the recipe of Ren et al. 2019, for a GPU.",
)
@click.option(
    "--classes",
    metavar="TSV",
    help="Class of each file (columns: file, class); else the file name up to the first '__'.",
)
@click.option(
    "--held-out-fraction",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Part of each class to hold out; unused with --val.",
)
@click.option(
    "--val",
    multiple=True,
    metavar="FASTA",
    help="In-distribution sequences to validate and calibrate on, one file each time.  "
    "[default: stretches held out of the input]",
)
@click.option(
    "--mutation-rate",
    type=click.FloatRange(0, 1),
    help="Substitutions per base for the background model.",
)
@click.option("--l2", type=click.FloatRange(0), help="L2 coefficient of the background model.")
@click.option("--hidden-size", type=click.IntRange(min=1), help="LSTM units.")
@click.option("--layers", "num_layers", type=click.IntRange(min=1), help="LSTM layers.")
@click.option(
    "--dropout",
    type=click.FloatRange(0, 1, max_open=True),
    help="Dropout on the outputs of a layer.",
)
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    help="Optimisation steps; with --resume they may grow, and a cosine schedule is drawn out.",
)
@click.option("--batch-size", type=click.IntRange(min=1), help="Reads a step.")
@click.option("--learning-rate", type=click.FloatRange(0, 1, min_open=True), help="Of Adam.")
@click.option(
    "--schedule", type=click.Choice(["constant", "cosine"]), help="Of the learning rate over the steps."
)
@click.option("--read-length", type=click.IntRange(min=1), help="Bases of a training read.")
@click.option(
    "--validation-interval",
    type=click.IntRange(min=1),
    help="Steps between validations and checkpoints.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16"]),
    help="Of matrix products in training; auto is fp32.",
)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint in BUNDLE.")
@compute_options
@logging_options
def command(
    fasta: tuple[str, ...],
    output: str,
    model: str,
    preset: str,
    classes: str | None,
    val: tuple[str, ...],
    hidden_size: int | None,
    num_layers: int | None,
    dropout: float | None,
    resume: bool,
    seed: int,
    device: torch.device,
    **training: Any,
) -> None:
    """Train a foreground and a background model on FASTA files and write a bundle.

    The files are the in-distribution reference, plain or compressed. Reads are drawn from them on the
    fly, uniformly over classes, then over positions, from both strands. Options left out take the
    preset's values.

    Ctrl-C leaves a checkpoint; the same command with --resume goes on from it.

    \b
    Example:
      genood train genomes/*.fna.gz -o bundle --preset small
    """
    from genood.build import TrainJob, train_bundle
    from genood.cli.progress import TrainingProgress, stop_signals

    chosen = PRESETS[preset]
    shape = overrides(hidden_size=hidden_size, num_layers=num_layers, dropout=dropout)
    job = TrainJob(
        inputs=fasta,
        output=output,
        model=model,
        model_config={**chosen.models[model], **shape},
        config=replace(chosen.train, seed=seed, **overrides(**training)),
        classes=classes,
        validation=val,
        resume=resume,
        command=shlex.join(["genood", *sys.argv[1:]]),
    )
    with TrainingProgress(job.config.steps, show=show_progress()) as progress:
        bundle = train_bundle(job, device=device, progress=progress, stopping=stop_signals)
    if bundle is None:
        logger.info("stopped; --resume goes on from the checkpoint in %s", output)
        click.get_current_context().exit(EXIT_INTERRUPTED)
    logger.info("wrote %s", output)
