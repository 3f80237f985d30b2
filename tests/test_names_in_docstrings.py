"""What docstrings refer to by its whole name is there; names of files are not meant."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_NAMED = re.compile(r"`((?:genood|data_prep)(?:\.\w+)+)(?<!\.json)(?<!\.py)`")


def names_in(path: Path) -> set[str]:
    return set(_NAMED.findall(path.read_text(encoding="utf-8")))


def is_there(name: str) -> bool:
    """Whether the longest part that is a module has the rest: an attribute, a field, or one of either."""
    parts = name.split(".")
    for number in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(parts[:number]))
        except ModuleNotFoundError:
            continue
        for part in parts[number:]:
            if not hasattr(found, part):
                return part in getattr(found, "__annotations__", {})
            found = getattr(found, part)
        return True
    return False


FILES = [path for part in ("genood", "data_prep") for path in sorted((ROOT / part).rglob("*.py"))]
FILES = [path for path in FILES if names_in(path)]


@pytest.mark.parametrize("path", FILES, ids=[str(path.relative_to(ROOT)) for path in FILES])
def test_names(path: Path) -> None:
    assert [name for name in sorted(names_in(path)) if not is_there(name)] == []


def test_what_is_not_there_is_found() -> None:
    assert is_there("genood.errors.InputError")
    assert not is_there("genood.errors.NoSuchError")
    assert not is_there("genood.nothing.InputError")
