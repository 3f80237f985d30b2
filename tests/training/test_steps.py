"""The steps of one model in training: penalty, learning rate, mutations, validation."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from toy_trainers import CONFIG, MakeTrainer
from toys import uniform_codes

from genood.errors import ConfigError
from genood.models.examples import Examples
from genood.models.lstm import LSTM, LSTMConfig
from genood.reference.sampling import SampledReads
from genood.sequence import Codes
from genood.training.learners import DensityLearner


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


def test_warm_up() -> None:
    """A tenth at the first of ten steps, all of it at the tenth; then the schedule, of what is left."""
    warm = replace(CONFIG, steps=14, learning_rate=0.2, schedule="cosine", warmup_steps=10)
    assert [warm.learning_rate_at(step) for step in (1, 5, 10)] == pytest.approx([0.02, 0.1, 0.2])
    rates = [warm.learning_rate_at(step) for step in (11, 12, 13, 14)]
    assert rates == pytest.approx([0.2, 0.1 * (1 + math.sqrt(0.5)), 0.1, 0.1 * (1 - math.sqrt(0.5))])
    assert replace(warm, schedule="constant").learning_rate_at(14) == 0.2


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
    reads = SampledReads(codes, np.zeros(50, dtype=np.int64), np.zeros(50, dtype=np.int64))
    first, second, again = (learner.seen(reads, 1, 1, step).codes for step in (1, 2, 1))
    assert (first != second).any()
    assert np.array_equal(first, again)
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
        ({"warmup_steps": 8}, "warm-up steps must be fewer than the 8 steps, not 8"),
        ({"warmup_steps": -1}, "warm-up steps must be"),
        ({"max_gradient_norm": 0.0}, "max gradient norm must be above 0"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"max_recoveries": -1}, "max recoveries must be 0 or more"),
    ],
)
def test_config_out_of_range(change: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **change)
