"""The class of a file of sequences: what its name states, or what a table says; classes among others."""

from __future__ import annotations

import csv
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genood.errors import InputError, TrainingError
from genood.readers import STDIN, check_readable

_NAMELESS = ("/dev/fd/", "/dev/stdin", "/proc/")
"""What a shell gives a pipe for a name."""
_COMPRESSION_SUFFIXES = {".gz", ".bgz", ".bz2", ".xz", ".zst"}


def class_of(path: str | os.PathLike[str]) -> str:
    """The class that a file name states: up to the first ``__``, else the stem."""
    name = Path(path).name
    before, separator, _ = name.partition("__")
    if separator and before:
        return before
    stem = Path(name)
    if stem.suffix in _COMPRESSION_SUFFIXES:
        stem = stem.with_suffix("")
    return stem.stem


def read_classes(path: str | os.PathLike[str]) -> dict[str, str]:
    """Read a classes table: TSV with the columns file and class.

    Raises
    ------
    InputError
        The table is missing, lacks a column, has an empty cell or names a file twice.
    """
    if os.fspath(path) == STDIN:
        raise InputError(path, "is not taken as the table of classes; name a file")
    check_readable([os.fspath(path)])
    try:
        # Spreadsheets may put a byte order mark in front.
        with open(path, newline="", encoding="utf-8-sig") as stream:
            return _parse_classes(path, csv.DictReader(stream, delimiter="\t", quoting=csv.QUOTE_NONE))
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"is not a table of tab-separated text: {error}") from error


def _parse_classes(path: str | os.PathLike[str], table: csv.DictReader[str]) -> dict[str, str]:
    if table.fieldnames is None or not {"file", "class"} <= set(table.fieldnames):
        raise InputError(path, "needs a header line with the columns 'file' and 'class'", line=1)
    classes: dict[str, str] = {}
    for row in table:
        file, class_name = row["file"], (row["class"] or "").strip()  # blanks at the end are not seen
        if not file or not class_name:
            raise InputError(path, "a row needs both a file and a class", line=table.line_num)
        if None in row:
            raise InputError(path, "a row has more cells than the header", line=table.line_num)
        if file in classes:
            raise InputError(path, f"names {file!r} twice", line=table.line_num)
        classes[file] = class_name
    return classes


def class_in(path: str, classes: Mapping[str, str] | None) -> str:
    """The class of a file by a table, looked up by the path as given, then by its name.

    Without a table, what the file name states.

    Raises
    ------
    InputError
        The table does not name the file, standard input or a pipe has no name, or the class has a
        character that no table can hold.
    """
    if classes is None:
        if path == STDIN or path.startswith(_NAMELESS):
            raise InputError(path, "has no file name to take the class from; give --classes")
        found = class_of(path)
    elif (key := next((key for key in (path, os.path.basename(path)) if key in classes), None)) is not None:
        found = classes[key]
    else:
        raise InputError(path, "is not named in the table of classes")
    if not found.isprintable():  # nor is what is no UTF-8
        raise InputError(path, f"the class {found!r} holds a character that no table can")
    return found


def class_places(classes: Sequence[str], among: Sequence[str]) -> npt.NDArray[np.int64]:
    """Where classes are among others, found by name.

    Raises
    ------
    TrainingError
        One is not among them.
    """
    unknown = [name for name in classes if name not in among]
    if unknown:
        raise TrainingError(
            f"validation reads are of {', '.join(unknown)}, but the reference's classes are "
            f"{', '.join(among)}; name files of the same class alike, before '__', or give --classes"
        )
    return np.array([among.index(name) for name in classes], dtype=np.int64)
