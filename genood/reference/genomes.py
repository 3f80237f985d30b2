"""Reference genomes in memory, and the reads that training draws from them."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from genood.dataset import is_codes_file
from genood.errors import InputError, TrainingError
from genood.readers import check_named_once, check_readable, read_file
from genood.recipes import Stream
from genood.reference.labels import class_in
from genood.sequence import Codes, known_runs

_MAX_STRETCH = 20_000
"""Longest held-out stretch, in bases: long enough for nulls of long reads, short enough for many."""
_NUM_STRETCHES = 50
"""Held-out stretches of a class, where it is long enough: parts of a genome differ."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class GenomeFile:
    """What one input file contributed.

    `num_bases` counts every letter, `usable_bases` those in long runs; `sha256` is over the encoded
    records, however they were compressed or wrapped.
    """

    name: str
    class_name: str
    num_records: int
    num_bases: int
    usable_bases: int
    sha256: str


@dataclass(frozen=True, kw_only=True)
class DatasetPart:
    """A split of a dataset that reads came from: the dataset's name, and the sha256 of its files."""

    name: str
    split: str
    sha256: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Genomes:
    """Segments of sequence without an unknown base, each of one class.

    A segment never crosses from one record into the next.

    Attributes
    ----------
    codes
        uint8, shape (N,), all segments one after another; only 0 to 3.
    starts, lengths, labels
        int64, shape (S,): where segment s starts in `codes`, its bases, its class as an index into
        `classes`.
    classes
        Class names, sorted.
    file_ends
        int64, shape (F,): where in `codes` the segments of each of `files` end.
    files
        What was read; of a dataset, each class is one.
    datasets
        Datasets that some of the files are from.
    """

    codes: Codes
    starts: Ints
    lengths: Ints
    labels: Ints
    classes: tuple[str, ...]
    file_ends: Ints
    files: tuple[GenomeFile, ...]
    datasets: tuple[DatasetPart, ...] = ()

    @property
    def fingerprint(self) -> str:
        """sha256 over the files of its classes, and their classes, in order."""
        lines = "".join(f"{file.class_name}\0{file.sha256}\n" for file in self.files_of_classes())
        return hashlib.sha256(lines.encode()).hexdigest()

    def files_at(self, positions: Ints) -> Ints:
        """Index into `files` of positions in `codes`."""
        return np.searchsorted(self.file_ends, positions, side="right")

    def files_of_classes(self) -> list[GenomeFile]:
        """Those of `files` that are of one of `classes`: all, but of `of_class`."""
        return [file for file in self.files if file.class_name in self.classes]

    def of_class(self, name: str) -> Genomes:
        """The segments of one class as genomes of that class alone; files keep their indices."""
        mine = self.labels == self.classes.index(name)
        return replace(
            self,
            starts=self.starts[mine],
            lengths=self.lengths[mine],
            labels=np.zeros(int(mine.sum()), dtype=np.int64),
            classes=(name,),
        )

    def bases_of(self, label: int) -> int:
        """Bases in the segments of one class."""
        return int(self.lengths[self.labels == label].sum())

    def independent_reads(self, length: int) -> float:
        """How many reads that do not overlap a draw of such reads, uniform over classes, is worth.

        0 if a class has no segment of `length` bases.
        """
        fitting = [
            int((self.lengths[self.labels == label] // length).sum()) for label in range(len(self.classes))
        ]
        return len(fitting) ** 2 / sum(1.0 / number for number in fitting) if min(fitting) else 0.0

    def with_segments(self, segments: Sequence[tuple[int, int, int]]) -> Genomes:
        """The same genomes cut down to segments given as (start, length, label)."""
        starts, lengths, labels = np.array(segments, dtype=np.int64).reshape(-1, 3).T
        return replace(self, starts=starts, lengths=lengths, labels=labels)


def load_genomes(
    paths: Iterable[str | os.PathLike[str]],
    *,
    min_length: int,
    classes: Mapping[str, str] | None = None,
) -> Genomes:
    """Read genomes into memory, one byte a base.

    Parameters
    ----------
    paths
        FASTA or FASTQ files. The order matters to the fingerprint and to the reads drawn.
    min_length
        Runs of known bases shorter than this are left out, as no read fits.
    classes
        Class by file, looked up by the path as given, then by its name. Without it the file name
        states the class (see `genood.reference.labels.class_of`).

    Raises
    ------
    InputError
        A file cannot be used, or holds what another does, or `classes` does not name it.
    TrainingError
        A class has no run of `min_length` known bases.
    """
    names = [os.fspath(path) for path in paths]
    chunks: list[Codes] = []
    files: list[GenomeFile] = []
    numbers: list[int] = []
    for file, runs in read_genomes(names, min_length=min_length, classes=classes):
        chunks.extend(runs)
        files.append(file)
        numbers.append(len(runs))
    class_names = classes_of(files, min_length)
    lengths = np.array([len(chunk) for chunk in chunks], dtype=np.int64)
    labels = np.array([class_names.index(file.class_name) for file in files], dtype=np.int64)
    return Genomes(
        codes=np.concatenate(chunks) if chunks else np.empty(0, dtype=np.uint8),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        labels=np.repeat(labels, numbers),
        classes=class_names,
        file_ends=np.cumsum([file.usable_bases for file in files], dtype=np.int64),
        files=tuple(files),
    )


def read_genomes(
    paths: Sequence[str], *, min_length: int, classes: Mapping[str, str] | None
) -> Iterator[tuple[GenomeFile, list[Codes]]]:
    """Genome files, one after the other, and the runs of known bases of each.

    The parameters and what is raised are those of `load_genomes`, but for a class without sequence.
    """
    check_readable(paths)
    check_named_once(paths)
    for path in paths:
        if is_codes_file(path):
            raise InputError(path, "is part of a dataset; name its directory")
    seen: dict[str, str] = {}
    for path in paths:
        class_name = class_in(path, classes)
        num_records = num_bases = 0
        digest = hashlib.sha256()
        runs: list[Codes] = []
        for record in read_file(path):
            num_records += 1
            num_bases += len(record.codes)
            digest.update(f"{len(record.codes)}\0".encode())
            digest.update(record.codes.tobytes())
            runs.extend(record.codes[start:stop] for start, stop in known_runs(record.codes, min_length))
        file = GenomeFile(
            name=os.path.basename(path),
            class_name=class_name,
            num_records=num_records,
            num_bases=num_bases,
            usable_bases=sum(map(len, runs)),
            sha256=digest.hexdigest(),
        )
        if num_bases and seen.setdefault(file.sha256, path) != path:
            raise InputError(path, f"holds the same sequences as {seen[file.sha256]}; name one of the two")
        yield file, runs


def copies(
    files: Iterable[GenomeFile], others: Iterable[GenomeFile]
) -> Iterator[tuple[GenomeFile, GenomeFile]]:
    """Those of `files` that hold the records of one of `others`, base for base, each with that one.

    What is judged without one copy of a genome is still known by the other, so that its scores are no null.
    """
    known = {other.sha256: other for other in others if other.num_bases}
    for file in files:
        if file.sha256 in known:
            yield file, known[file.sha256]


def classes_of(files: Sequence[GenomeFile], min_length: int) -> tuple[str, ...]:
    """The classes of files, sorted.

    Raises
    ------
    TrainingError
        A class has no run of `min_length` known bases.
    """
    names = tuple(sorted({file.class_name for file in files}))
    for name in names:
        if not any(file.usable_bases for file in files if file.class_name == name):
            if min_length == 1:
                raise TrainingError(f"class {name!r} has no known base")
            raise TrainingError(
                f"class {name!r} has no stretch of {min_length} known bases; "
                "give longer sequences or a shorter --read-length"
            )
    return names


def merge(first: Genomes, second: Genomes) -> Genomes:
    """Genomes as if the files of both had been loaded together, those of `first` first.

    Raises
    ------
    TrainingError
        Both hold a file of the same content.
    """
    for file, other in copies(second.files, first.files):
        raise TrainingError(f"{file.name}: is there already, as {other.name}")
    classes = tuple(sorted({*first.classes, *second.classes}))
    return Genomes(
        codes=np.concatenate([first.codes, second.codes]),
        starts=np.concatenate([first.starts, second.starts + len(first.codes)]),
        lengths=np.concatenate([first.lengths, second.lengths]),
        labels=np.concatenate(
            [
                np.array([classes.index(name) for name in genomes.classes], dtype=np.int64)[genomes.labels]
                for genomes in (first, second)
            ]
        ),
        classes=classes,
        file_ends=np.concatenate([first.file_ends, second.file_ends + len(first.codes)]),
        files=(*first.files, *second.files),
        datasets=(*first.datasets, *second.datasets),
    )


def split_held_out(
    genomes: Genomes, *, fraction: float, read_length: int, seed: int
) -> tuple[Genomes, Genomes]:
    """Cut stretches out of every class to validate on; they and the rest do not overlap.

    The stretches are drawn at random, without replacement, from a grid laid over the segments of a
    class: some 50 of up to 20,000 bases, fewer and no shorter than a read where the class is short.
    What repeats elsewhere, or in another genome of the class, is in both.

    Parameters
    ----------
    genomes
        Everything that was read.
    fraction
        Part of each class's bases to hold out, between 0 and 1.
    read_length
        Bases of a read; a held-out stretch holds at least one, and so does what is left.
    seed
        Decides which stretches.

    Returns
    -------
    training, held_out

    Raises
    ------
    TrainingError
        A class is too short for both.
    """
    training: list[tuple[int, int, int]] = []
    held_out: list[tuple[int, int, int]] = []
    for label, name in enumerate(genomes.classes):
        mine = genomes.labels == label
        segments = list(zip(genomes.starts[mine].tolist(), genomes.lengths[mine].tolist(), strict=True))
        wanted = genomes.bases_of(label) * fraction
        stretch = int(np.clip(wanted / _NUM_STRETCHES, read_length, max(_MAX_STRETCH, read_length)))
        grid = _grid(segments, stretch)
        while 2 * len(grid) * stretch < genomes.bases_of(label) and stretch > read_length:
            # A draft genome: most of its contigs are shorter than a stretch.
            stretch = max(stretch // 2, read_length)
            grid = _grid(segments, stretch)
        generator = np.random.default_rng([seed, Stream.HELD_OUT, label])
        num_stretches = min(max(1, round(wanted / stretch)), len(grid))
        chosen = sorted(generator.choice(len(grid), num_stretches, replace=False).tolist()) if grid else []
        kept = _without([grid[i] for i in chosen], stretch, segments, read_length)
        if not chosen or not kept:
            raise TrainingError(
                f"class {name!r} is too short to hold out a stretch of {stretch} bases for validation; "
                "give more sequence, or validation sequences with --val"
            )
        held_out.extend((grid[i][1], stretch, label) for i in chosen)
        training.extend((start, length, label) for start, length in kept)
    return genomes.with_segments(training), genomes.with_segments(held_out)


def _grid(segments: Sequence[tuple[int, int]], stretch: int) -> list[tuple[int, int]]:
    """Stretches laid end to end over segments (start, length): number of the segment, start."""
    return [
        (number, start + offset)
        for number, (start, length) in enumerate(segments)
        for offset in range(0, length - stretch + 1, stretch)
    ]


def _without(
    stretches: Sequence[tuple[int, int]],
    stretch: int,
    segments: Sequence[tuple[int, int]],
    min_length: int,
) -> list[tuple[int, int]]:
    """What is left of segments (start, length) without stretches (number of the segment, start)."""
    cuts = defaultdict(list)
    for number, cut in stretches:
        cuts[number].append(cut)
    pieces = []
    for number, (start, length) in enumerate(segments):
        position = start
        for cut in cuts[number]:
            pieces.append((position, cut - position))
            position = cut + stretch
        pieces.append((position, start + length - position))
    return [(start, length) for start, length in pieces if length >= min_length]
