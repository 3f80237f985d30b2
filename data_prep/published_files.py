"""The files of the published benchmark: in directories, zip files and behind URLs, told apart by name.

The release has a directory for each split (``before_2011_in_tr``, ``between_2011-2016_in_val``,
``between_2011-2016_ood_val``, ``after_2016_in_test``, ``after_2016_ood_test``) with TFRecord shards, with
``*_nsample.json`` beside them, how many reads a class has; and ``label_dict.json`` above them. The zip of
TFDS has a table for each split, with the names of these directories.

Source: google-research/genomics_ood, ``README.md`` and ``test_data``; tensorflow/datasets,
``genomics_ood.py``.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import zip_longest
from lzma import LZMAError
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import IO, Any, BinaryIO, Literal, NamedTuple
from urllib.parse import unquote, urlsplit

from data_prep.fetch import FetchConfig, FetchError, PartialFile, open_fetcher
from data_prep.published_labels import parse_labels, parse_numbers
from data_prep.published_reads import Batches, ReadBatch, table_batches, tfrecord_batches
from data_prep.report_files import is_url
from genood.dataset import SPLITS
from genood.errors import ConfigError, InputError
from genood.files import sha256_of
from genood.readers import check_readable

logger = logging.getLogger("genood.prep.published")

_Kind = Literal["labels", "nsample", "tfrecord", "table"]

_BATCHES: Mapping[str, Batches] = {"tfrecord": tfrecord_batches, "table": table_batches}
_RELEASED = {
    "in_tr": "train_in",
    "in_val": "val_in",
    "ood_val": "val_ood",
    "in_test": "test_in",
    "ood_test": "test_ood",
}
_TFDS = {
    "train": "train_in",
    "validation": "val_in",
    "validation_ood": "val_ood",
    "test": "test_in",
    "test_ood": "test_ood",
}
_RELEASED_NAME = re.compile(rf"(?<![a-z])({'|'.join(_RELEASED)})(?![a-z])")
_LABELS_NAME = "label_dict.json"
_NSAMPLE_SUFFIX = "_nsample.json"
_TABLE_SUFFIXES = (".txt", ".tsv", ".csv")
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_ZIP_MAGIC = b"PK"
_DAMAGED_MEMBER = (zipfile.BadZipFile, zlib.error, LZMAError, EOFError, OSError)
"""The last is bz2's."""
_NO_READS = "no *.tfrecord*, no table named after a split"
_BUFFER_BYTES = 2**20


@dataclass(frozen=True, kw_only=True)
class Shard:
    """A file of reads.

    Attributes
    ----------
    path
        What errors call it; of a file in a zip, that of the zip comes first.
    split
        Of the dataset, that its reads belong into.
    kind
        ``tfrecord`` or ``table``.
    open_stream
        A context with the file from its first byte.
    """

    path: str
    split: str
    kind: _Kind
    open_stream: Callable[[], AbstractContextManager[BinaryIO]]

    @contextmanager
    def open_batches(self, labels: Mapping[int, str]) -> Iterator[Iterator[ReadBatch]]:
        """A context with the reads, see `tfrecord_batches` and `table_batches`."""
        with (
            self.open_stream() as stream,
            closing(_BATCHES[self.kind](stream, self.path, self.split, labels)) as batches,
        ):
            yield batches


@dataclass(frozen=True, kw_only=True)
class Release:
    """What was found of the release.

    Attributes
    ----------
    shards
        In the order of `SPLITS`, those of a split as found.
    labels
        Class names by number, None if no ``label_dict.json`` is there.
    stated
        By split, how many reads a class has according to ``*_nsample.json``.
    sources
        The files: path or URL, sha256, bytes, and whether the sha256 was asked for.
    """

    shards: Sequence[Shard]
    labels: Mapping[int, str] | None
    stated: Mapping[str, Mapping[str, int]]
    sources: Sequence[Mapping[str, Any]]


class _File(NamedTuple):
    """A file of the release: what errors call it, and the path that tells what it is.

    `identity` is its real path, or that of its zip file and its name there.
    """

    path: str
    location: PurePosixPath
    kind: _Kind
    identity: tuple[str, ...]
    open_stream: Callable[[], AbstractContextManager[BinaryIO]]


@contextmanager
def open_release(
    sources: Sequence[str],
    *,
    sha256: Sequence[str] = (),
    split: str | None = None,
    scratch: str | os.PathLike[str] | None = None,
    fetch: FetchConfig | None = None,
    received: Callable[[int], None] = lambda num_bytes: None,
) -> Iterator[Release]:
    """What some sources hold of the release; downloads are removed at the end of the block.

    Parameters
    ----------
    sources
        Directories, zip files, single files of them, or URLs of zip or single files. Beside a single
        file, the labels and numbers of reads in its directory count too.
    sha256
        What the sources must have, see `check_sha256`.
    split
        Of files whose names do not tell it.
    scratch
        Directory for downloads; that of temporary files if None.
    fetch
        How patient downloads are.
    received
        Called with the number of bytes of each piece of a download that arrives.

    Raises
    ------
    ConfigError
        A sha256 is given for a directory; or `split` is given, and the names tell all splits.
    InputError
        A source cannot be had, has another sha256, or holds nothing of the release; a file of it is
        damaged, given twice, or of no known split; or none is of reads.
    """
    files: list[_File] = []
    described: dict[str, dict[str, Any]] = {}
    with ExitStack() as stack:
        for source, pin in zip_longest(sources, sha256):
            path = source
            if is_url(source):
                directory = stack.enter_context(TemporaryDirectory(prefix=".genood-", dir=scratch))
                path = os.path.join(directory, "download")
                _download(source, Path(path), fetch if fetch is not None else FetchConfig(), received)
            if os.path.isdir(path):
                if pin is not None:
                    raise ConfigError(f"{source}: is a directory; a sha256 is that of a file")
                found = _walk(path)
            else:
                check_readable([path])
                described[os.path.realpath(path)] = _describe(source, path, pin)
                found = _look_into(source, path, split, stack)
            if not found:
                problem = f"holds nothing of the benchmark: {_NO_READS}"
                raise InputError(source, f"{problem}; a zip within must be named itself")
            files += found
        for file in files:
            if file.identity[0] not in described:
                described[file.identity[0]] = _describe(file.path, file.path, None)
        release = _sort_out(files, split, list(described.values()))
        if not release.shards:
            raise InputError(", ".join(sources), f"no file of reads: {_NO_READS}")
        yield release


def split_of(path: PurePosixPath) -> str | None:
    """The split of a dataset that a file's name tells, or else the directory that it is in.

    Names of TFDS and of the dataset itself count if they are all of the file's stem.
    """
    stem = path.name.partition(".")[0].removeprefix("genomics_ood-")
    if stem in _TFDS or stem in SPLITS:
        return _TFDS.get(stem, stem)
    for name in (path.name, *(parent.name for parent in path.parents)):
        found = _RELEASED_NAME.search(name)
        if found:
            return _RELEASED[found[1]]
    return None


def check_sha256(sources: Sequence[str], sha256: Sequence[str]) -> None:
    """Raise ConfigError if the sha256 are none, or not one for each source; there may be none at all."""
    if sha256 and len(sha256) != len(sources):
        raise ConfigError(
            f"{len(sha256)} sha256 for {len(sources)} sources; give one for each, in the same order"
        )
    for pin in sha256:
        if not _SHA256.fullmatch(pin):
            raise ConfigError(f"{pin!r} is no sha256, which has 64 hexadecimal digits")


def _download(url: str, target: Path, config: FetchConfig, received: Callable[[int], None]) -> None:
    async def fetch() -> None:
        async with open_fetcher(config, connections=1, received=received) as fetcher:
            await fetcher.fetch_file(url, PartialFile(target))

    logger.info("downloading %s", url)
    try:
        asyncio.run(fetch())
    except FetchError as error:
        raise InputError(url, str(error).removeprefix(f"{url}: ")) from error
    except OSError as error:
        raise InputError(url, f"cannot be kept in {target.parent.parent} ({error.strerror})") from error


def _describe(source: str, path: str, pin: str | None) -> dict[str, Any]:
    """Where a file comes from and what it is, checked if its sha256 is known."""
    found = sha256_of(path)
    if pin is not None and found != pin.lower():
        raise InputError(source, f"has sha256 {found}, not {pin.lower()}; it is another file, or damaged")
    if pin is None and is_url(source):
        logger.warning("%s is not checked; to have the same again, add --sha256 %s", source, found)
    name = "url" if is_url(source) else "path"
    return {name: source, "sha256": found, "bytes": os.path.getsize(path), "pinned": pin is not None}


def _walk(directory: str) -> list[_File]:
    """The files of the release in a directory and those below, by name."""
    files: list[_File] = []
    for root, directories, names in os.walk(directory):
        directories[:] = sorted(name for name in directories if not name.startswith("."))
        files += [file for name in sorted(names) for file in _on_disk(os.path.join(root, name))]
    return files


def _look_into(source: str, path: str, split: str | None, stack: ExitStack) -> list[_File]:
    """The files of the release in a zip file; or of another file, that and what belongs to it.

    `split` is that of a file whose name does not tell it.
    """
    with open(path, "rb") as stream:
        is_zip = stream.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    if is_zip:
        try:
            archive = stack.enter_context(zipfile.ZipFile(path))
        except (zipfile.BadZipFile, NotImplementedError, ValueError) as error:
            raise InputError(source, f"is damaged, or cut short ({error}); get it again") from error
        members = sorted(archive.infolist(), key=lambda member: member.filename)
        return [file for member in members for file in _in_zip(source, path, archive, member)]
    url_path = unquote(urlsplit(source).path)
    location = PurePosixPath(url_path if is_url(source) else os.path.abspath(source))
    kind = _kind_of(location)
    if kind is None:
        kind = "table" if location.suffix in _TABLE_SUFFIXES else "tfrecord"
    asked = _File(source, location, kind, (os.path.realpath(path),), partial(_open_file, path))
    if is_url(source):
        return [asked]
    directory = os.path.dirname(path)
    beside = [os.path.join(directory, name) for name in sorted(os.listdir(directory or "."))]
    mine = split_of(location) or split
    told = [
        file
        for name in beside
        for file in _on_disk(name)
        if file.kind == "labels" or (file.kind == "nsample" and split_of(file.location) == mine)
    ]
    return [asked, *told]


def _on_disk(path: str) -> list[_File]:
    """A file, if it is of the release."""
    location = PurePosixPath(os.path.abspath(path))
    kind = _kind_of(location)
    if kind is None:
        return []
    return [_File(path, location, kind, (os.path.realpath(path),), partial(_open_file, path))]


def _in_zip(source: str, path: str, archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> list[_File]:
    """A member of a zip file, if it is of the release."""
    location = PurePosixPath(source, member.filename)
    kind = _kind_of(location)
    if kind is None or member.is_dir():
        return []
    shown = f"{source}/{member.filename}"
    identity = (os.path.realpath(path), member.filename)
    return [_File(shown, location, kind, identity, partial(_open_member, archive, member, shown))]


def _kind_of(location: PurePosixPath) -> _Kind | None:
    """What a file is by its name, None if it is not of the release."""
    name = location.name
    if name.startswith(".") or "__MACOSX" in location.parts:
        return None
    if name == _LABELS_NAME:
        return "labels"
    if name.endswith(_NSAMPLE_SUFFIX):
        return "nsample"
    if ".tfrecord" in name:
        return "tfrecord"
    # A text that is not named after a split is a note.
    if location.suffix in _TABLE_SUFFIXES and split_of(PurePosixPath(name)) is not None:
        return "table"
    return None


@contextmanager
def _open_file(path: str) -> Iterator[BinaryIO]:
    with open(path, "rb", buffering=_BUFFER_BYTES) as stream:
        yield stream


@contextmanager
def _open_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str) -> Iterator[BinaryIO]:
    try:
        compressed = archive.open(member)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, OSError) as error:
        raise InputError(path, f"cannot be read from the zip file ({error})") from error
    with compressed, io.BufferedReader(_Member(compressed, path), _BUFFER_BYTES) as stream:
        yield stream


class _Member(io.RawIOBase):
    """The bytes of a member of a zip file; InputError where they are damaged."""

    def __init__(self, compressed: IO[bytes], path: str) -> None:
        self._compressed = compressed
        self._path = path

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Decompress the next bytes."""
        try:
            content = self._compressed.read(len(buffer))
        except _DAMAGED_MEMBER as error:
            raise InputError(self._path, f"is damaged in the zip file ({error}); get that again") from error
        buffer[: len(content)] = content
        return len(content)


def _sort_out(files: Iterable[_File], split: str | None, sources: Sequence[Mapping[str, Any]]) -> Release:
    """What the files are; `split` is that of those whose names do not tell it."""
    seen: set[tuple[str, ...]] = set()
    shards: dict[str, list[Shard]] = {name: [] for name in SPLITS}
    labels: dict[int, str] | None = None
    stated: dict[str, dict[str, int]] = {}
    told_all = True
    for file in files:
        told = split_of(file.location)
        if file.identity in seen:
            if file.kind in _BATCHES:
                raise InputError(file.path, "is given twice")
            continue
        seen.add(file.identity)
        if file.kind == "labels":
            read = parse_labels(_content(file), file.path)
            if labels is not None and labels != read:
                raise InputError(file.path, f"differs from another {_LABELS_NAME}; name one of them")
            labels = read
        elif file.kind == "nsample":
            if told is not None:
                stated[told] = parse_numbers(_content(file), file.path)
        else:
            told_all &= told is not None
            name = told if told is not None else split
            if name is None:
                problem = "neither its name nor its directory's tells the split; add --split"
                raise InputError(file.path, f"{problem} with one of {', '.join(SPLITS)}")
            shard = Shard(path=file.path, split=name, kind=file.kind, open_stream=file.open_stream)
            if shards[name] and shards[name][0].kind != file.kind:
                problem = f"holds reads of {name}, and so does {shards[name][0].path}, in the other form"
                raise InputError(file.path, f"{problem}; name one of them")
            shards[name].append(shard)
    if split is not None and told_all:
        raise ConfigError(f"split {split!r} is given, but the names of all files tell theirs")
    return Release(
        shards=[shard for name in SPLITS for shard in shards[name]],
        labels=labels,
        stated=stated,
        sources=sources,
    )


def _content(file: _File) -> bytes:
    with file.open_stream() as stream:
        return stream.read()
