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
from typing import Any

import torch
from torch import Tensor

from genood.bundles.files import TRAINING_FILE
from genood.errors import ConfigError, TrainingError
from genood.files import write_text
from genood.recipes import Stream, TrainConfig
from genood.reference.labels import class_places
from genood.reference.sampling import ReadSampler
from genood.training.checkpoints import Checkpoint, State
from genood.training.distributed import ALONE, ProcessLostError, World
from genood.training.feeding import Drawing, feed_of
from genood.training.following import Progress, Validated
from genood.training.learners import Learner
from genood.training.randomness import random_state
from genood.training.recovery import Recovery, rate_after
from genood.training.stepping import Launched, Stepper

logger = logging.getLogger(__package__)

_FREE = ("steps", "patience", "max_recoveries")
"""Parts of a `TrainConfig` that may be others when a training goes on: they decide when it ends."""


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
    drawing
        Who draws the reads of steps; it has to be the same when training goes on.

    Attributes
    ----------
    late
        Whether losses are read when the next step is queued, as on a GPU, which would be idle meanwhile.
        All are read before a validation, a checkpoint and the end, so that the result is the same.

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
        drawing: Drawing = "auto",
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
        self.late = device.type == "cuda"
        self._unread: list[Launched] = []
        self._num_summed = 0
        self._resumed: int | None = None
        reads = validation.sample(0, config.num_validation_reads)
        if any(learner.uses_labels for learner in self.learners.values()):
            places = class_places(validation.genomes.classes, training.genomes.classes)
            reads = reads._replace(labels=places[reads.labels])
        self._validation = {
            role: learner.seen(reads, Stream.VALIDATION_MUTATION, learner.number)
            for role, learner in self.learners.items()
        }
        feed = feed_of(training, self.learners, config.batch_size, device, world, drawing)
        self._stepper = Stepper(self.learners, feed, config.seed, device, world)
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

        Where a loss goes wrong (see `genood.training.recovery`), training goes back to the last validation at
        which all was well, and on with other reads.

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
                while not self._is_over(should_stop, progress):
                    if self._is_due:
                        row = self._validate()
                        if row is not None:
                            self.save(checkpoint)
                            saved = self.step
                            if progress is not None:
                                progress.validated(row)
                    else:
                        self._one_step(progress)
        except ProcessLostError as error:
            self._read_losses(progress)
            if self.world.writes and self.step != saved:
                saved = self.step
                self.save(checkpoint)
            last = self._resumed if saved is None else saved
            left = "there is no checkpoint" if last is None else f"go on with --resume from step {last}"
            raise ProcessLostError(f"{error}, after step {self.step}; {left}") from error
        finally:
            self._stepper.close()
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
                differs = f"{name.replace('_', ' ')} was {stored.get(name)} and is now {value}"
                if name == "data":  # hashes tell people nothing
                    differs = "the sequences to train or validate on are others"
                raise TrainingError(
                    f"{path}: cannot resume, as {differs}; give the options and sequences of the first run "
                    "(only --steps, --patience and --max-recoveries may change)"
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
        self._stepper.settle()
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
        self._stepper.settle()
        self.step = state.step
        self.history = [row for row in self.history if row.step <= state.step]
        self._num_summed = state.numbers["num_summed"]
        for role, learner in self.learners.items():
            learner.load_tensors(state.tensors)
            learner.load_numbers(state.numbers["learners"][role])
        self._stepper.settle()

    @property
    def _is_due(self) -> bool:
        """Whether this step is one to validate after, which has not been done."""
        ends = self.step % self.config.validation_interval == 0 or self.step >= self.config.steps
        return ends and self.step > (self.history[-1].step if self.history else 0)

    def _is_over(self, should_stop: Callable[[], bool], progress: Progress | None) -> bool:
        """Whether to end before the next step; where so, or to validate, no loss is left to be read."""
        is_told = not self._is_due and not self.finished and self.world.any(should_stop())
        if self._is_due or self.finished or is_told:
            self._read_losses(progress)
        return is_told or (not self._is_due and self.finished)

    def _content(self) -> Iterator[bytes]:
        """All that has to be the same in every process."""
        state = self._state()
        yield json.dumps([self._identity(), state.numbers]).encode()
        for tensor in state.tensors.values():
            yield tensor.numpy().tobytes()

    def _one_step(self, progress: Progress | None) -> None:
        """Take a step, or step back."""
        launched = self._stepper.launch(self.step + 1, self._again)
        self._unread.append(launched)
        read = self._accepted(keep=1 if self.late else 0)
        if read is None:
            return
        rate = self.config.learning_rate_at(launched.step) * rate_after(len(self.recoveries))
        self._stepper.update(launched, rate)
        self.step = launched.step
        self._tell(progress, read)

    def _read_losses(self, progress: Progress | None) -> None:
        """Read the losses that are left to be read, and step back if one has gone wrong."""
        read = self._accepted(keep=0)
        if read is not None:
            self._tell(progress, read)

    def _accepted(self, keep: int) -> list[tuple[int, dict[str, float]]] | None:
        """Read the losses of steps, but of the last ones; None if training has stepped back."""
        read = []
        while len(self._unread) > keep:
            launched = self._unread.pop(0)
            losses = launched.read()
            wrong = [role for role, item in self.learners.items() if item.watch.has_spiked(losses[role])]
            if wrong:
                self._step_back(launched.step, wrong[0], losses[wrong[0]])
                return None
            for role, learner in self.learners.items():
                learner.loss_sum += losses[role]
            self._num_summed += 1
            read.append((launched.step, losses))
        return read

    def _tell(self, progress: Progress | None, read: Sequence[tuple[int, Mapping[str, float]]]) -> None:
        if progress is not None:
            for step, losses in read:
                progress.step(step, losses)

    def _validate(self) -> Validated | None:
        """Validate; the row, or None if training has stepped back instead."""
        self._stepper.settle()
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
        self._stepper.settle()
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
        self._unread.clear()
        self._restore(self._good)
        self.recoveries.append(Recovery(step, role, f"{loss:.6g}", self.step))
        factor = rate_after(done + 1)
        logger.warning(
            "step %d: the %s loss is %.4g; back to step %d (time %d of at most %d), on with other reads%s",
            *(step, role, loss, self.step, done + 1, self.config.max_recoveries),
            "" if factor == 1.0 else f" and {factor:g} of the learning rate",
        )
