"""How to train: the configuration of a training, and the presets."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum
from typing import Any, Literal, get_args

from genood.errors import ConfigError

Precision = Literal["auto", "fp32", "bf16"]
Schedule = Literal["constant", "cosine"]
Variant = Literal["plain", "binary", "noise-class", "calibrated"]
"""What a classifier learns, see `genood.models.cnn.CNNConfig`."""


class Stream(IntEnum):
    """Keeps the random draws of different purposes apart: the number after the seed."""

    HELD_OUT = 1
    WEIGHTS = 2
    DROPOUT = 3
    READS = 4
    MUTATION = 5
    VALIDATION = 6
    VALIDATION_MUTATION = 7
    CALIBRATION = 8
    FIT = 9
    HALF = 10
    TUNING = 20
    SIMULATED = 21
    BENCHMARK = 30


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How to train; the shape of the model is the model's own configuration.

    Attributes
    ----------
    steps
        Optimisation steps.
    batch_size
        Reads a step.
    learning_rate
        Of Adam, at the start.
    schedule
        ``constant``, or ``cosine``: half a cosine from the learning rate down to nearly 0.
    warmup_steps
        Steps over which the learning rate first grows linearly; the schedule is of those that follow.
    read_length
        Bases of a training read.
    mutation_rate
        μ: chance that a base of the background model's reads is substituted.
    l2
        λ: weight of ½‖w‖² over the background model's non-bias weights.
    max_gradient_norm
        Gradients are scaled down to this norm; None leaves them.
    patience
        Training ends after so many validations in a row in which no model got better; None trains to the end.
    max_recoveries
        How often training may step back from a loss that is not finite or has leapt up.
    validation_interval
        Steps between two validations, each with a checkpoint.
    num_validation_reads
        Reads a validation.
    held_out_fraction
        Part of each class kept apart to validate on, where no validation sequences are given.
    num_calibration_reads
        In-distribution reads behind the p-values of a length, at most.
    seed
        Of everything random.
    precision
        What matrix products run in.
    """

    steps: int
    batch_size: int
    learning_rate: float
    schedule: Schedule = "constant"
    warmup_steps: int = 0
    read_length: int = 250
    mutation_rate: float = 0.1
    l2: float = 1e-4
    max_gradient_norm: float | None = None
    patience: int | None = None
    max_recoveries: int = 3
    validation_interval: int = 100
    num_validation_reads: int = 1000
    held_out_fraction: float = 0.05
    num_calibration_reads: int = 2000
    seed: int = 0
    precision: Precision = "auto"

    def __post_init__(self) -> None:
        for name in (
            "steps",
            "batch_size",
            "read_length",
            "validation_interval",
            "num_validation_reads",
            "num_calibration_reads",
        ):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name.replace('_', ' ')} must be at least 1, not {getattr(self, name)}")
        if self.precision not in get_args(Precision):
            raise ConfigError(f"precision must be auto, fp32 or bf16, not {self.precision!r}")
        if not 0 < self.learning_rate <= 1:
            raise ConfigError(f"learning rate must be above 0 and at most 1, not {self.learning_rate}")
        if self.schedule not in get_args(Schedule):
            raise ConfigError(f"schedule must be constant or cosine, not {self.schedule!r}")
        if not 0 <= self.mutation_rate <= 1:
            raise ConfigError(f"mutation rate must lie between 0 and 1, not {self.mutation_rate}")
        if not 0 < self.held_out_fraction < 1:
            raise ConfigError(f"held-out fraction must lie between 0 and 1, not {self.held_out_fraction}")
        if not 0 <= self.l2 < math.inf:
            raise ConfigError(f"L2 coefficient must be 0 or more, not {self.l2}")
        if not 0 <= self.warmup_steps < self.steps:
            raise ConfigError(
                f"warm-up steps must be fewer than the {self.steps} steps, not {self.warmup_steps}"
            )
        if self.max_gradient_norm is not None and not 0 < self.max_gradient_norm < math.inf:
            raise ConfigError(f"max gradient norm must be above 0 and finite, not {self.max_gradient_norm}")
        if self.patience is not None and self.patience < 1:
            raise ConfigError(f"patience must be at least 1, not {self.patience}")
        if self.max_recoveries < 0:
            raise ConfigError(f"max recoveries must be 0 or more, not {self.max_recoveries}")
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, but is {self.seed}")

    def learning_rate_at(self, step: int) -> float:
        """Learning rate of a step, counted from 1."""
        if step <= self.warmup_steps:
            return self.learning_rate * step / self.warmup_steps
        if self.schedule == "constant":
            return self.learning_rate
        done = (step - 1 - self.warmup_steps) / (self.steps - self.warmup_steps)
        return self.learning_rate * (1.0 + math.cos(math.pi * done)) / 2.0


@dataclass(frozen=True, kw_only=True)
class Preset:
    """How to train, and the configuration of each kind of model, by its name in `MODELS` or `CLASSIFIERS`.

    `changes` is what one kind is trained differently in.
    """

    train: TrainConfig
    models: Mapping[str, Mapping[str, Any]]
    changes: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def train_config(self, model: str) -> TrainConfig:
        """How to train a kind of model."""
        return replace(self.train, **self.changes.get(model, {}))


PRESETS: Mapping[str, Preset] = {
    "demo": Preset(
        train=TrainConfig(
            steps=2000,
            batch_size=64,
            learning_rate=1e-2,
            schedule="cosine",
            read_length=100,
            held_out_fraction=0.1,
            max_gradient_norm=1.0,
            validation_interval=200,
            num_validation_reads=500,
            num_calibration_reads=1000,
        ),
        models={
            "lstm": {"hidden_size": 64},
            "context": {},
            "markov": {},
            "sketch": {},
            "cnn": {"num_filters": 128, "hidden_size": 128},
        },
        changes={"cnn": {"learning_rate": 2e-3}},
    ),
    "quick": Preset(
        # Chosen for the LSTM, by `benchmarks/recipes.py`.
        train=TrainConfig(
            steps=30_000,
            batch_size=32,
            learning_rate=5e-3,
            schedule="cosine",
            warmup_steps=500,
            read_length=100,
            max_gradient_norm=1.0,
            validation_interval=1500,
        ),
        models={
            "lstm": {"hidden_size": 192},
            "context": {},
            "markov": {},
            "sketch": {},
            "cnn": {"num_filters": 128, "hidden_size": 128},
        },
        changes={"cnn": {"learning_rate": 2e-3}},
    ),
    "small": Preset(
        train=TrainConfig(
            steps=20_000,
            batch_size=128,
            learning_rate=1e-3,
            schedule="cosine",
            max_gradient_norm=1.0,
            validation_interval=500,
        ),
        models={
            "lstm": {"hidden_size": 256},
            "context": {},
            "markov": {},
            "sketch": {},
            "cnn": {"num_filters": 500, "hidden_size": 500},
        },
    ),
    "paper": Preset(
        train=TrainConfig(
            steps=900_000,
            batch_size=100,
            learning_rate=5e-4,
            validation_interval=10_000,
            num_validation_reads=10_000,
        ),
        models={
            "lstm": {"hidden_size": 2000, "dropout": 0.1, "forget_bias": 1.0},
            "context": {},
            "markov": {},
            "sketch": {},
            "cnn": {"num_filters": 1000, "filter_length": 20, "hidden_size": 1000, "dropout": 0.1},
        },
        # The defaults of the code released with the paper.
        changes={"cnn": {"learning_rate": 1e-4, "steps": 1_000_000}},
    ),
}
"""What ``--preset`` chooses: ``demo`` for minutes on a laptop, ``quick`` for an hour, ``small`` for hours,
``paper`` for the recipe of Ren et al. 2019 on a GPU (see `genood.models.lstm.LSTM` for its dropout)."""

DEFAULT_PRESET = "small"

MUTATED = "mutated"
"""The background of Ren et al.: a model of the same kind, trained on mutated reads."""
NO_BACKGROUND = "none"
LOW_ORDER = "low-order"
READ_CHAIN = "read-chain"
CONTEXT_BACKGROUNDS = ("other-classes", LOW_ORDER, READ_CHAIN, MUTATED)
"""Backgrounds that a context model can be compared with; the first is the default."""
MARKOV_BACKGROUNDS = (MUTATED, LOW_ORDER)
"""The same of a Markov chain."""
SKETCH_BACKGROUNDS = ("composition",)
"""The same of a sketch: itself without windows, see `genood.models.sketch.SketchModel`."""
