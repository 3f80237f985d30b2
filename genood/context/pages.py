"""Memory for tables that are read at random."""

from __future__ import annotations

import mmap
from typing import TypeVar

import numpy as np
import numpy.typing as npt

T = TypeVar("T", bound=np.generic)


def in_large_pages(array: npt.NDArray[T]) -> npt.NDArray[T]:
    """A copy of a one-dimensional array, in large pages where the system has them.

    To find where a small page lies takes the processor longer than to read from it. NumPy asks for
    large pages too, but not for all arrays; and a file that is mapped has none. Memory that processes
    could share seldom has them either.
    """
    if not array.nbytes or not hasattr(mmap, "MADV_HUGEPAGE"):
        return array.copy()
    memory = mmap.mmap(-1, array.nbytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    copy = np.frombuffer(memory, array.dtype)
    copy[:] = array
    return copy
