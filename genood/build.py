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

from genood import __version__
from genood.bundle import CHECKPOINT_FILE, METADATA_FILE, Bundle, check_free
from genood.calibration import LENGTH_BINS, MIN_INDEPENDENT_READS, Calibration, NullSample
from genood.detectors import DETECTORS
from genood.engine import forward
from genood.errors import BundleError, ConfigError, TrainingError
from genood.genomes import Genomes, ReadSampler, load_genomes, read_classes, split_held_out
from genood.recipes import Stream, TrainConfig
from genood.training import Progress, Trainer

logger = logging.getLogger(__name__)

_OVERLAP = 4
"""Calibration reads drawn for each that does not overlap: more would only repeat them."""


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
    _check_output(output, job.resume)
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
    null_lengths = _null_lengths(validation, config, _validation_source(job))
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
    bundle = _finish(job, trainer, training, validation, null_lengths)
    return bundle.save(output, replace=job.resume)


def _check_output(output: Path, resume: bool) -> None:
    checkpoint = output / CHECKPOINT_FILE
    if resume:
        if not checkpoint.is_file():
            raise BundleError(f"{output}: there is no checkpoint to resume from; train without --resume")
        return
    check_free(output)
    if checkpoint.exists():
        raise BundleError(
            f"{output}: holds an unfinished training; go on with --resume, or remove the directory"
        )
    if output.is_dir() and any(output.iterdir()):
        raise BundleError(f"{output}: is not empty; give a new directory for the bundle")


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
    null_lengths: Mapping[int, float],
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
    calibration = _calibrate(bundle, validation, null_lengths, config, source)
    bundle.calibration = calibration.to_json()
    bundle.metadata = {
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
    bundle.card = _card(bundle, calibration)
    return bundle


def _null_lengths(validation: Genomes, config: TrainConfig, source: str) -> dict[int, float]:
    """Lengths that there is sequence to calibrate at, and the independent reads of each.

    Found before training, so that it is told before training.
    """
    lengths = {}
    for length in sorted({*LENGTH_BINS, config.read_length}):
        num_independent = validation.independent_reads(length)
        if num_independent < MIN_INDEPENDENT_READS:
            break
        lengths[length] = num_independent
    if not lengths:
        raise TrainingError(f"{source}: too few to calibrate on; give more sequence, or some with --val")
    longest = max(lengths)
    if longest < config.read_length:
        logger.warning(
            "%s are short: p-values of reads longer than %d bases will be too large; "
            "give more sequence, some with --val, or a larger --held-out-fraction",
            source,
            longest,
        )
    return lengths


def _calibrate(
    bundle: Bundle,
    validation: Genomes,
    null_lengths: Mapping[int, float],
    config: TrainConfig,
    source: str,
) -> Calibration:
    samples = {}
    for length, num_independent in null_lengths.items():
        num_reads = min(config.num_calibration_reads, math.ceil(_OVERLAP * num_independent))
        sampler = ReadSampler(validation, length, (config.seed, Stream.CALIBRATION, length))
        codes = sampler.sample(0, num_reads).codes
        batches = [
            forward(bundle, batch, np.full(len(batch), length, dtype=np.int64))
            for batch in np.array_split(codes, math.ceil(num_reads / config.batch_size))
        ]
        samples[length] = NullSample(batches, min(num_independent, num_reads))
    return Calibration.fit(samples, {name: DETECTORS[name]() for name in DETECTORS}, source)


def _card(bundle: Bundle, calibration: Calibration) -> str:
    metadata = bundle.metadata
    files = metadata["data"]["files"]
    null = next(iter(calibration.nulls.values()))
    rows = "\n".join(
        f"| {name} | {sum(f['class_name'] == name for f in files)} "
        f"| {sum(f['usable_bases'] for f in files if f['class_name'] == name):,} |"
        for name in metadata["classes"]
    )
    bins = "\n".join(
        f"| {length} | {number:,.0f} |"
        for length, number in zip(null.lengths, null.num_independent, strict=True)
    )
    losses = "\n".join(
        f"| {role} | {values['val_nats_per_base']:.4f} | {values['val_bits_per_base']:.4f} "
        f"| {values['best_step']} |"
        for role, values in metadata["metrics"].items()
    )
    return f"""# genood bundle

Two density models ({bundle.foreground.kind}) that tell reads of the classes below from reads of anything
else, by the log-likelihood ratio of the foreground to the background model.

Made by genood {__version__} with

    {metadata["command"] or "(not recorded)"}

## Reference

| class | files | usable bases |
|---|---|---|
{rows}

## Models

| model | validation loss, nats per base | bits per base | step |
|---|---|---|---|
{losses}

The background model was trained with {metadata["training"]["mutation_rate"]:g} substitutions per base
and L2 coefficient {metadata["training"]["l2"]:g}; its loss is that of such reads. `training.tsv` has
all losses.

## p-values

Calibrated on reads from {calibration.source}:

| scored bases | independent reads |
|---|---|
{bins}

Reads longer than the last bin are judged by its null, which makes their p-values too large. Held-out
stretches share their genome with the training reads; reads of another strain or species of a class
score as more OOD than they do.

`{CHECKPOINT_FILE}` lets `genood train --resume --steps N` go on; scoring does not need it.
"""
