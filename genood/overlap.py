"""Let stages of a stream work at the same time, each in threads of its own."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar, cast

S = TypeVar("S")
T = TypeVar("T")


def ahead(items: Iterable[T]) -> Iterator[T]:
    """The same items, the next one made in a thread while the caller has the last one.

    One item is made ahead, no more. What the making raises is raised here, in its turn; closing the
    iterator waits for the item in the making.
    """
    source = iter(items)
    end = object()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, source, end)
        while (item := coming.result()) is not end:
            coming = pool.submit(next, source, end)
            yield cast(T, item)


def apply_ahead(function: Callable[[S], T], items: Iterable[S], num_threads: int = 1) -> Iterator[T]:
    """Results of a function for items, in their order, made in threads while the caller has the last one.

    As many items are at work as there are threads, and one waits. What the function raises is raised
    here, in its turn; closing the iterator waits for the items at work.
    """
    pending: deque[Future[T]] = deque()
    with ThreadPoolExecutor(num_threads) as pool:
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > num_threads:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
