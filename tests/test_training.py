"""The training loop: what is optimised, what is random, what a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import markov_codes, uniform_codes, write_fasta

from genood.errors import ConfigError, TrainingError
from genood.genomes import ReadSampler, load_genomes, split_held_out
from genood.learners import DensityLearner, Examples, density_learners
from genood.models.lstm import LSTM, LSTMConfig
from genood.recipes import Stream, TrainConfig
from genood.sequence import Codes
from genood.training import Trainer, Validated

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


@pytest.fixture
def make_trainer(tmp_path: Path) -> MakeTrainer:
    path = write_fasta(tmp_path / "Alpha__toy.fna", {"one": markov_codes(5000, 1, stay=0.9)})
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


class Recorder:
    """Keeps what training tells."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.rows: list[Validated] = []

    def step(self, step: int, losses: object) -> None:
        self.steps.append(step)

    def validated(self, row: Validated) -> None:
        self.rows.append(row)


def test_losses_fall_and_are_told(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer, recorder = make_trainer(replace(CONFIG, steps=60, validation_interval=20)), Recorder()
    assert trainer.run(checkpoint=tmp_path / "c", progress=recorder)
    assert recorder.steps == list(range(1, 61))
    assert [row.step for row in recorder.rows] == [20, 40, 60]
    assert recorder.rows == trainer.history
    assert recorder.rows[-1].values["foreground_val_loss"] < recorder.rows[0].values["foreground_val_loss"]
    # Mutation hides structure: the background model's reads are harder to predict.
    assert recorder.rows[-1].values["foreground_val_loss"] < recorder.rows[-1].values["background_val_loss"]
    assert recorder.rows[-1].values["foreground_val_loss"] < math.log(4)


def test_same_seed_same_weights(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    first, second = make_trainer(), make_trainer()
    first.run(checkpoint=tmp_path / "a")
    torch.manual_seed(99)  # what others do with the global generator does not matter
    second.run(checkpoint=tmp_path / "b")
    assert_same(first, second)
    other = make_trainer(replace(CONFIG, seed=4))
    other.run(checkpoint=tmp_path / "c")
    assert other.history != first.history


def test_global_generator_is_left_alone(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    make_trainer().run(checkpoint=tmp_path / "c")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("stop_after", [0, 1, 4, 6])
def test_resumed_equals_uninterrupted(make_trainer: MakeTrainer, tmp_path: Path, stop_after: int) -> None:
    config = replace(CONFIG, schedule="cosine")
    whole = make_trainer(config)
    whole.run(checkpoint=tmp_path / "whole")
    interrupted = make_trainer(config)
    asked = iter([False] * stop_after + [True])
    assert not interrupted.run(checkpoint=tmp_path / "part", should_stop=lambda: next(asked))
    assert interrupted.step == stop_after
    resumed = make_trainer(config)
    resumed.resume(tmp_path / "part")
    assert resumed.step == stop_after
    assert resumed.run(checkpoint=tmp_path / "part")
    assert_same(whole, resumed)
    assert whole.table() == resumed.table()


def test_more_steps_on_resume(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    whole = make_trainer(replace(CONFIG, steps=12))
    whole.run(checkpoint=tmp_path / "whole")
    short = make_trainer()
    short.run(checkpoint=tmp_path / "short")
    longer = make_trainer(replace(CONFIG, steps=12))
    longer.resume(tmp_path / "short")
    longer.run(checkpoint=tmp_path / "short")
    assert_same(whole, longer)


@pytest.mark.parametrize(
    ("change", "fingerprint", "message"),
    [
        ({"seed": 4}, "data", "seed was 3 and is now 4"),
        ({"learning_rate": 0.02}, "data", "learning rate was 0.01 and is now 0.02"),
        ({"mutation_rate": 0.2}, "data", "mutation rate was 0.1 and is now 0.2"),
        ({}, "other", "data was data and is now other"),
        ({"steps": 4}, "data", "8 steps are done already"),
    ],
)
def test_resume_refuses_another_training(
    make_trainer: MakeTrainer, tmp_path: Path, change: dict[str, float], fingerprint: str, message: str
) -> None:
    make_trainer().run(checkpoint=tmp_path / "c")
    with pytest.raises(TrainingError, match=message):
        make_trainer(replace(CONFIG, **change), fingerprint).resume(tmp_path / "c")


def test_resume_refuses_what_is_no_checkpoint(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no checkpoint"):
        make_trainer().resume(tmp_path / "missing")
    (tmp_path / "garbage").write_bytes(b"garbage" * 100)
    with pytest.raises(TrainingError, match="not a genood checkpoint"):
        make_trainer().resume(tmp_path / "garbage")
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign")
    with pytest.raises(TrainingError, match="not a genood checkpoint"):
        make_trainer().resume(tmp_path / "foreign")


def test_best_weights_are_those_of_the_best_validation(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer(replace(CONFIG, steps=40, learning_rate=0.9, validation_interval=1))
    trainer.run(checkpoint=tmp_path / "c")
    losses = [row.values["foreground_val_loss"] for row in trainer.history]
    best = int(np.argmin(losses))
    learner = trainer.learners["foreground"]
    assert best < 39, "the test needs a training that gets worse"
    assert (learner.best_step, learner.best_loss) == (best + 1, losses[best])
    learner.best_model()
    again = learner.validate(trainer._validation["foreground"], 99)["loss"]
    assert again == pytest.approx(losses[best], abs=1e-6)


def test_loss_that_is_not_finite(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer()
    with torch.no_grad():
        trainer.learners["background"].model.dense.bias.fill_(math.nan)
    with pytest.raises(TrainingError, match=r"background loss is nan at step 1; .* --learning-rate"):
        trainer.run(checkpoint=tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_validation_loss_that_is_not_finite(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer(replace(CONFIG, steps=1))
    model = trainer.learners["foreground"].model
    model.eval = lambda: model.dense.bias.data.fill_(math.nan)  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"foreground loss is nan at step 1; .* --learning-rate"):
        trainer.run(checkpoint=tmp_path / "c")
    assert not (tmp_path / "c").exists()


def examples(codes: Codes) -> Examples:
    """Reads that a density model sees; their classes do not matter to it."""
    return Examples(codes, np.zeros(len(codes), dtype=np.int64))


def learner_of(model: LSTM, l2: float = 0.0, **changes: Any) -> DensityLearner:
    return DensityLearner("background", model, 0.3, l2, replace(CONFIG, **changes))


def test_l2_is_the_penalty_on_non_bias_weights() -> None:
    """One step with the penalty equals one step of plain Adam on loss + λ·½‖w‖²."""
    codes, l2 = uniform_codes(16 * 40, 1).reshape(16, 40), 0.1
    torch.manual_seed(0)
    model = LSTM(LSTMConfig(hidden_size=6))
    twin = LSTM(LSTMConfig(hidden_size=6))
    twin.load_state_dict(model.state_dict())
    learner_of(model, l2=l2).step(examples(codes), 1)

    optimizer = torch.optim.Adam(twin.parameters(), lr=CONFIG.learning_rate)
    loss = -twin(torch.from_numpy(codes), torch.full((16,), 40)).mean()
    penalty = sum((parameter**2).sum() / 2 for name, parameter in twin.named_parameters() if "weight" in name)
    (loss + l2 * penalty).backward()
    optimizer.step()
    penalised = {"lstm.weight_ih_l0", "lstm.weight_hh_l0", "dense.weight"}
    assert {name for name, _ in twin.named_parameters() if "weight" in name} == penalised
    for name, parameter in twin.named_parameters():
        torch.testing.assert_close(parameter, model.get_parameter(name), atol=1e-5, rtol=0)


def test_reported_loss_is_without_the_penalty() -> None:
    codes = uniform_codes(16 * 40, 1).reshape(16, 40)
    torch.manual_seed(0)
    model = LSTM(LSTMConfig(hidden_size=6))
    expected = -model(torch.from_numpy(codes), torch.full((16,), 40)).mean().item()
    assert learner_of(model, l2=10.0).step(examples(codes), 1) == pytest.approx(expected, abs=1e-6)


def test_gradients_are_clipped() -> None:
    codes = uniform_codes(16 * 40, 1).reshape(16, 40)
    learner = learner_of(LSTM(LSTMConfig(hidden_size=6)), max_gradient_norm=1e-3)
    learner.step(examples(codes), 1)
    norm = math.sqrt(sum(float((p.grad**2).sum()) for p in learner.parameters.values()))
    assert norm == pytest.approx(1e-3, rel=1e-3)


def test_learning_rate_schedules() -> None:
    cosine = replace(CONFIG, steps=4, learning_rate=0.2, schedule="cosine")
    rates = [cosine.learning_rate_at(step) for step in (1, 2, 3, 4)]
    assert rates == pytest.approx([0.2, 0.1 * (1 + math.sqrt(0.5)), 0.1, 0.1 * (1 - math.sqrt(0.5))])
    assert replace(CONFIG, steps=4).learning_rate_at(4) == CONFIG.learning_rate


def test_schedule_reaches_the_optimiser() -> None:
    codes = uniform_codes(16 * 40, 1).reshape(16, 40)
    learner = learner_of(LSTM(LSTMConfig(hidden_size=4)), steps=4, schedule="cosine")
    learner.step(examples(codes), 3)
    assert {group["lr"] for group in learner.optimizer.param_groups} == {CONFIG.learning_rate / 2}


def test_mutations_are_drawn_anew() -> None:
    learner = learner_of(LSTM(LSTMConfig(hidden_size=4)))
    codes = np.zeros((50, 100), dtype=np.uint8)
    first, second = learner.mutated(codes, 1, 1, 1), learner.mutated(codes, 1, 1, 2)
    assert (first != second).any()
    assert np.array_equal(first, learner.mutated(codes, 1, 1, 1))
    assert (first != 0).mean() == pytest.approx(0.3, abs=0.03)


def test_validation_is_without_dropout_and_repeatable(make_trainer: MakeTrainer) -> None:
    learner = make_trainer(dropout=0.5).learners["foreground"]
    codes = uniform_codes(16 * 40, 1).reshape(16, 40)
    assert learner.validate(examples(codes), 1) == learner.validate(examples(codes), 2)


def test_validation_weighs_the_last_partial_batch(make_trainer: MakeTrainer) -> None:
    learner = make_trainer().learners["foreground"]
    codes = uniform_codes(21 * 40, 1).reshape(21, 40)
    each = [learner.validate(examples(row[None]), 1)["loss"] for row in codes]
    assert learner.validate(examples(codes), 1)["loss"] == pytest.approx(np.mean(each), abs=1e-6)


def test_checkpoint_holds_no_code(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    make_trainer().run(checkpoint=tmp_path / "c")
    tensors = load_file(tmp_path / "c")
    assert "foreground.adam.exp_avg_sq.lstm.weight_hh_l0" in tensors
    assert tensors["background.best.dense.weight"].shape == (4, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"read_length": 0}, "read length must be at least 1"),
        ({"learning_rate": 0.0}, "learning rate must be above 0"),
        ({"learning_rate": 1.5}, "at most 1"),
        ({"learning_rate": math.nan}, "learning rate must be above 0"),
        ({"schedule": "linear"}, "schedule must be constant or cosine"),
        ({"mutation_rate": 1.5}, "mutation rate must lie between 0 and 1"),
        ({"l2": -1.0}, "L2 coefficient must be 0 or more"),
        ({"held_out_fraction": 1.0}, "held-out fraction"),
        ({"num_validation_reads": 0}, "num validation reads must be at least 1"),
        ({"precision": "fp16"}, "precision must be auto, fp32 or bf16"),
        ({"seed": -1}, "seed must not be negative"),
    ],
)
def test_config_out_of_range(change: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **change)
