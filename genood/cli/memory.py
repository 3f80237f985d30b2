"""What becomes of memory that is freed."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_MOST_KEPT = 2**30
_LARGEST_KEPT = 2**25
"""Bytes of an array above which it is the system's again as soon as it is freed; no more is allowed."""


def keep_freed_memory() -> None:
    """Have this process use memory again that it has freed, rather than give it back to the system.

    A window of reads needs tens of megabytes, the same for each window. The C library returns them after
    each one, and the system hands them out again filled with zeros, page by page, which takes a tenth of
    the time of a fast model. With windows of like size it needs no more memory for that; where sizes are
    mixed, what is kept does not always fit what is wanted next, and the peak may be a third higher.

    Where the C library is not that of GNU, nothing happens.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, TypeError, AttributeError):
        return
    # To name one ends the library's own adjustment of both, which starts at small values.
    mallopt(_M_TRIM_THRESHOLD, _MOST_KEPT)
    mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT)
