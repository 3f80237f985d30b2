"""The one way in which this package's loops are compiled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np


def _digest_of_sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


SOURCES = _digest_of_sources()
"""sha256 over the files of this package: what was compiled from others is compiled again."""

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function on its first call, without the GIL, and keep the result beside its file.

    Where that directory cannot be written to, numba keeps it in the user's cache, or where
    ``NUMBA_CACHE_DIR`` says. Indices are trusted.
    """
    dispatcher: Any = numba.njit(nogil=True, cache=True, fastmath={"nsz", "arcp", "contract", "afn"})(
        function
    )
    # numba would look at the function's own file alone; what it calls in other files is compiled in.
    dispatcher._cache._cache_file._source_stamp = SOURCES
    return cast(F, dispatcher)


@compiled
def signed(value: Any) -> int:
    """A signed integer: compiled, an unsigned one and a signed one would make a float."""
    return np.int64(value)  # type: ignore[return-value]
