"""Losses that go wrong in training: what counts as a spike, and the steps back from it."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_trainers import CONFIG, MakeTrainer, assert_same

from genood.errors import TrainingError
from genood.models.examples import Examples
from genood.recipes import Stream
from genood.training.checkpoints import Checkpoint
from genood.training.learners import Gradients
from genood.training.loop import Trainer
from genood.training.recovery import LossWatch, Recovery, rate_after


def is_spoilt(trainer: Trainer, step: int, loss: float, role: str = "foreground") -> Trainer:
    """The trainer with a loss put in place of that of the reads that are drawn at a step the first time."""
    learner = trainer.learners[role]
    reads = trainer.training.sample(step, trainer.config.batch_size)
    codes = learner.seen(reads, Stream.MUTATION, learner.number, step).codes
    gradients = learner.gradients

    def spoilt(examples: Examples) -> Gradients:
        found = gradients(examples)
        return found._replace(loss=torch.tensor(loss)) if np.array_equal(examples.codes, codes) else found

    learner.gradients = spoilt  # type: ignore[method-assign]
    return trainer


def always_nan(examples: Examples) -> Gradients:
    return Gradients(torch.tensor(math.nan), [])


@pytest.mark.parametrize("role", ["foreground", "background"])
def test_loss_that_is_not_finite_is_got_over(
    make_trainer: MakeTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture, role: str
) -> None:
    """Steps 5 to 8 are taken with other reads; step 4 was validated before."""
    trainer = is_spoilt(make_trainer(), 6, math.nan, role)
    assert trainer.run(checkpoint=tmp_path / "c")
    assert trainer.recoveries == [Recovery(6, role, "nan", 4)]
    assert caplog.messages == [
        f"step 6: the {role} loss is nan; back to step 4 (time 1 of at most 3), on with other reads"
    ]
    untouched = make_trainer()
    untouched.run(checkpoint=tmp_path / "d")
    assert [row.step for row in trainer.history] == [4, 8]
    assert trainer.history[0] == untouched.history[0]
    assert trainer.history[1] != untouched.history[1]


@pytest.mark.parametrize("stop_after", [2, 5, 6, 7, 8])
def test_resumed_equals_uninterrupted_through_recoveries(
    make_trainer: MakeTrainer, tmp_path: Path, stop_after: int
) -> None:
    """Whether stopped before the loss goes wrong, even between two validations, or after it."""
    config = replace(CONFIG, schedule="cosine", steps=10)
    whole = is_spoilt(make_trainer(config), 7, math.inf)
    whole.run(checkpoint=tmp_path / "whole")
    assert [(recovery.step, recovery.back_to) for recovery in whole.recoveries] == [(7, 4)]
    interrupted = is_spoilt(make_trainer(config), 7, math.inf)
    asked = iter([False] * stop_after + [True])
    assert not interrupted.run(checkpoint=tmp_path / "part", should_stop=lambda: next(asked))
    assert len(interrupted.recoveries) == (stop_after >= 7)
    resumed = is_spoilt(make_trainer(config), 7, math.inf)
    resumed.resume(tmp_path / "part")
    assert resumed.run(checkpoint=tmp_path / "part")
    assert_same(whole, resumed)
    assert whole.recoveries == resumed.recoveries
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "part").read_bytes()


def test_learning_rate_is_halved_from_the_second_recovery_on(
    make_trainer: MakeTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = make_trainer()
    learner = trainer.learners["foreground"]
    gradients, spoilt = learner.gradients, iter([False, True, False, True, *[False] * 8])

    def sometimes_nan(examples: Examples) -> Gradients:
        return always_nan(examples) if next(spoilt) else gradients(examples)

    learner.gradients = sometimes_nan  # type: ignore[method-assign]
    trainer.run(checkpoint=tmp_path / "c")
    assert len(trainer.recoveries) == 2
    [rate] = {group["lr"] for group in learner.optimizer.param_groups}
    assert rate == CONFIG.learning_rate / 2
    assert caplog.messages[-1].endswith(
        "(time 2 of at most 3), on with other reads and 0.5 of the learning rate"
    )
    assert [rate_after(number) for number in range(5)] == [1.0, 1.0, 0.5, 0.25, 0.125]


@pytest.mark.parametrize("most", [0, 2])
def test_loss_that_is_never_finite(make_trainer: MakeTrainer, tmp_path: Path, most: int) -> None:
    trainer = make_trainer(replace(CONFIG, max_recoveries=most))
    trainer.learners["background"].gradients = always_nan  # type: ignore[method-assign]
    helped = "stepping back 2 times has not helped; " if most else ""
    message = f"^the background loss is nan at step 1; {helped}start again with a lower --learning-rate$"
    with pytest.raises(TrainingError, match=message):
        trainer.run(checkpoint=tmp_path / "c")
    assert len(trainer.recoveries) == most
    assert not (tmp_path / "c").exists()


def test_a_row_of_high_losses_is_a_spike() -> None:
    """Losses of 1.30 and 1.34 deviate by 0.02, so that they are high above 1.32 + 0.12, and not before."""
    watch = LossWatch()
    for step in range(300):
        assert not watch.has_spiked(1.30 + 0.04 * (step % 2))
    assert [watch.has_spiked(1.46) for _ in range(4)] == [False] * 4
    assert not watch.is_calm
    assert not watch.has_spiked(1.42)
    assert watch.is_calm
    kept = LossWatch()
    kept.load_state(watch.state())
    for each in (watch, kept):
        assert [each.has_spiked(1.6) for _ in range(5)] == [False] * 4 + [True]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_no_loss_that_is_not_finite_is_waited_for(loss: float) -> None:
    assert LossWatch().has_spiked(loss)


def test_a_falling_loss_and_a_level_one_are_calm() -> None:
    watch = LossWatch()
    draws = np.random.default_rng(0).standard_exponential(5000)
    falling = 0.01 + 2.0 * np.exp(-np.arange(5000) / 300)
    assert not any(watch.has_spiked(loss) for loss in (falling * (0.5 + draws)).tolist())


def test_first_losses_may_be_anything() -> None:
    watch = LossWatch()
    assert not any(watch.has_spiked(float(step)) for step in range(100))


def test_a_spike_is_stepped_back_from(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    """From the last validation before the first of its losses, though there is a later one."""
    trainer = make_trainer(replace(CONFIG, steps=120, validation_interval=2, learning_rate=0.001))
    for step in range(106, 111):
        is_spoilt(trainer, step, 5.0)
    assert trainer.run(checkpoint=tmp_path / "c")
    assert trainer.recoveries == [Recovery(110, "foreground", "5", 104)]
    assert [row.step for row in trainer.history] == list(range(2, 121, 2))
    assert Checkpoint.read(tmp_path / "c").good.step == 120


def test_validation_loss_that_is_not_finite(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer(replace(CONFIG, steps=1))
    model = trainer.learners["foreground"].model
    model.eval = lambda: model.dense.bias.data.fill_(math.nan)  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"foreground loss is nan at step 1; .* --learning-rate"):
        trainer.run(checkpoint=tmp_path / "c")
    assert not (tmp_path / "c").exists()
