"""From sequence files to a bundle: all of `genood train` but the command line."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genood.bundle import CHECKPOINT_FILE, CLASSIFIER, METADATA_FILE, Bundle
from genood.bundling import calibrate, check_output, fit_detectors, model_card, null_lengths
from genood.detectors.base import ScoreBatch
from genood.engine import forward
from genood.errors import BundleError
from genood.genomes import Genomes, ReadSampler, split_held_out
from genood.learners import Learner, classifier_learners, density_learners
from genood.models import CLASSIFIERS
from genood.recipes import MUTATED, Stream, TrainConfig
from genood.reference import Validation, load_reference, load_validation, provenance
from genood.threads import num_threads
from genood.training import Progress, Trainer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """What to train, on what, and where to put it.

    Attributes
    ----------
    inputs
        FASTA files of the reference, in order, or datasets, whose `train_in` is meant.
    output
        Directory of the bundle.
    model
        Kind of model, of `MODELS` or `CLASSIFIERS`.
    model_config, config
        The model's configuration and how to train it; the number of classes comes with the reference.
    classes
        Table of classes by file; None takes them from the file names.
    validation
        In-distribution FASTA files to validate and calibrate on, or datasets, whose `val_in` is meant;
        none takes the `val_in` of the inputs, or holds out stretches of them where they are FASTA files.
    resume
        Go on from the checkpoint in `output`; if there is a bundle, it is unfinished until more
        steps are done.
    command
        What the user typed, for the record.
    """

    inputs: Sequence[str]
    output: str
    model: str
    model_config: Mapping[str, Any]
    config: TrainConfig
    classes: str | None = None
    validation: Sequence[str] = field(default=())
    resume: bool = False
    command: str = ""


Stopping = Callable[[], AbstractContextManager[Callable[[], bool]]]


def _never_stopping() -> AbstractContextManager[Callable[[], bool]]:
    return nullcontext(lambda: False)


def train_bundle(
    job: TrainJob,
    *,
    device: torch.device,
    progress: Progress | None = None,
    stopping: Stopping = _never_stopping,
) -> Bundle | None:
    """Train, calibrate and write a bundle.

    Parameters
    ----------
    job
        What to train.
    device
        Where.
    progress
        Told after each step and each validation.
    stopping
        Entered while training runs; gives the function that says whether to stop before a step.

    Returns
    -------
    bundle
        As written; None if told to stop, with a checkpoint left in the output directory.

    Raises
    ------
    GenoodError
        The input, the options or the output directory are unfit; nothing that was there is changed.
    """
    output = Path(job.output)
    if not job.resume:
        check_output(output)
    elif not (output / CHECKPOINT_FILE).is_file():
        raise BundleError(f"{output}: there is no checkpoint to resume from; train without --resume")
    training, validation = _load(job)
    config = job.config
    logger.info(
        "reference: %d classes, %d files, %s bases to train on, %s bases of %s to validate on",
        len(training.classes),
        len(training.files),
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
    )
    checkpoint = output / CHECKPOINT_FILE
    if job.resume:
        trainer.resume(checkpoint)
        if not trainer.finished:
            # From here on training.tsv grows: a bundle that is extended is none until it is done.
            (output / METADATA_FILE).unlink(missing_ok=True)
    with stopping() as should_stop:
        finished = trainer.run(checkpoint=checkpoint, progress=progress, should_stop=should_stop)
    if not finished:
        return None
    bundle = _finish(job, trainer, training, validation, lengths)
    return bundle.save(output, replace=job.resume)


def _learners(
    job: TrainJob, num_classes: int, device: torch.device
) -> tuple[dict[str, Learner[Any]], dict[str, Any]]:
    """What is trained, by role, and the configuration of each."""
    if job.model in CLASSIFIERS:
        config = {**job.model_config, "num_classes": num_classes}
        return classifier_learners(job.model, config, job.config, device), config
    config = dict(job.model_config)
    return density_learners(job.model, config, job.config, device), config


def _load(job: TrainJob) -> tuple[Genomes, Validation]:
    """Where to draw training reads, and where validation reads."""
    config = job.config
    genomes = load_reference(
        job.inputs, min_length=config.read_length, classes=job.classes, validation=job.validation
    )
    validation = load_validation(
        job.validation, job.inputs, min_length=config.read_length, classes=job.classes
    )
    if validation is not None:
        return genomes, validation
    training, held_out = split_held_out(
        genomes,
        fraction=config.held_out_fraction,
        read_length=config.read_length,
        seed=config.seed,
    )
    return training, Validation(held_out, "held-out stretches of the reference", apart=False)


def _finish(
    job: TrainJob,
    trainer: Trainer,
    training: Genomes,
    validation: Validation,
    lengths: Mapping[int, float],
) -> Bundle:
    config = job.config
    metrics = trainer.metrics()
    bundle = Bundle(
        **{role: learner.best_model() for role, learner in trainer.learners.items()},
        metadata={
            "classes": list(training.classes),
            "seed": config.seed,
            "command": job.command,
            "training": asdict(config),
            "data": provenance(training, validation),
            "metrics": metrics,
        },
        calibration={},
        training_table=trainer.table(),
    )

    def score_null(length: int, num_reads: int) -> list[ScoreBatch]:
        sampler = ReadSampler(validation.genomes, length, (config.seed, Stream.CALIBRATION, length))
        codes = sampler.sample(0, num_reads).codes
        return [
            forward(bundle, batch, np.full(len(batch), length, dtype=np.int64))
            for batch in np.array_split(codes, math.ceil(num_reads / config.batch_size))
        ]

    if bundle.classifier is None:
        bundle.metadata["background"] = MUTATED
    else:
        accuracy = metrics[CLASSIFIER]["val_accuracy"]
        logger.info("accuracy on reads of %s: %.3f", validation.source, accuracy)
    sampler = ReadSampler(training, config.read_length, (config.seed, Stream.FIT))
    bundle.detectors = fit_detectors(bundle, sampler)
    calibration = calibrate(bundle, score_null, lengths, config.num_calibration_reads, validation.source)
    bundle.calibration = calibration.to_json()
    about_nulls = "" if validation.apart else _ABOUT_HELD_OUT
    bundle.card = model_card(
        bundle,
        calibration,
        _about_training(bundle, config),
        f"{about_nulls}`{CHECKPOINT_FILE}` lets `genood train --resume --steps N` go on; "
        "scoring does not need it.",
    )
    return bundle


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


_ABOUT_HELD_OUT = """Held-out stretches share their genome with the training reads; reads of another strain or
species of a class score as more OOD than they do.

"""
