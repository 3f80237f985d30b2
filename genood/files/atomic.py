"""Writing files so that nothing half-written ever bears a final name."""

from __future__ import annotations

import glob
import hashlib
import json
import os
import re
import secrets
import shutil
import stat
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genood.errors import ConfigError, InputError

STANDARD = "-"
"""Names standard input among inputs, and standard output among outputs."""
STDOUT_NAME = "standard output"
_CHUNK_BYTES = 2**20
_MAX_NAME_LETTERS = 50
"""Of the final name, in a temporary one: file systems take 255 bytes in all, up to four a letter."""
_TEMPORARY = re.compile(r"\..*\.[0-9a-f]{12}\.tmp", re.DOTALL)
_MOST_LINKS = 40
"""Links that lead from one to the next, as in Linux."""
_DESCRIPTORS = re.compile(r"/dev/fd|/proc/(\d+)/(?:task/\d+/)?fd")
"""Directories whose entries are what a process has open."""


@dataclass(frozen=True)
class _Written:
    """A file that is to have its final name, what the user calls it, and what goes when it gets it."""

    target: str | os.PathLike[str]
    temporary: Path
    final: Path
    stale: Sequence[str]


_together: ContextVar[list[_Written] | None] = ContextVar("_together", default=None)
"""The files of an `appear_together`, in the order in which they are renamed."""


@contextmanager
def appear_together() -> Iterator[None]:
    """Let files of `atomic_path` take their names when this block ends well, and none when not.

    By then all of them are on the disk. They do so in the order in which they were begun, if `atomic_path`
    is not told otherwise. Within another such block, that one counts. What opens the files need not know.
    """
    if _together.get() is not None:
        yield
        return
    files: list[_Written] = []
    token = _together.set(files)
    try:
        yield
        _rename(files)
    finally:
        _together.reset(token)
        for file in files:
            file.temporary.unlink(missing_ok=True)


def _rename(files: Sequence[_Written]) -> None:
    finals = {file.final for file in files}
    for file in files:
        with writing_to(file.target):
            for name in file.stale:
                _remove(name, finals)
            os.replace(file.temporary, file.final)


def _remove(name: str, finals: set[Path]) -> None:
    """Remove a file; of a link what it points to, where that will be written, and else the link."""
    real = Path(os.path.realpath(name))
    path = real if real in finals else Path(name)
    if not path.is_dir():
        path.unlink(missing_ok=True)


@contextmanager
def atomic_path(
    target: str | os.PathLike[str], *, stale: Sequence[str] = (), after: Path | None = None
) -> Iterator[Path]:
    """A temporary path beside `target`, renamed to it when the block ends well and removed when not.

    A link is followed, so that what it points to is replaced and the link stays. A target that is
    not a regular file (``/dev/null``, a named pipe) is handed out as it is. What is written to an open
    descriptor (``/dev/fd/3``, ``/dev/stdout``) follows what is there. Permissions are those of
    the file that was there, else the usual ones of a new file.

    Of several that write to one target at once, the last to end wins, whole.

    Parameters
    ----------
    target
        The name.
    stale
        Files that belong to the one that was there, such as its index; removed just before the rename.
    after
        In `appear_together`, the temporary path of the file right after which this one is renamed; else
        that is as they are begun.

    Raises
    ------
    ConfigError
        The target's name is empty.
    InputError
        The target is a directory, or its directory is missing or cannot be written to, or what is
        written does not reach the disk.
    """
    opened: AbstractContextManager[Path]
    if _descriptor_of(target) is not None:
        opened = _path_to_descriptor(target)
    elif (final := _regular_file(target)) is not None:
        opened = _path_beside(target, final, stale, after)
    else:
        opened = nullcontext(Path(target))
    with opened as path:
        yield path


@contextmanager
def _path_beside(
    target: str | os.PathLike[str], final: Path, stale: Sequence[str], after: Path | None
) -> Iterator[Path]:
    temporary = temporary_beside(final)
    file = _Written(target, temporary, final, stale)
    together = _together.get()
    files = [] if together is None else together
    place = [number for number, other in enumerate(files, 1) if other.temporary == after]
    files.insert(place[0] if place else len(files), file)
    try:
        with writing_to(target):  # in here, as an interrupt may come as soon as the file is there
            os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666))
        with _on_disk(file):
            yield temporary
        if together is None:
            _rename(files)
    except BaseException:
        files.remove(file)
        with suppress(OSError):  # it may never have been there
            temporary.unlink()
        raise


@contextmanager
def _on_disk(file: _Written) -> Iterator[None]:
    """A block at whose end the temporary file is as the final one is to be."""
    mode = stat.S_IMODE((file.final if file.final.exists() else file.temporary).stat().st_mode)
    try:
        yield
    except OSError as error:
        if error.filename != os.fspath(file.temporary):
            raise
        raise _unwritten(file.target, error) from error
    with writing_to(file.target):
        # safetensors writes files that only their owner can read.
        file.temporary.chmod(mode)
        with open(file.temporary, "rb") as written:
            os.fsync(written.fileno())


def _descriptor_of(path: str | os.PathLike[str]) -> str | None:
    """The one name of what a process has open that a path names, as ``/dev/fd/1``; None of other files.

    ``/dev/stdout`` and links to it name it too. Another process's is ``/proc/NUMBER/fd/1``.
    """
    name = os.path.abspath(path)
    for _ in range(_MOST_LINKS):
        folder, number = os.path.realpath(os.path.dirname(name)), os.path.basename(name)
        match = _DESCRIPTORS.fullmatch(folder)
        if match is not None and number.isdecimal():
            is_own = match[1] in (None, str(os.getpid()))
            return f"/dev/fd/{number}" if is_own else f"/proc/{match[1]}/fd/{number}"
        if not os.path.islink(name):
            return None
        name = os.path.join(folder, os.readlink(name))
    return None


def is_standard_output(target: str | os.PathLike[str]) -> bool:
    """Whether an output is standard output: ``-``, ``/dev/stdout`` and its like."""
    return os.fspath(target) == STANDARD or _descriptor_of(target) == "/dev/fd/1"


def open_descriptor(target: str | os.PathLike[str]) -> int | None:
    """A descriptor to write to what a process has open, if that is what a target names.

    Opened by its name, a file would be emptied and written from its start.
    """
    name = _descriptor_of(target)
    if name is None:
        return None
    with writing_to(target):
        if name.startswith("/dev/fd/"):
            return os.dup(int(os.path.basename(name)))
        return os.open(name, os.O_WRONLY | os.O_APPEND)


@contextmanager
def _path_to_descriptor(target: str | os.PathLike[str]) -> Iterator[Path]:
    """For what writes to a path: the pipe or terminal itself, or a file that is copied in the end."""
    descriptor = open_descriptor(target)
    assert descriptor is not None
    with open(descriptor, "wb") as stream:
        kind = os.fstat(descriptor).st_mode
        if stat.S_ISFIFO(kind) or stat.S_ISCHR(kind):
            yield Path(target)
            return
        with tempfile.TemporaryDirectory(prefix="genood.") as folder:
            path = Path(folder, os.path.basename(target))
            path.touch()
            yield path
            with open(path, "rb") as source, writing_to(target):
                shutil.copyfileobj(source, stream)
                stream.flush()


def temporary_beside(final: Path) -> Path:
    """A name for what will be renamed to `final`, that no other process uses, nor one on another machine.

    Process numbers would not do: containers that share a directory all have the same ones.
    """
    random = secrets.token_hex(6)
    return final.with_name(f".{final.name[:_MAX_NAME_LETTERS]}.{random}.tmp")


def is_temporary(path: Path) -> bool:
    """Whether a file has a name of `temporary_beside`: a process that was killed leaves it behind."""
    return _TEMPORARY.fullmatch(path.name) is not None


def remove_leftovers(final: Path) -> None:
    """Remove what processes that were killed while they wrote a file have left of it."""
    beginning = f".{final.name[:_MAX_NAME_LETTERS]}."
    for path in final.parent.glob(f"{glob.escape(beginning)}*"):
        if is_temporary(path):
            path.unlink(missing_ok=True)


@contextmanager
def writing_to(target: str | os.PathLike[str]) -> Iterator[None]:
    """Let what the system refuses to write in this block be an InputError about the target.

    Where the reader of standard output goes, it stays BrokenPipeError, as it is nothing to tell of.
    """
    try:
        yield
    except BrokenPipeError as error:
        if os.fspath(target) == STDOUT_NAME:
            raise
        raise InputError(target, "its reader has gone") from error
    except OSError as error:
        raise _unwritten(target, error) from error


def _unwritten(target: str | os.PathLike[str], error: OSError) -> InputError:
    # Not the file that the error names, the temporary one, of which the user knows nothing.
    # Libraries that do not say why have mostly met a full disk, or a pipe that nobody reads any more.
    guess = "has its reader gone?" if Path(target).is_fifo() else "is the disk full?"
    return InputError(target, f"cannot be written ({error.strerror or guess})")


def check_writable(outputs: Iterable[str | None]) -> None:
    """Raise an error, as `atomic_path` would, for the first output that cannot be written.

    For commands to ask before the work, and before the first of several outputs is there. ``-`` and
    None are left out.
    """
    for output in outputs:
        if output is not None and output != STANDARD and _descriptor_of(output) is None:
            _regular_file(output)


def check_named(target: str | os.PathLike[str]) -> None:
    """Raise ConfigError if an output has an empty name, which a shell makes of a variable that is not set."""
    if not os.fspath(target):
        raise ConfigError("the name of an output is empty; is it a variable of the shell that is not set?")


def _regular_file(target: str | os.PathLike[str]) -> Path | None:
    """The file that a target names, its links followed; None if it is not to be a regular file.

    Raises
    ------
    ConfigError, InputError
        See `atomic_path`.
    """
    check_named(target)
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
    """Raise ConfigError if an output would overwrite an input or another output, or a stream is read twice.

    Or if an output has no name, see `check_named`. None is left out; ``/dev/null`` and its like may be named
    often, and standard input and output, whatever they are called, once.
    """
    read: set[str] = set()
    for path in inputs:
        source = _stream_name(path, 0)
        if source is not None and source in read:
            shown = "standard input" if source == "/dev/fd/0" else path
            raise ConfigError(f"{shown}: can be named only once")
        read.add(source or os.path.realpath(path))
    written: set[str] = set()
    redirected: set[str] = set()
    for target in outputs:
        if target is None:
            continue
        check_named(target)
        stream = _stream_name(target, 1)
        if stream is None and _is_special(target):
            continue
        final = os.path.realpath(stream or target)  # of a stream what a shell may have redirected it to
        if final in read:
            raise ConfigError(f"{_shown(target)}: is both an input and an output")
        # Two streams may well be one file, as of 2>&1.
        if (stream or final) in written or (final in (redirected if stream is None else written)):
            raise ConfigError(f"{_shown(target)}: two outputs have the same name; give each its own")
        written.add(stream or final)
        if stream is not None:
            redirected.add(final)


def _shown(target: str) -> str:
    return STDOUT_NAME if is_standard_output(target) else target


def _stream_name(path: str, standard: int) -> str | None:
    """As `_descriptor_of`, where ``-`` is the descriptor of a number."""
    return f"/dev/fd/{standard}" if path == STANDARD else _descriptor_of(path)


def check_outside(folder: str | os.PathLike[str], outputs: Iterable[str]) -> None:
    """Raise ConfigError if an output lies in a folder, that of the bundle, links followed."""
    inside = os.path.realpath(folder)
    for path in outputs:
        if path != STANDARD and Path(os.path.realpath(path)).is_relative_to(inside):
            raise ConfigError(f"{path}: lies in the bundle {os.fspath(folder)}; write elsewhere")


def _is_special(path: str) -> bool:
    return os.path.exists(path) and not os.path.isfile(path)


def write_text(target: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text file atomically; ``-`` is standard output.

    What file names hold that is no UTF-8 is written with backslashes.
    """
    content = text.encode(errors="backslashreplace")
    if is_standard_output(target):
        if sys.stdout is None:
            raise InputError(STDOUT_NAME, "is closed; name a file")
        with writing_to(STDOUT_NAME):
            sys.stdout.buffer.write(content)
            sys.stdout.buffer.flush()
        return
    with atomic_path(target) as path, writing_to(target):
        path.write_bytes(content)


def write_json(target: str | os.PathLike[str], value: Any) -> None:
    """Write a JSON file, see `write_text`; NaN and infinities are refused rather than written."""
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
