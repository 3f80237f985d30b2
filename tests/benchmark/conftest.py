"""A small dataset with all splits."""

from __future__ import annotations

from pathlib import Path

import pytest
from toy_datasets import write_full_dataset


@pytest.fixture(scope="session")
def full_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two hundred reads of each class in every split, two classes a split; tests must not change it."""
    return write_full_dataset(tmp_path_factory.mktemp("full") / "dataset")
