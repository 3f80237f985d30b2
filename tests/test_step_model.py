"""The model of a step on a GPU: numbers by hand, what torch counts, and the page that shows it."""

from __future__ import annotations

import importlib
import re
from types import ModuleType

import pytest
from workflow_runs import ROOT

PAGE = ROOT / "docs" / "gpu.md"


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("step_model")


def test_the_numbers_of_the_page_are_those_of_the_model(model: ModuleType) -> None:
    page = PAGE.read_text()
    shown = re.findall(r"<!-- step: (\w+) -->\n.+?\n<!-- end -->", page, flags=re.DOTALL)
    assert sorted(shown) == sorted(model.SECTIONS)
    assert model.updated(page) == page, "python benchmarks/step_model.py --update"


def test_operations_and_bytes_by_hand(model: ModuleType) -> None:
    """One model of 2 units, 3 reads of 5 bases; 4·2·(2 + 4) + 4·2 weights."""
    step = model.Step(units=2, reads=3, length=5, models=1)
    assert (step.num_weights, step.bases) == (56, 15)
    assert step.forward_flops == 2 * 15 * 56
    assert step.flops == 3 * 1680 - 2 * 15 * 4 * 2 * 4 == 4080
    # A cache of 31 bytes does not hold 4·2·2 weights of two bytes, one of 32 does.
    small, large = (
        model.Device(name="", flops=96.0, bytes_per_second=72.0, cache_bytes=cache) for cache in (31, 32)
    )
    forward, backward = step.positions(large)
    assert (forward.flops, backward.flops) == (96, 96)
    assert (forward.bytes, backward.bytes) == (12 * 3 * 2 * 2, 15 * 3 * 2 * 2)
    assert [work.bytes for work in step.positions(small)] == [144 + 32, 180 + 32]
    assert step.positions(small, kept=True) == step.positions(large)
    assert step.at_once.flops == 4080 - 2 * 5 * 96
    assert step.at_once.bytes == 16 * 15 * 2 * 2 + 34 * 56
    assert step.launches == 2 * 5 * 2
    # 2 s and 2.5 s of bytes a position, then 2864 / 72 s.
    assert step.seconds(large, least=1.0) == pytest.approx(5 * 4.5 + 2864 / 72)
    assert step.seconds(large, least=2.2) == pytest.approx(5 * 4.7 + 2864 / 72)
    assert step.ratio(large) == pytest.approx(4080 / 96 / (5 * 4.5 + 2864 / 72))


def test_scoring_by_hand(model: ModuleType) -> None:
    """Forwards alone, without gates to keep, or Adam."""
    step = model.Step(units=2, reads=3, length=5, models=2, training=False)
    assert step.flops == step.forward_flops == 2 * 1680
    [forward] = step.positions(model.DEVICES[0])
    assert (forward.flops, forward.bytes) == (2 * 96, 8 * 2 * 3 * 2 * 2)
    assert step.at_once.flops == 2 * (1680 - 5 * 96)
    assert step.at_once.bytes == 5 * 2 * 15 * 2 * 2 + 2 * 2 * 56
    assert step.launches == 5 * 2 * 2


def test_a_training_of_the_paper_is_that_of_the_plan(model: ModuleType) -> None:
    """docs/long_training.md: 4.8e12 operations a step, of 16.04 million weights."""
    step = model.Step(units=2000, reads=100)
    assert step.num_weights == pytest.approx(16.04e6, rel=1e-3)
    assert step.flops == pytest.approx(4.8e12, rel=0.01)


@pytest.mark.parametrize(("units", "reads", "length"), [(16, 3, 7), (64, 8, 20)])
def test_torch_counts_as_many_operations(model: ModuleType, units: int, reads: int, length: int) -> None:
    steps = [
        model.Step(units=units, reads=reads, length=length, models=1, training=training)
        for training in (False, True)
    ]
    # One more state a read, that before the first base, may go through the dense layer.
    assert model.counted_flops(units, reads, length) == pytest.approx(
        [step.flops for step in steps], rel=0.01
    )


def test_what_is_launched_beside_the_lstm_does_not_grow(model: ModuleType) -> None:
    """With positions or reads; less than half of them draw the reads of the models."""
    counts = [model.counted_launches(8, *size) for size in ((4, 20), (8, 40))]
    assert counts[0] == counts[1]
    assert 100 < counts[0].total() < 300
    assert counts[0]["_fused_adam_"] == 2
