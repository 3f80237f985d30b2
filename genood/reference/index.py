"""Genomes read once: a directory from which training draws without reading FASTA, or holding it in memory.

The codes of all runs of known bases lie in one file, which is mapped into memory: a read costs the pages
it lies on, whatever the size of the reference, and the system keeps the pages that are used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from genood import __version__
from genood.errors import InputError
from genood.files import sha256_of, write_json, writing_to
from genood.files.directories import new_directory
from genood.reference.genomes import GenomeFile, Genomes, classes_of, read_genomes

INDEX_FILE = "genomes.json"
"""It makes a directory an index."""
FORMAT_VERSION = 1
READABLE_FROM = "0.1.0"
"""The first version of genood that reads this format."""

_CODES, _LENGTHS = "codes.bin", "runs.bin"
_ANY_RUN = 1


def write_index(
    paths: Sequence[str],
    directory: str | os.PathLike[str],
    *,
    classes: Mapping[str, str] | None = None,
    progress: Callable[[GenomeFile], None] | None = None,
) -> list[GenomeFile]:
    """Write an index of genomes; no more than one file is in memory.

    Parameters
    ----------
    paths, classes
        See `load_genomes`.
    directory
        Where, see `new_directory`.
    progress
        Told of each file.

    Returns
    -------
    files
        What was read; usable are runs of any length.

    Raises
    ------
    InputError, ConfigError, TrainingError
        See `load_genomes` and `new_directory`.
    """
    files: list[GenomeFile] = []
    num_runs: list[int] = []
    with new_directory(directory, "an index") as folder:
        with (
            writing_to(directory),
            (folder / _CODES).open("wb") as codes,
            (folder / _LENGTHS).open("wb") as lengths,
        ):
            for file, runs in read_genomes(paths, min_length=_ANY_RUN, classes=classes):
                for run in runs:
                    codes.write(run.data)
                lengths.write(np.array([len(run) for run in runs], dtype="<i8").data)
                files.append(file)
                num_runs.append(len(runs))
                if progress is not None:
                    progress(file)
            for stream in (codes, lengths):
                stream.flush()
                os.fsync(stream.fileno())
        classes_of(files, _ANY_RUN)
        metadata = {
            "format_version": FORMAT_VERSION,
            "readable_from": READABLE_FROM,
            "genood_version": __version__,
            "files": [
                asdict(file) | {"num_runs": number} for file, number in zip(files, num_runs, strict=True)
            ],
            "sha256": {name: sha256_of(folder / name) for name in (_CODES, _LENGTHS)},
        }
        write_json(folder / INDEX_FILE, metadata)
    return files


def is_index(path: str | os.PathLike[str]) -> bool:
    """Whether a path is the directory of an index."""
    return (Path(path) / INDEX_FILE).is_file()


def load_index(directory: str | os.PathLike[str], *, min_length: int) -> Genomes:
    """The genomes of an index, as `load_genomes` would give them, but for their codes, which stay on disk.

    The files are read through once, to see that they are whole.

    Parameters
    ----------
    directory
        The index.
    min_length
        Runs of known bases shorter than this are passed over.

    Raises
    ------
    InputError
        No index, a newer format, or a file that is missing or has changed.
    TrainingError
        A class has no run of `min_length` known bases.
    """
    root = Path(directory)
    metadata = _read_metadata(root)
    for name, expected in metadata["sha256"].items():
        if not (root / name).is_file():
            raise InputError(root / name, "no such file; make the index again")
        if sha256_of(root / name) != expected:
            raise InputError(root / name, "has changed since it was written; make the index again")
    lengths = np.fromfile(root / _LENGTHS, dtype="<i8").astype(np.int64)
    num_runs = [entry.pop("num_runs") for entry in metadata["files"]]
    if min(num_runs) < 0 or sum(num_runs) != len(lengths):
        raise InputError(root / INDEX_FILE, "is damaged (other numbers of runs); make the index again")
    owners = np.repeat(np.arange(len(num_runs)), num_runs)
    starts = np.cumsum(lengths) - lengths
    ends = np.cumsum(np.bincount(owners, lengths, len(num_runs)).astype(np.int64))
    kept = lengths >= min_length
    usable = np.bincount(owners[kept], lengths[kept], len(num_runs)).astype(np.int64).tolist()
    files = tuple(
        replace(GenomeFile(**entry), usable_bases=bases)
        for entry, bases in zip(metadata["files"], usable, strict=True)
    )
    classes = classes_of(files, min_length)
    labels = np.array([classes.index(file.class_name) for file in files], dtype=np.int64)
    return Genomes(
        codes=np.asarray(np.memmap(root / _CODES, dtype=np.uint8, mode="r")),
        starts=starts[kept],
        lengths=lengths[kept],
        labels=labels[owners[kept]],
        classes=classes,
        file_ends=ends,
        files=files,
    )


def _read_metadata(root: Path) -> dict[str, Any]:
    path = root / INDEX_FILE
    if not path.is_file():
        raise InputError(root, f"is not an index (no {INDEX_FILE}); genood index writes one")
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
        version = metadata["format_version"]
        if isinstance(version, int) and version > FORMAT_VERSION:
            needed = metadata.get("readable_from", "a newer version")
            raise InputError(
                root, f"index format {version} needs genood {needed} or later; this is {__version__}"
            )
        for entry in metadata["files"]:
            GenomeFile(**{key: value for key, value in entry.items() if key != "num_runs"})
            int(entry["num_runs"])
        if set(metadata["sha256"]) != {_CODES, _LENGTHS}:
            raise ValueError("it names other files")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(path, f"is damaged ({error}); make the index again") from error
    return dict(metadata)
