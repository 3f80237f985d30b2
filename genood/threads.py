"""How many CPU threads models use: one number for compiled loops and for torch."""

from __future__ import annotations

import os

_chosen: int | None = None


def set_num_threads(number: int) -> None:
    """Let models use so many threads from now on; torch is told when the next network is made."""
    global _chosen
    _chosen = number


def chosen_threads() -> int | None:
    """The number last given to `set_num_threads`; None where nobody has."""
    return _chosen


def num_threads() -> int:
    """Threads that models may use: as chosen, else ``OMP_NUM_THREADS``, else all cores there are."""
    if _chosen is not None:
        return _chosen
    first = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # a list is by level of nesting
    return int(first) if first.isdecimal() and int(first) else _usable_cores()


def _usable_cores() -> int:
    """Cores this process may run on, which a batch system may have made fewer than the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
