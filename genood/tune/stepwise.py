"""Backgrounds of models that are trained step by step: one foreground a seed, a background a cell.

Each model is what `genood train` makes with the same seed, mutation rate and L2 coefficient: reads,
weights and mutations depend on the seed, the step and the model's role alone, so that all of a seed see
the same reads, whether trained side by side or one after another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from genood.bundle import Bundle
from genood.bundles.files import CHECKPOINT_FILE, TRAINING_FILE
from genood.errors import ConfigError
from genood.files import atomic_path, write_json
from genood.files.damage import json_object, naming_damage
from genood.files.tensors import map_tensors, write_tensors
from genood.making.build import TrainJob, finish
from genood.making.bundling import null_lengths
from genood.metrics import Separation, separation
from genood.models import MODELS
from genood.models.base import DensityModel
from genood.models.device import resolve_device
from genood.recipes import MUTATED, Stream, TrainConfig
from genood.reference.loading import load_data
from genood.reference.sampling import ReadSampler
from genood.training.learners import density_learners
from genood.training.loop import Trainer
from genood.tune.grid import Against, Candidate, candidates
from genood.tune.job import Progress, TuneJob
from genood.tune.reads import ReadSet, drawn_reads, in_reads_of_datasets, validation_reads
from genood.tune.store import Store

FOREGROUND, BACKGROUND = "foreground", "background"
_METRICS_FILE = "metrics.json"

Floats = npt.NDArray[np.float64]


class _Foreground(NamedTuple):
    """A trained foreground, its seed, and its log-likelihood of the validation reads, by their name."""

    seed: int
    model: DensityModel
    log_likelihoods: Mapping[str, Floats]


class StepwiseTuner:
    """Trains the models of a tuning, and scores the validation reads with them.

    Parameters
    ----------
    job
        What to tune, with a `TrainConfig`.
    device
        Where.
    progress
        Told after each step and each validation.

    Raises
    ------
    GenoodError
        The inputs or the options are unfit.
    """

    def __init__(self, job: TuneJob, device: str, progress: Progress | None) -> None:
        if not isinstance(job.config, TrainConfig):
            raise ConfigError(f"a model of kind {job.model} is trained as a TrainConfig says")
        self._job = job
        self._config = replace(job.config, mutation_rate=0.0, l2=0.0)
        self._device: torch.device = resolve_device(device)
        self._progress = progress
        self.candidates = candidates(job.mutation_rates, job.l2s)
        self._train_job = TrainJob(
            inputs=job.inputs,
            output=job.output,
            model=job.model,
            model_config=job.model_config,
            config=job.config,
            classes=job.classes,
            validation=job.validation,
            command=job.command,
        )
        self._data = load_data(self._train_job)
        self._training, self._validation = self._data
        self._lengths = null_lengths(
            self._validation.genomes, job.config.read_length, self._validation.source
        )
        known = [*self._training.files, *self._validation.genomes.files]
        self.reads = validation_reads(job, self._in_reads(), known)
        self._foreground: _Foreground | None = None

    @cached_property
    def options(self) -> dict[str, Any]:
        """All that decides a cell, but its candidate and its seed; JSON types."""
        config = asdict(self._config)
        for name in ("mutation_rate", "l2"):
            del config[name]
        return {
            "model": self._job.model,
            **MODELS[self._job.model].from_config(self._job.model_config).config(),
            **config,
            "data": f"{self._training.fingerprint}/{self._validation.genomes.fingerprint}",
        }

    def is_random(self, candidate: Candidate) -> bool:
        """Whether what separates by it is another one for each seed; all that is trained is."""
        return True

    def separations(
        self, candidate: Candidate, seed: int, store: Store, should_stop: Callable[[], bool]
    ) -> dict[Against, Separation] | None:
        """How well the ratio to a background separates; None if told to stop before that is known."""
        foreground = self._foreground_of(seed, store, should_stop)
        if foreground is None:
            return None
        background = self._trained(candidate, seed, store, should_stop)
        if background is None:
            return None
        scores = {
            name: -_per_base(reads, foreground.log_likelihoods[name] - log_likelihoods(background, reads))
            for name, reads in self.reads.by_name().items()
        }
        inside = scores.pop("in")
        return {against: separation(inside, ood) for against, ood in scores.items()}  # type: ignore[misc]

    def bundle(self, candidate: Candidate, seed: int, store: Store) -> Bundle:
        """The trained models of a cell that is done, not calibrated."""
        roles = {FOREGROUND: store.cell(FOREGROUND, seed), BACKGROUND: store.cell(candidate.name, seed)}
        models = {role: self._loaded(role, folder) for role, folder in roles.items()}
        metrics = {role: _metrics(folder) for role, folder in roles.items()}
        tables = [(folder / TRAINING_FILE).read_text() for folder in roles.values()]
        return Bundle(
            foreground=models[FOREGROUND],
            background=models[BACKGROUND],
            metadata={"background": MUTATED, "metrics": metrics},
            calibration={},
            training_table=_joined(*tables),
        )

    def finished_bundle(self, candidate: Candidate, seed: int, store: Store) -> Bundle:
        """The same, calibrated and described."""
        bundle = self.bundle(candidate, seed, store)
        job = replace(self._train_job, config=self._config_of(candidate, seed))
        finish(job, bundle, self._data, self._lengths)
        return bundle

    def _in_reads(self) -> ReadSet:
        job, config = self._job, self._config
        reads = in_reads_of_datasets(job.inputs, job.validation, job.max_reads, config.seed)
        if reads is not None:
            return reads
        genomes, source = self._validation.genomes, self._validation.source
        return drawn_reads(genomes, config.read_length, job.max_reads, config.seed, source)

    def _config_of(self, candidate: Candidate | None, seed: int) -> TrainConfig:
        config = replace(self._config, seed=seed)
        if candidate is None:
            return config
        assert candidate.mutation_rate is not None
        assert candidate.l2 is not None
        return replace(config, mutation_rate=candidate.mutation_rate, l2=candidate.l2)

    def _foreground_of(self, seed: int, store: Store, should_stop: Callable[[], bool]) -> _Foreground | None:
        if self._foreground is None or self._foreground.seed != seed:
            model = self._trained(None, seed, store, should_stop)
            if model is None:
                return None
            known = {name: log_likelihoods(model, reads) for name, reads in self.reads.by_name().items()}
            self._foreground = _Foreground(seed, model, known)
        return self._foreground

    def _trained(
        self, candidate: Candidate | None, seed: int, store: Store, should_stop: Callable[[], bool]
    ) -> DensityModel | None:
        """The background of a candidate, or the foreground; trained, unless that has been done."""
        role = FOREGROUND if candidate is None else BACKGROUND
        folder = store.cell(role if candidate is None else candidate.name, seed)
        weights, checkpoint = folder / f"{role}.safetensors", folder / CHECKPOINT_FILE
        if not weights.is_file():
            trainer = self._trainer(role, self._config_of(candidate, seed))
            if checkpoint.is_file():
                trainer.resume(checkpoint)
            if not trainer.run(checkpoint=checkpoint, progress=self._progress, should_stop=should_stop):
                return None
            write_json(folder / _METRICS_FILE, trainer.metrics()[role])
            with atomic_path(weights) as path:
                write_tensors(path, trainer.learners[role].best_model().weights())
        checkpoint.unlink(missing_ok=True)
        return self._loaded(role, folder)

    def _trainer(self, role: str, config: TrainConfig) -> Trainer:
        length, genomes = config.read_length, self._validation.genomes
        kind, shape = self._job.model, self._job.model_config
        return Trainer(
            learners=density_learners(kind, shape, config, self._device, [role]),
            model={"model": kind, **shape},
            config=config,
            training=ReadSampler(self._training, length, (config.seed, Stream.READS)),
            validation=ReadSampler(genomes, length, (config.seed, Stream.VALIDATION)),
            fingerprint=self.options["data"],
            device=self._device,
        )

    def _loaded(self, role: str, folder: Path) -> DensityModel:
        weights = folder / f"{role}.safetensors"
        with naming_damage(weights, remove=folder):
            model = MODELS[self._job.model].from_weights(self._job.model_config, map_tensors(weights))
        return model.on(str(self._device))


def _metrics(folder: Path) -> dict[str, Any]:
    path = folder / _METRICS_FILE
    with naming_damage(path, remove=folder):
        return json_object(path)


def log_likelihoods(model: DensityModel, reads: ReadSet) -> Floats:
    """Log-likelihood of each read, nats, float64 (N,)."""
    return np.concatenate(
        [
            model.log_probs(batch.codes, batch.lengths).sum(axis=1, dtype=np.float64)
            for batch in reads.batches()
        ]
    )


def _per_base(reads: ReadSet, ratios: Floats) -> npt.NDArray[np.float32]:
    """Ratios of reads by their scored bases, as the detector ``llr`` rounds; NaN where there are none."""
    num_scored = reads.num_scored
    values = np.divide(ratios, num_scored, out=np.full(len(ratios), np.nan), where=num_scored > 0)
    return values.astype(np.float32)


def _joined(*tables: str) -> str:
    """Tables of losses of several models as one, rows by step; a cell that none of them knows is nan."""
    columns: dict[str, None] = {}
    rows: dict[str, dict[str, str]] = {}
    for table in tables:
        header, *lines = (line.split("\t") for line in table.splitlines())
        columns |= dict.fromkeys(header)
        for line in lines:
            known = {name: value for name, value in zip(header, line, strict=True) if value != "nan"}
            rows.setdefault(line[0], {}).update(known)
    names = sorted(columns, key=lambda name: "_val_" in name)  # losses of training first, as of one
    lines = [names, *([row.get(name, str(math.nan)) for name in names] for row in rows.values())]
    return "".join("\t".join(line) + "\n" for line in lines)
