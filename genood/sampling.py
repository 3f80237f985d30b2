"""The reads that training draws from genomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genood.errors import TrainingError
from genood.genomes import Genomes, Ints
from genood.sequence import Codes, reverse_complement


class SampledReads(NamedTuple):
    """Reads drawn from genomes: codes uint8 (B, L); class and file of each, int64 (B,)."""

    codes: Codes
    labels: Ints
    files: Ints


class ReadSampler:
    """Draws reads: a class uniformly, then a position uniformly among its own, then a strand.

    What step n draws depends on the genomes, the read length, the seed and n alone, so that an
    interrupted training goes on as if it had not been interrupted.

    Parameters
    ----------
    genomes
        Where to draw from. Segments shorter than a read are passed over.
    read_length
        Bases of a read.
    seed
        Any integers; samplers with different ones are independent.

    Raises
    ------
    TrainingError
        A class has no segment as long as a read.
    """

    def __init__(self, genomes: Genomes, read_length: int, seed: Sequence[int]) -> None:
        self.genomes = genomes
        self.read_length = read_length
        self.seed = tuple(seed)
        segments, ends = [], []
        for label, name in enumerate(genomes.classes):
            mine = np.flatnonzero((genomes.labels == label) & (genomes.lengths >= read_length))
            if not len(mine):
                raise TrainingError(
                    f"class {name!r} has no stretch of {read_length} known bases; "
                    "give longer sequences or a shorter --read-length"
                )
            segments.append(mine)
            ends.append(np.cumsum(genomes.lengths[mine] - read_length + 1))
        self._num_positions = np.array([places[-1] for places in ends])
        self._first_positions = np.cumsum(self._num_positions) - self._num_positions
        self._ends = np.concatenate([of + at for of, at in zip(ends, self._first_positions, strict=True)])
        chosen = np.concatenate(segments)
        # Of a segment, the places in `codes` less those in the order of classes.
        self._shifts = genomes.starts[chosen] - (self._ends - (genomes.lengths[chosen] - read_length + 1))

    def sample(self, step: int, num_reads: int, *again: int) -> SampledReads:
        """The `num_reads` reads of one step; further numbers draw others."""
        generator = np.random.default_rng([*self.seed, step, *again])
        labels = generator.integers(0, len(self.genomes.classes), size=num_reads)
        fractions = generator.random(num_reads)
        reverse = generator.random(num_reads) < 0.5
        positions = (fractions * self._num_positions[labels]).astype(np.int64) + self._first_positions[labels]
        starts = positions + self._shifts[np.searchsorted(self._ends, positions, side="right")]
        codes = np.asarray(self.genomes.codes[starts[:, None] + np.arange(self.read_length)])
        codes[reverse] = reverse_complement(codes[reverse])
        return SampledReads(codes, labels, self.genomes.files_at(starts))
