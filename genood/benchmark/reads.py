"""The reads of a benchmark: which of a dataset's, as many in-distribution as OOD ones."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from genood.dataset import SPLITS, Dataset
from genood.errors import InputError
from genood.recipes import Stream
from genood.sequence import Codes

Phase = Literal["val", "test"]

_BATCH_BASES = 65_536


@dataclass(frozen=True, kw_only=True, eq=False)
class Side:
    """Reads of one split, which stay on disk.

    Attributes
    ----------
    split
        Its name.
    rows
        int64, shape (N,): which of its reads, ascending.
    stored
        uint8, shape (M, L): all of its reads.
    """

    split: str
    rows: npt.NDArray[np.int64]
    stored: Codes

    @classmethod
    def drawn(cls, dataset: Dataset, split: str, num_reads: int, seed: int) -> Self:
        """So many reads of a split, drawn uniformly."""
        stored = dataset.splits[split].codes
        generator = np.random.default_rng([seed, Stream.BENCHMARK, SPLITS.index(split)])
        rows = np.sort(generator.choice(len(stored), num_reads, replace=False))
        return cls(split=split, rows=rows, stored=stored)

    @property
    def num_reads(self) -> int:
        """N."""
        return len(self.rows)

    @property
    def read_length(self) -> int:
        """L."""
        return int(self.stored.shape[1])

    def codes(self, which: slice | npt.NDArray[np.int64]) -> Codes:
        """Some of the reads, in memory: uint8, shape (B, L)."""
        return np.asarray(self.stored[self.rows[which]])

    def batches(self, most: int) -> Iterator[tuple[Codes, npt.NDArray[np.int64]]]:
        """Codes uint8 (B, L) and lengths int64 (B,) of so many reads, at most, as are scored at a time."""
        size = max(1, min(most, _BATCH_BASES // self.read_length))
        for start in range(0, self.num_reads, size):
            codes = self.codes(slice(start, start + size))
            yield codes, np.full(len(codes), self.read_length, dtype=np.int64)


def drawn_reads(dataset: Dataset, phase: Phase, seed: int, max_reads: int | None) -> tuple[Side, Side]:
    """In-distribution and OOD reads of a phase, as many of each.

    Parameters
    ----------
    dataset
        Where they are.
    phase
        ``val`` or ``test``.
    seed
        Of the draw.
    max_reads
        Of each, at most; None takes as many as the smaller of the two splits has.
    """
    splits = [f"{phase}_{side}" for side in ("in", "ood")]
    number = min(dataset.splits[split].num_reads for split in splits)
    if max_reads is not None:
        number = min(number, max_reads)
    inside, ood = (Side.drawn(dataset, split, number, seed) for split in splits)
    return inside, ood


def open_benchmark(directory: str) -> Dataset:
    """The dataset, with all of its files checked.

    Raises
    ------
    InputError
        It is none, is damaged, or lacks a split.
    """
    dataset = Dataset.load(directory, verify=True)
    missing = [split for split in SPLITS if split not in dataset.splits]
    if missing:
        raise InputError(
            directory, f"has no {missing[0]} reads; a benchmark needs all of {', '.join(SPLITS)}"
        )
    return dataset


def fingerprint(dataset: Dataset, splits: Sequence[str]) -> str:
    """sha256 of what some splits of a dataset hold, whatever the rest and the names are."""
    content = {"read_length": dataset.read_length} | {
        split: sorted(dataset.splits[split].sha256.values()) for split in splits
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
