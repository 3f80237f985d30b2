"""What reading and writing a dataset agree on: its splits, its files, its codes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genood.errors import InputError
from genood.sequence import UNKNOWN, Codes

FORMAT_VERSION = 1
READABLE_FROM = "0.1.0"
"""The first version of genood that reads FORMAT_VERSION."""

SPLITS = ("train_in", "val_in", "val_ood", "test_in", "test_ood")
DATASET_FILE = "dataset.json"
STRANDS = ("+", "-", "")

COLUMNS = ("class", "accession", "start", "strand", "gc")
_BLOCK_BASES = 4_194_304


def blocks_of(num_reads: int, read_length: int) -> Iterator[slice]:
    """Slices of so many reads, each small enough to be worked on in memory."""
    step = max(1, _BLOCK_BASES // read_length)
    for start in range(0, num_reads, step):
        yield slice(start, min(start + step, num_reads))


def side_of(split: str) -> str:
    """``in`` or ``ood``, the side that the reads of a split are on."""
    return split.rpartition("_")[2]


class Origins(NamedTuple):
    """Where N reads come from, aligned with their codes.

    Attributes
    ----------
    classes, accessions
        Names; an accession may be empty.
    starts
        int64, shape (N,): the lowest position of the accession that a read covers, from 0, whatever
        its strand; -1 if unknown.
    strands
        ``+``, ``-``, or empty if unknown.
    """

    classes: Sequence[str]
    accessions: Sequence[str]
    starts: npt.NDArray[np.int64]
    strands: Sequence[str]


def check_codes(path: str | os.PathLike[str], codes: Codes, num_before: int) -> None:
    """Raise InputError if codes, uint8 of shape (B, L), are not all 0 to 4.

    Parameters
    ----------
    path
        The file that they are from.
    codes
        Some of its reads.
    num_before
        Reads of the file that come before them.
    """
    if codes.max(initial=0) > UNKNOWN:
        row, column = np.argwhere(codes > UNKNOWN)[0].tolist()
        problem = f"holds the code {codes[row, column]}; codes are 0 to {UNKNOWN}"
        raise InputError(path, problem, record=num_before + row + 1)
