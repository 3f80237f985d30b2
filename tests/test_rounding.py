"""Numbers as tables show them."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from genood.rounding import as_in_table


@given(st.floats(1e-14, 1e15), st.booleans())
def test_rounding_is_that_of_the_table(value: float, negative: bool) -> None:
    value = -value if negative else value
    assert as_in_table(np.array([value]))[0] == float(f"{value:.6g}")


def test_ends() -> None:
    values = [0.0, -0.0, 1.0, 1e-3, 9.999999e-4, 999999.5, 123456.5, -1234567.0, 1e300]
    expected = [float(f"{value:.6g}") for value in values]
    assert as_in_table(np.array(values)).tolist() == expected
    assert as_in_table(np.array([5e-324]))[0] < 1e-300
    assert math.isnan(as_in_table(np.array([math.nan]))[0])
    assert as_in_table(np.array([math.inf, -math.inf])).tolist() == [math.inf, -math.inf]
