"""Let stages of a stream work at the same time, each in a thread of its own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

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
