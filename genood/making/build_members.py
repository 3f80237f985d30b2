"""Members of an ensemble that are trained step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from genood.bundle import CLASSIFIER, ROLES
from genood.bundles.files import CHECKPOINT_FILE
from genood.ensemble import AnyBundle
from genood.forward import forward
from genood.making.build import (
    TrainJob,
    about_nulls,
    null_scores,
    train_bundle,
)
from genood.making.members import Members, ScoreNull
from genood.models import CLASSIFIERS
from genood.recipes import Stream
from genood.reference.genomes import Genomes
from genood.reference.loading import TrainingData, Validation, load_data
from genood.reference.sampling import ReadSampler
from genood.sequence import mutate
from genood.training.following import Progress, Stopping, never_stopping


class TrainedMembers(Members):
    """Members that are trained step by step; the parameters are those of `train_bundle`."""

    about = "Members differ in their seed: in their first weights, and in the reads that they have seen."

    job: TrainJob

    def __init__(
        self,
        job: TrainJob,
        *,
        device: torch.device,
        progress: Progress | None = None,
        stopping: Stopping = never_stopping,
    ) -> None:
        super().__init__(job)
        self.device = str(device)
        self._progress = progress
        self._stopping = stopping

    @cached_property
    def _data(self) -> TrainingData:
        return load_data(self.job)

    @property
    def training(self) -> Genomes:
        """See `Members.training`."""
        return self._data.training

    @property
    def validation(self) -> Validation:
        """See `Members.validation`."""
        return self._data.validation

    @property
    def about_nulls(self) -> str:
        """See `Members.about_nulls`."""
        return about_nulls(self._data.validation)

    def scores(self, bundle: AnyBundle) -> ScoreNull:
        """See `Members.scores`."""
        return null_scores(bundle, self.validation, self.job.config)

    def metrics(self, bundle: AnyBundle, lengths: Mapping[int, float]) -> dict[str, Any]:
        """See `Members.metrics`; of classifiers the share of reads that are given their class.

        Of binary ones, whose classes are reads and mutated reads, it is that of both.
        """
        if "logits" not in bundle.gives:
            return super().metrics(bundle, lengths)
        config, genomes = self.job.config, self.validation.genomes
        sampler = ReadSampler(genomes, config.read_length, (config.seed, Stream.VALIDATION))
        reads = sampler.sample(0, config.num_validation_reads)
        if self.job.model_config.get("variant") == "binary":  # to which classes do not matter
            generator = np.random.default_rng([config.seed, Stream.VALIDATION_MUTATION])
            codes = np.concatenate([reads.codes, mutate(reads.codes, config.mutation_rate, generator)])
            labels = np.repeat([0, 1], len(reads.codes))
        else:
            codes, labels = reads.codes, self._labels_of(genomes)[reads.labels]
        right = 0
        for first in range(0, len(codes), config.batch_size):
            rows = slice(first, first + config.batch_size)
            lengths_B = np.full(len(codes[rows]), config.read_length, dtype=np.int64)
            classified = forward(bundle, codes[rows], lengths_B).classified
            assert classified is not None
            right += int((classified.logits.argmax(axis=1) == labels[rows]).sum())
        return {CLASSIFIER: {"val_accuracy": right / len(codes)}}

    def _labels_of(self, genomes: Genomes) -> npt.NDArray[np.int64]:
        """The reference's number of each of some genomes' classes, which members have been trained on."""
        return np.array([self.training.classes.index(name) for name in genomes.classes], dtype=np.int64)

    def record(self, number: int, class_name: str | None) -> dict[str, Any]:
        """See `Members.record`."""
        job = self._job(number, Path())
        roles = (CLASSIFIER,) if job.model in CLASSIFIERS else ROLES
        model = {role: dict(job.model_config) for role in roles}
        return {"kind": job.model, "model": model, "training": asdict(job.config)}

    def make(self, number: int, class_name: str | None, directory: Path) -> bool:
        """See `Members.make`."""
        data = self._data if class_name is None else self._data.of_class(class_name)
        made = train_bundle(
            self._job(number, directory),
            data,
            device=torch.device(self.device),
            progress=self._progress,
            stopping=self._stopping,
        )
        return made is not None

    def _job(self, number: int, directory: Path) -> TrainJob:
        config = replace(self.job.config, seed=self.job.config.seed + number - 1)
        resume = (directory / CHECKPOINT_FILE).is_file()
        return replace(self.job, config=config, output=str(directory), resume=resume)
