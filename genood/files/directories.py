"""Directories that appear when all that is in them has been written."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from genood.errors import ConfigError, InputError
from genood.files.atomic import STANDARD, check_named, temporary_beside, writing_to


@contextmanager
def new_directory(directory: str | os.PathLike[str], what: str) -> Iterator[Path]:
    """A directory to write into, which gets its name when the block ends well.

    Until then it has a temporary name beside it; if the block fails, it is removed.

    Parameters
    ----------
    directory, what
        See `check_new`.

    Raises
    ------
    ConfigError, InputError
        See `check_new`; or the system refuses the directory.
    """
    final = Path(directory)
    check_new(directory, what)
    temporary = temporary_beside(final)
    try:
        with writing_to(directory):
            temporary.mkdir()
        yield temporary
        with writing_to(directory):
            _sync(temporary)
            check_new(directory, what)
            os.rename(temporary, final)
            _sync(final.parent)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_new(directory: str | os.PathLike[str], what: str) -> None:
    """Raise an error if no new directory can be made here.

    Parameters
    ----------
    directory
        Where it is to be; nothing may be there, and the directory above must.
    what
        It will be, for people: ``a dataset``.

    Raises
    ------
    ConfigError
        See `check_directory_name`.
    InputError
        Something is there, or the directory above is missing or cannot be written to.
    """
    check_directory_name(directory, what)
    if os.path.lexists(directory):
        raise InputError(directory, "is there already; remove it, or name another directory")
    parent = Path(directory).parent
    if not parent.is_dir():
        raise InputError(directory, f"its directory {str(parent)!r} does not exist")
    if not os.access(parent, os.W_OK):
        raise InputError(directory, f"cannot write into {str(parent)!r}")


def check_directory_name(directory: str | os.PathLike[str], what: str) -> None:
    """Raise ConfigError if the name of a directory to write into is empty, or ``-``.

    As it was given: in a Path, ``./-`` is ``-`` too, and an empty name the current directory. For `what` see
    `check_new`.
    """
    check_named(directory)
    if os.fspath(directory) == STANDARD:
        raise ConfigError(f"-: {what} is a directory; it cannot go to standard output")


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
