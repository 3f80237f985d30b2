"""Directories that one process at a time writes into."""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genood.errors import InputError
from genood.files.directories import check_directory_name

logger = logging.getLogger("genood.prep.lock")


@contextmanager
def sole_writer(directory: str | os.PathLike[str], work: str) -> Iterator[None]:
    """Keep other processes that call this out of a directory until the block ends.

    Parameters
    ----------
    directory
        As given. Made if it is missing, but not what it is in: that is more likely to be misspelt.
    work
        What the processes do, such as ``download``.

    Raises
    ------
    ConfigError
        The directory's name is empty, or ``-``.
    InputError
        The directory is none and cannot be made, or another process is at it.
    """
    check_directory_name(directory, f"the output of a {work}")
    _make(Path(directory))
    handle = os.open(directory, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise InputError(directory, f"another {work} into it is running; wait for its end") from error
        except OSError as error:
            # Some network file systems lock no directories, which is no reason to do without.
            logger.debug("%s cannot be locked: %s", directory, error)
        yield
    finally:
        os.close(handle)


def _make(directory: Path) -> None:
    parent = directory.parent
    if not parent.is_dir():
        raise InputError(directory, f"its directory {str(parent)!r} does not exist")
    try:
        directory.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise InputError(directory, "is not a directory") from error
    except OSError as error:
        raise InputError(directory, f"cannot be made ({error.strerror})") from error
