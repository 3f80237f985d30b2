"""Cells joined to rows by compiled loops, byte for byte what Python's ``%`` gives."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from genood.compiling import compiled_exactly

TEXT, INTEGER, FLOAT = 0, 1, 2
"""Kinds of columns."""
INTEGER_BYTES = 20
"""Of the longest int64."""
FLOAT_BYTES = 13
"""Of the longest float64 in six digits: ``-1.23457e-308``."""
TOO_EXTREME = -1
"""In place of a length: a number is too large or too small for what is exact here."""

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_DIGITS = 6
_FIRST, _LAST = 10 ** (_DIGITS - 1), 10**_DIGITS
_TENS = np.array([10.0**exponent for exponent in range(23)])
"""All powers of ten that a float64 holds exactly."""
_SMALLEST_EXPONENT, _LARGEST_EXPONENT = -16, 26
"""Of numbers that one of `_TENS`, or a neighbour of it, scales to `_DIGITS` digits."""
_SPLIT = float(2**27 + 1)
_BIT, _BIAS, _LOG_2 = 2.0**-52, 1023.0, math.log10(2.0)
_TEN = np.uint64(10)
_THOUSAND = 1_000
_THREE_DIGITS = np.array([list(b"%03d" % number) for number in range(_THOUSAND)], dtype=np.uint8)
_ZEROS_AT_END = np.array([3 if not n else 2 if n % 100 == 0 else int(n % 10 == 0) for n in range(_THOUSAND)])

_TAB, _NEWLINE, _MINUS, _PLUS, _POINT, _ZERO, _E = b"\t\n-+.0e"
_INFINITE = np.frombuffer(b"inf", dtype=np.uint8)


@compiled_exactly
def join_cells(
    kinds: Ints,
    places: Ints,
    texts: Bytes,
    starts: Ints,
    num_rows: int,
    integers: Ints,
    floats: Floats,
    out: Bytes,
) -> int:
    """Write rows of cells, with tabs between them.

    Parameters
    ----------
    kinds, places
        Of each column: `TEXT`, `INTEGER` or `FLOAT`, and which one of these it is.
    texts, starts
        The cells of each column of text one after the other, each with a newline at its end, and where in
        `texts` each column begins, shape (T,); when done, where it ends.
    num_rows
        N.
    integers, floats
        The other columns, shapes (I, N) and (F, N). No integer is negative. Floats have six significant
        digits, as with ``%.6g``; NaN is an empty cell, and no zero has a sign.
    out
        Where to, long enough for the longest cells.

    Returns
    -------
    length
        Bytes written, or `TOO_EXTREME`.
    """
    at = 0
    for row in range(num_rows):
        for column in range(len(kinds)):
            place = places[column]
            if kinds[column] == TEXT:
                source = starts[place]
                while texts[source] != _NEWLINE:
                    out[at] = texts[source]
                    at += 1
                    source += 1
                starts[place] = source + 1
            elif kinds[column] == INTEGER:
                at = _write_integer(integers[place, row], out, at)
            else:
                at = _write_float(floats[place, row], out, at)
                if at < 0:
                    return TOO_EXTREME
            out[at] = _TAB
            at += 1
        out[at - 1] = _NEWLINE
    return at


@compiled_exactly
def _write_integer(value: int, out: Bytes, at: int) -> int:
    left = np.uint64(value)
    end = at + 1
    rest = left // _TEN
    while rest:
        rest //= _TEN
        end += 1
    for place in range(end - 1, at - 1, -1):
        out[place] = _ZERO + left % _TEN
        left //= _TEN
    return end


@compiled_exactly
def _write_float(value: float, out: Bytes, at: int) -> int:
    if math.isnan(value):
        return at
    out[at] = _MINUS  # which the next byte overwrites if there is none
    at += int(value < 0)
    value = abs(value)
    if value == 0:
        out[at] = _ZERO
        return at + 1
    if math.isinf(value):
        for source in range(len(_INFINITE)):
            out[at + source] = _INFINITE[source]
        return at + len(_INFINITE)
    digits, exponent = _six_digits(value)
    if digits < 0:
        return TOO_EXTREME
    if -4 <= exponent < 0:
        out[at] = _ZERO
        out[at + 1] = _POINT
        out[at + 2] = out[at + 3] = out[at + 4] = _ZERO  # more than needed, as a loop would be another guess
        return _write_digits(digits, 1, _DIGITS, out, at + 1 - exponent)
    is_scientific = exponent < 0 or exponent >= _DIGITS
    before = 1 if is_scientific else exponent + 1
    end = _write_digits(digits, before, before, out, at)
    return _write_exponent(exponent, out, end) if is_scientific else end


@compiled_exactly
def _write_digits(digits: int, least: int, before: int, out: Bytes, at: int) -> int:
    """Write `_DIGITS` digits but for zeros at their end, at least so many, and a point after so many."""
    first, second = digits // _THOUSAND, digits % _THOUSAND
    for i in range(3):
        out[at + i + (i >= before)] = _THREE_DIGITS[first, i]
        out[at + 3 + i + (3 + i >= before)] = _THREE_DIGITS[second, i]
    num_zeros = _ZEROS_AT_END[second] if second != 0 else 3 + _ZEROS_AT_END[first]
    kept = max(_DIGITS - num_zeros, least)
    if kept <= before:
        return at + kept
    out[at + before] = _POINT
    return at + kept + 1


@compiled_exactly
def _write_exponent(exponent: int, out: Bytes, at: int) -> int:
    """Write an exponent of two digits."""
    out[at] = _E
    out[at + 1] = _MINUS if exponent < 0 else _PLUS
    size = abs(exponent)
    out[at + 2] = _ZERO + size // 10
    out[at + 3] = _ZERO + size % 10
    return at + 4


@compiled_exactly
def _six_digits(size: float) -> tuple[int, int]:
    """A positive number as ``d.ddddd * 10 ** exponent``: its digits, and the exponent; or two `TOO_EXTREME`.

    Rounded from the number's exact value, and half to even, as C has it.
    """
    # A float64's bits as an integer are nearly its logarithm, which at most is one exponent off.
    exponent = math.floor((np.float64(size).view(np.int64) * _BIT - _BIAS) * _LOG_2)
    if exponent < _SMALLEST_EXPONENT or exponent > _LARGEST_EXPONENT:
        return TOO_EXTREME, TOO_EXTREME
    digits, beyond_half = _scaled(size, exponent)
    if digits < _FIRST:
        exponent -= 1
        digits, beyond_half = _scaled(size, exponent)
    elif digits >= _LAST:
        exponent += 1
        digits, beyond_half = _scaled(size, exponent)
    # No branch, which the processor could but guess at.
    digits += int(beyond_half > 0) | (int(beyond_half == 0) & digits & 1)
    if digits == _LAST:
        return _FIRST, exponent + 1
    return digits, exponent


@compiled_exactly
def _scaled(size: float, exponent: int) -> tuple[int, float]:
    """Whole digits of a number so scaled that there are six, and by which sign the rest is beyond a half."""
    places = _DIGITS - 1 - exponent
    if places >= 0:
        product = size * _TENS[places]
        digits = math.floor(product)
        beyond_half = (product - digits) - 0.5
        return int(digits), beyond_half if beyond_half != 0 else _product(size, _TENS[places])[1]
    digits = math.floor(size / _TENS[-places])
    product, rest = _product(digits + 0.5, _TENS[-places])
    return int(digits), (size - product) - rest


@compiled_exactly
def _product(first: float, second: float) -> tuple[float, float]:
    """A product rounded, and what that leaves out: both together are exact (Dekker 1971)."""
    product = first * second
    scaled = _SPLIT * first
    high = scaled - (scaled - first)
    low = first - high
    other_scaled = _SPLIT * second
    other_high = other_scaled - (other_scaled - second)
    other_low = second - other_high
    rest = high * other_high - product
    return product, ((rest + high * other_low) + low * other_high) + low * other_low
