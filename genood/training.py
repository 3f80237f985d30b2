"""One training loop for all models that learn step by step, resumable at any step.

Everything a step draws (reads, mutations, dropout) depends on the seed and the number of the step
alone, and a checkpoint holds the rest, so that a resumed training reaches the same losses as one
that was never interrupted.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from genood.bundle_files import TRAINING_FILE
from genood.errors import TrainingError
from genood.files import atomic_path, write_text
from genood.genomes import ReadSampler
from genood.learners import Learner, random_state, torch_seed
from genood.recipes import Stream, TrainConfig
from genood.tensors import write_tensors

_CHECKPOINT_FORMAT = 1


class Validated(NamedTuple):
    """One row of ``training.tsv``.

    Attributes
    ----------
    step
        Number of the step after which it was validated.
    values
        By column: each model's mean training loss since the row before, without the L2 term, and what
        its `Learner.columns` measure on validation reads.
    """

    step: int
    values: dict[str, float]


class Progress(Protocol):
    """Where training tells how far it is."""

    def step(self, step: int, losses: Mapping[str, float]) -> None:
        """After a step: its number, and each model's training loss."""

    def validated(self, row: Validated) -> None:
        """After a validation."""


class Trainer:
    """Trains models together, each towards its own loss.

    All see the same reads at each step, each in its own way: see `Learner.seen`. Each keeps the weights of
    its own best validation.

    Parameters
    ----------
    learners
        The models by role, untrained.
    model
        Their kind and configuration, JSON types, to refuse resuming others.
    config
        How to train.
    training, validation
        Where to draw reads; `training` holds only known bases, at least a read's length.
    fingerprint
        Of the data, to refuse resuming on other data.
    device
        Where to train.

    Raises
    ------
    TrainingError
        Validation reads are of a class that the training reads have not.
    """

    def __init__(
        self,
        *,
        learners: Mapping[str, Learner[Any]],
        model: Mapping[str, Any],
        config: TrainConfig,
        training: ReadSampler,
        validation: ReadSampler,
        fingerprint: str,
        device: torch.device,
    ) -> None:
        self.learners = dict(learners)
        self.model = dict(model)
        self.config = config
        self.training = training
        self.fingerprint = fingerprint
        self.device = device
        self.step = 0
        self.history: list[Validated] = []
        self._num_summed = 0
        reads = validation.sample(0, config.num_validation_reads)
        if any(learner.uses_labels for learner in self.learners.values()):
            places = _places(validation.genomes.classes, training.genomes.classes)
            reads = reads._replace(labels=places[reads.labels])
        self._validation = {
            role: learner.seen(reads, Stream.VALIDATION_MUTATION, learner.number)
            for role, learner in self.learners.items()
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of ``training.tsv`` after the step."""
        measured = (f"{role}_val_{name}" for role, item in self.learners.items() for name in item.columns)
        return (*(f"{role}_train_loss" for role in self.learners), *measured)

    @property
    def finished(self) -> bool:
        """Whether all steps are done."""
        return self.step >= self.config.steps

    def run(
        self,
        *,
        checkpoint: str | os.PathLike[str],
        progress: Progress | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train until the last step or until told to stop; a checkpoint is left either way.

        Parameters
        ----------
        checkpoint
            File to write at each validation and at the end.
        progress
            Told after each step and each validation.
        should_stop
            Asked before each step.

        Returns
        -------
        finished
            False if told to stop before the last step.

        Raises
        ------
        TrainingError
            A loss is no longer finite; the last checkpoint stays as it was.
        """
        saved = None
        with random_state(self.device):
            while not self.finished and not should_stop():
                self._one_step(progress)
                if self.step % self.config.validation_interval == 0 or self.finished:
                    row = self._validate()
                    if progress is not None:
                        progress.validated(row)
                    self.save(checkpoint)
                    saved = self.step
        if self.step != saved:
            self.save(checkpoint)
        return self.finished

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, and ``training.tsv`` beside it, each atomically."""
        tensors: dict[str, Tensor] = {}
        for learner in self.learners.values():
            tensors |= learner.tensors()
        state = {
            "format": _CHECKPOINT_FORMAT,
            "identity": self._identity(),
            "steps": self.config.steps,
            "step": self.step,
            "history": [[row.step, *row.values.values()] for row in self.history],
            "num_summed": self._num_summed,
            "loss_sums": {role: learner.loss_sum for role, learner in self.learners.items()},
            "best": {role: [item.best_step, item.best_loss] for role, item in self.learners.items()},
            "best_measured": {role: item.best_measured for role, item in self.learners.items()},
        }
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
            write_tensors(temporary, arrays, {"genood": json.dumps(state)})
        write_text(Path(path).with_name(TRAINING_FILE), self.table())

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        TrainingError
            The checkpoint is missing, damaged, or of another configuration or other data.
        """
        state, tensors = _read_checkpoint(path)
        for name, value in self._identity().items():
            stored = state["identity"].get(name)
            if stored != json.loads(json.dumps(value)):
                raise TrainingError(
                    f"{path}: cannot resume, as {_words(name)} was {stored} and is now {value}; "
                    "give the options and sequences of the first run (only --steps may grow)"
                )
        if state["step"] > self.config.steps:
            raise TrainingError(
                f"{path}: {state['step']} steps are done already; give --steps {state['step']} or more"
            )
        self.step = state["step"]
        self.history = [
            Validated(step, dict(zip(self.columns, values, strict=True)))
            for step, *values in state["history"]
        ]
        self._num_summed = state["num_summed"]
        for role, learner in self.learners.items():
            learner.load_tensors(tensors)
            learner.loss_sum = state["loss_sums"][role]
            learner.best_step, learner.best_loss = state["best"][role]
            learner.best_measured = state.get("best_measured", {}).get(role, {})

    def table(self) -> str:
        """``training.tsv``: a header line and a row a validation."""
        rows = ["\t".join(["step", *self.columns])]
        rows += [
            "\t".join([str(step), *(f"{x:.6g}" for x in values.values())]) for step, values in self.history
        ]
        return "\n".join(rows) + "\n"

    def metrics(self) -> dict[str, dict[str, Any]]:
        """The best validation of each model, by role; see `Learner.metrics`."""
        return {role: learner.metrics() for role, learner in self.learners.items()}

    def _identity(self) -> dict[str, Any]:
        """All that decides the result but the number of steps."""
        config = asdict(self.config)
        del config["steps"]
        return {**self.model, **config, "data": self.fingerprint}

    def _one_step(self, progress: Progress | None) -> None:
        step = self.step + 1
        reads = self.training.sample(step, self.config.batch_size)
        losses = {}
        for role, learner in self.learners.items():
            number = learner.number
            torch.manual_seed(torch_seed(self.config.seed, Stream.DROPOUT, number, step))
            losses[role] = learner.step(learner.seen(reads, Stream.MUTATION, number, step), step)
            _check_finite(losses[role], role, step)
        for role, learner in self.learners.items():
            learner.loss_sum += losses[role]
        self._num_summed += 1
        self.step = step
        if progress is not None:
            progress.step(step, losses)

    def _validate(self) -> Validated:
        values = {
            f"{role}_train_loss": item.loss_sum / self._num_summed for role, item in self.learners.items()
        }
        for role, learner in self.learners.items():
            measured = learner.validate(self._validation[role], self.step)
            _check_finite(measured["loss"], role, self.step)
            values |= {f"{role}_val_{name}": value for name, value in measured.items()}
        row = Validated(self.step, values)
        self.history.append(row)
        self._num_summed = 0
        for learner in self.learners.values():
            learner.loss_sum = 0.0
        return row


def _places(classes: Sequence[str], among: Sequence[str]) -> npt.NDArray[np.int64]:
    """Where classes are among others, found by name."""
    unknown = [name for name in classes if name not in among]
    if unknown:
        raise TrainingError(
            f"validation reads are of {', '.join(unknown)}, but the reference's classes are "
            f"{', '.join(among)}; name files of the same class alike, before '__', or give --classes"
        )
    return np.array([among.index(name) for name in classes], dtype=np.int64)


def _check_finite(loss: float, role: str, step: int) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"the {role} loss is {loss} at step {step}; start again with a lower --learning-rate"
        )


def _words(name: str) -> str:
    return name.replace("_", " ")


def _read_checkpoint(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not os.path.isfile(path):
        raise TrainingError(f"{path}: there is no checkpoint to resume from; train without --resume")
    try:
        with safe_open(path, framework="pt") as file:
            state = json.loads(file.metadata()["genood"])
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(f"{path}: is not a genood checkpoint, or damaged ({error})") from error
    if state.get("format") != _CHECKPOINT_FORMAT:
        raise TrainingError(
            f"{path}: was written by another version of genood (format {state.get('format')})"
        )
    return state, tensors
