"""The one way in which this package's loops are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

F = TypeVar("F", bound=Callable[..., Any])


def compiled(function: F) -> F:
    """Compile a function on its first call, without the GIL, and keep the result beside its file.

    Where that directory cannot be written to, numba keeps it in the user's cache, or where
    ``NUMBA_CACHE_DIR`` says. Indices are trusted.
    """
    decorate = numba.njit(nogil=True, cache=True, fastmath={"nsz", "arcp", "contract", "afn"})
    return cast(F, decorate(function))


@compiled
def signed(value: Any) -> int:
    """A signed integer: compiled, an unsigned one and a signed one would make a float."""
    return np.int64(value)  # type: ignore[return-value]
