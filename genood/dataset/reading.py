"""Open a dataset directory; its reads stay on disk."""

from __future__ import annotations

import csv
import json
import os
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from genood import __version__
from genood.dataset.layout import (
    COLUMNS,
    DATASET_FILE,
    FORMAT_VERSION,
    SPLITS,
    blocks_of,
    check_codes,
    side_of,
)
from genood.errors import InputError
from genood.files import sha256_of
from genood.sequence import Codes

if TYPE_CHECKING:
    import pandas as pd

_NPY_MAGIC = b"\x93NUMPY"
_DAMAGED = (OSError, EOFError, ValueError, TypeError, OverflowError, RecursionError, SyntaxError, TokenError)
"""What NumPy raises of files that it did not write: their header is parsed as Python."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Split:
    """The reads of one split.

    Attributes
    ----------
    name
        Of `SPLITS`.
    codes
        uint8, shape (N, L), memory-mapped and read-only.
    counts
        Number of reads by class, sorted by class.
    sha256
        Of its two files, by name, as ``dataset.json`` states it.
    directory
        The dataset.
    """

    name: str
    codes: Codes
    counts: Mapping[str, int]
    sha256: Mapping[str, str]
    directory: Path

    @property
    def num_reads(self) -> int:
        """Reads of the split."""
        return len(self.codes)

    def verify(self) -> None:
        """Read the files through.

        Raises
        ------
        InputError
            A sha256 is not as ``dataset.json`` states it, or a code is not 0 to 4.
        """
        for name, sha256 in self.sha256.items():
            path = self.directory / name
            if sha256_of(path) != sha256:
                raise InputError(path, f"differs from the sha256 in {DATASET_FILE}; copy the dataset again")
        for block in blocks_of(*self.codes.shape):
            check_codes(self.directory / f"{self.name}.npy", self.codes[block], block.start)

    def origins(self) -> pd.DataFrame:
        """Where the reads come from: the columns class, accession, start, strand and gc, a row a read.

        Raises
        ------
        InputError
            The table is damaged, or does not fit the reads.
        """
        # Not needed for scoring, and slow to import.
        import pandas as pd

        path = self.directory / f"{self.name}.tsv.gz"
        text = ("class", "accession", "strand")
        try:
            table = pd.read_csv(
                path,
                sep="\t",
                dtype={**dict.fromkeys(text, str), "start": np.int64, "gc": np.float64},
                keep_default_na=False,
                na_values={"gc": [""]},
                index_col=False,
                quoting=csv.QUOTE_NONE,
                encoding="utf-8",
            )
        except (ValueError, OverflowError, EOFError, OSError, zlib.error) as error:
            reason = " ".join(str(error).split())
            raise InputError(path, f"cannot be read as a table of origins ({reason})") from error
        if tuple(table.columns) != COLUMNS:
            raise InputError(path, f"needs the columns {', '.join(COLUMNS)}", line=1)
        if len(table) != self.num_reads:
            raise InputError(path, f"has {len(table):,} rows for {self.num_reads:,} reads")
        if dict(Counter(table["class"])) != dict(self.counts):
            raise InputError(path, f"has other reads of a class than {DATASET_FILE} says")
        return table


@dataclass(frozen=True, kw_only=True, eq=False)
class Dataset:
    """A dataset directory.

    Attributes
    ----------
    directory
        Where it is.
    read_length
        Bases of every read.
    seed
        Of everything random, where something was.
    sources
        What the reads were taken from, JSON types.
    variant
        Which of several published sizes it is, where that means something.
    notes
        Further metadata, JSON types.
    splits
        By name, in the order of `SPLITS`; those without a read are left out.
    """

    directory: Path
    read_length: int
    seed: int | None
    sources: Sequence[Mapping[str, Any]]
    variant: str | None
    notes: Mapping[str, Any]
    splits: Mapping[str, Split]

    @classmethod
    def load(cls, directory: str | os.PathLike[str], *, verify: bool = False) -> Self:
        """Open a dataset; its reads stay on disk.

        Parameters
        ----------
        directory
            Where it is.
        verify
            Read all files through: their sha256, codes and origins.

        Raises
        ------
        InputError
            No dataset, a newer format, or a file that is missing or not as ``dataset.json`` says.
        """
        root = Path(directory)
        metadata = _read_metadata(root)
        splits = {
            name: _open_split(root, name, metadata) for name in sorted(metadata["splits"], key=SPLITS.index)
        }
        dataset = cls(
            directory=root,
            **{key: metadata[key] for key in ("read_length", "seed", "sources", "variant", "notes")},
            splits=splits,
        )
        for split in splits.values() if verify else ():
            split.verify()
            split.origins()
        return dataset


def is_dataset(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a dataset directory."""
    return (Path(path) / DATASET_FILE).is_file()


def is_codes_file(path: str | os.PathLike[str]) -> bool:
    """Whether a path is a file of the kind of ``<split>.npy``, told by its content."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as stream:
        return stream.read(len(_NPY_MAGIC)) == _NPY_MAGIC


def open_codes(path: str | os.PathLike[str]) -> Codes:
    """Map a ``<split>.npy`` into memory, read-only: uint8, shape (N, L).

    What the codes are is not looked at, see `check_codes`.

    Raises
    ------
    InputError
        The file is missing, truncated, or holds anything else.
    """
    try:
        codes = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise InputError(path, "no such file") from error
    except _DAMAGED as error:
        reason = " ".join(str(error).split())
        raise InputError(path, f"is damaged, or no array of reads ({reason})") from error
    if (
        not isinstance(codes, np.memmap)
        or codes.dtype != np.uint8
        or codes.ndim != 2
        or not codes.flags.c_contiguous
        or not codes.shape[1]
    ):
        raise InputError(path, "is no array of reads: uint8, a row a read")
    if os.path.getsize(path) != codes.offset + codes.nbytes:
        raise InputError(path, "goes on after its last read; copy the dataset again")
    return codes


def _read_metadata(root: Path) -> dict[str, Any]:
    path = root / DATASET_FILE
    if not path.is_file():
        raise InputError(root, f"is not a dataset (no {DATASET_FILE}); genood-prep writes one")
    try:
        metadata = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read as JSON ({error})") from error
    version = metadata.get("format_version") if isinstance(metadata, dict) else None
    if not isinstance(version, int):
        raise InputError(path, "has no format version")
    if version > FORMAT_VERSION:
        needed = metadata.get("readable_from", "a newer version")
        raise InputError(
            root, f"dataset format {version} needs genood {needed} or later; this is {__version__}"
        )
    problem = _problem(metadata)
    if problem is not None:
        raise InputError(path, problem)
    return metadata


_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "read_length": int,
    "seed": (int, type(None)),
    "variant": (str, type(None)),
    "sources": list,
    "notes": dict,
    "splits": dict,
    "files": dict,
}


def _problem(metadata: Mapping[str, Any]) -> str | None:
    """What is wrong with the content of ``dataset.json``, if anything."""
    for key, kind in _TYPES.items():
        if key not in metadata:
            return f"lacks {key}"
        if not isinstance(metadata[key], kind):
            return f"has an unfit {key}"
    sides: dict[str, str] = {}
    for name, split in metadata["splits"].items():
        counts = split.get("counts") if isinstance(split, dict) else None
        if name not in SPLITS or not isinstance(counts, dict):
            return f"has an unknown or unfit split {name!r}"
        if not all(isinstance(n, int) and n > 0 for n in counts.values()):
            return f"has unfit counts of {name}"
        if split.get("num_reads") != sum(counts.values()) or not counts:
            return f"has another number of reads than counts of {name}"
        for class_name in counts:
            if sides.setdefault(class_name, side_of(name)) != side_of(name):
                return f"has the class {class_name!r} in-distribution and OOD"
        for file in (f"{name}.npy", f"{name}.tsv.gz"):
            if not isinstance(metadata["files"].get(file), str):
                return f"lacks the sha256 of {file}"
    return None if sides else "has no split"


def _open_split(root: Path, name: str, metadata: Mapping[str, Any]) -> Split:
    codes_path, table_path = root / f"{name}.npy", root / f"{name}.tsv.gz"
    codes = open_codes(codes_path)
    split = metadata["splits"][name]
    shape = (split["num_reads"], metadata["read_length"])
    if codes.shape != shape:
        raise InputError(
            codes_path,
            f"has {codes.shape[0]:,} reads of {codes.shape[1]} bases, not {shape[0]:,} of {shape[1]}",
        )
    if not table_path.is_file():
        raise InputError(table_path, "no such file")
    return Split(
        name=name,
        codes=codes,
        counts=dict(sorted(split["counts"].items())),
        sha256={path.name: metadata["files"][path.name] for path in (codes_path, table_path)},
        directory=root,
    )
