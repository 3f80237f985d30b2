"""How many threads models use."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from threading import Barrier, Thread, get_ident

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from genood import threads
from genood.models.lstm import LSTM, LSTMConfig
from genood.threads import chosen_threads, num_threads, on_one_thread, set_num_threads, share


@pytest.fixture(autouse=True)
def nothing_chosen(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(threads, "_chosen", None)
    of_torch = torch.get_num_threads()
    yield
    torch.set_num_threads(of_torch)


@pytest.mark.parametrize(("value", "number"), [("3", 3), ("2,1", 2), (" 4 ", 4), ("100000", 1024)])
def test_environment(monkeypatch: pytest.MonkeyPatch, value: str, number: int) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert num_threads() == number
    assert chosen_threads() is None


@pytest.mark.parametrize(("value", "number"), [(None, 1), ("2", 2)])
def test_numpy_has_one_thread_in_the_command(value: str | None, number: int) -> None:
    """Unless the environment says otherwise."""
    script = """
import sys, threadpoolctl
from genood.cli import main
assert "numpy" not in sys.modules
sys.argv = ["genood", "--version"]
try:
    main()
except SystemExit:
    import numpy
    print({library["num_threads"] for library in threadpoolctl.threadpool_info()})
"""
    environment = {name: text for name, text in os.environ.items() if name != "OPENBLAS_NUM_THREADS"}
    if value is not None:
        environment["OPENBLAS_NUM_THREADS"] = value
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == str({min(number, os.cpu_count() or 1)})


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


def test_on_one_thread() -> None:
    """Of the thread that asks for it, as long as it is within; a choice for the process stays what it is."""
    set_num_threads(3)
    elsewhere: list[int] = []
    with on_one_thread():
        assert num_threads() == 1
        assert chosen_threads() == 3
        other = Thread(target=lambda: elsewhere.append(num_threads()))
        other.start()
        other.join()
        with on_one_thread(False):
            assert num_threads() == 1
        assert num_threads() == 1
    assert elsewhere == [3]
    with on_one_thread(False):
        assert num_threads() == 3
    with pytest.raises(ValueError, match="x"), on_one_thread():
        raise ValueError("x")
    assert num_threads() == 3


@given(st.integers(0, 50), st.integers(1, 5000), st.integers(1, 4))
def test_each_row_is_done_once(num_rows: int, num_bases: int, number: int) -> None:
    done: list[int] = []
    share(lambda rows: done.extend(range(num_rows)[rows]), (num_rows, num_bases), number)
    assert sorted(done) == list(range(num_rows))


@pytest.mark.parametrize("shape", [(3, 100_000), (20_000, 250)])
def test_rows_are_done_at_the_same_time(shape: tuple[int, int]) -> None:
    """Few long ones as well as many short ones."""
    meeting = Barrier(2)
    share(lambda rows: meeting.wait(10) if rows.start == 0 or rows.stop == shape[0] else None, shape, 2)


@pytest.mark.parametrize(("shape", "number"), [((4, 250), 2), ((20_000, 250), 1), ((1, 100_000), 2)])
def test_what_is_not_worth_it_is_done_by_the_caller(shape: tuple[int, int], number: int) -> None:
    by: list[tuple[int, slice]] = []
    share(lambda rows: by.append((get_ident(), rows)), shape, number)
    assert by == [(get_ident(), slice(0, shape[0]))]


def test_an_error_is_the_callers() -> None:
    def fail(rows: slice) -> None:
        raise ValueError(f"row {rows.start}")

    with pytest.raises(ValueError, match="row 0"):
        share(fail, (20, 1000), 2)
