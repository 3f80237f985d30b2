"""GC content of the reads of a dataset, or of the genomes of a table, by genome, class and split.

The GC content of a sequence is the share of G and C among its known bases. Genomes are looked at in
windows as long as a read, end to end over each stretch of known bases, as if those were the reads; their
GC content itself is over all known bases.
"""

from __future__ import annotations

import csv
import gzip
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import IO, Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt

from data_prep.cells import number_cell
from data_prep.table import GenomeRow, read_genome_table
from data_prep.tsv import standard_output, write_table
from genood.dataset import SPLITS, Dataset, Split
from genood.errors import ConfigError
from genood.files import STANDARD, atomic_path, check_distinct, check_writable, writing_to
from genood.readers import read_file
from genood.sequence import UNKNOWN, Codes, known_runs

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Progress = Callable[[str, int, int], None]
"""Called with a stage, how much of it is done, and of how much."""

READ_LENGTH = 250
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

_BLOCK_READS = 65_536
_COLUMNS = (
    *("level", "split", "class", "name", "num", "bases", "gc", "mean", "sd"),
    *(f"q{100 * level:02.0f}" for level in QUANTILES),
)


class GcDistribution(NamedTuple):
    """How the GC content of some sequences is distributed, exactly and in little memory.

    Attributes
    ----------
    strong, known
        int64, shape (U,): the numbers of G and C, and of known bases, that occur, each pair once;
        `known` is positive.
    counts
        int64, shape (U,): sequences with these numbers.
    """

    strong: Ints
    known: Ints
    counts: Ints

    @classmethod
    def of(cls, strong: Ints, known: Ints, counts: Ints) -> Self:
        """The distribution of sequences, or of kinds of them; those without a known base are left out."""
        kept = known > 0
        base = int(known.max(initial=0)) + 1
        pairs, places = np.unique(strong[kept] * base + known[kept], return_inverse=True)
        sums = np.bincount(places, weights=counts[kept], minlength=len(pairs))
        return cls(pairs // base, pairs % base, sums.astype(np.int64))

    @classmethod
    def joined(cls, parts: Sequence[GcDistribution]) -> Self:
        """The distribution of all sequences of several, at least one."""
        return cls.of(*(np.concatenate(column) for column in zip(*parts, strict=True)))

    @property
    def num(self) -> int:
        """Sequences."""
        return int(self.counts.sum())

    def values(self) -> Floats:
        """The GC contents, float64, shape (U,)."""
        return self.strong / self.known

    def quantiles(self, levels: Sequence[float]) -> Floats:
        """Quantiles over the sequences, interpolated linearly as NumPy does; NaN if there are none."""
        if not self.num:
            return np.full(len(levels), np.nan)
        values = self.values()
        order = np.argsort(values, kind="stable")
        ends = np.cumsum(self.counts[order])
        places = np.asarray(levels) * (ends[-1] - 1)
        below, above = (
            values[order][np.searchsorted(ends, rounded, side="right")]
            for rounded in (np.floor(places), np.ceil(places))
        )
        return below + (above - below) * (places - np.floor(places))

    def mean(self) -> float:
        """Of the sequences, each counting as much; NaN if there are none."""
        return float(self.values() @ self.counts) / self.num if self.num else np.nan

    def deviation(self) -> float:
        """Standard deviation of the sequences, of the sample; NaN if there are fewer than two."""
        if self.num < 2:
            return np.nan
        return float(np.sqrt((self.values() - self.mean()) ** 2 @ self.counts / (self.num - 1)))


class GenomeGc(NamedTuple):
    """GC content of the reads or windows of one genome.

    Attributes
    ----------
    split, class_name, name
        Which; the name is an accession, which may be empty, or a file.
    distribution
        Of reads or windows.
    strong, known
        Numbers of G and C, and of known bases: of the reads, or of the whole genome.
    """

    split: str
    class_name: str
    name: str
    distribution: GcDistribution
    strong: int
    known: int


def write_gc(
    source: str,
    output: str,
    *,
    directory: str | None = None,
    window: int | None = None,
    reads_output: str | None = None,
    figure: str | None = None,
    further_outputs: Sequence[str | None] = (),
    progress: Progress | None = None,
) -> None:
    """Measure GC content and write the table; if asked, that of each read and a figure by split.

    Parameters
    ----------
    source
        A dataset directory, or a table of genomes (see `data_prep.table`).
    output
        TSV with a row for each split, class and genome: how many reads or windows, known bases, GC
        content over all bases, and mean, standard deviation and quantiles over reads or windows;
        ``-`` is standard output.
    directory, window
        For a table: where its files are, and bases of a window, else `READ_LENGTH`.
    reads_output
        For a dataset: TSV with a row for each read, compressed if its name ends in ``.gz``; ``-`` is
        standard output.
    figure
        SVG, PDF or PNG.
    further_outputs
        What the caller will write, which must be no input either.
    progress
        Told of progress.

    Raises
    ------
    GenoodError
        An input cannot be read, an option does not go with it, or an output is another file's name or
        cannot be written.
    """
    if figure is not None:
        # matplotlib is not needed, nor perhaps installed, without a figure.
        from data_prep.figures import check_figures, draw_gc_distributions

        check_figures(figure)
    outputs = [output, reads_output, figure, *further_outputs]
    check_writable(outputs)
    if os.path.isdir(source):
        if directory is not None or window is not None:
            raise ConfigError("--genomes and --length go with a table of genomes, not with a dataset")
        check_distinct([source, *(os.path.join(source, name) for name in os.listdir(source))], outputs)
        dataset = Dataset.load(source)
        genomes = dataset_gc(dataset, progress=progress)
        length, unit = dataset.read_length, "read"
        if reads_output is not None:
            write_reads_gc(dataset, reads_output)
    else:
        if reads_output is not None:
            raise ConfigError("--reads-out goes with a dataset; a table of genomes has no reads")
        rows = read_genome_table(source, genomes=directory)
        check_distinct([source, *(os.fspath(row.path) for row in rows)], outputs)
        length = READ_LENGTH if window is None else window
        genomes, unit = table_gc(rows, window=length, progress=progress), f"{length} bp window"
    write_table(output, _COLUMNS, summary_rows(genomes))
    if figure is not None:
        draw_gc_distributions(figure, _by_split(genomes), length=length, unit=unit)


def dataset_gc(dataset: Dataset, *, progress: Progress | None = None) -> list[GenomeGc]:
    """GC content of the reads of each genome of a dataset, in the order of splits, classes, accessions.

    Raises
    ------
    InputError
        A file of the dataset is damaged.
    """
    found = []
    for number, split in enumerate(dataset.splits.values()):
        split.verify()
        origins = split.origins()
        groups = origins.groupby(["class", "accession"], sort=True)
        numbers = groups.ngroup().to_numpy(dtype=np.int64)
        strong, known = (column.astype(np.int64) for column in read_counts(split))
        order = np.argsort(numbers, kind="stable")
        ends = np.cumsum(np.bincount(numbers))
        for (class_name, name), members in zip(groups.size().index, np.split(order, ends[:-1]), strict=True):
            ones = np.ones(len(members), dtype=np.int64)
            distribution = GcDistribution.of(strong[members], known[members], ones)
            totals = int(strong[members].sum()), int(known[members].sum())
            found.append(GenomeGc(split.name, class_name, name, distribution, *totals))
        if progress is not None:
            progress("reading splits", number + 1, len(dataset.splits))
    return found


def table_gc(rows: Sequence[GenomeRow], *, window: int, progress: Progress | None = None) -> list[GenomeGc]:
    """GC content of the genomes of a table, in the order of splits, classes and the table.

    Parameters
    ----------
    rows
        See `data_prep.table.read_genome_table`.
    window
        Bases.
    progress
        Told of progress.

    Raises
    ------
    InputError
        A genome cannot be read.
    ConfigError
        The window is not positive.
    """
    if window < 1:
        raise ConfigError(f"a window must have at least 1 base, not {window}")
    found = []
    for number, row in enumerate(rows):
        counts = np.zeros(window + 1, dtype=np.int64)
        strong = known = 0
        for record in read_file(row.path):
            known += int(np.count_nonzero(record.codes != UNKNOWN))
            strong += int(np.count_nonzero(is_strong(record.codes)))
            for start, stop in known_runs(record.codes, window):
                num_windows = (stop - start) // window
                windows = record.codes[start : start + num_windows * window].reshape(-1, window)
                counts += np.bincount(is_strong(windows).sum(axis=1), minlength=window + 1)
        present = np.flatnonzero(counts)
        distribution = GcDistribution(present, np.full(len(present), window), counts[present])
        found.append(GenomeGc(row.split, row.class_name, row.file, distribution, strong, known))
        if progress is not None:
            progress("reading genomes", number + 1, len(rows))
    return sorted(found, key=lambda genome: (SPLITS.index(genome.split), genome.class_name))


def write_reads_gc(dataset: Dataset, target: str) -> None:
    """Write the GC content of each read, a split after the other, in the order of the dataset."""
    with _open_text(target) as stream:
        for number, split in enumerate(dataset.splits.values()):
            table = split.origins()
            strong, known = read_counts(split)
            table["gc"] = np.divide(strong, known, out=np.full(len(strong), np.nan), where=known > 0)
            # As genood score names them.
            table.insert(0, "read_id", [f"{split.name}:{row}" for row in range(len(table))])
            table.insert(1, "split", split.name)
            table.to_csv(
                stream, sep="\t", header=number == 0, index=False, float_format="%.6g", quoting=csv.QUOTE_NONE
            )


def read_counts(split: Split) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Numbers of G and C, and of known bases, of each read of a split: int32, shape (N,)."""
    strong = np.empty(split.num_reads, dtype=np.int32)
    known = np.empty_like(strong)
    for start in range(0, split.num_reads, _BLOCK_READS):
        block = slice(start, start + _BLOCK_READS)
        codes = np.asarray(split.codes[block])
        strong[block] = np.count_nonzero(is_strong(codes), axis=1)
        known[block] = np.count_nonzero(codes != UNKNOWN, axis=1)
    return strong, known


def is_strong(codes: Codes) -> npt.NDArray[np.bool_]:
    """Whether each base is C or G, codes 1 and 2."""
    return (codes == 1) | (codes == 2)


def summary_rows(genomes: Sequence[GenomeGc]) -> Iterator[tuple[str, ...]]:
    """A row for each split, then for each class, then for each genome that has a name."""
    for split in _splits(genomes):
        yield _summary_row(("split", split, "", ""), [g for g in genomes if g.split == split])
    classes: dict[tuple[str, str], list[GenomeGc]] = {}
    for genome in genomes:
        classes.setdefault((genome.split, genome.class_name), []).append(genome)
    for of_class, members in classes.items():
        yield _summary_row(("class", *of_class, ""), members)
    for genome in genomes:
        if genome.name:
            yield _summary_row(("genome", genome.split, genome.class_name, genome.name), [genome])


def _summary_row(labels: tuple[str, ...], genomes: Sequence[GenomeGc]) -> tuple[str, ...]:
    distribution = GcDistribution.joined([genome.distribution for genome in genomes])
    strong = sum(genome.strong for genome in genomes)
    known = sum(genome.known for genome in genomes)
    numbers = (
        strong / known if known else np.nan,
        distribution.mean(),
        distribution.deviation(),
        *distribution.quantiles(QUANTILES),
    )
    return (*labels, str(distribution.num), str(known), *map(number_cell, numbers))


def _by_split(genomes: Sequence[GenomeGc]) -> dict[str, GcDistribution]:
    return {
        split: GcDistribution.joined([genome.distribution for genome in genomes if genome.split == split])
        for split in _splits(genomes)
    }


def _splits(genomes: Sequence[GenomeGc]) -> list[str]:
    present = {genome.split for genome in genomes}
    return [split for split in SPLITS if split in present]


@contextmanager
def _open_text(target: str) -> Iterator[IO[str]]:
    """A file of text to write, compressed if its name says so; ``-`` is standard output.

    The same text gives the same bytes.
    """
    if target == STANDARD:
        with standard_output() as stream:
            yield stream
        return
    with ExitStack() as stack:
        temporary = stack.enter_context(atomic_path(target))
        stack.enter_context(writing_to(target))
        raw: Any = stack.enter_context(open(temporary, "wb"))
        if target.endswith(".gz"):
            raw = stack.enter_context(gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0))
        yield stack.enter_context(io.TextIOWrapper(raw, encoding="utf-8", newline=""))
