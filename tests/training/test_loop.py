"""The training loop: what is optimised, what is random, what a checkpoint holds."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from toy_trainers import CONFIG, MakeTrainer, assert_same

from genood.errors import TrainingError
from genood.training.following import Validated


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
        ({}, "other", "cannot resume, as the sequences to train or validate on are others; give"),
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


def test_resume_refuses_a_checkpoint_of_another_version(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "old", metadata={"genood": '{"format": 1}'})
    with pytest.raises(TrainingError, match=r"old: was written by another version of genood \(format 1\)$"):
        make_trainer().resume(tmp_path / "old")


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


def test_patience(make_trainer: MakeTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither model gets better in three validations; going on with more patience is as if from the start."""
    caplog.set_level("INFO", "genood")
    config = replace(CONFIG, steps=200, learning_rate=0.5, validation_interval=1)
    trainer = make_trainer(replace(config, patience=3))
    assert trainer.run(checkpoint=tmp_path / "c")
    best = max(learner.best_step for learner in trainer.learners.values())
    assert trainer.step == best + 3 < 200
    assert caplog.messages[-1] == f"stopped at step {trainer.step}: no model got better in 3 validations"
    longer = make_trainer(replace(config, patience=6))
    longer.resume(tmp_path / "c")
    longer.run(checkpoint=tmp_path / "c")
    whole = make_trainer(replace(config, patience=6))
    whole.run(checkpoint=tmp_path / "d")
    assert longer.step > trainer.step
    assert_same(whole, longer)


def test_checkpoint_holds_no_code(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    make_trainer().run(checkpoint=tmp_path / "c")
    tensors = load_file(tmp_path / "c")
    assert "foreground.adam.exp_avg_sq.lstm.weight_hh_l0" in tensors
    assert tensors["background.best.dense.weight"].shape == (4, 8)
