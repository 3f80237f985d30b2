"""Numbers as tables show them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_DIGITS = 6
_MOST_PLACES = 300
"""More, and the power of ten overflows."""


def as_in_table(values: Floats) -> Floats:
    """Numbers, float64, rounded to the six significant digits of the tables; NaN stays."""
    sizes = np.abs(values)
    exponents = np.floor(np.log10(np.where(sizes > 0, sizes, 1.0)))
    places = np.minimum(_DIGITS - 1 - exponents, _MOST_PLACES)
    # Powers of ten with positive exponents, which are exact: others are not.
    up, down = 10.0 ** np.maximum(places, 0.0), 10.0 ** np.maximum(-places, 0.0)
    return np.rint(values / down * up) / up * down + 0.0  # which makes a zero of -0
