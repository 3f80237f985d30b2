"""Tasks in processes of their own."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from prep.tasks import work

from data_prep.workers import Workers
from genood.errors import ConfigError, GenoodError, InputError


@pytest.mark.parametrize("number", [1, 2])
def test_in_order(number: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO), Workers(number) as workers:
        assert list(workers.map(work, range(6))) == [0, 1, 4, 9, 16, 25]
        assert list(workers.map(work, [])) == []
        assert list(workers.map(work, [7])) == [49]
    assert [record.getMessage() for record in caplog.records] == [f"task {i}" for i in (0, 1, 2, 3, 4, 5, 7)]


@pytest.mark.parametrize("number", [1, 2])
def test_tasks_are_taken_as_they_are_needed(number: int) -> None:
    taken: list[int] = []

    def tasks() -> Iterator[int]:
        for task in range(50):
            taken.append(task)
            yield task

    with Workers(number) as workers:
        results = workers.map(work, tasks())
        assert next(results) == 0
        assert len(taken) <= 5
        assert next(results) == 1
        assert len(taken) <= 6


@pytest.mark.parametrize("number", [1, 2])
def test_errors_come_in_their_turn(number: int) -> None:
    with Workers(number) as workers:
        results = workers.map(work, [5, -1, 6])
        assert next(results) == 25
        with pytest.raises(InputError) as caught:
            next(results)
        assert str(caught.value) == "file, record 3, line 4: is bad"
        assert (caught.value.path, caught.value.record) == ("file", 3)
        with pytest.raises(ConfigError, match="is worse"):
            list(workers.map(work, [-2]))
        assert list(workers.map(work, [3])) == [9]


def test_a_process_that_dies() -> None:
    with Workers(2) as workers, pytest.raises(GenoodError, match="a process ended before"):
        list(workers.map(work, [1, -3, 2]))


WORK = """
import signal, time
from data_prep.workers import Workers

signal.signal(signal.SIGINT, signal.default_int_handler)
with Workers(2) as workers:
    for _ in workers.map(time.sleep, [0, *[2] * 9]):
        print("begun", flush=True)
"""


def test_a_second_interrupt_leaves_no_process_waiting() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WORK], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            for _ in range(2):
                process.send_signal(signal.SIGINT)
                time.sleep(0.3)
            _, stderr = process.communicate(timeout=30)
        finally:
            process.kill()
    assert stderr.endswith("KeyboardInterrupt\n")
