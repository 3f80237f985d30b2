"""Many files worked on at the same time, in processes, as reading FASTA holds the interpreter's lock."""

from __future__ import annotations

import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from types import TracebackType
from typing import Generic, NamedTuple, Self, TypeVar

from data_prep.interrupts import interrupts_held
from genood.errors import GenoodError

T = TypeVar("T")
R = TypeVar("R")

_TASKS_AHEAD = 2
"""Tasks under way or done and not yet taken, for each process: enough that none waits, few enough to hold."""

_LOOK_EVERY = 0.1
"""Seconds that an interrupt may wait."""


class Workers:
    """Processes that work on tasks, or none for one: then the caller's does.

    Parameters
    ----------
    number
        Processes, at least 1.
    """

    def __init__(self, number: int) -> None:
        self._number = number
        self._pool: ProcessPoolExecutor | None = None

    def __enter__(self) -> Self:
        if self._number > 1:
            # Spawned, as a fork copies locks that threads, such as the one that draws progress, may hold.
            self._pool = ProcessPoolExecutor(
                self._number,
                mp_context=get_context("spawn"),
                initializer=_start,
                initargs=(logging.getLogger("genood").getEffectiveLevel(),),
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is not None:
            # Another interrupt would leave without the pool's thread, which tells the processes to end.
            with interrupts_held():
                self._pool.shutdown(cancel_futures=True)

    def map(self, function: Callable[[T], R], tasks: Iterable[T]) -> Iterator[R]:
        """The results of the tasks, in their order, a few ahead of the caller.

        Parameters
        ----------
        function
            Of a module, so that a process can import it.
        tasks
            Taken only as they are needed.

        Raises
        ------
        GenoodError
            What the function raised, in its turn; or a process died.
        """
        if self._pool is None:
            yield from map(function, tasks)
            return
        coming: deque[Future[_Outcome[R]]] = deque()
        try:
            for task in tasks:
                with interrupts_held():
                    coming.append(self._pool.submit(_work, function, task))
                if len(coming) > _TASKS_AHEAD * self._number:
                    yield _outcome(coming.popleft()).take()
            while coming:
                yield _outcome(coming.popleft()).take()
        except BrokenProcessPool as error:
            raise GenoodError(
                "a process ended before its work was done, perhaps for want of memory; use fewer threads"
            ) from error
        finally:
            with interrupts_held():
                for future in coming:
                    future.cancel()


class _Outcome(NamedTuple, Generic[R]):
    """What a task came to: a result or an error; and what was logged."""

    result: R | None
    error: GenoodError | None
    logged: list[logging.LogRecord]

    def take(self) -> R:
        for record in self.logged:
            logging.getLogger(record.name).handle(record)
        if self.error is not None:
            raise self.error
        return self.result  # type: ignore[return-value]


def _outcome(future: Future[_Outcome[R]]) -> _Outcome[R]:
    """What a task came to, waited for.

    An interrupt comes between two looks: within one it may leave a lock taken, for which the pool's thread
    would wait for ever.
    """
    while True:
        with interrupts_held():
            if wait([future], _LOOK_EVERY).done:
                return future.result()


class _Keep(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


_keep = _Keep()


def _start(level: int) -> None:
    """Set up a process."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    logging.getLogger("genood").setLevel(level)
    logging.getLogger().addHandler(_keep)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone; it would wait for tasks for ever."""
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(function: Callable[[T], R], task: T) -> _Outcome[R]:
    _keep.records.clear()
    result: R | None = None
    error: GenoodError | None = None
    try:
        result = function(task)
    except GenoodError as found:
        error = found
    return _Outcome(result, error, list(_keep.records))
