"""Members of an ensemble that are trained step by step."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from genood.build import (
    Stopping,
    TrainJob,
    about_nulls,
    load_data,
    never_stopping,
    null_scores,
    train_bundle,
)
from genood.bundle import CHECKPOINT_FILE, ROLES
from genood.ensemble import AnyBundle
from genood.genomes import Genomes
from genood.members import Members, ScoreNull
from genood.reference import TrainingData, Validation
from genood.training import Progress


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

    def record(self, number: int, class_name: str | None) -> dict[str, Any]:
        """See `Members.record`."""
        job = self._job(number, Path())
        model = {role: dict(job.model_config) for role in ROLES}
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
