"""Classifiers in training: what they see of the reads, and their loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from genood.bundle import CLASSIFIER
from genood.errors import ConfigError, TrainingError
from genood.models import CLASSIFIERS
from genood.models.cnn import CNN
from genood.models.examples import Examples, View
from genood.recipes import Stream, TrainConfig
from genood.training.distributed import World
from genood.training.learners import Learner
from genood.training.randomness import random_state, torch_seed

_UNIFORM = -1
"""Instead of a class: all are to be equally likely."""


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

    def view(self, num_reads: int) -> View:
        """See `Learner.view`."""
        if self.model.variant == "plain":
            return View(num_reads, 0)
        number = num_reads
        if self.model.variant == "noise-class":
            number = max(1, round(number / self.model.num_classes))
        mutated = _UNIFORM if self.model.mutated_class is None else self.model.mutated_class
        return View(num_reads, number, mutated, by_class=self.uses_labels)

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
        labels_B = torch.as_tensor(examples.labels).to(self.device, non_blocking=True)
        of_class_B = -log_p_BK.gather(1, labels_B.clamp(min=0)[:, None])[:, 0]
        from_uniform_B = -log_p_BK.mean(dim=1) - math.log(log_p_BK.shape[1])
        return torch.where(labels_B == _UNIFORM, from_uniform_B, of_class_B)

    def _measure(self, examples: Examples, world: World) -> dict[str, Any]:
        num_outputs = self.model.output.out_features
        counts = np.zeros((num_outputs, num_outputs))

        def total_loss(batch: Examples) -> float:
            logits_BK = self._outputs(batch.codes)
            counts[:] += _confusion(
                np.asarray(batch.labels), logits_BK.argmax(dim=1).cpu().numpy(), num_outputs
            )
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
