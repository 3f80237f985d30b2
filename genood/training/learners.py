"""Models in training: what each sees of the reads, its loss, its optimiser and its best weights so far."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from genood.bundle import ROLES
from genood.errors import TrainingError
from genood.models import MODELS
from genood.models.device import computing
from genood.models.examples import Examples, View
from genood.models.network import DensityNetwork, Network
from genood.models.one_core import one_core_each
from genood.recipes import Stream, TrainConfig
from genood.reference.sampling import SampledReads
from genood.sequence import Codes, mutate
from genood.training.distributed import ALONE, World
from genood.training.randomness import random_state, torch_seed
from genood.training.recovery import LossWatch

NATS_PER_BIT = math.log(2.0)

M = TypeVar("M", bound=Network)


class Gradients(NamedTuple):
    """A mean loss, a scalar, and its gradient by each parameter, in their order."""

    loss: Tensor
    by_parameter: Sequence[Tensor]


class Learner(ABC, Generic[M]):
    """One model in training.

    Parameters
    ----------
    role
        What the model is in the bundle.
    model
        Where it is to be trained.
    mutation_rate
        Of the mutated reads that it sees, where it does.
    l2
        λ of ½‖w‖² over its weights that are no biases.
    config
        How to train.
    """

    columns: ClassVar[tuple[str, ...]] = ("loss",)
    """What a validation measures, for ``training.tsv``; the first is the loss."""
    number = 0
    """Keeps what is drawn for it apart from what is drawn for models that see the same reads."""

    def __init__(self, role: str, model: M, mutation_rate: float, l2: float, config: TrainConfig) -> None:
        self.role = role
        self.model = model
        self.mutation_rate = mutation_rate
        self.config = config
        self.parameters = dict(model.named_parameters())
        # λ·½‖w‖² adds λw to the gradient, which is what Adam's (not AdamW's) weight decay does.
        self.l2 = l2
        self._fused = self.device.type == "cuda"
        self.optimizer = torch.optim.Adam(
            self.parameters.values(), lr=config.learning_rate, fused=self._fused or None
        )
        self.best_loss = math.inf
        self.best_step = 0
        self.best_measured: dict[str, Any] = {}
        self.best_weights = self._copy_weights()
        self.loss_sum = 0.0
        self.watch = LossWatch()

    @abstractmethod
    def view(self, num_reads: int) -> View:
        """What this model sees of so many reads."""

    @abstractmethod
    def metrics(self) -> dict[str, Any]:
        """The best validation, JSON types, for ``genood.json``."""

    @abstractmethod
    def _loss(self, examples: Examples) -> Tensor:
        """The mean loss, a scalar."""

    @abstractmethod
    def _measure(self, examples: Examples, world: World) -> dict[str, Any]:
        """Means over examples, by `columns`, and what else is to be kept of the best validation."""

    @property
    def uses_labels(self) -> bool:
        """Whether it matters which class a read is of."""
        return False

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(self.model.parameters()).device

    def seen(self, reads: SampledReads, *seed: int) -> Examples:
        """Reads as this model sees them, mutations drawn from the seed."""
        view = self.view(len(reads.codes))
        labels = reads.labels if view.by_class else np.zeros_like(reads.labels)
        if view.num_mutated == 0:
            return Examples(reads.codes, labels)
        generator = np.random.default_rng([self.config.seed, *seed])
        mutated = mutate(reads.codes[: view.num_mutated], self.mutation_rate, generator)
        of_mutated = labels[: view.num_mutated]
        if view.mutated_label is not None:
            of_mutated = np.full_like(of_mutated, view.mutated_label)
        return Examples(
            np.concatenate([reads.codes[: view.num_plain], mutated]),
            np.concatenate([labels[: view.num_plain], of_mutated]),
        )

    def gradients(self, examples: Examples) -> Gradients:
        """The loss and its gradients; the weights stay.

        On a CPU, parts of the examples that suit the model are worked on side by side, one to a core, where
        nothing is drawn: a part has the same gradients however many cores there are.
        """
        self.model.train()
        self.model.share = examples.share
        size = self.model.reads_per_core
        if size is None or self.model.draws or self.device.type != "cpu":
            return self._gradients_of(examples)
        parts = list(examples.in_batches(size))
        found = one_core_each(self._gradients_of, parts)
        weights = [len(part.codes) / len(examples.codes) for part in parts]
        return Gradients(
            weighted_sum([loss for loss, _ in found], weights),
            [weighted_sum(ones, weights) for ones in zip(*(by for _, by in found), strict=True)],
        )

    def _gradients_of(self, examples: Examples) -> Gradients:
        with computing(self.device, self.config.precision):
            loss = self._loss(examples)
        return Gradients(loss.detach(), torch.autograd.grad(loss, list(self.parameters.values())))

    def update(self, gradients: Sequence[Tensor], learning_rate: float) -> None:
        """Take an optimisation step along gradients of the loss, one for each of `parameters`."""
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate
        for (name, parameter), gradient in zip(self.parameters.items(), gradients, strict=True):
            # The gradient of λ·½‖w‖² over the weights that are no biases.
            parameter.grad = gradient + self.l2 * parameter.detach() if "weight" in name else gradient
        if self.config.max_gradient_norm is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters.values(), self.config.max_gradient_norm)
        self.optimizer.step()

    def step(self, examples: Examples, number: int) -> float:
        """The optimisation step of that number, from 1, on these examples alone; returns its loss."""
        loss, gradients = self.gradients(examples)
        self.update(gradients, self.config.learning_rate_at(number))
        return float(loss)

    def validate(self, examples: Examples, step: int) -> dict[str, float]:
        """What `columns` names; keeps the weights if the loss is the lowest so far."""
        return self.keep_best(self.measured(examples), step)

    def measured(self, examples: Examples, world: World = ALONE) -> dict[str, Any]:
        """What a validation measures; without dropout.

        Whole batches are dealt out to the processes, and what they give is put together in the batches'
        order, so that the same weights have the same loss, to the last bit, however many processes there are.
        """
        self.model.eval()
        with torch.inference_mode(), computing(self.device, self.config.precision):
            return self._measure(examples, world)

    def keep_best(self, measured: dict[str, Any], step: int) -> dict[str, float]:
        """Keep the weights if the measured loss is the lowest so far; what `columns` names."""
        if measured["loss"] < self.best_loss:
            self.best_loss, self.best_step, self.best_measured = measured["loss"], step, measured
            self.best_weights = self._copy_weights()
        return {name: measured[name] for name in self.columns}

    def best_model(self) -> M:
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

    def numbers(self) -> dict[str, Any]:
        """All else that is to be kept, JSON types."""
        return {
            "loss_sum": self.loss_sum,
            "best": [self.best_step, self.best_loss],
            "best_measured": self.best_measured,
            "watch": self.watch.state(),
        }

    def load_numbers(self, numbers: Mapping[str, Any]) -> None:
        """Take back what `numbers` gave."""
        self.loss_sum = numbers["loss_sum"]
        self.best_step, self.best_loss = numbers["best"]
        self.best_measured = numbers["best_measured"]
        self.watch.load_state(numbers["watch"])

    def load_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Take back what `tensors` gave."""
        self.best_weights = {
            name: tensors[f"{self.role}.best.{name}"].to(self.device, copy=True) for name in self.parameters
        }
        self.optimizer.state.clear()
        for name, parameter in self.parameters.items():
            parameter.data.copy_(tensors[f"{self.role}.weights.{name}"])
            state = {}
            for key in ("step", "exp_avg", "exp_avg_sq"):
                stored = tensors.get(f"{self.role}.adam.{key}.{name}")
                if stored is not None:
                    on_host = key == "step" and not self._fused
                    state[key] = stored.to("cpu" if on_host else self.device, copy=True)
            if state:
                self.optimizer.state[parameter] = state

    def _outputs(self, codes: Codes | Tensor) -> Tensor:
        codes_BL = torch.as_tensor(codes).to(self.device, non_blocking=True)
        lengths_B = torch.full((len(codes),), codes.shape[1], device=self.device)
        outputs: Tensor = self.model(codes_BL, lengths_B)
        return outputs

    def _by_batch(
        self, examples: Examples, world: World, measure: Callable[[Examples], float]
    ) -> list[float]:
        """What each batch measures, dealt out to the processes."""
        batches = list(examples.in_batches(self.config.batch_size))
        values = np.zeros(len(batches))
        for number in range(world.rank, len(batches), world.size):
            values[number] = measure(batches[number])
        return world.sum(values).tolist()

    def _copy_weights(self) -> dict[str, Tensor]:
        return {name: parameter.detach().clone() for name, parameter in self.parameters.items()}


class DensityLearner(Learner[DensityNetwork]):
    """A density model; its loss is the mean negative log-probability, nats per base."""

    def view(self, num_reads: int) -> View:
        """See `Learner.view`: all of them mutated, where there is a mutation rate."""
        return View(0, num_reads) if self.mutation_rate else View(num_reads, 0)

    def metrics(self) -> dict[str, Any]:
        """See `Learner.metrics`."""
        return {
            "best_step": self.best_step,
            "val_nats_per_base": self.best_loss,
            "val_bits_per_base": self.best_loss / NATS_PER_BIT,
        }

    def _loss(self, examples: Examples) -> Tensor:
        return -self._outputs(examples.codes).mean()

    def _measure(self, examples: Examples, world: World) -> dict[str, Any]:
        totals = self._by_batch(examples, world, lambda batch: float(self._loss(batch)) * len(batch.codes))
        return {"loss": sum(totals) / len(examples.codes)}


def weighted_sum(tensors: Sequence[Tensor], weights: Sequence[float]) -> Tensor:
    """The sum of tensors, each times its weight."""
    total = tensors[0] * weights[0]
    for tensor, weight in zip(tensors[1:], weights[1:], strict=True):
        total.add_(tensor, alpha=weight)
    return total


def density_learners(
    kind: str,
    model_config: Mapping[str, Any],
    config: TrainConfig,
    device: torch.device,
    roles: Collection[str] = ROLES,
) -> dict[str, Learner[Any]]:
    """A foreground and a background model, untrained, by role.

    Parameters
    ----------
    kind
        Name of the density model, of `MODELS`.
    model_config, config
        The model's configuration, JSON types, and how to train.
    device
        Where to train.
    roles
        Which of the two; either is the same without the other.
    """
    rates = dict(zip(ROLES, [(0.0, 0.0), (config.mutation_rate, config.l2)], strict=True))
    learners: dict[str, Learner[Any]] = {}
    with random_state(device):
        for number, (role, (mutation_rate, l2)) in enumerate(rates.items()):
            if role not in roles:
                continue
            torch.manual_seed(torch_seed(config.seed, Stream.WEIGHTS, number))
            model = MODELS[kind].from_config(model_config)
            if not isinstance(model, DensityNetwork):
                raise TrainingError(f"a model of kind {kind} is not trained step by step")
            learners[role] = DensityLearner(role, model.to(device), mutation_rate, l2, config)
            learners[role].number = number
    return learners
