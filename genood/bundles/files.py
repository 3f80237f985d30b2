"""The files of a bundle's directory, whatever it holds: their names, their format, their sha256."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy.typing as npt
from safetensors import SafetensorError

from genood import __version__
from genood.errors import BundleError
from genood.files import STANDARD, atomic_path, sha256_of, write_json, write_text
from genood.files.tensors import map_tensors, write_tensors

FORMAT_VERSION = 1
READABLE_FROM = "0.1.0"
"""The first version of genood that reads FORMAT_VERSION."""

METADATA_FILE = "genood.json"
CALIBRATION_FILE = "calibration.json"
DETECTORS_FILE = "detectors.safetensors"
TRAINING_FILE = "training.tsv"
CARD_FILE = "MODEL_CARD.md"
CHECKPOINT_FILE = "checkpoint.safetensors"
ENSEMBLE = "ensemble"
"""The kind of a directory that holds several bundles, see `genood.ensemble`."""
FIRST_MEMBER = "member-1"
ANY_MEMBER = "member-*"

Arrays = dict[str, npt.NDArray[Any]]

_REQUIRED = ("kind", "model", "classes", "seed", "command", "data", "metrics", "files")


def check_free(directory: str | os.PathLike[str]) -> None:
    """Raise BundleError if a new bundle cannot be written there, or would overwrite something."""
    root = Path(directory)
    if (root / METADATA_FILE).exists():
        raise BundleError(f"{root}: there is a bundle already; remove it or give another --output")
    check_place(root)


def check_place(directory: str | os.PathLike[str]) -> None:
    """Raise BundleError if files of a bundle cannot be written there."""
    root = Path(directory)
    if os.fspath(root) == STANDARD:
        raise BundleError("a bundle is a directory, and cannot go to standard output; name one")
    there = next(path for path in (root, *root.parents) if path.exists())
    if not there.is_dir():
        raise BundleError(f"{there}: is a file; name a directory for the bundle")
    if not os.access(there, os.W_OK):
        raise BundleError(f"{there}: cannot be written to; name another directory for the bundle")


def read_format(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Content of the ``genood.json`` of a bundle of any kind, its format checked.

    Raises
    ------
    BundleError
        No bundle, a newer format, or a part that any kind has is missing.
    """
    root = Path(directory)
    if not (root / METADATA_FILE).is_file():
        if is_unfinished(root):
            raise BundleError(f"{root}: training has not finished; finish it with genood train --resume")
        raise BundleError(f"{root}: is not a bundle (no {METADATA_FILE}); genood train writes one")
    metadata = _read_json(root / METADATA_FILE)
    version = metadata.get("format_version")
    if not isinstance(version, int):
        raise BundleError(f"{root / METADATA_FILE}: has no format version")
    if version > FORMAT_VERSION:
        needed = metadata.get("readable_from", "a newer version")
        raise BundleError(
            f"{root}: bundle format {version} needs genood {needed} or later; this is {__version__}"
        )
    missing = [key for key in _REQUIRED if key not in metadata]
    if missing:
        raise BundleError(f"{root / METADATA_FILE}: lacks {', '.join(missing)}")
    files = metadata["files"]
    if not isinstance(files, dict) or not {CALIBRATION_FILE, CARD_FILE} <= set(files):
        raise BundleError(f"{root / METADATA_FILE}: lacks the sha256 of a file")
    return metadata


def is_unfinished(directory: str | os.PathLike[str]) -> bool:
    """Whether training has begun there, of a bundle or of the first member of an ensemble, and not ended."""
    root = Path(directory)
    begun = (root / CHECKPOINT_FILE).is_file() or (root / FIRST_MEMBER).is_dir()
    return begun and not (root / METADATA_FILE).exists()


def write_metadata(root: Path, metadata: dict[str, Any], files: Iterable[str]) -> str:
    """Write ``genood.json``, which makes a bundle of a directory that holds all else; returns its sha256."""
    metadata |= {
        "format_version": FORMAT_VERSION,
        "readable_from": READABLE_FROM,
        "genood_version": __version__,
        "files": {name: sha256_of(root / name) for name in files},
    }
    write_json(root / METADATA_FILE, metadata)
    return sha256_of(root / METADATA_FILE)


def write_parts(root: Path, calibration: Any, card: str, detectors: Arrays) -> tuple[str, ...]:
    """Write what bundles of all kinds have; returns the files' names."""
    write_json(root / CALIBRATION_FILE, calibration)
    write_text(root / CARD_FILE, card)
    if not detectors:
        return (CALIBRATION_FILE, CARD_FILE)
    with atomic_path(root / DETECTORS_FILE) as path:
        write_tensors(path, detectors)
    return (CALIBRATION_FILE, CARD_FILE, DETECTORS_FILE)


def read_parts(
    root: Path, files: Mapping[str, str], hashes: Mapping[Path, Future[str]] | None
) -> tuple[dict[str, Any], str, Arrays]:
    """Check all files of a bundle against their sha256; returns what `write_parts` was given."""
    _check_files(root, files, hashes if hashes is not None else {})
    detectors = read_tensors(root / DETECTORS_FILE) if DETECTORS_FILE in files else {}
    return _read_json(root / CALIBRATION_FILE), read_text(root / CARD_FILE), detectors


def read_tensors(path: Path) -> Arrays:
    """The arrays of a safetensors file; a BundleError if it cannot be read."""
    try:
        return map_tensors(path)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path}: cannot be read ({error})") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise BundleError(f"{path}: is not a JSON object")
    return value


def read_text(path: Path) -> str:
    """The content of a text file; a BundleError if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: is no text ({error})") from error


def _check_files(root: Path, files: Mapping[str, str], hashes: Mapping[Path, Future[str]]) -> None:
    for name, sha256 in files.items():
        path = root / name
        if path.parent != root or not path.is_file():
            raise BundleError(f"{path}: the bundle names this file, but it is not there")
        found = hashes[path].result() if path in hashes else sha256_of(path)
        if found != sha256:
            raise BundleError(f"{path}: differs from the sha256 in {METADATA_FILE}; copy the bundle again")
