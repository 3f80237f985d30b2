"""Which windows of the genomes of a class become reads.

The reads of a class in a split are a sample without replacement of the valid windows (see
`data_prep.windows`) of its genomes in that split: every set of so many windows is as likely as any other,
so that a genome gives reads in proportion to its valid windows. A window is one position whichever strand
is read, and the strand of each read is drawn, forward or reverse with equal chances. Sequence that occurs
twice, in a genome or in two of a class, may be read twice.

All that is random comes from the seed and the names of split and class, and genomes are taken in the order of
their names. So the draw depends neither on the order of a table nor on its other classes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from data_prep.table import GenomeRow
from data_prep.windows import WindowCount
from genood.dataset import SPLITS
from genood.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class DrawConfig:
    """Which reads to draw.

    Attributes
    ----------
    read_length
        Bases of a read, at least 1.
    reads_per_class
        Of each class in each split, at least 1.
    split_reads
        The same for single splits, instead.
    seed
        Of everything random, at least 0.
    allow_fewer
        Whether a class with fewer windows than that gives them all, rather than being refused.
    """

    read_length: int = 250
    reads_per_class: int = 100_000
    split_reads: Mapping[str, int] = field(default_factory=dict)
    seed: int = 0
    allow_fewer: bool = False

    def __post_init__(self) -> None:
        if self.read_length < 1:
            raise ConfigError(f"the length of a read must be at least 1, not {self.read_length}")
        for number in (self.reads_per_class, *self.split_reads.values()):
            if number < 1:
                raise ConfigError(f"the number of reads of a class must be at least 1, not {number}")
        for split in self.split_reads:
            if split not in SPLITS:
                raise ConfigError(f"there is no split {split!r}; the splits are {', '.join(SPLITS)}")
        if self.seed < 0:
            raise ConfigError(f"the seed must be at least 0, not {self.seed}")

    def reads_of(self, split: str) -> int:
        """Reads asked of each class in a split."""
        return self.split_reads.get(split, self.reads_per_class)


class Draw(NamedTuple):
    """Windows drawn from a class.

    Attributes
    ----------
    windows
        int64, shape (N,), ascending, numbered through the class's genomes.
    reverse
        bool, shape (N,): whether the read is the reverse complement of its window.
    buckets
        int64, shape (N,): where the reads go in the shuffle of their split.
    """

    windows: npt.NDArray[np.int64]
    reverse: npt.NDArray[np.bool_]
    buckets: npt.NDArray[np.int64]


class GenomePart(NamedTuple):
    """What a draw takes from one genome.

    Attributes
    ----------
    row, counted
        The genome.
    first_window
        Its first window's number in the class.
    part
        Where in the draw its windows are; may be empty.
    """

    row: GenomeRow
    counted: WindowCount
    first_window: int
    part: slice


@dataclass(frozen=True, kw_only=True)
class ClassGenomes:
    """The genomes of a class in a split, sorted by name, and how many reads are asked of them."""

    split: str
    class_name: str
    rows: Sequence[GenomeRow]
    counts: Sequence[WindowCount]
    num_wanted: int

    @property
    def num_bases(self) -> int:
        """Letters of any kind."""
        return sum(count.num_bases for count in self.counts)

    @property
    def num_windows(self) -> int:
        """Valid windows."""
        return sum(count.num_windows for count in self.counts)

    @property
    def num_reads(self) -> int:
        """Reads that are drawn: fewer than asked where there are fewer windows."""
        return min(self.num_wanted, self.num_windows)

    def draw(self, seed: int, num_buckets: int = 1) -> Draw:
        """The draw, cheap enough to be made again rather than kept."""
        generator = generator_of(seed, "reads", self.split, self.class_name)
        windows = generator.choice(self.num_windows, self.num_reads, replace=False, shuffle=False)
        windows.sort()
        reverse = generator.random(len(windows)) < 0.5
        # Last, so that windows and strands do not depend on how much else is in the split.
        return Draw(windows, reverse, generator.integers(num_buckets, size=len(windows)))

    def parts(self, draw: Draw) -> Iterator[GenomePart]:
        """The part of each genome."""
        start = first_window = 0
        for row, count in zip(self.rows, self.counts, strict=True):
            end = first_window + count.num_windows
            stop = int(np.searchsorted(draw.windows, end))
            yield GenomePart(row, count, first_window, slice(start, stop))
            start, first_window = stop, end


def by_class(
    rows: Sequence[GenomeRow], counts: Sequence[WindowCount], config: DrawConfig
) -> list[ClassGenomes]:
    """The genomes by split, in the order of `SPLITS`, and class, by name; `counts` are those of `rows`."""

    def key(pair: tuple[GenomeRow, WindowCount]) -> tuple[int, str]:
        return SPLITS.index(pair[0].split), pair[0].class_name

    def name(pair: tuple[GenomeRow, WindowCount]) -> tuple[str, str]:
        return pair[0].path.name, pair[0].file

    pairs = sorted(zip(rows, counts, strict=True), key=lambda pair: (key(pair), name(pair)))
    classes = []
    for (number, class_name), group in groupby(pairs, key=key):
        rows_of_class, counts_of_class = zip(*group, strict=True)
        split = SPLITS[number]
        classes.append(
            ClassGenomes(
                split=split,
                class_name=class_name,
                rows=rows_of_class,
                counts=counts_of_class,
                num_wanted=config.reads_of(split),
            )
        )
    return classes


def generator_of(seed: int, *names: str) -> np.random.Generator:
    """A generator of their own for each seed and names, the same on every machine."""
    digest = hashlib.sha256("\0".join(names).encode()).digest()
    return np.random.default_rng(np.random.SeedSequence([seed, int.from_bytes(digest, "little")]))
