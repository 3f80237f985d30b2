"""The filter: it holds all its keys, and few others."""

from __future__ import annotations

import numpy as np
import pytest

from genood.context.fuse import holds, make_filter, most_keys, seeded, segment_length, size_of


def keys_of(number: int, seed: int) -> np.ndarray:
    return np.unique(np.random.default_rng(seed).integers(0, 1 << 36, number).astype(np.uint64))


def found(keys: np.ndarray, table: np.ndarray, seed: int, num_keys: int) -> np.ndarray:
    segment = segment_length(num_keys)
    return np.array([holds(table, segment, np.uint64(seeded(key, seed))) for key in keys])


@pytest.mark.parametrize("number", [1, 2, 3, 50, 5000])
def test_holds_all_its_keys(number: int) -> None:
    keys = keys_of(number, number)
    table, seed = make_filter(keys)
    assert table.shape == (size_of(len(keys)),)
    assert found(keys, table, seed, len(keys)).all()


def test_takes_one_foreign_key_in_256_for_its_own() -> None:
    keys = keys_of(5000, 1)
    table, seed = make_filter(keys)
    foreign = np.setdiff1d(keys_of(40_000, 2), keys)
    mistaken = found(foreign, table, seed, len(keys)).mean()
    assert mistaken == pytest.approx(1 / 256, abs=4 * (1 / 256 / len(foreign)) ** 0.5)


def test_a_key_takes_nine_bits() -> None:
    assert 8 * size_of(1_000_000) / 1_000_000 == pytest.approx(9, abs=0.5)
    assert 8 * size_of(7_000_000) / 7_000_000 == pytest.approx(9, abs=0.1)


@pytest.mark.parametrize("num_bytes", [5000, 100_000, 8_000_000])
def test_most_keys_is_what_fits(num_bytes: int) -> None:
    most = most_keys(num_bytes)
    assert size_of(most) <= num_bytes < size_of(most + 1)


def test_no_room_for_any() -> None:
    assert most_keys(-5) == most_keys(0) == 0


def test_repeated_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="repeated"):
        make_filter(np.array([5, 5, 9], dtype=np.uint64))


def test_an_empty_filter() -> None:
    table, _ = make_filter(np.empty(0, dtype=np.uint64))
    assert not table.any()
