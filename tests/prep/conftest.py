"""A server of toy genomes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prep.mirror import Mirror
from prep.toy_plan import CONTENTS, FOLDERS, write_plan


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    """Of three genomes."""
    with Mirror(dict(zip(FOLDERS, CONTENTS, strict=True))) as server:
        yield server


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    """Of all three."""
    return write_plan(tmp_path / "plan.tsv", range(3))
