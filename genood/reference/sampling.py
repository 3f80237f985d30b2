"""The reads that training draws from genomes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from genood.errors import TrainingError
from genood.reference.genomes import Genomes, Ints
from genood.sequence import Codes, reverse_complement


class SampledReads(NamedTuple):
    """Reads drawn from genomes: codes uint8 (B, L); class and file of each, int64 (B,)."""

    codes: Codes
    labels: Ints
    files: Ints


class Places(NamedTuple):
    """Where reads can start, class by class and in a class segment by segment, numbered from 0.

    Attributes
    ----------
    num_of_class, first_of_class
        int64, shape (K,): how many a class has, and the number of its first one.
    ends, shifts
        int64, shape (S,): of each segment, the number after its last place, and what added to a number
        gives the place in `Genomes.codes`.
    """

    num_of_class: Ints
    first_of_class: Ints
    ends: Ints
    shifts: Ints


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
        segments: list[Ints] = []
        ends: list[Ints] = []
        for label, name in enumerate(genomes.classes):
            mine = np.flatnonzero((genomes.labels == label) & (genomes.lengths >= read_length))
            if not len(mine):
                raise TrainingError(
                    f"class {name!r} has no stretch of {read_length} known bases; "
                    "give longer sequences or a shorter --read-length"
                )
            segments.append(mine)
            ends.append(np.cumsum(genomes.lengths[mine] - read_length + 1))
        num_of_class = np.array([places[-1] for places in ends])
        first_of_class = np.cumsum(num_of_class) - num_of_class
        classes = zip(ends, first_of_class.tolist(), strict=True)
        all_ends: Ints = np.concatenate([of_class + first for of_class, first in classes])
        chosen = np.concatenate(segments)
        shifts = genomes.starts[chosen] - (all_ends - (genomes.lengths[chosen] - read_length + 1))
        self.places = Places(num_of_class, first_of_class, all_ends, shifts)

    def sample(self, step: int, num_reads: int, *again: int) -> SampledReads:
        """The `num_reads` reads of one step; further numbers draw others."""
        generator = np.random.default_rng([*self.seed, step, *again])
        labels = generator.integers(0, len(self.genomes.classes), size=num_reads)
        fractions = generator.random(num_reads)
        reverse = generator.random(num_reads) < 0.5
        places = self.places
        numbers = (fractions * places.num_of_class[labels]).astype(np.int64) + places.first_of_class[labels]
        starts = numbers + places.shifts[np.searchsorted(places.ends, numbers, side="right")]
        codes = np.asarray(self.genomes.codes[starts[:, None] + np.arange(self.read_length)])
        codes[reverse] = reverse_complement(codes[reverse])
        return SampledReads(codes, labels, self.genomes.files_at(starts))
