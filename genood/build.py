"""From sequence files to a bundle: all of `genood train` but the command line."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genood.bundle import CHECKPOINT_FILE, METADATA_FILE, Bundle
from genood.bundling import calibrate, check_output, model_card, null_lengths
from genood.detectors.base import ScoreBatch
from genood.engine import forward
from genood.errors import BundleError, ConfigError
from genood.genomes import Genomes, ReadSampler, load_genomes, read_classes, split_held_out
from genood.recipes import MUTATED, Stream, TrainConfig
from genood.training import Progress, Trainer

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class TrainJob:
    """What to train, on what, and where to put it.

    Attributes
    ----------
    inputs
        FASTA files of the reference, in order.
    output
        Directory of the bundle.
    model
        Kind of density model, of `MODELS`.
    model_config, config
        The model's configuration and how to train it.
    classes
        Table of classes by file; None takes them from the file names.
    validation
        In-distribution FASTA files to validate and calibrate on; none holds out stretches of the
        inputs.
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
        f"{validation.lengths.sum():,}",
        f"{len(validation.files)} files" if job.validation else "held-out stretches",
    )
    logger.debug("device %s, %d threads", device, torch.get_num_threads())
    lengths = null_lengths(validation, config.read_length, _validation_source(job))
    trainer = Trainer(
        kind=job.model,
        model_config=job.model_config,
        config=config,
        training=ReadSampler(training, config.read_length, (config.seed, Stream.READS)),
        validation=ReadSampler(validation, config.read_length, (config.seed, Stream.VALIDATION)),
        fingerprint=f"{training.fingerprint}/{validation.fingerprint}",
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


def _load(job: TrainJob) -> tuple[Genomes, Genomes]:
    """Where to draw training reads and where validation reads."""
    if set(map(os.path.realpath, job.validation)) & set(map(os.path.realpath, job.inputs)):
        raise ConfigError("a file is both trained and validated on; --val takes other genomes")
    config = job.config
    classes = None if job.classes is None else read_classes(job.classes)
    genomes = load_genomes(job.inputs, min_length=config.read_length, classes=classes)
    if job.validation:
        return genomes, load_genomes(job.validation, min_length=config.read_length, classes=classes)
    return split_held_out(
        genomes,
        fraction=config.held_out_fraction,
        read_length=config.read_length,
        seed=config.seed,
    )


def _validation_source(job: TrainJob) -> str:
    return "validation sequences" if job.validation else "held-out stretches of the reference"


def _finish(
    job: TrainJob,
    trainer: Trainer,
    training: Genomes,
    validation: Genomes,
    lengths: Mapping[int, float],
) -> Bundle:
    config = job.config
    bundle = Bundle(
        foreground=trainer.learners["foreground"].best_model(),
        background=trainer.learners["background"].best_model(),
        metadata={},
        calibration={},
        training_table=trainer.table(),
    )
    source = _validation_source(job)

    def score_null(length: int, num_reads: int) -> list[ScoreBatch]:
        sampler = ReadSampler(validation, length, (config.seed, Stream.CALIBRATION, length))
        codes = sampler.sample(0, num_reads).codes
        return [
            forward(bundle, batch, np.full(len(batch), length, dtype=np.int64))
            for batch in np.array_split(codes, math.ceil(num_reads / config.batch_size))
        ]

    calibration = calibrate(score_null, lengths, config.num_calibration_reads, source)
    bundle.calibration = calibration.to_json()
    bundle.metadata = {
        "background": MUTATED,
        "classes": list(training.classes),
        "seed": config.seed,
        "command": job.command,
        "training": asdict(config),
        "data": {
            "fingerprint": training.fingerprint,
            "files": [asdict(file) for file in training.files],
            "validation": source,
            "validation_files": [asdict(file) for file in validation.files] if job.validation else [],
        },
        "metrics": trainer.metrics(),
    }
    bundle.card = model_card(
        bundle,
        calibration,
        f"The background model was trained with {config.mutation_rate:g} substitutions per base\n"
        f"and L2 coefficient {config.l2:g}; its loss is that of such reads. `training.tsv` has\nall losses.",
        "Held-out\nstretches share their genome with the training reads; reads of another strain or species "
        "of a class\nscore as more OOD than they do.\n\n"
        f"`{CHECKPOINT_FILE}` lets `genood train --resume --steps N` go on; scoring does not need it.",
    )
    return bundle
