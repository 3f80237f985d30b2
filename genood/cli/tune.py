"""Choose the background model on validation reads."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from genood.cli import EXIT_INTERRUPTED
from genood.cli.examples import examples
from genood.cli.options import (
    compute_options,
    is_gpu,
    logging_options,
    one_of,
    overrides,
    refuse_others,
    show_progress,
)
from genood.cli.processes import refuse_several
from genood.cli.stepwise_options import OPTIONS_OF
from genood.cli.train import command as train
from genood.models import MODELS
from genood.recipes import PRESETS

if TYPE_CHECKING:
    from genood.making.counting import CountConfig
    from genood.making.remember import RememberConfig
    from genood.recipes import TrainConfig
    from genood.tune import TuneJob

logger = logging.getLogger("genood")

_SHAPE = ("hidden_size", "num_layers", "dropout")
_TRAINING = (
    "steps",
    "batch_size",
    "learning_rate",
    "schedule",
    "read_length",
    "held_out_fraction",
    "validation_interval",
    "precision",
)
_OF_TRAIN = ("preset", "order", "prior_count", "memory", "classes", "val", *_SHAPE, *_TRAINING)
"""Options that mean what they mean to `genood train`."""
_HELP = {
    "preset": "For lstm. demo: minutes a model on a laptop. quick: an hour. small: hours. paper: that of Ren "
    "et al. 2019.",
    "held_out_fraction": "Part of each class to hold out, but for context; unused with --val or a dataset.",
    "hidden_size": "LSTM units.",
    "dropout": "Dropout on the outputs of a layer.",
    "steps": "Optimisation steps of each model.",
}
"""What is said of those that are for more models there."""
_OPTIONS_OF = (*OPTIONS_OF, (("l2s",), ("lstm",)))


@click.command(
    "tune",
    no_args_is_help=True,
    epilog=examples(
        "genood tune dataset -o tuning --model lstm --preset small",
        "genood tune genomes/*.fna.gz --ood others/*.fna.gz -o tuning",
        "genood score -m tuning/bundle reads.fastq.gz",
    ),
)
@click.argument("inputs", metavar="DATASET|FASTA...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="DIR", help="Directory to write tables and bundle to.")
@click.option(
    "--model",
    type=one_of(kind for kind in MODELS if kind != "sketch"),  # which has but one background
    help="Density model.  [default: lstm where there is a GPU, else context]",
)
@click.option(
    "--mutation-rate",
    "mutation_rates",
    type=click.FloatRange(0, 1, min_open=True),
    multiple=True,
    help="A mutation rate μ to try; any number of times.  [default: 0.01, 0.05, 0.1, 0.2]",
)
@click.option(
    "--l2",
    "l2s",
    type=click.FloatRange(0),
    multiple=True,
    help="An L2 coefficient λ to try, for lstm; any number of times.  [default: 0, 1e-6, 1e-5, 1e-4, 1e-3]",
)
@click.option(
    "--seeds",
    "num_seeds",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="Trainings of each cell, for standard errors; the first is that of --seed, and in the bundle.",
)
@click.option(
    "--ood",
    multiple=True,
    metavar="FASTA|DATASET",
    help="OOD sequences to choose by, one file each time; of a dataset, its val_ood.  "
    "[default: the dataset's val_ood]",
)
@click.option(
    "--simulated-rate",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.1,
    show_default=True,
    help="Substitutions per base of simulated OOD reads, which are in-distribution validation reads.",
)
@click.option(
    "--max-reads",
    type=click.IntRange(min=1),
    help="Validation reads of each side, at most.  [default: 10000]",
)
@click.option(
    "--choose",
    type=click.Choice(["real", "simulated"]),
    help="OOD reads that decide about the bundle.  [default: real where there are any]",
)
@compute_options
@logging_options
def command(
    inputs: tuple[str, ...],
    output: str,
    model: str | None,
    mutation_rates: tuple[float, ...],
    l2s: tuple[float, ...],
    classes: str | None,
    val: tuple[str, ...],
    ood: tuple[str, ...],
    device: str,
    max_reads: int | None,
    **options: Any,
) -> None:
    """Compare backgrounds of the likelihood ratio on validation reads, and write a bundle with the best.

    A foreground model is trained once, and a background model for each mutation rate μ and L2 coefficient
    λ. Each is judged by the AUROC of the ratio, in-distribution validation reads against real OOD reads,
    where there are any, and against simulated ones. Context models and Markov chains have no λ; the
    backgrounds that they derive from themselves are tried, too.

    The tables are printed, and written to DIR with the bundle. Ctrl-C leaves what is done, and the same
    command goes on from it. With other mutation rates, L2 coefficients or seeds it computes what is new, and
    the tables hold what is named.
    """
    refuse_several("a comparison of backgrounds", "genood tune")
    if model is None:
        model = "lstm" if is_gpu(device) else "context"
    refuse_others(model, _OPTIONS_OF)
    job = _job(
        model,
        options,
        {
            "inputs": inputs,
            "output": output,
            "classes": classes,
            "validation": val,
            "ood": ood,
            "command": shlex.join(["genood", *sys.argv[1:]]),
            **overrides(
                mutation_rates=mutation_rates or None,
                l2s=l2s or None,
                max_reads=max_reads,
            ),
        },
    )
    _tune(job, device)


def _options_of_train() -> Iterator[click.Parameter]:
    """The options that mean what they mean to `genood train`, where others of its models do not count."""
    for option in train.params:
        if option.name in _OF_TRAIN:
            option = copy(option)
            if isinstance(option, click.Option) and option.name in _HELP:
                option.help = _HELP[option.name]
            yield option


_PLACE = next(i for i, option in enumerate(command.params) if option.name == "choose") + 1
command.params[_PLACE:_PLACE] = _options_of_train()


def _job(model: str, options: Mapping[str, Any], common: Mapping[str, Any]) -> TuneJob:
    from genood.tune import TuneJob

    shape: dict[str, Any] = {}
    config: TrainConfig | RememberConfig | CountConfig
    if model == "context":
        config = _remember_config(**options)
    elif model == "markov":
        config = _count_config(**options)
    else:
        chosen = PRESETS[options["preset"]]
        shape = {**chosen.models[model], **overrides(**{name: options[name] for name in _SHAPE})}
        training = overrides(**{name: options[name] for name in ("seed", *_TRAINING)})
        config = replace(chosen.train_config(model), **training)
    others = {name: options[name] for name in ("num_seeds", "simulated_rate", "choose")}
    return TuneJob(model=model, model_config=shape, config=config, **common, **others)


def _remember_config(*, seed: int, read_length: int | None, memory: float | None, **_: Any) -> RememberConfig:
    from genood.making.remember import RememberConfig

    num_bytes = None if memory is None else int(memory * 1e9)
    return RememberConfig(seed=seed, **overrides(read_length=read_length, memory=num_bytes))


def _count_config(
    *,
    seed: int,
    read_length: int | None,
    held_out_fraction: float | None,
    order: int | None,
    prior_count: float | None,
    **_: Any,
) -> CountConfig:
    from genood.making.counting import CountConfig
    from genood.models.markov import MarkovConfig

    given = overrides(prior_count=prior_count, read_length=read_length, held_out_fraction=held_out_fraction)
    return CountConfig(model=MarkovConfig(**overrides(order=order)), seed=seed, **given)


def _tune(job: TuneJob, device: str) -> None:
    from genood.cli.progress import TuningProgress, stop_signals
    from genood.recipes import TrainConfig
    from genood.training.pace import Pace
    from genood.tune import tune

    config = job.config
    pace = Pace(config) if isinstance(config, TrainConfig) else None
    num_steps = config.steps if isinstance(config, TrainConfig) else 1  # a context model has none
    with TuningProgress(num_steps, pace=pace, show=show_progress()) as progress:
        result = tune(job, device=device, progress=progress, stopping=stop_signals)
    if result is None:
        logger.info("stopped; the same command goes on from what is in %s", job.output)
        click.get_current_context().exit(EXIT_INTERRUPTED)
    _show(result.markdown())
    logger.info("wrote %s", result.bundle_directory)


def _show(markdown: str) -> None:
    """Print Markdown, drawn where that is a terminal."""
    if not sys.stdout.isatty():
        click.echo(markdown, nl=False)
        return
    from rich.console import Console
    from rich.markdown import Markdown

    Console().print(Markdown(markdown))
