"""Train a bundle on reference sequences."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import click

from genood.cli import EXIT_INTERRUPTED
from genood.cli.examples import examples
from genood.cli.options import (
    FiniteRange,
    compute_options,
    is_gpu,
    logging_options,
    one_of,
    overrides,
    refuse_others,
    show_progress,
)
from genood.cli.processes import is_first_process, refuse_several, training_together
from genood.cli.stepwise_options import MOST_UNITS, OPTIONS_OF, STEPWISE, stepwise_options
from genood.models import CLASSIFIERS, MODELS
from genood.recipes import CONTEXT_BACKGROUNDS, DEFAULT_PRESET, MUTATED, PRESETS, Variant

if TYPE_CHECKING:
    from genood.ensemble import EnsembleBundle
    from genood.making.members import Members

logger = logging.getLogger("genood")


@click.command(
    "train",
    no_args_is_help=True,
    epilog=examples(
        "genood train genomes/*.fna.gz -o bundle",
        "genood train genomes/*.fna.gz -o small --model sketch --max-size 8",
        "genood train genomes/*.fna.gz -o ensemble --members 5",
        "genood train more/*.fna.gz --add bundle -o larger",
        "genood train genomes/*.fna.gz -o bundle --model lstm --preset small",
        "genood train genomes/*.fna.gz -o bundle --model lstm --patience 20 --tensorboard board",
        "torchrun --nproc-per-node 4 -m genood train genomes/*.fna.gz -o bundle --model lstm",
        "genood train dataset -o bundle --model cnn --preset small",
        "genood train dataset -o bundle --report bundle.html",
    ),
)
@click.argument("inputs", metavar="FASTA|INDEX|DATASET...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, metavar="BUNDLE", help="Directory to write the bundle to.")
@click.option(
    "--model",
    type=one_of([*MODELS, *CLASSIFIERS]),
    help="Density model, or cnn, a classifier; genood join joins bundles of several.  "
    "[default: lstm where there is a GPU, else context]",
)
@click.option(
    "--preset",
    type=one_of(PRESETS),
    default=DEFAULT_PRESET,
    show_default=True,
    help="For lstm and cnn. demo: minutes on a laptop. quick: an hour. small: hours. paper: that of Ren et "
    "al. 2019, for a GPU.",
)
@click.option(
    "--background",
    type=click.Choice(CONTEXT_BACKGROUNDS),
    help="What a context model is compared with: itself without the class that explains the read best; "
    "its order 2; a Markov chain fitted to the read; a context model of mutated genomes. For markov, "
    "mutated or low-order.  "
    "[default: other-classes, or low-order for one class; for markov, mutated]",
)
@click.option("--order", type=click.IntRange(min=0), help="Bases of context, for markov.  [default: 11]")
@click.option(
    "--prior-count",
    type=click.FloatRange(1e-6, 1e6),
    help="Weight of the next shorter context of a Markov chain, in bases: low trusts what was seen once.  "
    "[default: 4]",
)
@click.option(
    "--memory",
    type=FiniteRange(0, 1e6, min_open=True),
    metavar="GB",
    help="Memory that training a context model may take, a mutated background apart; less keeps fewer "
    "contexts.  [default: 2]",
)
@click.option(
    "--max-size",
    type=FiniteRange(0, 1e6, min_open=True),
    metavar="MIB",
    help="Size that the bundle of a sketch may have.  [default: 8]",
)
@click.option(
    "--add",
    metavar="BUNDLE",
    help="A context bundle to add the files to; the result is that of training on all at once.",
)
@click.option(
    "--classes",
    metavar="TSV",
    help="Class of each FASTA file (columns: file, class); else the file name up to the first '__'.",
)
@click.option(
    "--held-out-fraction",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Part of each class to hold out, but for context; unused with --val or a dataset.",
)
@click.option(
    "--val",
    multiple=True,
    metavar="FASTA|DATASET",
    help="In-distribution sequences to validate and calibrate on, one file each time; of a dataset, its "
    "val_in.  [default: held out of the FASTA files; the dataset's val_in]",
)
@click.option(
    "--mutation-rate",
    type=click.FloatRange(0, 1),
    help="Substitutions per base for the mutated background, or a classifier's mutated reads.",
)
@click.option(
    "--variant",
    type=one_of(get_args(Variant)),
    help="What a classifier learns. plain: the classes; binary: reads against mutated reads; noise-class: "
    "the classes and mutated reads; calibrated: the classes, equally likely for mutated reads.  "
    "[default: plain]",
)
@click.option("--filters", "num_filters", type=click.IntRange(1, MOST_UNITS), help="Filters of the cnn.")
@click.option(
    "--filter-length", type=click.IntRange(1, MOST_UNITS), help="Bases that a filter of the cnn looks at."
)
@click.option("--l2", type=click.FloatRange(0), help="L2 coefficient of the background model.")
@click.option(
    "--hidden-size",
    type=click.IntRange(1, MOST_UNITS),
    help="Units of a layer of the LSTM, or of the cnn's dense layer.",
)
@click.option("--layers", "num_layers", type=click.IntRange(1, 100), help="LSTM layers.")
@click.option(
    "--dropout",
    type=click.FloatRange(0, 1, max_open=True),
    help="Dropout on the outputs of a layer, and on the cnn's pooled filters.",
)
@click.option("--read-length", type=click.IntRange(min=1), help="Bases of a training read.")
@stepwise_options
@click.option(
    "--members",
    "num_members",
    type=click.IntRange(2, 1000),
    metavar="N",
    help="Train an ensemble: N bundles with the seeds --seed, --seed + 1 and so on, and scored together. "
    "Context models, Markov chains and sketches each learn another random half of the sequences.",
)
@click.option(
    "--per-class",
    is_flag=True,
    help="Train an ensemble of a density model for each class, for --detector mlr.",
)
@click.option(
    "--resume",
    is_flag=True,
    help="Go on from the checkpoint in BUNDLE; of an ensemble, with the member that is not done.",
)
@click.option(
    "--report",
    metavar="HTML",
    help="A page that shows the bundle: curves, calibration, model card; as genood report BUNDLE writes it.",
)
@compute_options
@logging_options
def command(
    inputs: tuple[str, ...],
    output: str,
    model: str | None,
    background: str | None,
    order: int | None,
    prior_count: float | None,
    memory: float | None,
    max_size: float | None,
    add: str | None,
    preset: str,
    classes: str | None,
    val: tuple[str, ...],
    variant: str | None,
    num_filters: int | None,
    filter_length: int | None,
    hidden_size: int | None,
    num_layers: int | None,
    dropout: float | None,
    num_members: int | None,
    per_class: bool,
    resume: bool,
    report: str | None,
    seed: int,
    device: str,
    tensorboard: str | None,
    **training: Any,
) -> None:
    """Train a foreground and a background model, or a classifier, on sequences and write a bundle.

    FASTA files, plain or compressed, are the in-distribution reference; or an index of them is, which
    genood index writes; or a dataset of genood-prep, by its train_in.

    The context model remembers the genomes; it takes seconds on any computer. The sketch keeps of them
    what fits into a few megabytes, to be passed on. The markov model is a chain of fixed order, the
    simplest there is, for comparison. The lstm is the model of Ren et al. 2019 and needs a GPU: reads are
    drawn on the fly, uniformly over classes, then over positions, from both strands; options left out take
    the preset's values; Ctrl-C leaves a checkpoint, and the same command with --resume goes on from it. The
    cnn is that paper's classifier, trained in the same way.
    """
    page = None
    if report is not None and is_first_process():  # what is wrong with it is said before training
        from genood.report.training_page import TrainingPageJob, write_training_page

        page = TrainingPageJob(bundle=output, output=report)
    if model is None:
        model = "context" if add is not None or not is_gpu(device) else "lstm"
    common = {
        "inputs": inputs,
        "output": output,
        "classes": classes,
        "validation": val,
        "command": shlex.join(["genood", *sys.argv[1:]]),
    }
    ensemble = _Ensemble(num_members, per_class, resume)
    if model not in STEPWISE or ensemble.wanted:
        refuse_several("an ensemble" if ensemble.wanted else f"a {model} model")
    refuse_others(model, OPTIONS_OF)
    if resume and not ensemble.wanted and model not in STEPWISE:
        raise click.UsageError(f"--resume has no meaning for --model {model} without --members")
    if add is not None and ensemble.wanted:
        raise click.UsageError("--add is for a single bundle, without --members and --per-class")
    if model == "context":
        _remember(common, add, seed, background, memory, ensemble, **training)
    elif model == "markov":
        _count(common, seed, background, order, prior_count, ensemble, **training)
    elif model == "sketch":
        _sketch(common, seed, max_size, ensemble, **training)
    else:
        if model in CLASSIFIERS and training["mutation_rate"] is not None and variant in (None, "plain"):
            raise click.UsageError("--mutation-rate needs a --variant that learns from mutated reads")
        shape = overrides(
            variant=variant,
            num_filters=num_filters,
            filter_length=filter_length,
            hidden_size=hidden_size,
            num_layers=num_layers,
            dropout=dropout,
        )
        _train(common, model, preset, shape, ensemble, seed, device, tensorboard, **training)
    logger.info("wrote %s", output)
    if page is not None:
        write_training_page(page)
        logger.info("wrote %s", page.output)


class _Ensemble(NamedTuple):
    """Which ensemble is wanted, if any."""

    num_members: int | None
    per_class: bool
    resume: bool

    @property
    def wanted(self) -> bool:
        """Whether there is to be one."""
        if self.num_members is not None and self.per_class:
            raise click.UsageError("--members and --per-class are two kinds of ensemble; give one")
        return self.num_members is not None or self.per_class

    def train(self, members: Members) -> EnsembleBundle | None:
        """Train it, the members being made so."""
        from genood.making.members import train_ensemble

        return train_ensemble(members, num_members=self.num_members, resume=self.resume)


def _remember(
    common: Mapping[str, Any],
    add: str | None,
    seed: int,
    background: str | None,
    memory: float | None,
    ensemble: _Ensemble,
    mutation_rate: float | None,
    read_length: int | None,
    **_: Any,
) -> None:
    from genood.making.remember import RememberConfig, RememberJob, remember_bundle

    if mutation_rate is not None and background != MUTATED:
        raise click.UsageError(
            f"--mutation-rate needs --background {MUTATED}, --model lstm or --model markov"
        )
    given = overrides(
        mutation_rate=mutation_rate,
        read_length=read_length,
        memory=None if memory is None else int(memory * 1e9),
    )
    config = RememberConfig(seed=seed, background=background, **given)
    job = RememberJob(add=add, config=config, **common)
    if not ensemble.wanted:
        remember_bundle(job)
        return
    from genood.making.members import RememberedMembers

    ensemble.train(RememberedMembers(job))


def _count(
    common: Mapping[str, Any],
    seed: int,
    background: str | None,
    order: int | None,
    prior_count: float | None,
    ensemble: _Ensemble,
    mutation_rate: float | None,
    read_length: int | None,
    held_out_fraction: float | None,
    **_: Any,
) -> None:
    from genood.making.counting import CountConfig, CountJob, count_bundle
    from genood.models.markov import MarkovConfig

    if mutation_rate is not None and background not in (None, MUTATED):
        raise click.UsageError(f"--mutation-rate needs --background {MUTATED}")
    given = overrides(
        prior_count=prior_count,
        background=background,
        mutation_rate=mutation_rate,
        read_length=read_length,
        held_out_fraction=held_out_fraction,
    )
    config = CountConfig(model=MarkovConfig(**overrides(order=order)), seed=seed, **given)
    job = CountJob(config=config, **common)
    if not ensemble.wanted:
        count_bundle(job)
        return
    from genood.making.members import CountedMembers

    ensemble.train(CountedMembers(job))


def _sketch(
    common: Mapping[str, Any],
    seed: int,
    max_size: float | None,
    ensemble: _Ensemble,
    read_length: int | None,
    held_out_fraction: float | None,
    **_: Any,
) -> None:
    from genood.making.sketching import SketchingConfig, SketchJob, sketch_bundle

    given = overrides(
        max_size=None if max_size is None else int(max_size * 2**20),
        read_length=read_length,
        held_out_fraction=held_out_fraction,
    )
    job = SketchJob(config=SketchingConfig(seed=seed, **given), **common)
    if not ensemble.wanted:
        sketch_bundle(job)
        return
    from genood.making.members import SketchedMembers

    ensemble.train(SketchedMembers(job))


def _train(
    common: Mapping[str, Any],
    model: str,
    preset: str,
    shape: Mapping[str, Any],
    ensemble: _Ensemble,
    seed: int,
    device: str,
    tensorboard: str | None,
    **training: Any,
) -> None:
    from genood.cli.progress import TrainingProgress, stop_signals
    from genood.making.build import TrainJob, train_bundle
    from genood.making.build_members import TrainedMembers
    from genood.training.pace import Pace
    from genood.training.tensorboard import beside

    chosen = PRESETS[preset]
    given = overrides(**training)
    if given.get("max_gradient_norm") == 0:
        given["max_gradient_norm"] = None
    job = TrainJob(
        model=model,
        model_config={**chosen.models[model], **shape},
        config=replace(chosen.train_config(model), seed=seed, **given),
        resume=ensemble.resume and not ensemble.wanted,
        **common,
    )
    if tensorboard is not None and ensemble.wanted:
        raise click.UsageError("--tensorboard is for a single bundle, without --members and --per-class")
    steps = job.config.steps
    with (
        training_together(device) as (world, here),
        TrainingProgress(steps, pace=Pace(job.config), show=show_progress() and world.writes) as shown,
        beside(shown, tensorboard if world.writes else None, steps) as progress,
    ):
        how: dict[str, Any] = {"device": here, "progress": progress, "stopping": stop_signals}
        made = (
            ensemble.train(TrainedMembers(job, **how))
            if ensemble.wanted
            else train_bundle(job, **how, world=world)
        )
    if made is None:
        logger.info("stopped; --resume goes on from the checkpoint in %s", job.output)
        click.get_current_context().exit(EXIT_INTERRUPTED)
