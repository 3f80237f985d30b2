"""Memory that is freed and used again, by the page faults of a process of its own."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

PAGES = """
import resource, sys
import numpy as np
from genood.cli.memory import keep_freed_memory

if "keep" in sys.argv:
    keep_freed_memory()

def window():
    arrays = [np.empty(2_000_000, dtype=dtype) for dtype in (np.uint8, np.float32, np.float32)]
    for array in arrays:
        array.fill(1)

for _ in range(3):
    window()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    window()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(*arguments: str) -> int:
    command = [sys.executable, "-c", PAGES, *arguments]
    return int(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="it is about the allocator of glibc")
def test_windows_use_the_memory_of_those_before() -> None:
    assert page_faults("keep") < 20 < 1_000 < page_faults()
