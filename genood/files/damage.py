"""Files of cells that cannot be read: which one, and how to have it computed again."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import BadZipFile

from genood.errors import InputError

_DAMAGE = (ValueError, TypeError, KeyError, EOFError, BadZipFile, zlib.error)
"""What JSON, NumPy's archives and looking into them raise where a file is not what was written."""


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
