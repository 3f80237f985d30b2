"""The bytes of the table by class, by hand and against a search for the nearest."""

from __future__ import annotations

import numpy as np

from genood.context.dense import CLASS_PROBABILITIES, NEVER, stride_of, to_class_bytes

LEAST = 17 / 16 * 2.0**-16


def test_probabilities_by_hand() -> None:
    """Sixteen equal steps from each power of 2 to the next."""
    expected = [2.0**-halvings * (1 - step / 32) for halvings in range(16) for step in range(16)]
    assert CLASS_PROBABILITIES.dtype == np.float32
    assert CLASS_PROBABILITIES.tolist() == expected
    assert expected[NEVER] == LEAST == min(expected)


def test_bytes_by_hand() -> None:
    """Between 1 and 31/32, bytes 0 and 1, half of the way is 63/64."""
    values = [1.0, 0.985, 0.984, 0.5, 0.25, 2.0**-15, LEAST, 1e-9, 0.0]
    bytes_ = [0, 0, 1, 16, 32, 240, NEVER, NEVER, NEVER]
    assert to_class_bytes(np.array(values, dtype=np.float32)).tolist() == bytes_
    found = to_class_bytes(CLASS_PROBABILITIES.reshape(8, 32))
    assert found.dtype == np.uint8
    assert found.tolist() == np.arange(256).reshape(8, 32).tolist()


def test_bytes_are_the_nearest() -> None:
    values = np.exp(np.linspace(np.log(LEAST), 0, 20_000)).astype(np.float32)
    found = to_class_bytes(values)
    distances = np.abs(CLASS_PROBABILITIES.astype(np.float64) - values[:, None])
    assert (distances[np.arange(20_000), found] == distances.min(axis=1)).all()
    assert (distances.min(axis=1) <= values / 32).all()
    assert (np.diff(found.astype(int)) <= 0).all()


def test_stride_of() -> None:
    assert [stride_of(num_classes) for num_classes in (1, 7, 8, 9, 16, 130)] == [8, 8, 8, 16, 16, 136]
