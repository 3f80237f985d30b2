"""Compiled counts against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from genood.detectors.row_counts import row_counts


def test_by_hand() -> None:
    codes = np.array([[0, 1, 2, 3, 4], [1, 1, 2, 4, 4]], dtype=np.uint8)
    lengths = np.array([5, 3])
    assert [counts.tolist() for counts in row_counts(codes, lengths)] == [[4, 3], [2, 3]]
    # Neither read's two first bases count.
    assert [counts.tolist() for counts in row_counts(codes, lengths, np.array([2, 2]))] == [[2, 1], [1, 1]]


@pytest.mark.parametrize("shape", [(0, 7), (3, 0), (5, 1), (4, 31), (33, 250)])
def test_as_numpy(shape: tuple[int, int]) -> None:
    generator = np.random.default_rng(1)
    codes = generator.integers(0, 5, shape, dtype=np.uint8)
    leads, lengths = generator.integers(0, shape[1] + 1, (2, shape[0]))
    places = np.arange(shape[1])
    mask = (codes < 4) & (places >= leads[:, None]) & (places < lengths[:, None])
    num_scored, num_strong = row_counts(codes, lengths, leads)
    np.testing.assert_array_equal(num_scored, mask.sum(axis=1))
    np.testing.assert_array_equal(num_strong, (mask & np.isin(codes, [1, 2])).sum(axis=1))


def test_parts_of_arrays() -> None:
    codes = np.tile(np.arange(6, dtype=np.uint8) % 5, (4, 1))
    assert [counts.tolist() for counts in row_counts(codes[:, ::2], np.full(4, 3))] == [[2] * 4, [1] * 4]
