"""From sequence files to a bundle of Markov chains: `genood train --model markov`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from genood.bundle import Bundle
from genood.context.dense import PRIOR_COUNT, Counts, add_scaled, count, mutated_counts
from genood.errors import ConfigError
from genood.making.bundling import calibrate, save_at_once
from genood.making.cards import model_card
from genood.making.held_out import HeldOutJob, about_nulls, begin, null_scores
from genood.models.markov import MarkovConfig, MarkovModel
from genood.recipes import LOW_ORDER, MARKOV_BACKGROUNDS, MUTATED, Stream
from genood.reference.genomes import Genomes
from genood.reference.halves import random_half
from genood.reference.loading import TrainingData, provenance
from genood.reference.sampling import ReadSampler
from genood.sequence import Codes, mutate

_NUM_VALIDATION_READS = 2000
_LEAST_PRIOR = 1e-6
"""Smallest weight of the order below; its inverse is the greatest. Both are far inside float32."""


@dataclass(frozen=True, kw_only=True)
class CountConfig:
    """How to make a Markov chain.

    Attributes
    ----------
    model
        Its shape.
    prior_count
        Weight of the order below in both models, in bases; from 10^-6 to 10^6. Validation reads do not
        choose it: those of stretches held out of the reference, and of new species, have few of their
        contexts there, and are explained best by a chain that forgets those which only few genomes have.
        These tell classes apart.
    background
        Of `MARKOV_BACKGROUNDS`.
    mutation_rate
        μ: substitutions per base of the genomes behind a mutated background.
    read_length
        Runs of known bases shorter than this are left out; bases of a validation read.
    held_out_fraction
        Part of each class kept apart to validate on, where no validation sequences are given.
    num_calibration_reads
        In-distribution reads behind the p-values of a length, at most.
    half
        Whether a half of the reference is counted, drawn by the seed, see
        `genood.reference.halves.random_half`: that tells members of an ensemble apart, as the rest of what is
        counted is not random.
    seed
        Of everything random.
    """

    model: MarkovConfig = field(default_factory=MarkovConfig)
    prior_count: float = PRIOR_COUNT
    background: str = MUTATED
    mutation_rate: float = 0.1
    read_length: int = 250
    held_out_fraction: float = 0.05
    num_calibration_reads: int = 2000
    half: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.background not in MARKOV_BACKGROUNDS:
            raise ConfigError(
                f"the background of a Markov chain is of {', '.join(MARKOV_BACKGROUNDS)}, "
                f"not {self.background!r}"
            )
        if not _LEAST_PRIOR <= self.prior_count <= 1 / _LEAST_PRIOR:
            raise ConfigError(
                f"prior count must lie between {_LEAST_PRIOR:g} and {1 / _LEAST_PRIOR:g}, "
                f"not {self.prior_count:g}"
            )
        if not 0 <= self.mutation_rate <= 1:
            raise ConfigError(f"mutation rate must lie between 0 and 1, not {self.mutation_rate}")
        if self.read_length < 1:
            raise ConfigError(f"read length must be at least 1, not {self.read_length}")
        if not 0 < self.held_out_fraction < 1:
            raise ConfigError(f"held-out fraction must lie between 0 and 1, not {self.held_out_fraction}")
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, but is {self.seed}")


@dataclass(frozen=True, kw_only=True)
class CountJob(HeldOutJob):
    """What to count, and where to put it."""

    config: CountConfig


def count_bundle(job: CountJob, data: TrainingData | None = None) -> Bundle:
    """Count what follows what in a reference, smooth it, calibrate and write a bundle.

    Parameters
    ----------
    job
        What to count.
    data
        What `genood.reference.loading.load_data` gives for the job, or a part of it; None loads it.

    Returns
    -------
    bundle
        As written.

    Raises
    ------
    GenoodError
        The input, the options or the output directory are unfit; nothing that was there is changed.
    """
    output, config = Path(job.output), job.config
    data, lengths = begin(job, data)
    bundle = compare(data.training, data.validation.genomes, config)
    finish(job, bundle, data, lengths)
    return save_at_once(bundle, output, replace=job.replace)


def compare(training: Genomes, validation: Genomes, config: CountConfig) -> Bundle:
    """A bundle of the chain and the background that is asked for, to be given to `finish`.

    Parameters
    ----------
    training, validation
        What is counted, and what the losses are of.
    config
        With the order, the smoothing, and which background.
    """
    counted = training
    if config.half:
        counted = random_half(training, read_length=config.read_length, seed=config.seed)
    counts = class_weighted_counts(counted, config.model.order)
    sampler = ReadSampler(validation, config.read_length, (config.seed, Stream.VALIDATION))
    reads = sampler.sample(0, _NUM_VALIDATION_READS).codes
    models = {"foreground": MarkovModel.from_counts(counts, prior_count=config.prior_count)}
    losses = {"foreground": _loss(models["foreground"], reads)}
    if config.background == MUTATED:
        # Its counts are those that mutated genomes have on average, its loss is on mutated reads.
        mutated = mutated_counts(counts, config.mutation_rate)
        models["background"] = MarkovModel.from_counts(mutated, prior_count=config.prior_count)
        generator = np.random.default_rng([config.seed, Stream.VALIDATION_MUTATION])
        losses["background"] = _loss(models["background"], mutate(reads, config.mutation_rate, generator))
    rows = [f"{role}\t{loss:.6g}" for role, loss in losses.items()]
    return Bundle(
        foreground=models["foreground"],
        background=models.get("background"),
        metadata={
            "background": config.background,
            "training": asdict(config),
            "metrics": {
                role: {"val_nats_per_base": loss, "val_bits_per_base": loss / math.log(2)}
                for role, loss in losses.items()
            },
        },
        calibration={},
        training_table="\n".join(["model\tval_nats_per_base", *rows]) + "\n",
    )


def _loss(model: MarkovModel, reads: Codes) -> float:
    """Nats per base of reads, uint8 (B, L)."""
    lengths = np.full(len(reads), reads.shape[1], dtype=np.int64)
    return -float(model.log_probs(reads, lengths).mean(dtype=np.float64))


def finish(job: CountJob, bundle: Bundle, data: TrainingData, lengths: Mapping[int, float]) -> None:
    """Calibrate a bundle of `compare` at these lengths, and say what it is."""
    config, (training, validation) = job.config, data
    scores = null_scores(bundle, validation, config.seed)
    calibration = calibrate(bundle, scores, lengths, config.num_calibration_reads, validation.source)
    bundle.calibration = calibration.to_json()
    bundle.metadata |= {
        "classes": list(training.classes),
        "seed": config.seed,
        "command": job.command,
        "data": provenance(training, validation),
    }
    about_models = (_ABOUT_HALF if config.half else "") + _ABOUT_BACKGROUND[config.background]
    bundle.card = model_card(bundle, calibration, about_models, about_nulls(validation))


def class_weighted_counts(genomes: Genomes, order: int) -> Counts:
    """(order + 1)-mers of both strands, float32 of shape (4^(order + 1),).

    Classes weigh equally, as if each had the mean number of bases.
    """
    total = np.zeros(4 ** (order + 1), dtype=np.float32)
    counts = np.empty(len(total), dtype=np.int64)  # of which float32 has no more from 2^24 on
    mean_bases = genomes.lengths.sum() / len(genomes.classes)
    for label in range(len(genomes.classes)):
        mine = genomes.labels == label
        counts[:] = 0
        count(genomes.codes, genomes.starts[mine], genomes.lengths[mine], order, counts)
        add_scaled(total, counts.astype(np.float32), mean_bases / genomes.bases_of(label))
    return total


_ABOUT_BACKGROUND = {
    MUTATED: """The background is a Markov chain of what the same genomes would be on average with
substitutions, as many as `training.mutation_rate` in `genood.json` says; its loss is that of such reads.""",
    LOW_ORDER: "The background is the foreground's table of order 2: mere composition.",
}
_ABOUT_HALF = """A random half of the reference was counted, for an ensemble. """
