"""Copies in large pages."""

from __future__ import annotations

import mmap
from typing import Self

import numpy as np
import pytest

from genood.context.pages import in_large_pages


@pytest.mark.parametrize("with_large_pages", [True, False])
@pytest.mark.parametrize("length", [0, 1, 5000])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.float32])
def test_copy(
    dtype: type[np.generic], length: int, with_large_pages: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not with_large_pages:
        monkeypatch.delattr(mmap, "MADV_HUGEPAGE", raising=False)
    values = np.random.default_rng(1).integers(0, 200, length).tolist()
    source = np.array(values, dtype=dtype)
    copy = in_large_pages(source)
    source[:] = 201
    assert copy.dtype == source.dtype
    assert copy.tolist() == values
    copy[:] = 202
    assert source.tolist() == [201] * length


@pytest.mark.skipif(not hasattr(mmap, "MADV_HUGEPAGE"), reason="the system has no large pages")
def test_large_pages_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    class Memory(mmap.mmap):
        def __new__(cls, fileno: int, length: int, flags: int) -> Self:
            # Shared memory, the default, has large pages only where an administrator asked for them.
            assert flags == mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
            return super().__new__(cls, fileno, length, flags)

        def madvise(self, option: int, *args: int) -> None:
            asked.append((len(self), option))

    monkeypatch.setattr(mmap, "mmap", Memory)
    in_large_pages(np.zeros(300, dtype=np.uint32))
    assert asked == [(1200, mmap.MADV_HUGEPAGE)]
