"""Let stages of a stream work at the same time, each in threads of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from itertools import islice
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any, Generic, TypeVar

S = TypeVar("S")
T = TypeVar("T")

_STOP_SECONDS = 1.0


class _EndError(Exception):
    """There are no more items."""


class _Maker(Generic[T]):
    """Makes items in a thread, each when it is asked for.

    Closing waits for an item in the making, though not for ever: it may wait for input that never comes.
    """

    def __init__(self, items: Iterable[T]) -> None:
        self._wanted: SimpleQueue[Future[T] | None] = SimpleQueue()
        self._thread = Thread(target=_make, args=(iter(items), self._wanted), daemon=True)
        self._thread.start()

    def ask(self) -> Future[T]:
        """The next item once it is made, or what its making raises or `_EndError`, after which none comes."""
        future: Future[T] = Future()
        self._wanted.put(future)
        return future

    def close(self) -> None:
        self._wanted.put(None)
        self._thread.join(_STOP_SECONDS)


def _make(source: Iterator[T], wanted: SimpleQueue[Future[T] | None]) -> None:
    while (future := wanted.get()) is not None:
        try:
            item = next(source)
        except StopIteration:
            future.set_exception(_EndError())
            return
        except BaseException as error:
            future.set_exception(error)
            return
        future.set_result(item)
        del future, item  # not to be kept while the next is made


def ahead(items: Iterable[T]) -> Generator[T, None, None]:
    """The same items, the next one made in a thread while the caller has the last one.

    One item is made ahead, no more. What the making raises is raised here, in its turn; closing the
    iterator waits for the item in the making, though not for ever: it may wait for input that never comes.
    """
    with closing(_Maker(items)) as maker:
        coming = maker.ask()
        while True:
            try:
                item = coming.result()
            except _EndError:
                return
            coming = maker.ask()
            yield item


def apply_ahead(
    function: Callable[[S], T],
    items: Iterable[S],
    num_threads: int = 1,
    alone: Callable[[S], bool] = lambda item: False,
    stopped: Event | None = None,
) -> Generator[T, None, None]:
    """Results of a function for items, in their order, made in threads while the caller has the last one.

    Items are made in a thread, too, as in `ahead`. As many are at work as there are threads, and one waits;
    but one for which `alone` is true is at work by itself. A result that is ready does not wait for an item
    that is not. What the function or the making of items raises is raised here, in its turn; closing the
    iterator waits for the items at work, which `stopped` tells that nobody wants them.
    """
    pending: deque[Future[T]] = deque()
    most = num_threads
    is_alone = False
    end: BaseException | None = None
    with closing(_Maker(items)) as maker, ThreadPoolExecutor(num_threads) as pool:
        coming = maker.ask()
        try:
            while pending or end is None:
                if end is None and len(pending) <= most:
                    news: list[Future[Any]] = [coming, *islice(pending, 1)]
                    wait(news, return_when=FIRST_COMPLETED)
                    if coming.done():
                        end = coming.exception()
                        if end is not None:
                            continue  # to the results of what came before
                        item = coming.result()
                        coming = maker.ask()
                        was_alone, is_alone = is_alone, alone(item)
                        if is_alone or was_alone:
                            wait(pending)
                        most = 1 if is_alone else num_threads
                        pending.append(pool.submit(function, item))
                        continue
                yield pending.popleft().result()
        finally:
            if stopped is not None:
                stopped.set()
            for future in pending:
                future.cancel()
    if not isinstance(end, _EndError):
        raise end
