"""Parquet by the ending of a name, and pyarrow where it is installed."""

from __future__ import annotations

import os
from typing import Any

from genood.errors import ConfigError

_ENDING = ".parquet"


def is_parquet(path: str | os.PathLike[str]) -> bool:
    """Whether a file is Parquet by its name."""
    return os.fspath(path).lower().endswith(_ENDING)


def parquet_for(path: str | os.PathLike[str]) -> Any:
    """`pyarrow.parquet`, for a file.

    Raises
    ------
    ConfigError
        It is not installed.
    """
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ConfigError(
            f"{os.fspath(path)}: Parquet needs pyarrow: pip install pyarrow, or genood with its extra parquet"
        ) from error
    return pyarrow.parquet
