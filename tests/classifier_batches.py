"""Batches of which a classifier's outputs are known, and nothing else matters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from toy_batches import likelihood_batch

from genood.detectors.base import Classified, ScoreBatch


def logits_batch(logits: npt.ArrayLike, *, mutated_class: int | None = None) -> ScoreBatch:
    """Reads with these logits, (B, K), which are their features as well."""
    values = np.asarray(logits, dtype=np.float32)
    num_classes = values.shape[1]
    return batch_of(
        Classified(
            logits=values,
            features=values,
            weight=np.eye(num_classes, dtype=np.float32),
            bias=np.zeros(num_classes, dtype=np.float32),
            mutated_class=mutated_class,
        )
    )


def features_batch(
    features: npt.ArrayLike,
    *,
    weight: npt.ArrayLike | None = None,
    bias: npt.ArrayLike | None = None,
    labels: Sequence[int] | None = None,
    mutated_class: int | None = None,
) -> ScoreBatch:
    """Reads with these features, (B, F), and the logits that the last layer makes of them."""
    values = np.asarray(features, dtype=np.float32)
    weights = np.asarray(np.eye(values.shape[1]) if weight is None else weight, dtype=np.float32)
    biases = np.asarray(np.zeros(len(weights)) if bias is None else bias, dtype=np.float32)
    found = Classified(
        logits=values @ weights.T + biases,
        features=values,
        weight=weights,
        bias=biases,
        mutated_class=mutated_class,
    )
    return batch_of(found, labels)


def batch_of(found: Classified, labels: Sequence[int] | None = None) -> ScoreBatch:
    """Reads of which a classifier says this."""
    length_one = np.full((len(found.logits), 1), -1.0)
    batch = likelihood_batch(length_one, length_one)
    return replace(batch, classified=found, labels=None if labels is None else np.asarray(labels))
