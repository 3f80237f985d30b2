"""Reads drawn from the genomes of a table, into a dataset.

`data_prep.draw` says which. The reads of a split are shuffled, so that any stretch of them is a fair sample
of its classes. Their order comes from the seed; like the draw, it depends neither on the number of processes
nor on the order of the table.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby, tee
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from data_prep.draw import ClassGenomes, DrawConfig, by_class, generator_of
from data_prep.shuffle import BucketShuffle, num_buckets_for
from data_prep.table import PLAN_COLUMNS, GenomeRow, listed, read_genome_table
from data_prep.windows import GenomeReads, WantedReads, WindowCount, count_windows, extract_reads
from data_prep.workers import Workers
from genood.dataset import DatasetWriter, Origins, create_dataset
from genood.errors import InputError
from genood.files import sha256_of, writing_to

logger = logging.getLogger("genood.prep.reads")

Progress = Callable[[str, int, int], None]
"""Called with the name of a stage, how much of it is done, and how much there is."""

_READS_OF_TASK = 2**15
"""Most reads taken at once from a genome, if it is not longer than they are; it is read again for more."""


class ClassSummary(NamedTuple):
    """What a class gave to a split: genomes, bases of any letter, valid windows, reads."""

    split: str
    class_name: str
    num_genomes: int
    num_bases: int
    num_windows: int
    num_reads: int


class _Task(NamedTuple):
    """Reads to take from one genome at once, and where the shuffle puts them, int64 of shape (N,)."""

    split: str
    class_name: str
    wanted: WantedReads
    buckets: npt.NDArray[np.int64]


def draw_reads(
    table: str | os.PathLike[str],
    output: str | os.PathLike[str],
    config: DrawConfig,
    *,
    genomes: str | os.PathLike[str] | None = None,
    processes: int = 1,
    progress: Progress | None = None,
) -> list[ClassSummary]:
    """Draw reads from the genomes of a table into a dataset.

    Every genome is read twice: to count its windows, then to take the reads. Memory holds a genome and a few
    tasks of reads for each process, the draw of one class, one bucket of the shuffle, and the names of those
    records of one split that have reads. The buckets lie on disk beside the dataset while it is written, and
    need as much room as its largest split.

    Parameters
    ----------
    table
        Tab-separated, with the columns file, class and split.
    output
        The dataset's directory, which must not exist.
    config
        Which reads.
    genomes
        Directory of the table's relative files; without it, the table's own.
    processes
        How many read genomes at the same time, at least 1; the dataset does not depend on it.
    progress
        Told how far each stage is.

    Returns
    -------
    summaries
        One for each class of each split, in the order of the splits and of the classes' names.

    Raises
    ------
    GenoodError
        Table, genomes or output cannot be used; a class has too few windows; or two rows of different class
        or split hold the same sequences.
    """
    rows = read_genome_table(table, genomes=genomes)
    _check_splits(table, rows, config)
    report = _report_nothing if progress is None else progress
    sources: list[dict[str, Any]] = []
    # A dataset takes its sources at its end; so it can begin, and find what is in its way, before the work.
    with (
        create_dataset(output, read_length=config.read_length, seed=config.seed, sources=sources) as writer,
        Workers(processes) as workers,
    ):
        counts: list[WindowCount] = []
        count = partial(count_windows, read_length=config.read_length)
        for counted in workers.map(count, [str(row.path) for row in rows]):
            counts.append(counted)
            report("counting windows, files", len(counts), len(rows))
        _check_contents(rows, counts)
        classes = by_class(rows, counts, config)
        _check_windows(table, classes, config)
        sources += _sources(classes, config)
        if os.path.isfile(table):  # a pipe can be read but once
            writer.note("table", {"file": Path(table).name, "sha256": sha256_of(table)})
        writer.note("reads_per_class", {each.split: each.num_wanted for each in classes})
        _write(writer, workers, classes, config, Path(output), report)
    return [
        ClassSummary(
            each.split, each.class_name, len(each.rows), each.num_bases, each.num_windows, each.num_reads
        )
        for each in classes
    ]


def _report_nothing(stage: str, done: int, total: int) -> None:
    """No progress."""


def _check_splits(table: str | os.PathLike[str], rows: Sequence[GenomeRow], config: DrawConfig) -> None:
    splits = {row.split for row in rows}
    for split in config.split_reads:
        if split not in splits:
            raise InputError(table, f"has no row of {split}, for which a number of reads is given")


def _check_contents(rows: Sequence[GenomeRow], counts: Sequence[WindowCount]) -> None:
    """A copy of a genome in another split or class would make what is measured there meaningless."""
    first: dict[str, GenomeRow] = {}
    for row, count in zip(rows, counts, strict=True):
        before = first.setdefault(count.sha256, row)
        if before is row:
            continue
        if (before.split, before.class_name) != (row.split, row.class_name):
            raise InputError(
                row.path,
                f"of {row.class_name} in {row.split} holds the same sequences as {before.path}, of "
                f"{before.class_name} in {before.split}; drop one of the two rows",
            )
        logger.warning("%s holds the same sequences as %s, so that these weigh twice", row.path, before.path)


def _check_windows(
    table: str | os.PathLike[str], classes: Sequence[ClassGenomes], config: DrawConfig
) -> None:
    window = f"stretch of {config.read_length} known bases"
    empty = [f"{each.class_name} in {each.split}" for each in classes if not each.num_windows]
    if empty:
        raise InputError(
            table, f"no {window} is in the genomes of {listed(empty)}; drop their rows, or draw shorter reads"
        )
    short = [
        f"{each.class_name} in {each.split} has {each.num_windows} for {each.num_wanted} reads"
        for each in classes
        if each.num_windows < each.num_wanted
    ]
    if short and not config.allow_fewer:
        raise InputError(
            table,
            f"too few windows, each a {window}: {listed(short)}; draw fewer reads, or allow fewer where "
            "there are no more (--allow-fewer)",
        )
    for text in short:
        logger.warning("too few windows, each a %s: %s; all are taken", window, text)


def _sources(classes: Sequence[ClassGenomes], config: DrawConfig) -> list[dict[str, Any]]:
    """What the dataset tells of each genome."""
    return [
        {
            "file": genome.row.file,
            "class": each.class_name,
            "split": each.split,
            **{name: cell for name in PLAN_COLUMNS if (cell := getattr(genome.row, name))},
            "sha256": genome.counted.sha256,
            "records": genome.counted.num_records,
            "bases": genome.counted.num_bases,
            "windows": genome.counted.num_windows,
            "reads": genome.part.stop - genome.part.start,
        }
        for each in classes
        for genome in each.parts(each.draw(config.seed))
    ]


def _write(
    writer: DatasetWriter,
    workers: Workers,
    classes: Sequence[ClassGenomes],
    config: DrawConfig,
    output: Path,
    report: Progress,
) -> None:
    """Take the reads of all classes, and write them split by split, shuffled."""
    num_reads = {
        split: sum(each.num_reads for each in group)
        for split, group in groupby(classes, key=lambda each: each.split)
    }
    num_buckets = {split: num_buckets_for(number) for split, number in num_reads.items()}
    # The second iterator runs ahead of the first, by as many tasks as the workers have at hand.
    tasks, tasks_ahead = tee(_tasks(classes, config, num_buckets))
    reads = workers.map(extract_reads, (task.wanted for task in tasks_ahead))
    num_taken = num_written = 0
    for split, group in groupby(zip(tasks, reads, strict=True), key=lambda pair: pair[0].split):
        with (
            writing_to(output),
            TemporaryDirectory(prefix=f".{output.name}.", suffix=".tmp", dir=output.parent) as scratch,
            BucketShuffle(Path(scratch), num_buckets[split]) as shuffle,
        ):
            origins: list[tuple[str, str]] = []
            for task, taken in group:
                shuffle.add(_to_records(taken, task.wanted.reverse, len(origins)), task.buckets)
                origins += ((task.class_name, accession) for accession in taken.accessions)
                num_taken += len(taken.codes)
                report("taking reads", num_taken, sum(num_reads.values()))
            generator = generator_of(config.seed, "shuffle", split)
            for records in shuffle.shuffled(_record_dtype(config.read_length), generator):
                writer.add(split, records["codes"], _origins(records, origins))
                num_written += len(records)
                report("writing reads", num_written, sum(num_reads.values()))


def _tasks(
    classes: Sequence[ClassGenomes], config: DrawConfig, num_buckets: Mapping[str, int]
) -> Iterator[_Task]:
    for each in classes:
        draw = each.draw(config.seed, num_buckets[each.split])
        for row, counted, first_window, part in each.parts(draw):
            num_at_once = max(_READS_OF_TASK, counted.num_bases // config.read_length)
            for start in range(part.start, part.stop, num_at_once):
                mine = slice(start, min(start + num_at_once, part.stop))
                wanted = WantedReads(
                    path=str(row.path),
                    read_length=config.read_length,
                    num_windows=counted.num_windows,
                    windows=draw.windows[mine] - first_window,
                    reverse=draw.reverse[mine],
                )
                yield _Task(each.split, each.class_name, wanted, draw.buckets[mine])


def _record_dtype(read_length: int) -> np.dtype[np.void]:
    """A read in the shuffle; `origin` is an index into a list of classes and accessions."""
    return np.dtype([("codes", "u1", (read_length,)), ("origin", "i8"), ("start", "i8"), ("reverse", "?")])


def _to_records(reads: GenomeReads, reverse: npt.NDArray[np.bool_], num_origins: int) -> npt.NDArray[np.void]:
    records = np.empty(len(reads.codes), dtype=_record_dtype(reads.codes.shape[1]))
    records["codes"] = reads.codes
    records["origin"] = reads.records + num_origins
    records["start"] = reads.starts
    records["reverse"] = reverse
    return records


def _origins(records: npt.NDArray[np.void], origins: Sequence[tuple[str, str]]) -> Origins:
    classes, accessions = zip(*(origins[index] for index in records["origin"].tolist()), strict=True)
    return Origins(classes, accessions, records["start"], np.where(records["reverse"], "-", "+").tolist())
