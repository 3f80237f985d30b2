"""The mixture of the classes' dense tables, eight classes at a time.

What a base costs is little and the same for every base, so that the loops over vectors of classes are
written as such: left to the compiler, most of the time went into sums across a vector and into what
is left over of a loop.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.core import cgutils

from genood.compiling import compiled
from genood.context.dense import LANES, ONE, SHIFT
from genood.context.instructions import element, intrinsic
from genood.context.mixture import BLOCK

_LEAST_WEIGHT = np.float32(1e-16)
_RESCALE_EVERY = 4
"""Bases between two scalings of the weights of classes: of four times 2^-16, 1e-16 stays a float."""

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_FLOAT = ir.FloatType()
_INT = ir.IntType(32)
_BYTES = ir.VectorType(ir.IntType(8), LANES)
_INTS = ir.VectorType(_INT, LANES)
_FLOATS = ir.VectorType(_FLOAT, LANES)
_FAST = ("nsz", "arcp", "contract", "afn", "reassoc", "nnan")


@compiled
def mix_classes(
    read: Bytes,
    start: int,
    by_class: Bytes,
    num_classes: int,
    posterior: Floats,
    least: Floats,
    rows: Ints,
    mixed: Floats,
) -> None:
    """Fill `mixed` of a block that starts at a base; the read's first block starts the weights anew.

    The classes weigh equally at first, then by how they predicted the read.
    """
    stride = len(posterior)
    if start == 0:
        for label in range(stride):
            takes_part = label < num_classes
            posterior[label] = np.float32(1.0) if takes_part else np.float32(0.0)
            least[label] = _LEAST_WEIGHT if takes_part else np.float32(0.0)
    for i in range(min(BLOCK, len(read) - start)):
        if i % _RESCALE_EVERY == 0:
            rescale(posterior, least)
        add_up(by_class, rows[i], posterior, mixed[0], mixed[1], mixed[2], mixed[3], i)
        if read[start + i] < 4:
            take_in(by_class, rows[i] + stride * np.int64(read[start + i]), posterior)


def _load(builder: Any, kind: ir.Type, pointer: Any) -> Any:
    """A vector from any address."""
    return builder.load(builder.bitcast(pointer, kind.as_pointer()), align=1)


def _store(builder: Any, vector: Any, pointer: Any) -> None:
    builder.store(vector, builder.bitcast(pointer, vector.type.as_pointer()), align=1)


def _probabilities(builder: Any, pointer: Any) -> Any:
    """Eight bytes as the probabilities that they stand for, see `dense`."""
    numbers = builder.zext(_load(builder, _BYTES, pointer), _INTS)
    numbers = builder.shl(numbers, ir.Constant(_INTS, [SHIFT] * LANES))
    return builder.bitcast(builder.sub(ir.Constant(_INTS, [ONE] * LANES), numbers), _FLOATS)


def _shuffle(builder: Any, a: Any, b: Any, lanes: list[int]) -> Any:
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_INT, len(lanes)), lanes))


def _pairs(builder: Any, a: Any, b: Any) -> Any:
    """Sums of neighbours, of two vectors, the first's before the second's."""
    even, odd = list(range(0, 2 * LANES, 2)), list(range(1, 2 * LANES, 2))
    return builder.fadd(_shuffle(builder, a, b, even), _shuffle(builder, a, b, odd), flags=_FAST)


def _zeros(builder: Any) -> Any:
    """A variable that holds a vector of zeros."""
    variable = cgutils.alloca_once(builder, _FLOATS)  # type: ignore[no-untyped-call]
    builder.store(ir.Constant(_FLOATS, [0.0] * LANES), variable)
    return variable


def _larger(builder: Any, a: Any, b: Any) -> Any:
    return builder.select(builder.fcmp_ordered(">", a, b, flags=_FAST), a, b)


def _for_vectors(builder: Any, size: Any, body: Callable[[Any], None]) -> None:
    """Do something at every eighth index."""
    step, zero = ir.Constant(size.type, LANES), ir.Constant(size.type, 0)
    with cgutils.for_range_slice(builder, zero, size, step, intp=size.type, inc=True) as (index, _):
        body(index)


def _size(context: Any, builder: Any, kind: Any, value: Any) -> Any:
    return builder.extract_value(context.make_array(kind)(context, builder, value).shape, 0)


@intrinsic
def add_up(
    _context: Any, table: Any, at: Any, weights: Any, a: Any, c: Any, g: Any, t: Any, index: Any
) -> Any:
    """Sum the four rows of a context, weighted by class, into `a`, `c`, `g` and `t` at an index.

    The rows of `table`, uint8, start at `at` and are as long as `weights`, float32: whole vectors.
    """

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kinds = signature.args
        row = element(context, builder, kinds[0], arguments[0], arguments[1])
        weight = element(context, builder, kinds[2], arguments[2], ir.Constant(arguments[1].type, 0))
        size = _size(context, builder, kinds[2], arguments[2])
        sums = [_zeros(builder) for _ in range(4)]

        def add(label: Any) -> None:
            mine = _load(builder, _FLOATS, builder.gep(weight, [label]))
            pointer = builder.gep(row, [label])
            for total in sums:
                product = builder.fmul(mine, _probabilities(builder, pointer), flags=_FAST)
                builder.store(builder.fadd(builder.load(total), product, flags=_FAST), total)
                pointer = builder.gep(pointer, [size])

        _for_vectors(builder, size, add)
        # Sums of two neighbours, then of four, of all four vectors at once; then of eight.
        first, second, third, fourth = (builder.load(total) for total in sums)
        fours = _pairs(builder, _pairs(builder, first, second), _pairs(builder, third, fourth))
        eights = _pairs(builder, fours, fours)
        for base, kind, value in zip(range(4), kinds[3:7], arguments[3:7], strict=True):
            pointer = element(context, builder, kind, value, arguments[7])
            builder.store(builder.extract_element(eights, ir.Constant(_INT, base)), pointer)
        return context.get_dummy_value()

    return types.void(table, types.int64, weights, a, c, g, t, types.int64), generate


@intrinsic
def take_in(_context: Any, table: Any, at: Any, weights: Any) -> Any:
    """Multiply weights by the row of `table` that starts at `at`: that of the base that came."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        row = element(context, builder, signature.args[0], arguments[0], arguments[1])
        zero = ir.Constant(arguments[1].type, 0)
        weight = element(context, builder, signature.args[2], arguments[2], zero)

        def multiply(label: Any) -> None:
            pointer = builder.gep(weight, [label])
            mine = _load(builder, _FLOATS, pointer)
            product = builder.fmul(mine, _probabilities(builder, builder.gep(row, [label])), flags=_FAST)
            _store(builder, product, pointer)

        _for_vectors(builder, _size(context, builder, signature.args[2], arguments[2]), multiply)
        return context.get_dummy_value()

    return types.void(table, types.int64, weights), generate


@intrinsic
def rescale(_context: Any, weights: Any, least: Any) -> Any:
    """Divide weights by the largest of them, and lift them to the least that each may get."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        zero = ir.Constant(ir.IntType(64), 0)
        weight, bound = (
            element(context, builder, kind, value, zero)
            for kind, value in zip(signature.args, arguments, strict=True)
        )
        size = _size(context, builder, signature.args[0], arguments[0])
        top = _zeros(builder)

        def look(label: Any) -> None:
            mine = _load(builder, _FLOATS, builder.gep(weight, [label]))
            builder.store(_larger(builder, mine, builder.load(top)), top)

        _for_vectors(builder, size, look)
        largest = builder.load(top)
        for shift in (4, 2, 1):
            turned = _shuffle(builder, largest, largest, [(lane + shift) % LANES for lane in range(LANES)])
            largest = _larger(builder, largest, turned)
        scale = builder.fdiv(ir.Constant(_FLOATS, [1.0] * LANES), largest, flags=_FAST)

        def divide(label: Any) -> None:
            pointer = builder.gep(weight, [label])
            mine = builder.fmul(_load(builder, _FLOATS, pointer), scale, flags=_FAST)
            _store(
                builder, _larger(builder, mine, _load(builder, _FLOATS, builder.gep(bound, [label]))), pointer
            )

        _for_vectors(builder, size, divide)
        return context.get_dummy_value()

    return types.void(weights, least), generate
