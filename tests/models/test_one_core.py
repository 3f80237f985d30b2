"""Work side by side, and what it must not change: results are those of one core, however many there are."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from toys import uniform_codes

from genood.models.examples import Examples
from genood.models.lstm import LSTM, LSTMConfig
from genood.models.one_core import one_core_each
from genood.recipes import TrainConfig
from genood.training.learners import DensityLearner


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = torch.get_num_threads()
    torch.set_num_threads(request.param)
    yield request.param
    torch.set_num_threads(before)


def codes_of(num_reads: int, length: int) -> np.ndarray:
    return uniform_codes(num_reads * length, 7).reshape(num_reads, length)


def learner(dropout: float = 0.0) -> DensityLearner:
    torch.manual_seed(3)
    config = TrainConfig(steps=10, batch_size=8, learning_rate=1e-3)
    return DensityLearner("foreground", LSTM(LSTMConfig(hidden_size=9, dropout=dropout)), 0.0, 0.0, config)


def test_results_in_order_with_one_thread_each(threads: int) -> None:
    assert one_core_each(lambda n: (n, torch.get_num_threads()), range(7)) == [(n, 1) for n in range(7)]
    assert torch.get_num_threads() == threads


def test_errors_are_raised(threads: int) -> None:
    with pytest.raises(ZeroDivisionError):
        one_core_each(lambda n: 1 / n, [2, 1, 0])


def test_scores_are_the_same_with_any_threads() -> None:
    model = learner().model.eval()
    codes, lengths = codes_of(150, 60), np.full(150, 60)
    before = torch.get_num_threads()
    found = []
    for number in (1, 2, 3):
        torch.set_num_threads(number)
        found.append(model.log_probs(codes, lengths))
    torch.set_num_threads(before)
    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[0], found[2])
    assert model.log_probs(codes[:0], lengths[:0]).shape == (0, 60)


def test_gradients_of_parts_are_those_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """130 reads: parts of 64, 64 and 2, each weighing as many reads as it has."""
    examples = Examples(codes_of(130, 40), np.zeros(130, dtype=np.int64))
    before = torch.get_num_threads()
    found = []
    for number in (1, 2):
        torch.set_num_threads(number)
        found.append(learner().gradients(examples))
    torch.set_num_threads(before)
    monkeypatch.setattr(LSTM, "reads_per_core", None)
    whole = learner().gradients(examples)
    assert torch.equal(found[0].loss, found[1].loss)
    assert float(found[0].loss) == pytest.approx(float(whole.loss), rel=1e-6)
    for one, other, expected in zip(
        found[0].by_parameter, found[1].by_parameter, whole.by_parameter, strict=True
    ):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, expected, rtol=1e-4, atol=1e-7)


def test_what_draws_is_not_divided(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dropout is drawn from one sequence of random numbers, which threads would share in any order."""
    examples = Examples(codes_of(130, 20), np.zeros(130, dtype=np.int64))
    losses = []
    for size in (64, None):
        monkeypatch.setattr(LSTM, "reads_per_core", size)
        drawing = learner(dropout=0.5)
        torch.manual_seed(11)
        losses.append(drawing.gradients(examples).loss)
    assert torch.equal(*losses)
