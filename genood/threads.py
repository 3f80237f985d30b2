"""How many CPU threads models use: one number for compiled loops and for torch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import local

_MIN_BASES = 2_048
"""Bases that are worth a thread."""
_PARTS = 4
"""For each thread: no thread waits long for one that was held up."""

MOST_THREADS = 1024
"""More are no number that anybody means."""

_chosen: int | None = None
_here = local()


def set_num_threads(number: int) -> None:
    """Let models use so many threads from now on; torch is told when the next network is made."""
    global _chosen
    _chosen = number


def chosen_threads() -> int | None:
    """The number last given to `set_num_threads`; None where nobody has."""
    return _chosen


def num_threads() -> int:
    """Threads that models may use: as chosen, else ``OMP_NUM_THREADS``, else all cores there are.

    Within `on_one_thread` it is one.
    """
    if getattr(_here, "is_one_of_many", False):
        return 1
    if _chosen is not None:
        return _chosen
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # a list is by level of nesting
    if first.isdecimal() and int(first):
        return min(int(first), MOST_THREADS)
    return _usable_cores()


@contextmanager
def on_one_thread(wanted: bool = True) -> Iterator[None]:
    """Have compiled loops that this thread calls use no other, as others are busy with their like."""
    before = getattr(_here, "is_one_of_many", False)
    _here.is_one_of_many = before or wanted
    try:
        yield
    finally:
        _here.is_one_of_many = before


def share(work: Callable[[slice], None], shape: tuple[int, ...], number: int) -> None:
    """Do the rows of an array of bases in nearly equal parts, a few for each of so many threads.

    Parameters
    ----------
    work
        Does some rows, without the GIL.
    shape
        Reads and their bases.
    number
        Threads; with one, all rows are done at once by the caller's.
    """
    num_rows, num_bases = shape
    num_parts = min(_PARTS * number, num_rows, num_rows * num_bases // _MIN_BASES)
    if num_parts <= 1 or number == 1:
        work(slice(0, num_rows))
        return
    bounds = [num_rows * part // num_parts for part in range(num_parts + 1)]
    with ThreadPoolExecutor(number) as pool:
        for _ in pool.map(work, map(slice, bounds[:-1], bounds[1:])):
            pass


def _usable_cores() -> int:
    """Cores this process may run on, which a batch system may have made fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
