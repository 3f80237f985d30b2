"""Interrupts of what asyncio runs, and of what must not be interrupted."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run_until_interrupted(work: Coroutine[Any, Any, T]) -> T:
    """Run it as `asyncio.run` does; a signal that has a handler cancels it, and is a KeyboardInterrupt then.

    Raised wherever the signal finds the program, KeyboardInterrupt would end one of several tasks, and be
    told of once more when that is thrown away.
    """
    handlers = {number: signal.getsignal(number) for number in _SIGNALS}
    caught = [number for number, handler in handlers.items() if callable(handler)]
    interrupted = False

    async def cancelled_by_signals() -> T:
        task = asyncio.ensure_future(work)

        def interrupt() -> None:
            nonlocal interrupted
            interrupted = True
            task.cancel()

        if threading.current_thread() is threading.main_thread():  # no other is told of signals
            for number in caught:
                asyncio.get_running_loop().add_signal_handler(number, interrupt)
        return await task

    try:
        return asyncio.run(cancelled_by_signals())
    except asyncio.CancelledError:
        if interrupted:
            raise KeyboardInterrupt from None
        raise
    finally:
        if threading.current_thread() is threading.main_thread():
            for number in caught:  # asyncio leaves those of Python
                signal.signal(number, handlers[number])


@contextmanager
def interrupts_held() -> Iterator[None]:
    """Let signals that have a handler wait until the end of the block; SIGINT never reaches what it starts.

    The terminal sends it to all processes; but the first one ends the others, and says so once. Blocked in
    this thread alone, it would find another, whose handler is run here all the same.
    """
    held: list[signal.Signals] = []
    caught = {}
    if threading.current_thread() is threading.main_thread():
        caught = {n: handler for n in _SIGNALS if callable(handler := signal.getsignal(n))}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        for number in caught:
            signal.signal(number, lambda number, frame: held.append(signal.Signals(number)))
        yield
    finally:
        for number, handler in caught.items():
            signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if held:
            caught[held[0]](held[0], None)
