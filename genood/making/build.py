"""From sequence files to a bundle: all of `genood train` but the command line."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genood.bundle import CLASSIFIER, Bundle
from genood.bundles.files import CHECKPOINT_FILE, METADATA_FILE, check_place
from genood.detectors.base import ScoreBatch
from genood.ensemble import AnyBundle
from genood.errors import BundleError
from genood.files import remove_leftovers
from genood.forward import forward
from genood.making.bundling import calibrate, check_output, fit_detectors, null_lengths
from genood.making.cards import model_card
from genood.models import CLASSIFIERS
from genood.recipes import MUTATED, Stream, TrainConfig
from genood.reference.loading import ReferenceJob, TrainingData, Validation, load_data, provenance
from genood.reference.sampling import ReadSampler
from genood.threads import num_threads
from genood.training.classifier_learner import classifier_learners
from genood.training.distributed import ALONE, World
from genood.training.following import Progress, Stopping, never_stopping
from genood.training.learners import Learner, density_learners
from genood.training.loop import Trainer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainJob(ReferenceJob):
    """What to train step by step, on what, and where to put the bundle.

    Attributes
    ----------
    model
        Kind of model, of `MODELS` or `CLASSIFIERS`.
    model_config
        The model's configuration; the number of classes comes with the reference.
    resume
        Go on from the checkpoint in `output`; if there is a bundle, it is unfinished until more
        steps are done.
    """

    config: TrainConfig
    model: str
    model_config: Mapping[str, Any]
    resume: bool = False


def train_bundle(
    job: TrainJob,
    data: TrainingData | None = None,
    *,
    device: torch.device,
    progress: Progress | None = None,
    stopping: Stopping = never_stopping,
    world: World = ALONE,
) -> Bundle | None:
    """Train, calibrate and write a bundle.

    Parameters
    ----------
    job
        What to train.
    data
        What `genood.reference.loading.load_data` gives for the job, or a part of it; None loads it.
    device
        Where.
    progress
        Told after each step and each validation.
    stopping
        Entered while training runs; gives the function that says whether to stop before a step.
    world
        The processes that train together, each of which calls this. If they were started again, training
        goes on from the checkpoint, where there is one.

    Returns
    -------
    bundle
        As written by the first process; in others the models alone. None if told to stop, with a checkpoint
        left in the output directory.

    Raises
    ------
    GenoodError
        The input, the options or the output directory are unfit; nothing that was there is changed.
    """
    output = Path(job.output)
    checkpoint = output / CHECKPOINT_FILE
    resume = _resumes(job, world)
    config = job.config
    training, validation = load_data(job) if data is None else data
    logger.info(
        "reference: %d classes, %d files, %s bases to train on, %s bases of %s to validate on",
        len(training.classes),
        len(training.files_of_classes()),
        f"{training.lengths.sum():,}",
        f"{validation.genomes.lengths.sum():,}",
        validation.source,
    )
    logger.debug("device %s, %d threads", device, num_threads())
    lengths = null_lengths(validation.genomes, config.read_length, validation.source)
    learners, model_config = _learners(job, len(training.classes), device)
    trainer = Trainer(
        learners=learners,
        model={"model": job.model, **model_config},
        config=config,
        training=ReadSampler(training, config.read_length, (config.seed, Stream.READS)),
        validation=ReadSampler(validation.genomes, config.read_length, (config.seed, Stream.VALIDATION)),
        fingerprint=f"{training.fingerprint}/{validation.genomes.fingerprint}",
        device=device,
        world=world,
    )
    if world.writes:
        remove_leftovers(checkpoint)
    if resume:
        trainer.resume(checkpoint)
        if not trainer.finished and world.writes:
            # From here on training.tsv grows: a bundle that is extended is none until it is done.
            (output / METADATA_FILE).unlink(missing_ok=True)
    with stopping() as should_stop:
        finished = trainer.run(checkpoint=checkpoint, progress=progress, should_stop=should_stop)
    if not finished:
        return None
    bundle = Bundle(
        **{role: learner.best_model() for role, learner in trainer.learners.items()},
        metadata={"metrics": trainer.metrics(), **_recovered(trainer)},
        calibration={},
        training_table=trainer.table(),
    )
    if not world.writes:
        return bundle
    finish(job, bundle, TrainingData(training, validation), lengths, _ABOUT_CHECKPOINT)
    return bundle.save(output, replace=resume)


def _resumes(job: TrainJob, world: World) -> bool:
    """Whether to go on from a checkpoint; raises where the output directory is unfit for what is next."""
    output = Path(job.output)
    checkpoint = output / CHECKPOINT_FILE
    if not job.resume and not (world.num_restarts > 0 and checkpoint.is_file()):
        check_output(output)
        return False
    if not checkpoint.is_file():
        raise BundleError(f"{output}: there is no checkpoint to resume from; train without --resume")
    if world.writes:
        check_place(output)
    return True


def _recovered(trainer: Trainer) -> dict[str, Any]:
    """Where training stepped back, for ``genood.json``; nothing if it did not."""
    return {"recoveries": [x._asdict() for x in trainer.recoveries]} if trainer.recoveries else {}


def _learners(
    job: TrainJob, num_classes: int, device: torch.device
) -> tuple[dict[str, Learner[Any]], dict[str, Any]]:
    """What is trained, by role, and the configuration of each."""
    if job.model in CLASSIFIERS:
        config = {**job.model_config, "num_classes": num_classes}
        learners = classifier_learners(job.model, config, job.config, device)
        return learners, learners[CLASSIFIER].model.config()
    config = dict(job.model_config)
    return density_learners(job.model, config, job.config, device), config


def null_scores(
    bundle: AnyBundle, validation: Validation, config: TrainConfig
) -> Callable[[int, int], list[ScoreBatch]]:
    """What scores so many validation reads of a length, given as (length, number)."""

    def score_null(length: int, num_reads: int) -> list[ScoreBatch]:
        sampler = ReadSampler(validation.genomes, length, (config.seed, Stream.CALIBRATION, length))
        codes = sampler.sample(0, num_reads).codes
        return [
            forward(bundle, batch, np.full(len(batch), length, dtype=np.int64))
            for batch in np.array_split(codes, math.ceil(num_reads / config.batch_size))
        ]

    return score_null


def finish(
    job: TrainJob, bundle: Bundle, data: TrainingData, lengths: Mapping[int, float], closing: str = ""
) -> None:
    """Fit its detectors, calibrate a bundle, and say what it is.

    Parameters
    ----------
    job
        What was asked for.
    bundle
        The trained models, their metrics and losses.
    data
        What `genood.reference.loading.load_data` gives for the job.
    lengths
        Lengths to calibrate at, see `null_lengths`.
    closing
        What the model card ends with.
    """
    config, (training, validation) = job.config, data
    bundle.metadata |= {
        "classes": list(training.classes),
        "seed": config.seed,
        "command": job.command,
        "training": asdict(config),
        "data": provenance(training, validation),
    }
    if bundle.classifier is None:
        bundle.metadata["background"] = MUTATED
    else:
        accuracy = bundle.metadata["metrics"][CLASSIFIER]["val_accuracy"]
        logger.info("accuracy on reads of %s: %.3f", validation.source, accuracy)
    sampler = ReadSampler(training, config.read_length, (config.seed, Stream.FIT))
    bundle.detectors = fit_detectors(bundle, sampler)
    calibration = calibrate(
        bundle,
        null_scores(bundle, validation, config),
        lengths,
        config.num_calibration_reads,
        validation.source,
    )
    bundle.calibration = calibration.to_json()
    bundle.card = model_card(
        bundle,
        calibration,
        f"{_about_training(bundle, config)}{_about_recoveries(bundle)}",
        f"{about_nulls(validation)}{closing}",
    )


def _about_training(bundle: Bundle, config: TrainConfig) -> str:
    rate = f"{config.mutation_rate:g} substitutions per base"
    if bundle.classifier is None:
        return f"""The background model was trained with {rate}
and L2 coefficient {config.l2:g}; its loss is that of such reads. `training.tsv` has
all losses."""
    about = {
        "plain": "The outputs are the classes.",
        "binary": f"The outputs are reads of any class, and mutated reads, with {rate}.",
        "noise-class": f"The outputs are the classes, and mutated reads, with {rate}.",
        "calibrated": f"""The outputs are the classes, trained to be equally likely for mutated reads, with
{rate}; the loss is the mean over reads and mutated reads.""",
    }
    return f"{about[bundle.classifier.config()['variant']]} `training.tsv` has all losses."


def _about_recoveries(bundle: Bundle) -> str:
    number = len(bundle.metadata.get("recoveries", ()))
    if not number:
        return ""
    times = "once" if number == 1 else f"{number} times"
    return f"""
A loss went wrong {times}, and training stepped back to the validation before; see `recoveries`
in `genood.json`."""


def about_nulls(validation: Validation) -> str:
    """What a model card says of the reads that p-values are from; a paragraph, or nothing."""
    return "" if validation.apart else _ABOUT_HELD_OUT


_ABOUT_CHECKPOINT = (
    f"`{CHECKPOINT_FILE}` lets `genood train --resume --steps N` go on; scoring does not need it."
)
_ABOUT_HELD_OUT = """Held-out stretches share their genome with the training reads; reads of another strain or
species of a class score as more OOD than they do.

"""
