"""Numbers as tables show them."""

from __future__ import annotations

import sys

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_DIGITS = 6
_MOST_PLACES = 300
"""More, and the power of ten overflows."""
_TENS = 10.0 ** np.arange(sys.float_info.max_10_exp)
"""With positive exponents, as far as they are exact: others are not."""


def as_in_table(values: Floats) -> Floats:
    """Numbers, float64, rounded to the six significant digits of the tables; NaN and infinity stay."""
    sizes = np.abs(values)
    exponents = np.floor(np.log10(np.where((sizes > 0) & (sizes < np.inf), sizes, 1.0)))
    places = np.minimum(_DIGITS - 1 - exponents, _MOST_PLACES).astype(np.intp)
    up, down = _TENS[np.maximum(places, 0)], _TENS[np.maximum(-places, 0)]
    return np.rint(values / down * up) / up * down + 0.0  # which makes a zero of -0
