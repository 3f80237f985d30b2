"""Room for what is said of reads, and its sums against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest

from genood.context.rows import Rows, row_sums
from genood.detectors.base import no_values


def test_sums_by_hand() -> None:
    assert row_sums(np.array([[0.5, -2.0], [0.25, 1.0]], dtype=np.float32)).tolist() == [-1.5, 1.25]


@pytest.mark.parametrize("shape", [(0, 7), (3, 0), (5, 1), (4, 31), (33, 250)])
def test_sums_as_numpy(shape: tuple[int, int]) -> None:
    values = np.random.default_rng(1).normal(-1.3, 0.5, shape).astype(np.float32)
    np.testing.assert_allclose(row_sums(values), values.sum(axis=1, dtype=np.float64), rtol=1e-14)


def test_sums_of_parts_of_arrays_and_of_what_is_not_there() -> None:
    values = np.arange(24, dtype=np.float32).reshape(4, 6)
    assert row_sums(values[:, 1:4]).tolist() == values[:, 1:4].sum(axis=1).tolist()
    assert np.isnan(row_sums(no_values((2, 3)))).all()


def test_parts_share_the_rows_of_reads_but_no_room_for_one() -> None:
    every = Rows.of_shape((4, 7), each_base=True)
    part = every.part(slice(1, 3))
    assert part.log_p.base is every.log_p
    assert part.log_p.shape == (2, 7)
    assert part.sums.base is every.sums
    assert part.sums.shape == (2,)
    sums = Rows.of_shape((4, 7), each_base=False)
    parts = [sums.part(reads) for reads in (slice(0, 2), slice(2, 4))]
    assert all(each.log_p.shape == (1, 7) and each.sums.base is sums.sums for each in parts)
    assert not np.shares_memory(parts[0].log_p, parts[1].log_p)
