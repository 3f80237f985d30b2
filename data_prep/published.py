"""The benchmark that Ren et al. released: TFRecord shards of reads, read into FASTA.

A record holds ``x``, the bases as integers with a space between (A C G T = 0 1 2 3); ``y``, the
class's number in ``label_dict.json``; ``z``, accession, organism and position.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from google.protobuf.message import DecodeError
from tfrecord.reader import tfrecord_loader

from genood.errors import InputError
from genood.files import atomic_path, check_distinct
from genood.readers import check_readable
from genood.sequence import Codes, decode

_FIELDS = {"x": "byte", "y": "int", "z": "byte"}
_ORIGIN = re.compile(r"(?P<accession>\S+)\s+(?P<organism>.*)_pos(?P<span>\d+-\d+)")
# The library checks no checksums, so that garbage shows as any of these.
_GARBAGE = (
    RuntimeError,
    DecodeError,
    MemoryError,
    OverflowError,
    KeyError,
    IndexError,
    TypeError,
    ValueError,
)


class PublishedRead(NamedTuple):
    """One read of the benchmark.

    Attributes
    ----------
    name
        ``accession:start-end``, counted as the benchmark counts.
    class_name, organism
        Where it comes from.
    codes
        uint8, shape (L,).
    """

    name: str
    class_name: str
    organism: str
    codes: Codes


def read_labels(path: str | os.PathLike[str]) -> dict[int, str]:
    """Class names by number, from the benchmark's ``label_dict.json``.

    Raises
    ------
    InputError
        The file is missing or maps anything but names to different integers.
    """
    check_readable([os.fspath(path)])
    try:
        with open(path, encoding="utf-8") as stream:
            numbers = json.load(stream)
        labels = {int(number): str(name) for name, number in numbers.items()}
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError(path, f"does not map class names to numbers ({error})") from error
    if len(labels) < len(numbers):
        raise InputError(path, "gives two classes the same number")
    return labels


def read_published(path: str | os.PathLike[str], labels: Mapping[int, str]) -> Iterator[PublishedRead]:
    """The reads of one TFRecord shard, in order.

    Parameters
    ----------
    path
        Uncompressed TFRecord.
    labels
        Class names by number.

    Raises
    ------
    InputError
        The shard is truncated or is none, or a record lacks a field or has an unknown class.
    """
    check_readable([os.fspath(path)])
    _check_first_length(path)
    number = 0
    records = tfrecord_loader(os.fspath(path), None, _FIELDS)
    while True:
        number += 1
        try:
            record = next(records)
        except StopIteration:
            return
        except _GARBAGE as error:
            raise InputError(path, f"is no TFRecord of the benchmark ({error})", record=number) from error
        yield _to_read(path, number, record, labels)


def _check_first_length(path: str | os.PathLike[str]) -> None:
    """The library would try to allocate whatever length garbage states."""
    with open(path, "rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
    if length > os.path.getsize(path):
        raise InputError(path, "is no TFRecord, or compressed", record=1)


def _to_read(
    path: str | os.PathLike[str], number: int, record: Mapping[str, object], labels: Mapping[int, str]
) -> PublishedRead:
    try:
        label = int(np.asarray(record["y"]).item())
        origin = _ORIGIN.fullmatch(bytes(record["z"]).decode())  # type: ignore[call-overload]
        codes = np.array(bytes(record["x"]).split(), dtype=np.uint8)  # type: ignore[call-overload]
    except _GARBAGE as error:
        raise InputError(path, f"a field is not as documented ({error})", record=number) from error
    if origin is None or not len(codes) or codes.max() > 3:
        raise InputError(path, "bases or origin are not as documented", record=number)
    if label not in labels:
        raise InputError(path, f"class {label} is not in the table of labels", record=number)
    name = f"{origin['accession']}:{origin['span']}"
    return PublishedRead(name, labels[label], origin["organism"], codes)


def write_published(
    paths: Collection[str],
    labels: Mapping[int, str],
    output: str,
    *,
    excluded: Collection[str] = (),
) -> Counter[str]:
    """Write shards as FASTA, leaving out classes; returns the number of reads written by class.

    Parameters
    ----------
    paths
        TFRecord shards.
    labels
        Class names by number.
    output
        FASTA file; headers read ``name class=CLASS organism``.
    excluded
        Classes to leave out.

    Raises
    ------
    InputError
        As `read_published`; or a class to leave out is not in `labels`.
    """
    check_distinct(paths, [output])
    unknown = sorted(set(excluded) - set(labels.values()))
    if unknown:
        raise InputError(output, f"cannot leave out {', '.join(unknown)}: no such class in the labels")
    check_readable(paths)
    counts: Counter[str] = Counter()
    with atomic_path(output) as temporary, open(temporary, "w", encoding="ascii") as stream:
        for path in paths:
            for read in read_published(path, labels):
                if read.class_name not in excluded:
                    stream.write(f">{read.name} class={read.class_name} {read.organism}\n")
                    stream.write(f"{decode(read.codes)}\n")
                    counts[read.class_name] += 1
    return counts
