"""What detectors ask of a classifier's outputs: its classes, their probabilities, features with labels."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Classified, ScoreBatch
from genood.detectors.log_sums import log_softmax, log_sum_exp
from genood.errors import ConfigError

Floats = npt.NDArray[np.float64]


def classified_of(batch: ScoreBatch) -> Classified:
    """What the classifier says of the reads.

    Raises
    ------
    ConfigError
        There is no classifier.
    """
    if batch.classified is None:
        raise ConfigError("this detector needs a classifier; the model gives none of its outputs")
    return batch.classified


def in_distribution(found: Classified) -> npt.NDArray[np.int64]:
    """Classes that are not the one of mutated reads, int64."""
    classes = np.arange(found.logits.shape[1])
    return classes if found.mutated_class is None else np.delete(classes, found.mutated_class)


def most_likely(found: Classified) -> npt.NDArray[np.int64]:
    """The most likely class of the reference of each read, int64 (B,); that of mutated reads is none."""
    return in_distribution_logits(found).argmax(axis=1)


def in_distribution_logits(found: Classified) -> Floats:
    """Logits without that of mutated reads, float64, shape (B, in-distribution classes)."""
    return found.logits[:, in_distribution(found)].astype(np.float64)


def best_class(found: Classified, logits: Floats) -> npt.NDArray[np.int64]:
    """The in-distribution class of each read that has the highest of such logits, (B, K); int64 (B,)."""
    classes = in_distribution(found)
    return classes[logits[:, classes].argmax(axis=1)]


def log_odds(logits: Floats, classes: npt.NDArray[np.int64]) -> Floats:
    """Log-odds of one class of each read against all others, shape (B,), from logits (B, K).

    Not from its probability p, which close to 1 is rounded to 1: reads are told apart as well where p is
    1 − 10⁻²⁰ as where it is 10⁻²⁰.
    """
    rows = np.arange(len(logits))
    others = logits.copy()
    others[rows, classes] = -np.inf
    return logits[rows, classes] - log_sum_exp(others)


def log_class_probabilities(found: Classified) -> Floats:
    """Logarithms of the probabilities of all classes, float64, shape (B, K)."""
    return log_softmax(found.logits.astype(np.float64))


def labelled_features(batches: Iterable[ScoreBatch]) -> Iterator[tuple[Floats, npt.NDArray[np.int64]]]:
    """Features and classes of the reads of which something is scored, batch by batch.

    Raises
    ------
    ConfigError
        There is no classifier, or the reads have no labels.
    """
    for batch in batches:
        if batch.labels is None:
            raise ConfigError("this detector learns from reads whose classes are known; these have no labels")
        kept = batch.num_scored > 0
        yield classified_of(batch).features[kept].astype(np.float64), batch.labels[kept]
