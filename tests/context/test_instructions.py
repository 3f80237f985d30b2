"""Single instructions, against Python and NumPy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from genood.compiling import compiled
from genood.context.instructions import (
    as_bits,
    as_float,
    equal_quarters,
    ones,
    prefetch,
    reversed_bits,
    same_bases,
    signed,
    trailing_zeros,
)

INTEGERS = [0, 1, -1, 8, 2**63 - 1, -(2**63), 2**31, 2**32, 2**32 - 1]
INTEGERS += np.random.default_rng(1).integers(-(2**63), 2**63, 200).tolist()
INTEGERS += [1 << shift for shift in range(63)]


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory where compiled functions are kept."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def test_bits_of_integers() -> None:
    """What is reversed are the lower 32 bits."""

    @compiled
    def bits(value: int) -> tuple[int, int, int]:
        return ones(value), trailing_zeros(value), reversed_bits(value)

    for value in INTEGERS:
        zeros = (value & -value).bit_length() - 1 if value else 64
        turned = int(f"{value % 2**32:032b}"[::-1], 2)
        assert bits(value) == ((value % 2**64).bit_count(), zeros, turned)


def test_bits_of_floats() -> None:
    @compiled
    def to_float(bits: np.uint32) -> np.float32:
        return as_float(bits)

    @compiled
    def to_bits(value: np.float32) -> np.int32:
        return as_bits(value)

    for number in (0.0, -0.0, 1.0, -1.5, 1e-45, 3e38, np.inf, -np.inf, np.pi):
        value = np.float32(number)
        assert np.float32(to_float(value.view(np.uint32))).tobytes() == value.tobytes()
        assert to_bits(value) == int(value.view(np.int32))


def test_same_bases() -> None:
    @compiled
    def compare(bases: Any, at: int, others: Any, other_at: int) -> Any:
        return same_bases(bases, at, others, other_at)

    generator = np.random.default_rng(2)
    bases = generator.integers(0, 32, 200, dtype=np.uint8)
    others = np.where(generator.random(200) < 0.5, bases & 3, generator.integers(0, 8, 200)).astype(np.uint8)
    for at, other_at in [(0, 0), (1, 1), (7, 7), (168, 168), (3, 90), (131, 0), (0, 168)]:
        same = (bases[at : at + 32] & 3) == others[other_at : other_at + 32]
        assert compare(bases, at, others, other_at) == sum(1 << i for i in np.flatnonzero(same).tolist())
    assert compare(others & 3, 40, others & 3, 40) == 2**32 - 1


def test_equal_quarters() -> None:
    @compiled
    def compare(words: Any, at: int, value: np.uint16) -> Any:
        return equal_quarters(words, at, value)

    quarters = np.random.default_rng(3).integers(65_533, 65_536, 200).astype("<u2")
    words = quarters.view(np.uint64)
    for at in (0, 1, 7, 46):
        for value in quarters[:8]:
            same = quarters[4 * at : 4 * at + 16] == value
            assert compare(words, at, value) == sum(1 << i for i in np.flatnonzero(same).tolist())
    assert compare(words, 3, np.uint16(0)) == 0


def test_prefetch() -> None:
    @compiled
    def fetch(values: Any, at: int) -> None:
        prefetch(values, at)

    values = np.arange(200, dtype=np.uint8)
    for at in (0, 1, 64, 199):
        fetch(values, at)
    assert values.tolist() == list(range(200))
    dispatcher: Any = fetch
    assert all("call void @llvm.prefetch" in code for code in dispatcher.inspect_llvm().values())


def test_signed() -> None:
    @compiled
    def difference(bits: np.uint32, other: int) -> int:
        return signed(bits) - other

    assert difference(np.uint32(2**32 - 1), 2**32) == -1
