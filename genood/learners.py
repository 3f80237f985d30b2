"""Models in training: what each sees of the reads, its loss, its optimiser and its best weights so far."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from genood.bundle import CLASSIFIER, ROLES
from genood.device import computing
from genood.distributed import ALONE, World
from genood.errors import ConfigError, TrainingError
from genood.examples import Examples
from genood.models import CLASSIFIERS, MODELS
from genood.models.cnn import CNN
from genood.models.network import DensityNetwork, Network
from genood.models.one_core import one_core_each
from genood.randomness import random_state, torch_seed
from genood.recipes import Stream, TrainConfig
from genood.recovery import LossWatch
from genood.sampling import SampledReads
from genood.sequence import Codes, mutate

NATS_PER_BIT = math.log(2.0)
_UNIFORM = -1
"""Instead of a class: all are to be equally likely."""

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
        self.optimizer = torch.optim.Adam(self.parameters.values(), lr=config.learning_rate)
        self.best_loss = math.inf
        self.best_step = 0
        self.best_measured: dict[str, Any] = {}
        self.best_weights = self._copy_weights()
        self.loss_sum = 0.0
        self.watch = LossWatch()

    @abstractmethod
    def seen(self, reads: SampledReads, *seed: int) -> Examples:
        """Reads as this model sees them, mutations drawn from the seed."""

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

    def mutated(self, codes: Codes, *seed: int) -> Codes:
        """Codes with substitutions that are drawn from the seed."""
        if self.mutation_rate == 0:
            return codes
        return mutate(codes, self.mutation_rate, np.random.default_rng([self.config.seed, *seed]))

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
                    state[key] = stored.to("cpu" if key == "step" else self.device, copy=True)
            if state:
                self.optimizer.state[parameter] = state

    def _outputs(self, codes: Codes) -> Tensor:
        codes_BL = torch.from_numpy(codes).to(self.device)
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

    def seen(self, reads: SampledReads, *seed: int) -> Examples:
        """See `Learner.seen`: all of them mutated, where there is a mutation rate."""
        return Examples(self.mutated(reads.codes, *seed), reads.labels)

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


class ClassifierLearner(Learner[CNN]):
    """A classifier; its loss is the mean cross-entropy, nats per read.

    All variants but the plain one see mutated reads beside the others, mutated anew each time: as many as
    there are reads, or, where they are a class beside K others, as many as each of these has on average.

    Notes
    -----
    Source: Ren et al. 2019, section 4, the baselines with a binary classifier, with an additional class, and
    with a class distribution trained to be uniform on mutated reads. The loss of the last is equation 1 of
    Lee et al. 2018, with β = 1 and mutated reads in place of generated ones, over two: the cross-entropy of
    reads and the Kullback-Leibler divergence of the uniform distribution from that of mutated reads,
    KL(U ‖ p), weigh the same. The paper does not say how many mutated reads there are.
    """

    columns = ("loss", "accuracy")

    @property
    def uses_labels(self) -> bool:
        """See `Learner.uses_labels`."""
        return self.model.variant != "binary"

    def seen(self, reads: SampledReads, *seed: int) -> Examples:
        """See `Learner.seen`."""
        if self.model.variant == "plain":
            return Examples(reads.codes, reads.labels)
        number = len(reads.codes)
        if self.model.variant == "noise-class":
            number = max(1, round(number / self.model.num_classes))
        codes = np.concatenate([reads.codes, self.mutated(reads.codes[:number], *seed)])
        mutated = _UNIFORM if self.model.mutated_class is None else self.model.mutated_class
        labels = reads.labels if self.uses_labels else np.zeros_like(reads.labels)
        return Examples(codes, np.concatenate([labels, np.full(number, mutated)]))

    def metrics(self) -> dict[str, Any]:
        """See `Learner.metrics`; of the confusion, rows are what reads are, columns what they are called."""
        return {
            "best_step": self.best_step,
            "val_nats_per_read": self.best_loss,
            "val_accuracy": self.best_measured.get("accuracy"),
            "val_confusion": self.best_measured.get("confusion"),
        }

    def _loss(self, examples: Examples) -> Tensor:
        return self._losses(self._outputs(examples.codes), examples).mean()

    def _losses(self, logits_BK: Tensor, examples: Examples) -> Tensor:
        log_p_BK = F.log_softmax(logits_BK, dim=1)
        labels_B = torch.from_numpy(examples.labels).to(self.device)
        of_class_B = -log_p_BK.gather(1, labels_B.clamp(min=0)[:, None])[:, 0]
        from_uniform_B = -log_p_BK.mean(dim=1) - math.log(log_p_BK.shape[1])
        return torch.where(labels_B == _UNIFORM, from_uniform_B, of_class_B)

    def _measure(self, examples: Examples, world: World) -> dict[str, Any]:
        num_outputs = self.model.output.out_features
        counts = np.zeros((num_outputs, num_outputs))

        def total_loss(batch: Examples) -> float:
            logits_BK = self._outputs(batch.codes)
            counts[:] += _confusion(batch.labels, logits_BK.argmax(dim=1).cpu().numpy(), num_outputs)
            return float(self._losses(logits_BK, batch).sum())

        total = sum(self._by_batch(examples, world, total_loss))
        confusion = world.sum(counts).astype(np.int64)
        # Of reads; where reads and mutated reads are all that there is to tell apart, of both.
        counted = confusion[: self.model.num_classes] if self.uses_labels else confusion
        return {
            "loss": total / len(examples.codes),
            "accuracy": float(np.trace(counted) / counted.sum()),
            "confusion": confusion.tolist(),
        }


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


def classifier_learners(
    kind: str, model_config: Mapping[str, Any], config: TrainConfig, device: torch.device
) -> dict[str, Learner[Any]]:
    """A classifier, untrained, by its role; the arguments are those of `density_learners`.

    Raises
    ------
    ConfigError
        The configuration makes no sense for so many classes, or mutated reads would be none.
    """
    with random_state(device):
        torch.manual_seed(torch_seed(config.seed, Stream.WEIGHTS, 0))
        model = CLASSIFIERS[kind].from_config(model_config)
    if not isinstance(model, CNN):
        raise TrainingError(f"a model of kind {kind} is not trained step by step")
    if model.variant != "plain" and config.mutation_rate == 0:
        raise ConfigError(f"a {model.variant} classifier learns from mutated reads; give a mutation rate")
    return {CLASSIFIER: ClassifierLearner(CLASSIFIER, model.to(device), config.mutation_rate, 0.0, config)}


def _confusion(
    labels: npt.NDArray[np.int64], called: npt.NDArray[np.int64], num_classes: int
) -> npt.NDArray[np.int64]:
    """Numbers of examples by their class (rows) and by the class they are given (columns)."""
    labelled = labels != _UNIFORM
    pairs = labels[labelled] * num_classes + called[labelled]
    return np.bincount(pairs, minlength=num_classes**2).reshape(num_classes, num_classes)
