"""One training loop for all models that learn step by step, resumable at any step.

Everything a step draws (reads, mutations, dropout) depends on the seed, the number of the step and that of
the recoveries before it alone, and a checkpoint holds the rest, so that a resumed training reaches the same
losses as one that was never interrupted.
"""

from __future__ import annotations

import json
import logging
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genood.bundle_files import TRAINING_FILE
from genood.checkpoints import Checkpoint, State
from genood.distributed import ALONE, ProcessLostError, World
from genood.errors import ConfigError, TrainingError
from genood.files import write_text
from genood.learners import Learner
from genood.randomness import random_state, torch_seed
from genood.recipes import Stream, TrainConfig
from genood.recovery import Recovery, rate_after
from genood.sampling import ReadSampler

logger = logging.getLogger(__name__)

_FREE = ("steps", "patience", "max_recoveries")
"""Parts of a `TrainConfig` that may be others when a training goes on: they decide when it ends."""


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
    world
        The processes that train together; each has a part of the reads of a step.

    Raises
    ------
    TrainingError
        Validation reads are of a class that the training reads have not.
    ConfigError
        A step has fewer reads than there are processes.
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
        world: World = ALONE,
    ) -> None:
        if config.batch_size < world.size:
            raise ConfigError(
                f"{world.size} processes cannot share the {config.batch_size} reads of a step; "
                f"give --batch-size {world.size} or more"
            )
        self.world = world
        self.learners = dict(learners)
        self.model = dict(model)
        self.config = config
        self.training = training
        self.fingerprint = fingerprint
        self.device = device
        self.step = 0
        self.history: list[Validated] = []
        self.recoveries: list[Recovery] = []
        self._num_summed = 0
        self._resumed: int | None = None
        reads = validation.sample(0, config.num_validation_reads)
        if any(learner.uses_labels for learner in self.learners.values()):
            places = _places(validation.genomes.classes, training.genomes.classes)
            reads = reads._replace(labels=places[reads.labels])
        self._validation = {
            role: learner.seen(reads, Stream.VALIDATION_MUTATION, learner.number)
            for role, learner in self.learners.items()
        }
        self._good = self._state()

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of ``training.tsv`` after the step."""
        measured = (f"{role}_val_{name}" for role, item in self.learners.items() for name in item.columns)
        return (*(f"{role}_train_loss" for role in self.learners), *measured)

    @property
    def finished(self) -> bool:
        """Whether all steps are done, or no model has got better for as long as `TrainConfig.patience`."""
        return self.step >= self.config.steps or self.stopped_early

    @property
    def stopped_early(self) -> bool:
        """Whether no model has got better in the last validations, as many as `TrainConfig.patience`."""
        best = max(learner.best_step for learner in self.learners.values())
        num_since = sum(row.step > best for row in self.history)
        return self.config.patience is not None and num_since >= self.config.patience

    def run(
        self,
        *,
        checkpoint: str | os.PathLike[str],
        progress: Progress | None = None,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> bool:
        """Train until the last step or until told to stop; a checkpoint is left either way.

        Where a loss goes wrong (see `genood.recovery`), training goes back to the last validation at which
        all was well, and on with other reads.

        Parameters
        ----------
        checkpoint
            File to write at each validation and at the end.
        progress
            Told after each step and each validation, when its checkpoint is written.
        should_stop
            Asked before each step.

        Returns
        -------
        finished
            False if told to stop before the last step.

        Raises
        ------
        TrainingError
            A loss goes wrong again and again; the last checkpoint stays as it was. Or another process
            trains something else.
        ProcessLostError
            Another process has ended; the first one leaves a checkpoint.
        """
        self.world.check_same(self._content())
        saved = None
        try:
            with random_state(self.device):
                while not self._is_over(should_stop):
                    if self._is_due:
                        row = self._validate()
                        if row is not None:
                            self.save(checkpoint)
                            saved = self.step
                            if progress is not None:
                                progress.validated(row)
                    elif (losses := self._one_step()) is not None and progress is not None:
                        progress.step(self.step, losses)
        except ProcessLostError as error:
            if self.world.writes and self.step != saved:
                saved = self.step
                self.save(checkpoint)
            last = self._resumed if saved is None else saved
            left = "there is no checkpoint" if last is None else f"go on with --resume from step {last}"
            raise ProcessLostError(f"{error}, after step {self.step}; {left}") from error
        if self.step != saved:
            self.save(checkpoint)
        if self.step < self.config.steps and self.stopped_early:
            logger.info(
                "stopped at step %d: no model got better in %d validations", self.step, self.config.patience
            )
        return self.finished

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write a checkpoint, and ``training.tsv`` beside it, each atomically; the first process does."""
        if not self.world.writes:
            return
        about = {
            "identity": self._identity(),
            "history": [[row.step, *row.values.values()] for row in self.history],
            "recoveries": self.recoveries,
        }
        state = self._good if self._good.step == self.step else self._state()
        Checkpoint(about, state, self._good).write(path)
        write_text(Path(path).with_name(TRAINING_FILE), self.table())

    def resume(self, path: str | os.PathLike[str]) -> None:
        """Go on from a checkpoint.

        Raises
        ------
        TrainingError
            The checkpoint is missing, damaged, or of another configuration or other data.
        """
        checkpoint = Checkpoint.read(path)
        stored = checkpoint.about["identity"]
        for name, value in self._identity().items():
            if stored.get(name) != json.loads(json.dumps(value)):
                words = name.replace("_", " ")
                raise TrainingError(
                    f"{path}: cannot resume, as {words} was {stored.get(name)} and is now {value}; "
                    "give the options and sequences of the first run (only --steps, --patience and "
                    "--max-recoveries may change)"
                )
        if checkpoint.state.step > self.config.steps:
            raise TrainingError(
                f"{path}: {checkpoint.state.step} steps are done already; "
                f"give --steps {checkpoint.state.step} or more"
            )
        self.history = [
            Validated(step, dict(zip(self.columns, values, strict=True)))
            for step, *values in checkpoint.about["history"]
        ]
        self.recoveries = [Recovery(*recovery) for recovery in checkpoint.about["recoveries"]]
        self._good = checkpoint.good
        self._restore(checkpoint.state)
        self._resumed = self.step

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
        """All that decides what a step does."""
        config = {name: value for name, value in asdict(self.config).items() if name not in _FREE}
        return {**self.model, **config, "data": self.fingerprint}

    def _state(self) -> State:
        numbers = {
            "step": self.step,
            "num_summed": self._num_summed,
            "learners": {role: learner.numbers() for role, learner in self.learners.items()},
        }
        tensors: dict[str, Tensor] = {}
        for learner in self.learners.values():
            tensors |= learner.tensors()
        return State(json.loads(json.dumps(numbers)), tensors)

    def _restore(self, state: State) -> None:
        self.step = state.step
        self.history = [row for row in self.history if row.step <= state.step]
        self._num_summed = state.numbers["num_summed"]
        for role, learner in self.learners.items():
            learner.load_tensors(state.tensors)
            learner.load_numbers(state.numbers["learners"][role])

    @property
    def _is_due(self) -> bool:
        """Whether this step is one to validate after, which has not been done."""
        ends = self.step % self.config.validation_interval == 0 or self.step >= self.config.steps
        return ends and self.step > (self.history[-1].step if self.history else 0)

    def _is_over(self, should_stop: Callable[[], bool]) -> bool:
        """Whether to end before the next step: all is done, or a process was told to stop."""
        return not self._is_due and (self.finished or self.world.any(should_stop()))

    def _content(self) -> Iterator[bytes]:
        """All that has to be the same in every process."""
        state = self._state()
        yield json.dumps([self._identity(), state.numbers]).encode()
        for tensor in state.tensors.values():
            yield tensor.numpy().tobytes()

    def _one_step(self) -> dict[str, float] | None:
        """Take a step; each model's loss, or None if training has stepped back instead."""
        step, again = self.step + 1, self._again
        reads = self.training.sample(step, self.config.batch_size, *again)
        begun = {}
        for role, learner in self.learners.items():
            number = learner.number
            apart = () if self.world.size == 1 or learner.model.drops_by_read else (self.world.rank,)
            torch.manual_seed(torch_seed(self.config.seed, Stream.DROPOUT, number, step, *again, *apart))
            seen = learner.seen(reads, Stream.MUTATION, number, step, *again)
            mine = seen if self.world.size == 1 else seen.part(self.world.part(len(seen.codes)))
            loss, gradients = learner.gradients(mine)
            weight = len(mine.codes) / len(seen.codes)
            begun[role] = self.world.start_sum([loss.reshape(1), *gradients], weight)
        # All sums are waited for before a model changes: if a process is lost, none has taken the step.
        found = {role: wait() for role, wait in begun.items()}
        losses = {role: float(loss) for role, (loss, *_) in found.items()}
        wrong = [role for role, learner in self.learners.items() if learner.watch.has_spiked(losses[role])]
        if wrong:
            self._step_back(step, wrong[0], losses[wrong[0]])
            return None
        rate = self.config.learning_rate_at(step) * rate_after(len(self.recoveries))
        for role, learner in self.learners.items():
            learner.update(found[role][1:], rate)
            learner.loss_sum += losses[role]
        self._num_summed += 1
        self.step = step
        return losses

    def _validate(self) -> Validated | None:
        """Validate; the row, or None if training has stepped back instead."""
        measured = {role: learner.measured(self._validation[role]) for role, learner in self.learners.items()}
        for role, values in measured.items():
            if not math.isfinite(values["loss"]):
                self._step_back(self.step, role, values["loss"])
                return None
        row = Validated(
            self.step,
            {f"{role}_train_loss": item.loss_sum / self._num_summed for role, item in self.learners.items()},
        )
        for role, learner in self.learners.items():
            best = learner.keep_best(measured[role], self.step)
            row.values.update({f"{role}_val_{name}": value for name, value in best.items()})
            learner.loss_sum = 0.0
        self._num_summed = 0
        self.history.append(row)
        if all(learner.watch.is_calm for learner in self.learners.values()):
            self._good = self._state()
        return row

    @property
    def _again(self) -> tuple[int, ...]:
        """What tells apart the draws of a step that is taken again."""
        return (len(self.recoveries),) if self.recoveries else ()

    def _step_back(self, step: int, role: str, loss: float) -> None:
        """Go back to where all was well, so that what follows does not meet the same again."""
        done = len(self.recoveries)
        if done >= self.config.max_recoveries:
            helped = f"stepping back {done} times has not helped; " if done else ""
            raise TrainingError(
                f"the {role} loss is {loss:.4g} at step {step}; {helped}"
                "start again with a lower --learning-rate"
            )
        self._restore(self._good)
        self.recoveries.append(Recovery(step, role, f"{loss:.6g}", self.step))
        factor = rate_after(done + 1)
        logger.warning(
            "step %d: the %s loss is %.4g; back to step %d (time %d of at most %d), on with other reads%s",
            *(step, role, loss, self.step, done + 1, self.config.max_recoveries),
            "" if factor == 1.0 else f" and {factor:g} of the learning rate",
        )


def _places(classes: Sequence[str], among: Sequence[str]) -> npt.NDArray[np.int64]:
    """Where classes are among others, found by name."""
    unknown = [name for name in classes if name not in among]
    if unknown:
        raise TrainingError(
            f"validation reads are of {', '.join(unknown)}, but the reference's classes are "
            f"{', '.join(among)}; name files of the same class alike, before '__', or give --classes"
        )
    return np.array([among.index(name) for name in classes], dtype=np.int64)
