"""How many threads models use."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
import torch

from genood import threads
from genood.models.lstm import LSTM, LSTMConfig
from genood.threads import chosen_threads, num_threads, set_num_threads


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(threads, "_chosen", None)
    of_torch = torch.get_num_threads()
    yield
    torch.set_num_threads(of_torch)


@pytest.mark.parametrize(("value", "number"), [("3", 3), ("2,1", 2), (" 4 ", 4)])
def test_environment(monkeypatch: pytest.MonkeyPatch, value: str, number: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert num_threads() == number
    assert chosen_threads() is None


@pytest.mark.parametrize("value", [None, "", "0", "-1", "many"])
def test_all_cores_unless_the_environment_names_a_number(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS")
    if value is not None:
        monkeypatch.setenv("OMP_NUM_THREADS", value)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {0, 2, 5}, raising=False)
    assert num_threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert num_threads() == 7


def test_torch_is_told_what_was_chosen_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    torch.set_num_threads(1)
    LSTM(LSTMConfig(hidden_size=2))
    assert torch.get_num_threads() == 1
    set_num_threads(2)
    assert (chosen_threads(), num_threads()) == (2, 2)
    LSTM(LSTMConfig(hidden_size=2))
    assert torch.get_num_threads() == 2
