"""Files of cells that cannot be read: which one, and how to have it computed again."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from safetensors import SafetensorError

from genood.errors import InputError

_DAMAGE = (ValueError, TypeError, KeyError, EOFError, BadZipFile, zlib.error, SafetensorError, RuntimeError)
"""What JSON, NumPy's archives, weights and looking into them raise where a file is not what was written.

RuntimeError is torch's, of weights of other shapes.
"""


@contextmanager
def naming_damage(path: Path, *, remove: Path | None = None) -> Iterator[None]:
    """While a file of a cell is read: raise InputError, with its name, for what cannot be read.

    Parameters
    ----------
    path
        The file.
    remove
        What to remove to have it computed again; None is the file alone.
    """
    try:
        yield
    except _DAMAGE as error:
        removed = "it" if remove is None else str(remove)
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            path, f"is damaged ({reason}); remove {removed} to have it computed again"
        ) from error


def json_object(path: Path) -> dict[str, Any]:
    """What a JSON file holds; ValueError or TypeError, which `naming_damage` takes, if that is no object."""
    value = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(value, dict):
        raise TypeError("no JSON object")
    return value
