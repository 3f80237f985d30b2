"""Work for torch side by side, one piece to a core.

Torch shares the work of each operation among its threads, and they wait for each other after every one. An
LSTM is a chain of small operations, so that whole pieces of work, each on one core, get more done.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from threading import Barrier
from typing import TypeVar

import torch

S = TypeVar("S")
T = TypeVar("T")


def one_core_each(function: Callable[[S], T], items: Iterable[S]) -> list[T]:
    """Results of a function for items, in their order; as many at a time as torch may use threads.

    Within the function torch uses one thread, so that what it gives does not depend on their number.
    """
    return list(_pool(torch.get_num_threads()).map(function, items))


@lru_cache(maxsize=1)
def _pool(num_threads: int) -> ThreadPoolExecutor:
    """Threads in which torch uses one thread each."""
    all_there = Barrier(num_threads + 1)

    def begin() -> None:
        torch.get_num_threads()  # which sets the thread's own number at its first use, and not after it
        torch.set_num_threads(1)
        all_there.wait()

    pool = ThreadPoolExecutor(num_threads, "one-core", initializer=begin)
    for _ in range(num_threads):
        pool.submit(int)
    all_there.wait()
    # The number is of the thread that sets it, and of threads that begin later.
    torch.set_num_threads(num_threads)
    return pool
