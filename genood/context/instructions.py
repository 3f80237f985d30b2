"""Instructions of the processor that numba does not offer by a name of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic as numba_intrinsic

from genood.compiling import compiled

intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = numba_intrinsic
"""Makes a function that compiles to given instructions; callable from compiled functions only."""


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
def equal_quarters(_context: Any, array: Any, index: Any, value: Any) -> Any:
    """Compare the 16 quarters of four words of an array, uint64, from an index on with a value, uint16.

    Bit i of the result, an int64, tells whether quarter i is the same; the lowest of a word is the first.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = element(context, builder, signature.args[0], *arguments[:2])
        quarters = builder.load(builder.bitcast(pointer, _QUARTERS.as_pointer()), align=8)
        first = builder.insert_element(
            ir.Constant(_QUARTERS, ir.Undefined), arguments[2], ir.Constant(_INT32, 0)
        )
        every = builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_INT32, 16), [0] * 16))
        same = builder.bitcast(builder.icmp_unsigned("==", quarters, every), ir.IntType(16))
        return builder.zext(same, ir.IntType(64))

    return types.int64(array, types.int64, types.uint16), generate


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
_QUARTERS = ir.VectorType(ir.IntType(16), 16)


def element(context: Any, builder: Any, array: Any, value: Any, index: Any) -> Any:
    """Pointer to an element of a one-dimensional array without gaps, for intrinsics."""
    return builder.gep(context.make_array(array)(context, builder, value).data, [index])


def _pointer(context: Any, builder: Any, array: Any, value: Any, index: Any) -> Any:
    return builder.bitcast(element(context, builder, array, value, index), _BYTES)


def _load_32(context: Any, builder: Any, array: Any, value: Any, index: Any) -> Any:
    pointer = _pointer(context, builder, array, value, index)
    return builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()), align=1)
