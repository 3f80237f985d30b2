"""Losses that are read late, as on a GPU, and what a step waits for; on a CPU, where both can be seen."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rank_work import CNN, CONFIG, LSTM, Losses, Trained, result_of, trainer_of
from torch.utils._python_dispatch import TorchDispatchMode

from genood.errors import TrainingError
from genood.models.examples import Examples
from genood.training.distributed import ALONE
from genood.training.feeding import Drawing
from genood.training.learners import Gradients
from genood.training.loop import Trainer
from genood.training.recovery import Recovery

DRAWINGS: list[Drawing] = ["numpy", "torch", "torch-held"]


def assert_same(one: Trained, other: Trained) -> None:
    assert (one.losses, one.history, one.recoveries) == (other.losses, other.history, other.recoveries)
    assert all(np.array_equal(weights, other.weights[name]) for name, weights in one.weights.items())


def made(late: bool, shape: dict[str, Any] = LSTM, drawing: Drawing = "auto", **changes: Any) -> Trainer:
    trainer = trainer_of(ALONE, shape, replace(CONFIG, **changes), drawing)
    trainer.late = late
    return trainer


def trained(trainer: Trainer, checkpoint: Path, stop_after: int = 1000) -> Trained:
    """Train, or go on, until so many steps are done."""
    progress = Losses()
    if checkpoint.is_file():
        trainer.resume(checkpoint)
    trainer.run(checkpoint=checkpoint, progress=progress, should_stop=lambda: trainer.step >= stop_after)
    return result_of(trainer, progress)


@pytest.mark.parametrize("drawing", DRAWINGS)
@pytest.mark.parametrize("shape", [LSTM, CNN], ids=["lstm", "cnn"])
def test_losses_read_late_are_the_same(shape: dict[str, Any], drawing: Drawing, tmp_path: Path) -> None:
    at_once, late = (
        trained(made(is_late, shape, drawing), tmp_path / str(is_late)) for is_late in (False, True)
    )
    assert len(at_once.losses) == CONFIG.steps
    assert_same(at_once, late)
    assert (tmp_path / "False").read_bytes() == (tmp_path / "True").read_bytes()


@pytest.mark.parametrize("drawing", DRAWINGS)
def test_resumed_equals_uninterrupted(drawing: Drawing, tmp_path: Path) -> None:
    whole = trained(made(True, drawing=drawing), tmp_path / "whole")
    begun = trained(made(True, drawing=drawing), tmp_path / "part", stop_after=14)
    assert len(begun.losses) == 14
    ended = trained(made(True, drawing=drawing), tmp_path / "part")
    assert_same(whole, ended._replace(losses=[*begun.losses, *ended.losses]))
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "part").read_bytes()


def spoilt(trainer: Trainer, numbers: set[int]) -> Trainer:
    """The trainer with a loss that is not finite, and weights with it, at its n-th gradients, from 1."""
    learner = trainer.learners["background"]
    gradients, calls = learner.gradients, iter(range(1, 1000))

    def sometimes_nan(examples: Examples) -> Gradients:
        found = gradients(examples)
        if next(calls) not in numbers:
            return found
        return Gradients(found.loss * math.nan, [gradient * math.nan for gradient in found.by_parameter])

    learner.gradients = sometimes_nan  # type: ignore[method-assign]
    return trainer


@pytest.mark.parametrize("step", [1, 9, 10, 11, 14, 30])
def test_steps_back_as_if_it_had_known_at_once(step: int, tmp_path: Path) -> None:
    """Before, at and after a validation, in the middle, and at the end; while reads are drawn ahead."""
    at_once, late = (
        trained(spoilt(made(is_late, drawing="torch"), {step}), tmp_path / str(is_late))
        for is_late in (False, True)
    )
    assert at_once.recoveries == [Recovery(step, "background", "nan", (step - 1) // 10 * 10)]
    assert_same(at_once, late)
    assert (tmp_path / "False").read_bytes() == (tmp_path / "True").read_bytes()


def test_stopped_when_a_loss_has_gone_wrong(tmp_path: Path) -> None:
    """Told to stop after step 14, whose loss is read then; what is left is step 10, to go on with others."""
    whole = trained(spoilt(made(True), {14}), tmp_path / "whole")
    begun = trained(spoilt(made(True), {14}), tmp_path / "part", stop_after=14)
    assert [recovery.back_to for recovery in begun.recoveries] == [10]
    # Step 14 is the fourth from there, and meets the same again.
    ended = trained(spoilt(made(True), {4}), tmp_path / "part")
    assert begun.losses[:10] + ended.losses[3:] == whole.losses[:10] + whole.losses[13:]
    assert_same(whole, ended._replace(losses=whole.losses))


def test_loss_that_is_never_finite(tmp_path: Path) -> None:
    trainer = spoilt(made(True, max_recoveries=2), set(range(1000)))
    with pytest.raises(
        TrainingError, match=r"background loss is nan at step 1; stepping back 2 times has not helped"
    ):
        trainer.run(checkpoint=tmp_path / "c")
    assert not (tmp_path / "c").exists()


class Reading(TorchDispatchMode):
    """Counts values that are read from tensors, or asked for their number; a GPU would be waited for."""

    WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero")

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.overloadpacket.__name__ in self.WAITING:
            self.found.append(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


@contextmanager
def reading() -> Iterator[list[str]]:
    with Reading() as mode:
        yield mode.found


@pytest.mark.parametrize("clipped", [None, 1.0])
def test_nothing_is_read_before_all_is_launched(clipped: float | None) -> None:
    """Of both models: reads, gradients and the step itself; then one loss of each."""
    trainer = made(True, drawing="torch-held", max_gradient_norm=clipped)
    for learner in trainer.learners.values():
        fused = torch.optim.Adam(learner.parameters.values(), fused=True)  # as on a GPU
        learner.optimizer = fused
    with reading() as found:
        launched = trainer._stepper.launch(1, ())
        trainer._stepper.update(launched, 0.01)
        assert found == []
        launched.read()
        assert found == ["_local_scalar_dense"] * 2
