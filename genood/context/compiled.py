"""The one way in which this package's loops are compiled."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core.caching import IndexDataCacheFile
from numba.extending import intrinsic as numba_intrinsic


def _digest_of_sources() -> str:
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    return digest.hexdigest()


SOURCES = _digest_of_sources()
"""sha256 over the files of this package: what was compiled from others is compiled again."""

F = TypeVar("F", bound=Callable[..., Any])
intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = numba_intrinsic
"""Makes a function that compiles to given instructions; callable from compiled functions only."""


_FAST = {"nsz", "arcp", "contract", "afn"}


def compiled(function: F) -> F:
    """Compile a function on its first call, without the GIL, and keep the result beside its file.

    Where that directory cannot be written to, numba keeps it in the user's cache, or where
    ``NUMBA_CACHE_DIR`` says; where no directory can, each process compiles anew. Indices and divisors
    are trusted.

    The function cannot make arrays, see `compiled_to_allocate`. Those that it is given are its caller's,
    and it does not count its references to them: to count is an atomic operation for each array, each
    time, and threads would wait for each other's.
    """
    return _compile(function, _FAST)


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
    cache = dispatcher._cache
    name = f"{cache._impl.filename_base}.{SOURCES[:16]}"
    cache._cache_file = IndexDataCacheFile(cache._cache_path, name, SOURCES)  # type: ignore[no-untyped-call]
    return cast(F, dispatcher)


@compiled
def signed(value: Any) -> int:
    """A signed integer: compiled, an unsigned one and a signed one would make a float."""
    return np.int64(value)  # type: ignore[return-value]


def _instruction(argument: types.Type, result: types.Type, emit: Callable[[Any, Any], Any]) -> Any:
    """A function that compiles to what `emit` gives for a builder and an operand."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        return emit(builder, arguments[0])

    @intrinsic
    def function(_context: Any, _value: Any) -> Any:
        return result(argument), generate

    return function


ones: Callable[[int], int] = _instruction(types.int64, types.int64, lambda builder, x: builder.ctpop(x))
"""Bits set in a 64-bit integer."""
trailing_zeros: Callable[[int], int] = _instruction(
    types.int64, types.int64, lambda builder, x: builder.cttz(x, ir.Constant(ir.IntType(1), 0))
)
"""Bits not set before the first that is; 64 for 0."""
as_float: Callable[[Any], np.float32] = _instruction(
    types.uint32, types.float32, lambda builder, x: builder.bitcast(x, ir.FloatType())
)
"""The float32 of 32 bits."""
as_bits: Callable[[Any], np.int32] = _instruction(
    types.float32, types.int32, lambda builder, x: builder.bitcast(x, ir.IntType(32))
)
"""The bits of a float32, as int32."""


@intrinsic
def prefetch(_context: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of an element of a one-dimensional array, without waiting for it.

    The memory answers many such requests at a time.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *arguments)
        function = builder.module.declare_intrinsic("llvm.prefetch", [_BYTES], _PREFETCH)
        to_read, keep, data = (ir.Constant(_INT32, flag) for flag in (0, 3, 1))
        builder.call(function, [pointer, to_read, keep, data])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@intrinsic
def same_bases(_context: Any, array: Any, index: Any, other: Any, other_index: Any) -> Any:
    """Compare 32 bytes of two arrays, uint8, from an index on; of the first, the lowest two bits alone.

    Bit i of the result, an int64, tells whether bytes i are the same.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bases = builder.and_(
            _load_32(context, builder, signature.args[0], *arguments[:2]), ir.Constant(_VECTOR, [3] * 32)
        )
        others = _load_32(context, builder, signature.args[2], *arguments[2:])
        same = builder.bitcast(builder.icmp_unsigned("==", bases, others), _INT32)
        return builder.zext(same, ir.IntType(64))

    return types.int64(array, types.int64, other, types.int64), generate


@intrinsic
def reversed_bits(_context: Any, value: Any) -> Any:
    """The lowest 32 bits in the other order, as an int64."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        turned = builder.bitreverse(builder.trunc(arguments[0], _INT32))
        return builder.zext(turned, ir.IntType(64))

    return types.int64(types.int64), generate


_INT32 = ir.IntType(32)
_BYTES = ir.IntType(8).as_pointer()
_PREFETCH = ir.FunctionType(ir.VoidType(), [_BYTES, *[_INT32] * 3])
_VECTOR = ir.VectorType(ir.IntType(8), 32)


def element(context: Any, builder: Any, array: Any, value: Any, index: Any) -> Any:
    """Pointer to an element of a one-dimensional array without gaps, for intrinsics."""
    return builder.gep(context.make_array(array)(context, builder, value).data, [index])


def _pointer(context: Any, builder: Any, array: Any, value: Any, index: Any) -> Any:
    return builder.bitcast(element(context, builder, array, value, index), _BYTES)


def _load_32(context: Any, builder: Any, array: Any, value: Any, index: Any) -> Any:
    pointer = _pointer(context, builder, array, value, index)
    return builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=1)
