"""The one way in which loops are compiled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core.caching import IndexDataCacheFile

F = TypeVar("F", bound=Callable[..., Any])

_FAST = {"nsz", "arcp", "contract", "afn"}


@cache
def sources_of(directory: Path) -> str:
    """sha256 over this file and those of a package: what was compiled from others is compiled again."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    for path in sorted(directory.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def compiled(function: F) -> F:
    """Compile a function on its first call, without the GIL, and keep the result beside its file.

    Where that directory cannot be written to, numba keeps it in the user's cache, or where
    ``NUMBA_CACHE_DIR`` says; where no directory can, each process compiles anew. What it calls may lie in
    other files of its package, but not in other packages. Indices and divisors are trusted.

    The function cannot make arrays, see `compiled_to_allocate`. Those that it is given are its caller's,
    and it does not count its references to them: to count is an atomic operation for each array, each
    time, and threads would wait for each other's.
    """
    return _compile(function, _FAST)


def compiled_exactly(function: F) -> F:
    """As `compiled`, with every operation on floats rounded as IEEE 754 has it."""
    return _compile(function, set())


def compiled_to_allocate(function: F) -> F:
    """As `compiled`, for functions that make arrays."""
    return _compile(function, _FAST, counts_references=True)


def compiled_to_vectors(function: F) -> F:
    """As `compiled`, for loops without a NaN whose sums may be taken in any order, many terms at a time.

    Indices in them must be unsigned: what could count from the end hinders the compiler.
    """
    return _compile(function, {*_FAST, "reassoc", "nnan"})


def _compile(function: F, fastmath: set[str], *, counts_references: bool = False) -> F:
    options: dict[str, Any] = {"nogil": True, "fastmath": fastmath, "error_model": "numpy"}
    options["_nrt"] = counts_references
    try:
        dispatcher: Any = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # no directory that can be written to
        return cast(F, numba.njit(**options)(function))
    # numba would look at the function's own file alone, though what is called in other files is
    # compiled in. And it would open what another version of genood has left, whose types may be gone.
    kept = dispatcher._cache
    sources = sources_of(Path(function.__code__.co_filename).parent)
    name = f"{kept._impl.filename_base}.{sources[:16]}"
    kept._cache_file = IndexDataCacheFile(kept._cache_path, name, sources)  # type: ignore[no-untyped-call]
    return cast(F, dispatcher)
