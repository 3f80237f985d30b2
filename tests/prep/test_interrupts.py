"""Signals to what asyncio runs, in processes of their own and here."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from types import FrameType

import pytest

from data_prep.interrupts import interrupts_held, run_until_interrupted

CODE = """
import asyncio, os, signal, time
from data_prep.interrupts import run_until_interrupted

def handler(number, frame):
    raise KeyboardInterrupt

signal.signal(signal.{signal}, handler)

async def busy(number):
    if number == 3:
        os.kill(os.getpid(), signal.{signal})
    while True:
        time.sleep(0.001)
        await asyncio.sleep(0)

async def work():
    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(busy(number))

try:
    run_until_interrupted(work())
except KeyboardInterrupt:
    print("interrupted", signal.getsignal(signal.{signal}) is handler)
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_several_tasks_are_interrupted_at_once(name: str) -> None:
    """Nothing is told of the tasks, whichever is at work when the signal comes."""
    result = subprocess.run(
        [sys.executable, "-c", CODE.format(signal=name)], capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "interrupted True\n", "")


def test_results_errors_and_handlers_are_as_they_were() -> None:
    def handler(number: int, frame: FrameType | None) -> None:
        raise AssertionError

    before = signal.signal(signal.SIGHUP, handler)
    try:

        async def give(value: int) -> int:
            await asyncio.sleep(0)
            return 1 // value

        assert run_until_interrupted(give(1)) == 1
        with pytest.raises(ZeroDivisionError):
            run_until_interrupted(give(0))
        assert signal.getsignal(signal.SIGHUP) is handler
    finally:
        signal.signal(signal.SIGHUP, before)


def test_what_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:

        async def hang_up() -> str:
            os.kill(os.getpid(), signal.SIGHUP)
            await asyncio.sleep(0)
            return "done"

        assert run_until_interrupted(hang_up()) == "done"
    finally:
        signal.signal(signal.SIGHUP, before)


HELD = """
import os, signal, threading, time
from data_prep.interrupts import interrupts_held

def handler(number, frame):
    raise KeyboardInterrupt

signal.signal(signal.{signal}, handler)
gone = threading.Event()
threading.Thread(target=gone.wait, daemon=True).start()  # where a signal may go that is blocked here
try:
    with interrupts_held():
        os.kill(os.getpid(), signal.{signal})
        for _ in range(20):
            time.sleep(0.01)
        print("whole")
    print("not reached")
except KeyboardInterrupt:
    print("interrupted", signal.getsignal(signal.{signal}) is handler)
with interrupts_held():
    pass
"""


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_an_interrupt_waits_for_the_end_of_the_block(name: str) -> None:
    """Whichever thread is told of it."""
    result = subprocess.run(
        [sys.executable, "-c", HELD.format(signal=name)], capture_output=True, text=True, timeout=60
    )
    assert (result.returncode, result.stdout, result.stderr) == (0, "whole\ninterrupted True\n", "")


def test_what_is_held_in_another_thread() -> None:
    """Which must not set handlers."""
    seen: list[bool] = []

    def hold() -> None:
        with interrupts_held():
            seen.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))
        seen.append(signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ()))

    thread = threading.Thread(target=hold)
    thread.start()
    thread.join()
    assert seen == [True, False]
