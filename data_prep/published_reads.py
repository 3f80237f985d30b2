"""The reads of the published benchmark, from its two forms.

TFRecord: ``x``, the bases as integers with a space between (A C G T = 0 1 2 3); ``y``, the number of the
class; ``z``, the origin. Table, the form that TensorFlow Datasets (TFDS) takes as its source: tab-separated
text with a header and the columns ``seq``, ``label`` (the class's name), ``seq_info`` (the origin) and
``domain`` (``in`` or ``ood``).

An origin is accession, organism and position: ``CP000721.1 Clostridium beijerinckii NCIMB 8052, complete
genome_pos3903278-3903527``. The position counts from 0, to the last base; no strand is stated.

Source: google-research/genomics_ood, ``utils.py``; tensorflow/datasets, ``genomics_ood.py``. That positions
count from 0 was found by looking up reads in their genomes.
"""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from itertools import islice
from typing import BinaryIO, NamedTuple, Self

import numpy as np

from data_prep.published_labels import classes_of, numbers_of
from data_prep.tfrecord import parse_example, read_records, record_error
from genood.dataset import Origins, side_of
from genood.errors import InputError
from genood.sequence import Codes, encode

READ_LENGTH = 250
"""Bases of every read of the benchmark."""

Batches = Callable[
    [BinaryIO, str | os.PathLike[str], str, Mapping[int, str]], Generator["ReadBatch", None, None]
]
"""`tfrecord_batches`, `table_batches`."""

_BATCH_READS = 8192
_COLUMNS = ("seq", "label", "seq_info", "domain")
_ORIGIN = re.compile(r"([!-~]+) .*_pos(\d{1,18})-\d+", re.DOTALL)
_SPACES = b" " * (READ_LENGTH - 1)
_TO_LETTERS = bytes.maketrans(b"0123", b"ACGT")


class ReadBatch(NamedTuple):
    """B reads.

    Attributes
    ----------
    codes
        uint8, shape (B, 250), 0 to 3.
    origins
        Of these reads, strands unknown.
    """

    codes: Codes
    origins: Origins

    def without(self, excluded: Collection[str]) -> Self:
        """The reads of all but some classes."""
        kept = [i for i, name in enumerate(self.origins.classes) if name not in excluded]
        if len(kept) == len(self.codes):
            return self
        classes, accessions, starts, strands = self.origins
        origins = Origins(
            [classes[i] for i in kept],
            [accessions[i] for i in kept],
            starts[kept],
            [strands[i] for i in kept],
        )
        return self._replace(codes=self.codes[kept], origins=origins)


def tfrecord_batches(
    stream: BinaryIO, path: str | os.PathLike[str], split: str, labels: Mapping[int, str]
) -> Generator[ReadBatch, None, None]:
    """The reads of a TFRecord shard, in order.

    Parameters
    ----------
    stream
        The shard from its first byte.
    path
        What errors call it.
    split
        Of the dataset, that the reads belong into.
    labels
        Class names by number.

    Raises
    ------
    InputError
        The shard is damaged, or a record is not as documented, of unknown class or of one that does not
        belong into the split; with the record's number and its byte.
    """
    classes = classes_of(split, labels)
    records = read_records(stream, path)
    while True:
        reads = _Reads()
        for record in islice(records, _BATCH_READS):
            try:
                bases, label, origin = _fields(record.data)
                if label not in classes:
                    raise _misplaced(label, split, labels)
                reads.add(_letters_of(bases), classes[label], origin)
            except ValueError as error:
                raise record_error(path, record.number, record.offset, str(error)) from error
        if not reads.classes:
            return
        yield reads.to_batch()


def table_batches(
    stream: BinaryIO, path: str | os.PathLike[str], split: str, labels: Mapping[int, str]
) -> Generator[ReadBatch, None, None]:
    """The reads of a table of the TFDS form, in order.

    Parameters
    ----------
    stream, path, split, labels
        As of `tfrecord_batches`.

    Raises
    ------
    InputError
        The table lacks a column, or a row is not as documented, of unknown class or of one that does not
        belong into the split; with the row's line.
    """
    numbers = {name: number for number, name in labels.items()}
    classes = set(classes_of(split, labels).values())
    # Spreadsheets may put a byte order mark in front.
    text = io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")
    rows = _rows(text, path)
    try:
        while True:
            reads = _Reads()
            for line, (sequence, label, origin, domain) in islice(rows, _BATCH_READS):
                try:
                    if domain != side_of(split):
                        raise ValueError(f"its domain is {domain!r}, and {split} takes {side_of(split)!r}")
                    if label not in classes:
                        raise _misplaced(numbers.get(label, label), split, labels)
                    reads.add(sequence.encode("ascii", errors="replace"), label, origin)
                except ValueError as error:
                    raise InputError(path, str(error), line=line) from error
            if not reads.classes:
                return
            yield reads.to_batch()
    finally:
        text.detach()


class _Reads:
    """Collects the reads of a batch.

    In a list for each of their properties: millions of little tuples would keep the garbage collector busy.
    """

    def __init__(self) -> None:
        self.letters: list[bytes] = []
        self.classes: list[str] = []
        self.accessions: list[str] = []
        self.starts: list[int] = []

    def add(self, letters: bytes, class_name: str, origin: str) -> None:
        """Add a read; ValueError if its letters are not 250 of A, C, G and T, or its origin is none."""
        if len(letters) != READ_LENGTH:
            raise ValueError(f"it has {len(letters)} bases, where reads of the benchmark have {READ_LENGTH}")
        foreign = letters.translate(None, delete=b"ACGTacgt")
        if foreign:
            raise ValueError(f"it holds {chr(foreign[0])!r}, which is not A, C, G or T")
        found = _ORIGIN.fullmatch(origin)
        if found is None:
            problem = "is not of the form 'ACCESSION ORGANISM_posSTART-END'"
            raise ValueError(f"the origin {origin[:200]!r} {problem}")
        self.letters.append(letters)
        self.classes.append(class_name)
        self.accessions.append(found[1])
        self.starts.append(int(found[2]))

    def to_batch(self) -> ReadBatch:
        """The reads, at least one."""
        num_reads = len(self.classes)
        codes = encode(b"".join(self.letters)).reshape(num_reads, READ_LENGTH)
        starts = np.array(self.starts, dtype=np.int64)
        return ReadBatch(codes, Origins(self.classes, self.accessions, starts, [""] * num_reads))


def _misplaced(label: int | str, split: str, labels: Mapping[int, str]) -> ValueError:
    """What is wrong with the number of a class, or with a name that has none, that a split does not take."""
    if label not in labels:
        return ValueError(f"the class {label!r} is not among the labels")
    allowed = numbers_of(split)
    return ValueError(
        f"the class {labels[int(label)]} (number {label}) does not belong into {split}, which takes numbers "
        f"{allowed[0]} to {allowed[-1]}; is this the file of another split?"
    )


def _fields(data: bytes) -> tuple[bytes, int, str]:
    """Bases, number of the class, and origin of a record; ValueError if it has not one of each."""
    features = parse_example(data)
    try:
        (bases,) = features["x"].bytes_list.value
        (label,) = features["y"].int64_list.value
        (origin,) = features["z"].bytes_list.value
    except (KeyError, ValueError) as error:
        found = ", ".join(sorted(map(repr, features)))
        raise ValueError(f"the features x, y and z must have one value each; there are {found}") from error
    return bases, label, origin.decode("utf-8", errors="replace")


def _letters_of(bases: bytes) -> bytes:
    """The letters of integers with a space between; ValueError if one is not 0, 1, 2 or 3."""
    digits = bases[::2]
    if bases[1::2] != _SPACES:
        integers = bases.split()
        # No number of one digit, so that it is found below.
        digits = b"".join(integer if len(integer) == 1 else b"?" for integer in integers)
    if digits.translate(None, delete=b"0123"):
        raise ValueError("its bases are not all 0, 1, 2 or 3")
    return digits.translate(_TO_LETTERS)


def _rows(text: io.TextIOWrapper, path: str | os.PathLike[str]) -> Iterator[tuple[int, list[str]]]:
    """The values of `_COLUMNS` in each row, with the line that the row ends in."""
    num_lines = 1
    try:
        header = text.readline()
        # The released tables have tabs; one that was exported again may have commas.
        delimiter = "\t" if "\t" in header else ","
        names = next(csv.reader([header], delimiter=delimiter), [])
        missing = [name for name in _COLUMNS if name not in names]
        if missing:
            raise InputError(path, f"has no column {', '.join(missing)}", line=1)
        indexes = [names.index(name) for name in _COLUMNS]
        rows = csv.reader(text, delimiter=delimiter, strict=True)
        for row in rows:
            num_lines = rows.line_num + 1
            if not row:
                continue
            if len(row) != len(names):
                raise InputError(path, f"has {len(row)} columns, and the header {len(names)}", line=num_lines)
            yield num_lines, [row[i] for i in indexes]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(path, f"after line {num_lines:,}: is no table of text ({error})") from error
