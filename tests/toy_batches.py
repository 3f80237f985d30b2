"""Batches as a forward pass gives them, made up, that the tests of detectors share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Classified, ScoreBatch
from genood.sequence import Codes

NUM_CLASSES = 3
NUM_FEATURES = 8
READ_LENGTH = 20
MUTATED_CLASS = NUM_CLASSES
_CENTRES = 4.0 * np.eye(NUM_CLASSES + 1, NUM_FEATURES)
"""Of the features of each class; the last is that of mutated reads."""


def likelihood_batch(
    log_p: npt.NDArray[np.floating], background: npt.NDArray[np.floating], codes: Codes | None = None
) -> ScoreBatch:
    """Reads with these log-probabilities, (B, L), where their bases are known."""
    codes = np.zeros(log_p.shape, dtype=np.uint8) if codes is None else codes
    mask = codes < 4
    return ScoreBatch(
        codes=codes,
        lengths=np.full(len(codes), codes.shape[1], dtype=np.int64),
        log_p=np.where(mask, log_p, 0).astype(np.float32),
        background_log_p=np.where(mask, background, 0).astype(np.float32),
    )


def classified(features: npt.NDArray[np.floating], *, mutated_class: int | None = None) -> Classified:
    """What a classifier whose last layer knows the centres of the classes says of features, (B, F)."""
    num_classes = NUM_CLASSES + (mutated_class is not None)
    weight = _CENTRES[:num_classes].astype(np.float32)
    bias = np.linspace(-0.5, 0.5, num_classes, dtype=np.float32)
    values = features.astype(np.float32)
    return Classified(
        logits=values @ weight.T + bias,
        features=values,
        weight=weight,
        bias=bias,
        mutated_class=mutated_class,
    )


def toy_batch(num_reads: int, seed: int, *, ood: bool) -> ScoreBatch:
    """Reads with all that a detector may need: well explained if in-distribution, else not at all.

    OOD reads are random bases, in-distribution ones two repeats; the classifier finds in-distribution
    reads at the centres of their classes, OOD reads where no class is but a bit of the mutated one.
    """
    generator = np.random.default_rng(seed)
    members = tuple(_member(num_reads, generator, ood) for _ in range(3))
    first = members[0]
    if ood:
        codes = generator.integers(0, 4, (num_reads, READ_LENGTH), dtype=np.uint8)
    else:
        codes = np.tile(np.array([0, 3], dtype=np.uint8), (num_reads, READ_LENGTH // 2))
    members = tuple(replace(m, codes=codes, labels=first.labels) for m in members)
    scale = 10.0 if ood else 1.0
    gradients = {
        "dense": scale * generator.normal(size=(num_reads, 4, 5)).astype(np.float32),
        "lstm": scale * generator.normal(size=(num_reads, 6)).astype(np.float32),
    }
    return replace(members[0], gradients=gradients, members=members)


def _member(num_reads: int, generator: np.random.Generator, ood: bool) -> ScoreBatch:
    likely = -generator.uniform(0.5, 1.0, (num_reads, READ_LENGTH))
    unlikely = -generator.uniform(1.5, 2.0, (num_reads, READ_LENGTH))
    labels = np.arange(num_reads) % NUM_CLASSES
    noise = 0.1 * generator.normal(size=(num_reads, NUM_FEATURES))
    features = (0.3 * _CENTRES[[MUTATED_CLASS] * num_reads] if ood else _CENTRES[labels]) + noise
    batch = likelihood_batch(*((unlikely, likely) if ood else (likely, unlikely)))
    return replace(batch, classified=classified(features, mutated_class=MUTATED_CLASS), labels=labels)


def reads_of(batch: ScoreBatch, rows: slice) -> ScoreBatch:
    """Some of the reads of a batch."""
    found = batch.classified
    return ScoreBatch(
        codes=batch.codes[rows],
        lengths=batch.lengths[rows],
        log_p=batch.log_p[rows],
        background_log_p=batch.background_log_p[rows],
        classified=None
        if found is None
        else replace(found, logits=found.logits[rows], features=found.features[rows]),
        gradients=None
        if batch.gradients is None
        else {name: values[rows] for name, values in batch.gradients.items()},
        members=tuple(reads_of(member, rows) for member in batch.members),
        labels=None if batch.labels is None else batch.labels[rows],
    )


def padded(batch: ScoreBatch, num_positions: int) -> ScoreBatch:
    """The same reads with so many more positions of padding."""
    wider = ((0, 0), (0, num_positions))
    return replace(
        batch,
        codes=np.pad(batch.codes, wider, constant_values=4),
        log_p=np.pad(batch.log_p, wider),
        background_log_p=np.pad(batch.background_log_p, wider),
        members=tuple(padded(member, num_positions) for member in batch.members),
    )


def unscored(batch: ScoreBatch) -> ScoreBatch:
    """Reads of N in place of the batch's."""
    return replace(
        batch,
        codes=np.full_like(batch.codes, 4),
        log_p=np.zeros_like(batch.log_p),
        background_log_p=np.zeros_like(batch.background_log_p),
        members=tuple(unscored(member) for member in batch.members),
    )
