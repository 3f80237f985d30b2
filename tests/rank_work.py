"""What the processes of tests/training/test_distributed.py do."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from toys import genomes_of, markov_codes

from genood.errors import InputError
from genood.recipes import Stream, TrainConfig
from genood.reference.sampling import ReadSampler
from genood.training.classifier_learner import classifier_learners
from genood.training.distributed import World
from genood.training.feeding import Drawing
from genood.training.following import Validated
from genood.training.learners import density_learners
from genood.training.loop import Trainer
from genood.training.recovery import Recovery

CONFIG = TrainConfig(
    steps=30,
    batch_size=30,
    learning_rate=0.01,
    schedule="cosine",
    read_length=40,
    max_gradient_norm=1.0,
    validation_interval=10,
    num_validation_reads=100,
    seed=3,
)
LSTM = {"hidden_size": 8, "dropout": 0.3}
DEEP = {"hidden_size": 4, "dropout": 0.3, "num_layers": 2}
CNN = {"num_filters": 8, "filter_length": 4, "hidden_size": 8, "dropout": 0.3, "variant": "noise-class"}


class Trained(NamedTuple):
    """What a process has after training."""

    losses: list[list[float]]
    history: list[Validated]
    weights: dict[str, Any]
    recoveries: list[Recovery]


class Losses:
    """Progress that keeps the losses of each step, and kills the process after one."""

    def __init__(self, killed_after: int | None = None) -> None:
        self.losses: list[list[float]] = []
        self.killed_after = killed_after

    def step(self, step: int, losses: Mapping[str, float]) -> None:
        self.losses.append(list(losses.values()))
        if step == self.killed_after:
            os.kill(os.getpid(), signal.SIGKILL)

    def validated(self, row: Validated) -> None:
        pass


def trainer_of(
    world: World, shape: dict[str, Any], config: TrainConfig = CONFIG, drawing: Drawing = "auto"
) -> Trainer:
    genomes = genomes_of([(name, markov_codes(3000, i, stay=0.8)) for i, name in enumerate("ABC")])
    cpu = torch.device("cpu")
    if "variant" in shape:
        learners = classifier_learners("cnn", {**shape, "num_classes": 3}, config, cpu)
    else:
        learners = density_learners("lstm", shape, config, cpu)
    return Trainer(
        learners=learners,
        model=shape,
        config=config,
        training=ReadSampler(genomes, 40, (config.seed, Stream.READS)),
        validation=ReadSampler(genomes, 40, (config.seed, Stream.VALIDATION)),
        fingerprint="data",
        device=cpu,
        world=world,
        drawing=drawing,
    )


def result_of(trainer: Trainer, progress: Losses) -> Trained:
    weights = {
        f"{role}.{name}": parameter.detach().numpy().copy()
        for role, learner in trainer.learners.items()
        for name, parameter in learner.parameters.items()
    }
    return Trained(progress.losses, trainer.history, weights, trainer.recoveries)


def train(
    world: World,
    shape: dict[str, Any],
    checkpoint: str,
    stop_after: int = 1000,
    drawing: Drawing = "auto",
    late: bool = False,
) -> Trained:
    """Train, on from the checkpoint if there is one; only the last process is told to stop."""
    trainer, progress = trainer_of(world, shape, drawing=drawing), Losses()
    trainer.late = late
    if os.path.isfile(checkpoint):
        trainer.resume(checkpoint)
    last = world.rank == world.size - 1
    trainer.run(
        checkpoint=checkpoint,
        progress=progress,
        should_stop=lambda: last and trainer.step >= stop_after,
    )
    return result_of(trainer, progress)


def train_with_a_nan(world: World, checkpoint: str) -> Trained:
    """The last process has a loss that is not finite, once."""
    trainer, progress = trainer_of(world, LSTM), Losses()
    learner = trainer.learners["background"]
    gradients, calls = learner.gradients, iter(range(1000))

    def once_nan(examples: Any) -> Any:
        found = gradients(examples)
        spoilt = next(calls) == 14 and world.rank == world.size - 1
        return found._replace(loss=found.loss * np.nan) if spoilt else found

    learner.gradients = once_nan  # type: ignore[method-assign]
    trainer.run(checkpoint=checkpoint, progress=progress)
    return result_of(trainer, progress)


def train_until_killed(world: World, checkpoint: str, victim: int) -> None:
    trainer = trainer_of(world, LSTM)
    progress = Losses(killed_after=17 if world.rank == victim else None)
    trainer.run(checkpoint=checkpoint, progress=progress)


def train_another(world: World, checkpoint: str) -> None:
    """The last process has another learning rate."""
    rate = 0.02 if world.rank == world.size - 1 else 0.01
    trainer_of(world, LSTM, replace(CONFIG, learning_rate=rate)).run(checkpoint=checkpoint)


def fail_in(world: World, ranks: tuple[int, ...]) -> float:
    """Some processes cannot read their file; the others wait for them."""
    if world.rank in ranks:
        raise InputError("genome.fna", "is no FASTA file")
    return float(world.sum(np.ones(1))[0])
