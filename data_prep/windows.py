"""The valid windows of a genome: counted, and read out as reads.

A window is L bases in a row of one record; it is valid if all of them are A, C, G or T. None reaches around
the end of a circular record. The valid windows of a genome are numbered from 0, in the order of its records
and, within a record, of their starts.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view

from genood.errors import InputError
from genood.readers import read_file
from genood.sequence import Codes, known_runs, reverse_complement

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class WindowCount:
    """What a genome's file holds.

    `num_bases` counts every letter; `sha256` is over the encoded records, however they were compressed or
    wrapped, and equals the one that training writes for the same file.
    """

    num_records: int
    num_bases: int
    num_windows: int
    sha256: str


class WantedReads(NamedTuple):
    """Which windows of one genome to read out.

    Attributes
    ----------
    path
        FASTA, plain or compressed.
    read_length
        Bases of a window.
    num_windows
        Those that were counted, so that a file that changed since is noticed.
    windows
        int64, shape (N,), ascending, each below `num_windows`.
    reverse
        bool, shape (N,): whether the read is the reverse complement of its window.
    """

    path: str
    read_length: int
    num_windows: int
    windows: Ints
    reverse: npt.NDArray[np.bool_]


class GenomeReads(NamedTuple):
    """Reads of one genome, in the order of their windows.

    Attributes
    ----------
    codes
        uint8, shape (N, L), 0 to 3.
    accessions
        Names of those records that have reads.
    records
        int64, shape (N,): index of each read's record in `accessions`.
    starts
        int64, shape (N,): where in the record the window begins, from 0, on the forward strand.
    """

    codes: Codes
    accessions: list[str]
    records: Ints
    starts: Ints


def count_windows(path: str | os.PathLike[str], read_length: int) -> WindowCount:
    """Count a genome's records, bases and valid windows of `read_length` bases.

    Raises
    ------
    InputError
        The file cannot be read, holds no sequences, or something that is not nucleotides.
    """
    num_records = num_bases = num_windows = 0
    digest = hashlib.sha256()
    for record in read_file(path):
        num_records += 1
        num_bases += len(record.codes)
        digest.update(f"{len(record.codes)}\0".encode())
        digest.update(record.codes.tobytes())
        num_windows += int(_runs(record.codes, read_length)[1].sum())
    if num_records == 0:
        raise InputError(path, "holds no sequences; fetch it again, or drop its row from the table")
    return WindowCount(
        num_records=num_records, num_bases=num_bases, num_windows=num_windows, sha256=digest.hexdigest()
    )


def extract_reads(wanted: WantedReads) -> GenomeReads:
    """The reads in the windows of one genome that are wanted.

    Raises
    ------
    InputError
        As `count_windows`; or the file has other windows than were counted.
    """
    path, read_length, num_windows, windows, reverse = wanted
    codes = np.empty((len(windows), read_length), dtype=np.uint8)
    records = np.empty(len(windows), dtype=np.int64)
    starts = np.empty(len(windows), dtype=np.int64)
    accessions: list[str] = []
    first = num_before = 0
    for record in read_file(path):
        run_starts, run_windows = _runs(record.codes, read_length)
        num_here = int(run_windows.sum())
        last = int(np.searchsorted(windows, num_before + num_here))
        if last > first:
            starts[first:last] = _starts(run_starts, run_windows, windows[first:last] - num_before)
            codes[first:last] = sliding_window_view(record.codes, read_length)[starts[first:last]]
            records[first:last] = len(accessions)
            accessions.append(record.name)
        first = last
        num_before += num_here
    if num_before != num_windows:
        raise InputError(path, f"changed while in use: it had {num_windows} valid windows, now {num_before}")
    codes[reverse] = reverse_complement(codes[reverse])
    return GenomeReads(codes, accessions, records, starts)


def _runs(codes: Codes, read_length: int) -> tuple[Ints, Ints]:
    """Start and windows of each stretch of known bases that holds a window; int64, shape (R,)."""
    runs = np.array(known_runs(codes, read_length), dtype=np.int64).reshape(-1, 2)
    return runs[:, 0], runs[:, 1] - runs[:, 0] - read_length + 1


def _starts(run_starts: Ints, run_windows: Ints, windows: Ints) -> Ints:
    """Where in the record its windows, numbered from 0, begin."""
    ends = np.cumsum(run_windows)
    runs = np.searchsorted(ends, windows, side="right")
    return run_starts[runs] + windows - (ends - run_windows)[runs]
