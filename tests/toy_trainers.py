"""Trainers of tiny models that several tests share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from toys import markov_codes, write_fasta

from genood.recipes import Stream, TrainConfig
from genood.reference.genomes import load_genomes, split_held_out
from genood.reference.sampling import ReadSampler
from genood.training.learners import density_learners
from genood.training.loop import Trainer

CONFIG = TrainConfig(
    steps=8,
    batch_size=16,
    learning_rate=0.01,
    read_length=40,
    validation_interval=4,
    num_validation_reads=32,
    seed=3,
)

MakeTrainer = Callable[..., Trainer]


def trainer_maker(folder: Path) -> MakeTrainer:
    """A function that makes trainers of two models of one genome, which is written to the folder."""
    path = write_fasta(folder / "Alpha__toy.fna", {"one": markov_codes(5000, 1, stay=0.9)})
    genomes = load_genomes([path], min_length=40)
    training, held_out = split_held_out(genomes, fraction=0.1, read_length=40, seed=0)

    def make(config: TrainConfig = CONFIG, fingerprint: str = "data", dropout: float = 0.2) -> Trainer:
        shape, cpu = {"hidden_size": 8, "dropout": dropout}, torch.device("cpu")
        return Trainer(
            learners=density_learners("lstm", shape, config, cpu),
            model={"model": "lstm", **shape},
            config=config,
            training=ReadSampler(training, 40, (config.seed, Stream.READS)),
            validation=ReadSampler(held_out, 40, (config.seed, Stream.VALIDATION)),
            fingerprint=fingerprint,
            device=cpu,
        )

    return make


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {
        f"{role}.{name}": parameter.detach()
        for role, learner in trainer.learners.items()
        for name, parameter in learner.parameters.items()
    }


def assert_same(first: Trainer, second: Trainer) -> None:
    assert first.history == second.history
    assert first.metrics() == second.metrics()
    for name, tensor in weights(first).items():
        assert torch.equal(tensor, weights(second)[name]), name
