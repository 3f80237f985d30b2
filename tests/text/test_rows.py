"""Rows of tables: both ways to make them, against Python's own formatting of each cell."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genood.text import Column, RowText, rows

WAYS = {"plain": rows.plain_rows, "compiled": rows.compiled_rows}


def cell(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value + 0.0:.6g}"
    return str(value)


def expected(columns: Sequence[Column]) -> bytes:
    lists = [values.tolist() if isinstance(values, np.ndarray) else values for values in columns]
    return "".join("\t".join(map(cell, row)) + "\n" for row in zip(*lists, strict=True)).encode()


@pytest.mark.parametrize("way", WAYS)
def test_by_hand(way: str) -> None:
    columns: list[Column] = [
        ["a", "ähnlich", "", "x y"],
        np.array([0, 250, 9_223_372_036_854_775_807, 10]),
        "ACGT",
        np.array([np.nan, -0.0, -1234567.0, 0.1 + 0.2]),
    ]
    lines = ["a\t0\tA\t", "ähnlich\t250\tC\t0", "\t9223372036854775807\tG\t-1.23457e+06", "x y\t10\tT\t0.3"]
    assert WAYS[way](columns) == "".join(f"{line}\n" for line in lines).encode()
    assert WAYS[way]([[], np.empty(0, dtype=np.int64), np.empty(0)]) == b""


NUMBERS = {
    0.5: "0.5",
    100.0: "100",
    999999.0: "999999",
    999999.4: "999999",
    999999.5: "1e+06",  # half to even, which is 1,000,000
    999998.5: "999998",
    1e6: "1e+06",
    1234565.0: "1.23456e+06",
    1234575.0: "1.23458e+06",
    0.0001: "0.0001",
    0.00009999995: "0.0001",  # its float64 is above
    0.00001: "1e-05",
    0.0009765625: "0.000976562",
    0.0029296875: "0.00292969",
    1e22: "1e+22",
    2.5e-16: "2.5e-16",
    math.inf: "inf",
    -math.inf: "-inf",
}


@pytest.mark.parametrize("way", WAYS)
def test_numbers(way: str) -> None:
    for number, text in NUMBERS.items():
        assert f"{number:.6g}" == text
    numbers = np.array(list(NUMBERS))
    assert WAYS[way]([numbers]) == "".join(f"{text}\n" for text in NUMBERS.values()).encode()
    finite = numbers[np.isfinite(numbers)]
    negative = "".join(f"-{text}\n" for number, text in NUMBERS.items() if math.isfinite(number))
    assert WAYS[way]([-finite]) == negative.encode()


def test_numbers_that_only_plain_loops_write() -> None:
    """Some are too extreme for exact products, and integers with a sign do not come in tables."""
    for values in (np.array([1.0, 1e30]), np.array([2.0, 1e-300]), np.array([5, -7])):
        assert rows.compiled_rows([values]) is None
        assert RowText().rows([values]) == expected([values])
    assert rows.compiled_rows([["a", "b\nc"]]) is None


def near(values: np.ndarray) -> list[np.ndarray]:
    return [values, np.nextafter(values, 0.0), np.nextafter(values, np.inf)]


def test_many_numbers() -> None:
    """Most of all those near to a change of the last digit, or of the number of digits."""
    generator = np.random.default_rng(5)
    powers = 10.0 ** generator.integers(-12, 24, 20_000)
    digits = generator.integers(100_000, 1_000_000, 20_000)
    halves = (digits + 0.5) * powers / 1e5
    fractions = generator.integers(0, 2**16, 20_000) / 2.0 ** generator.integers(0, 16, 20_000)
    some = [generator.random(20_000) * powers, *near(powers), *near(halves), fractions]
    for values in some:
        assert rows.compiled_rows([values]) == expected([values])


@given(st.lists(st.floats(), min_size=1, max_size=20))
@settings(max_examples=300, deadline=None)
def test_any_numbers(values: list[float]) -> None:
    columns = [np.array(values)]
    assert RowText().rows(columns) == rows.plain_rows(columns) == expected(columns)


def test_columns_are_equally_long() -> None:
    with pytest.raises(ValueError, match="a column of 1 cells beside one of 2"):
        rows.compiled_rows([["a", "b"], np.array([1.0])])


def test_numba_is_loaded_for_many_rows_only() -> None:
    code = (
        "import sys, numpy as np; from genood.text import rows; text = rows.RowText(); "
        "half = [np.zeros(rows.WORTH_LOADING // 2)]; "
        "ways = [(text.rows(half), 'numba' in sys.modules) for _ in range(2)]; "
        "print([loaded for _, loaded in ways], ways[0][0] == ways[1][0] == b'0\\n' * len(half[0]))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout, result.stderr) == (0, "[False, True] True\n", "")
