"""Writing files so that nothing half-written ever bears a final name."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import stat
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genood.errors import ConfigError, InputError

_CHUNK_BYTES = 2**20
_MAX_NAME_LETTERS = 50
"""Of the final name, in a temporary one: file systems take 255 bytes in all, up to four a letter."""


@contextmanager
def atomic_path(target: str | os.PathLike[str]) -> Iterator[Path]:
    """A temporary path beside `target`, renamed to it when the block ends well and removed when not.

    A link is followed, so that what it points to is replaced and the link stays. A target that is
    not a regular file (``/dev/null``, a named pipe) is handed out as it is. Permissions are those of
    the file that was there, else the usual ones of a new file.

    Of several that write to one target at once, the last to end wins, whole.

    Raises
    ------
    InputError
        The target is a directory, or its directory is missing or cannot be written to, or what is
        written does not reach the disk.
    """
    final = _regular_file(target)
    if final is None:
        yield Path(target)
        return
    temporary = temporary_beside(final)
    with writing_to(target):
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
    try:
        mode = stat.S_IMODE((final if final.exists() else temporary).stat().st_mode)
        try:
            yield temporary
        except OSError as error:
            if error.filename != os.fspath(temporary):
                raise
            raise _unwritten(target, error) from error
        with writing_to(target):
            # safetensors writes files that only their owner can read.
            temporary.chmod(mode)
            with open(temporary, "rb") as written:
                os.fsync(written.fileno())
            os.replace(temporary, final)
    finally:
        temporary.unlink(missing_ok=True)


def temporary_beside(final: Path) -> Path:
    """A name for what will be renamed to `final`, that no other process uses, nor one on another machine.

    Process numbers would not do: containers that share a directory all have the same ones.
    """
    random = secrets.token_hex(6)
    return final.with_name(f".{final.name[:_MAX_NAME_LETTERS]}.{random}.tmp")


@contextmanager
def writing_to(target: str | os.PathLike[str]) -> Iterator[None]:
    """Let what the system refuses to write in this block be an InputError about the target.

    A closed pipe stays BrokenPipeError, as it is nothing to tell of.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise _unwritten(target, error) from error


def _unwritten(target: str | os.PathLike[str], error: OSError) -> InputError:
    # Not the file that the error names, the temporary one, of which the user knows nothing.
    # Libraries that do not say why have mostly met a full disk.
    return InputError(target, f"cannot be written ({error.strerror or 'is the disk full?'})")


def check_writable(outputs: Iterable[str | None]) -> None:
    """Raise InputError, as `atomic_path` would, for the first output that cannot be written.

    For commands to ask before the work, and before the first of several outputs is there. ``-`` and
    None are left out.
    """
    for output in outputs:
        if output is not None and output != "-":
            _regular_file(output)


def _regular_file(target: str | os.PathLike[str]) -> Path | None:
    """The file that a target names, its links followed; None if it is not to be a regular file.

    Raises
    ------
    InputError
        See `atomic_path`.
    """
    given = Path(target)
    if given.is_dir():
        raise InputError(target, "is a directory; name a file")
    # Asked of the name as given, as a pipe behind /dev/stdout has none of its own.
    if given.exists() and not given.is_file():
        return None
    final = Path(os.path.realpath(target))
    if not final.parent.is_dir():
        raise InputError(target, f"its directory {str(final.parent)!r} does not exist")
    if not os.access(final.parent, os.W_OK):
        raise InputError(target, f"cannot write into {str(final.parent)!r}")
    return final


def check_distinct(inputs: Iterable[str], outputs: Iterable[str | None]) -> None:
    """Raise ConfigError if an output would overwrite an input or another output.

    ``-`` and None are left out of the inputs; ``/dev/null`` and its like may be named often, and
    ``-`` once.
    """
    read = {os.path.realpath(path) for path in inputs if path != "-"}
    written: set[str] = set()
    for path in outputs:
        if path is None or (path != "-" and _is_special(path)):
            continue
        name = path if path == "-" else os.path.realpath(path)
        if name in read:
            raise ConfigError(f"{path}: is both an input and an output")
        if name in written:
            shown = "standard output" if path == "-" else path
            raise ConfigError(f"{shown}: two outputs have the same name; give each its own")
        written.add(name)


def _is_special(path: str) -> bool:
    return os.path.exists(path) and not os.path.isfile(path)


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file atomically."""
    with atomic_path(target) as path, writing_to(target):
        path.write_text(text, encoding="utf-8")


def write_json(target: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON file atomically; NaN and infinities are refused rather than written."""
    write_text(target, json.dumps(value, indent=2, allow_nan=False) + "\n")


def sha256_of(path: str | os.PathLike[str]) -> str:
    """The sha256 of a file, as hexadecimal digits."""
    digest = hashlib.sha256()
    with open(path, "rb") as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def sha256_ahead(paths: Iterable[str | os.PathLike[str]]) -> dict[Path, Future[str]]:
    """Start `sha256_of` for each of the paths, in a thread; the results by path."""
    pool = ThreadPoolExecutor(1)
    hashes = {Path(path): pool.submit(sha256_of, path) for path in paths}
    pool.shutdown(wait=False)
    return hashes
