"""Let stages of a stream work at the same time, each in threads of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

S = TypeVar("S")
T = TypeVar("T")

_STOP_SECONDS = 1.0


def ahead(items: Iterable[T]) -> Generator[T, None, None]:
    """The same items, the next one made in a thread while the caller has the last one.

    One item is made ahead, no more. What the making raises is raised here, in its turn; closing the
    iterator waits for the item in the making, though not for ever: it may wait for input that never comes.
    """
    wanted: SimpleQueue[bool] = SimpleQueue()
    made: SimpleQueue[tuple[bool, Any]] = SimpleQueue()
    thread = Thread(target=_make, args=(iter(items), wanted, made), daemon=True)
    thread.start()
    wanted.put(True)
    try:
        while True:
            is_item, value = made.get()
            if not is_item:
                if value is not None:
                    raise value
                return
            wanted.put(True)
            yield value
    finally:
        wanted.put(False)
        thread.join(_STOP_SECONDS)


def _make(source: Iterator[T], wanted: SimpleQueue[bool], made: SimpleQueue[tuple[bool, Any]]) -> None:
    """Give an item for each that is wanted, then an error or None for the end."""
    error: BaseException | None = None
    while wanted.get():
        try:
            item = next(source)
        except StopIteration:
            break
        except BaseException as raised:
            error = raised
            break
        made.put((True, item))
    made.put((False, error))


def apply_ahead(
    function: Callable[[S], T],
    items: Iterable[S],
    num_threads: int = 1,
    alone: Callable[[S], bool] = lambda item: False,
) -> Iterator[T]:
    """Results of a function for items, in their order, made in threads while the caller has the last one.

    As many items are at work as there are threads, and one waits; but one for which `alone` is true is at
    work by itself. What the function raises is raised here, in its turn; closing the iterator waits for the
    items at work.
    """
    pending: deque[Future[T]] = deque()
    was_alone = False
    with ThreadPoolExecutor(num_threads) as pool:
        try:
            for item in items:
                is_alone = alone(item)
                if is_alone or was_alone:
                    wait(pending)
                was_alone = is_alone
                pending.append(pool.submit(function, item))
                while len(pending) > (1 if is_alone else num_threads):
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
