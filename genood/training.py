"""One training loop: a foreground and a background model, step by step, resumable at any step.

Everything a step draws (reads, mutations, dropout) depends on the seed and the number of the step
alone, and a checkpoint holds the rest, so that a resumed training reaches the same losses as one
that was never interrupted.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from genood.bundle import ROLES, TRAINING_FILE
from genood.device import computing
from genood.errors import TrainingError
from genood.files import atomic_path, write_text
from genood.genomes import ReadSampler
from genood.models import MODELS
from genood.models.network import DensityNetwork
from genood.recipes import Stream, TrainConfig
from genood.sequence import Codes, mutate
from genood.tensors import write_tensors

NATS_PER_BIT = math.log(2.0)
_CHECKPOINT_FORMAT = 1


class Losses(NamedTuple):
    """One row of ``training.tsv``: mean negative log-probability, nats per base.

    The training losses are means since the row before, without the L2 term; the background model's
    are those of mutated reads, in validation too.
    """

    step: int
    foreground_train_loss: float
    background_train_loss: float
    foreground_val_loss: float
    background_val_loss: float


class Progress(Protocol):
    """Where training tells how far it is."""

    def step(self, step: int, losses: Mapping[str, float]) -> None:
        """After a step: its number, and each model's training loss in nats per base."""

    def validated(self, losses: Losses) -> None:
        """After a validation."""


class Learner:
    """One model in training: its optimiser, its reads and its best weights so far."""

    def __init__(
        self, role: str, model: DensityNetwork, mutation_rate: float, l2: float, config: TrainConfig
    ) -> None:
        self.role = role
        self.model = model
        self.mutation_rate = mutation_rate
        self.config = config
        self.parameters = dict(model.named_parameters())
        # λ·½‖w‖² adds λw to the gradient, which is what Adam's (not AdamW's) weight decay does.
        self.l2 = l2
        self.optimizer = torch.optim.Adam(self.parameters.values(), lr=config.learning_rate)
        self.best_loss = math.inf
        self.best_step = 0
        self.best_weights = self._copy_weights()
        self.loss_sum = 0.0

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def mutated(self, codes: Codes, *seed: int) -> Codes:
        """Reads as this model sees them, mutations drawn from the seed."""
        if self.mutation_rate == 0:
            return codes
        return mutate(codes, self.mutation_rate, np.random.default_rng([self.config.seed, *seed]))

    def step(self, codes: Codes, number: int) -> float:
        """The optimisation step of that number, from 1; returns its loss in nats per base."""
        self.model.train()
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate_at(number)
        with computing(self.device, self.config.precision):
            loss = self._loss(codes)
        gradients = torch.autograd.grad(loss, list(self.parameters.values()))
        for (name, parameter), gradient in zip(self.parameters.items(), gradients, strict=True):
            # The gradient of λ·½‖w‖² over the weights that are no biases.
            parameter.grad = gradient + self.l2 * parameter.detach() if "weight" in name else gradient
        if self.config.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.config.max_gradient_norm)
        self.optimizer.step()
        return float(loss.detach())

    def validate(self, codes: Codes, step: int) -> float:
        """Validation loss in nats per base; keeps the weights if it is the best so far."""
        self.model.eval()
        total = 0.0
        with torch.inference_mode(), computing(self.device, self.config.precision):
            for start in range(0, len(codes), self.config.batch_size):
                batch = codes[start : start + self.config.batch_size]
                total += float(self._loss(batch)) * len(batch)
        loss = total / len(codes)
        if loss < self.best_loss:
            self.best_loss, self.best_step = loss, step
            self.best_weights = self._copy_weights()
        return loss

    def best_model(self) -> DensityNetwork:
        """The model with its best weights, in evaluation mode."""
        self.model.load_state_dict(self.best_weights)
        return self.model.eval()

    def tensors(self) -> dict[str, Tensor]:
        """Weights, best weights and Adam's moments, by name."""
        tensors = {f"{self.role}.weights.{name}": p.detach() for name, p in self.parameters.items()}
        tensors |= {f"{self.role}.best.{name}": p for name, p in self.best_weights.items()}
        for name, parameter in self.parameters.items():
            for key, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"{self.role}.adam.{key}.{name}"] = value.detach()
        return {name: tensor.cpu().contiguous().clone() for name, tensor in tensors.items()}

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        self.best_weights = {
            name: tensors[f"{self.role}.best.{name}"].to(self.device) for name in self.parameters
        }
        for name, parameter in self.parameters.items():
            parameter.data.copy_(tensors[f"{self.role}.weights.{name}"])
            state = {}
            for key in ("step", "exp_avg", "exp_avg_sq"):
                stored = tensors.get(f"{self.role}.adam.{key}.{name}")
                if stored is not None:
                    state[key] = stored.to("cpu" if key == "step" else self.device)
            if state:
                self.optimizer.state[parameter] = state

    def _loss(self, codes: Codes) -> Tensor:
        codes_BL = torch.from_numpy(codes).to(self.device)
        lengths_B = torch.full((len(codes),), codes.shape[1], device=self.device)
        loss: Tensor = -self.model(codes_BL, lengths_B).mean()
        return loss

    def _copy_weights(self) -> dict[str, Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self.parameters.items()}


class Trainer:
    """Trains a foreground and a background model together.

    Both see the same reads at each step, the background model mutated ones, mutated anew each time.
    Each keeps the weights of its own best validation.

    Parameters
    ----------
    kind
        Name of the density model, of `MODELS`.
    model_config
        The model's configuration, JSON types.
    config
        How to train.
    training, validation
        Where to draw reads; `training` holds only known bases, at least a read's length.
    fingerprint
        Of the data, to refuse resuming on other data.
    device
        Where to train.
    """

    def __init__(
        self,
        *,
        kind: str,
        model_config: Mapping[str, Any],
        config: TrainConfig,
        training: ReadSampler,
        validation: ReadSampler,
        fingerprint: str,
        device: torch.device,
    ) -> None:
        self.kind = kind
        self.model_config = dict(model_config)
        self.config = config
        self.training = training
        self.fingerprint = fingerprint
        self.device = device
        self.step = 0
        self.history: list[Losses] = []
        self._num_summed = 0
        rates = {"foreground": (0.0, 0.0), "background": (config.mutation_rate, config.l2)}
        self.learners: dict[str, Learner] = {}
        with self._random_state():
            for number, (role, (mutation_rate, l2)) in enumerate(rates.items()):
                torch.manual_seed(_torch_seed(config.seed, Stream.WEIGHTS, number))
                model = _untrained(kind, self.model_config).to(device)
                self.learners[role] = Learner(role, model, mutation_rate, l2, config)
        reads = validation.sample(0, config.num_validation_reads).codes
        self._validation = {
            role: learner.mutated(reads, Stream.VALIDATION_MUTATION, number)
            for number, (role, learner) in enumerate(self.learners.items())
        }

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
        with self._random_state():
            while not self.finished and not should_stop():
                self._one_step(progress)
                if self.step % self.config.validation_interval == 0 or self.finished:
                    losses = self._validate()
                    if progress is not None:
                        progress.validated(losses)
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
            "history": self.history,
            "num_summed": self._num_summed,
            "loss_sums": {role: learner.loss_sum for role, learner in self.learners.items()},
            "best": {role: [item.best_step, item.best_loss] for role, item in self.learners.items()},
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
        self.history = [Losses(*row) for row in state["history"]]
        self._num_summed = state["num_summed"]
        for role, learner in self.learners.items():
            learner.load_tensors(tensors)
            learner.loss_sum = state["loss_sums"][role]
            learner.best_step, learner.best_loss = state["best"][role]

    def table(self) -> str:
        """``training.tsv``: a header line and a row a validation."""
        rows = ["\t".join(Losses._fields)]
        rows += ["\t".join([str(row.step), *(f"{loss:.6g}" for loss in row[1:])]) for row in self.history]
        return "\n".join(rows) + "\n"

    def metrics(self) -> dict[str, dict[str, float]]:
        """Best validation loss of each model, in nats and bits per base, and its step."""
        return {
            role: {
                "best_step": learner.best_step,
                "val_nats_per_base": learner.best_loss,
                "val_bits_per_base": learner.best_loss / NATS_PER_BIT,
            }
            for role, learner in self.learners.items()
        }

    def _identity(self) -> dict[str, Any]:
        """All that decides the result but the number of steps."""
        config = asdict(self.config)
        del config["steps"]
        return {"model": self.kind, **self.model_config, **config, "data": self.fingerprint}

    def _random_state(self) -> Any:
        devices = [self.device] if self.device.type == "cuda" else []
        return torch.random.fork_rng(devices)

    def _one_step(self, progress: Progress | None) -> None:
        step = self.step + 1
        reads = self.training.sample(step, self.config.batch_size).codes
        losses = {}
        for number, (role, learner) in enumerate(self.learners.items()):
            torch.manual_seed(_torch_seed(self.config.seed, Stream.DROPOUT, number, step))
            losses[role] = learner.step(learner.mutated(reads, Stream.MUTATION, number, step), step)
            _check_finite(losses[role], role, step)
        for role, learner in self.learners.items():
            learner.loss_sum += losses[role]
        self._num_summed += 1
        self.step = step
        if progress is not None:
            progress.step(step, losses)

    def _validate(self) -> Losses:
        train = {role: item.loss_sum / self._num_summed for role, item in self.learners.items()}
        val = {
            role: learner.validate(self._validation[role], self.step)
            for role, learner in self.learners.items()
        }
        for role, loss in val.items():
            _check_finite(loss, role, self.step)
        foreground, background = ROLES
        losses = Losses(self.step, train[foreground], train[background], val[foreground], val[background])
        self.history.append(losses)
        self._num_summed = 0
        for learner in self.learners.values():
            learner.loss_sum = 0.0
        return losses


def _untrained(kind: str, config: Mapping[str, Any]) -> DensityNetwork:
    model = MODELS[kind].from_config(config)
    if not isinstance(model, DensityNetwork):
        raise TrainingError(f"a model of kind {kind} is not trained step by step")
    return model


def _check_finite(loss: float, role: str, step: int) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"the {role} loss is {loss} at step {step}; start again with a lower --learning-rate"
        )


def _torch_seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


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
