"""Where what is compiled is kept, and what that does to references and to floats."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from genood import compiling
from genood.compiling import compiled, compiled_exactly, compiled_to_allocate


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty directory where compiled functions are kept."""
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))
    return tmp_path


def test_cache_is_that_of_the_sources(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was compiled from the same sources is found again, and from others not even opened."""

    def double(value: int) -> int:
        return 2 * value

    def hits() -> int:
        dispatcher: Any = compiled(double)
        assert dispatcher(21) == 42
        return sum(dispatcher.stats.cache_hits.values())

    sources = hashlib.sha256(Path(compiling.__file__).read_bytes())
    for path in sorted(path for path in Path(__file__).parent.iterdir() if path.suffix == ".py"):
        sources.update(path.read_bytes())
    name = sources.hexdigest()[:16]
    assert [hits(), hits()] == [0, 1]
    before = {path: path.stat().st_mtime_ns for path in cache.rglob("*.nb?")}
    assert sorted(path.suffix for path in before) == [".nbc", ".nbi"]
    assert all(name in path.name for path in before)
    monkeypatch.setattr(compiling, "sources_of", lambda _: "0" * 64)
    assert [hits(), hits()] == [0, 1]
    assert sum("0" * 16 in path.name for path in cache.rglob("*.nb?")) == 2
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_no_directory_to_keep_what_is_compiled() -> None:
    """As of an installation that cannot be written to, without a home."""
    code = (
        "from numba.core.caching import CacheImpl; CacheImpl._locator_classes = []; "
        "from genood.context.instructions import signed; print(signed(-3))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stdout, result.stderr) == (0, "-3\n", "")


def test_only_what_allocates_counts_references() -> None:
    """Else counting comes back unseen, with the first array that a loop makes."""

    @compiled_to_allocate
    def zeros(number: int) -> np.ndarray:
        return np.zeros(number)

    @compiled
    def more_zeros(number: int) -> np.ndarray:
        return np.zeros(number)

    assert zeros(3).tolist() == [0.0, 0.0, 0.0]
    with pytest.raises(numba.TypingError, match="Only accept returning of array passed"):
        more_zeros(3)


def test_arrays_outlive_a_function_that_does_not_count() -> None:
    @compiled
    def last(values: np.ndarray) -> float:
        part = values[1:]
        return part[len(part) - 1]  # type: ignore[no-any-return]

    values = np.arange(4.0)
    references = sys.getrefcount(values)
    assert [last(values) for _ in range(10)] == [3.0] * 10
    assert sys.getrefcount(values) == references


def test_exactly() -> None:
    """The rest of a product, which no rounding is to swallow: 2**-54 of (1 + 2**-27) squared."""

    @compiled_exactly
    def rest(value: float) -> float:
        scaled = (2.0**27 + 1) * value
        high = scaled - (scaled - value)
        low = value - high
        return ((high * high - value * value) + 2 * high * low) + low * low

    assert rest(1 + 2.0**-27) == 2.0**-54
