"""In-distribution reads that a memory-based model is calibrated on."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from genood.detectors.base import ScoreBatch
from genood.ensemble import AnyBundle
from genood.forward import forward
from genood.recipes import Stream
from genood.reference.genomes import Genomes, Ints
from genood.reference.loading import Validation, provenance
from genood.reference.sampling import ReadSampler
from genood.sequence import Codes, mutate

STRAIN_DIVERGENCE = 0.02
"""Substitutions per base that stand in for another strain, where a class has one file: two strains
of one bacterial species differ by up to about 5 %, most by less."""
_BATCH_BASES = 65_536


@dataclass(frozen=True, kw_only=True)
class Null:
    """In-distribution reads that the experts have not seen.

    `leave_out` holds the files whose reads are judged without their own file; other reads are mutated
    at `STRAIN_DIVERGENCE`, unless they come from validation files. The dense tables know all files: of
    the hundreds of bases behind a count of theirs, one or two are the read's own.
    """

    genomes: Genomes
    source: str
    leave_out: frozenset[int]
    mutate: bool

    @property
    def about(self) -> str:
        """What a model card says of it, for people."""
        return _ABOUT_NULLS if self.mutate else _ABOUT_VALIDATION

    def of_class(self, name: str) -> Null:
        """The reads of one class; the errors are those of `Validation.of_class`."""
        return replace(self, genomes=self.validation.of_class(name).genomes)

    @property
    def validation(self) -> Validation:
        """Where the reads come from."""
        return Validation(self.genomes, self.source, apart=not self.mutate)

    def provenance(self, reference: Genomes) -> dict[str, Any]:
        """What a bundle says about its data, JSON types."""
        return provenance(reference, self.validation)

    def draw(self, length: int, num_reads: int, seed: int, stream: Stream) -> tuple[Codes, Ints]:
        """Reads, uint8 (B, length), and the file that each is judged without, int64 (B,), -1 for none."""
        reads = ReadSampler(self.genomes, length, (seed, stream, length)).sample(0, num_reads)
        left_out = np.isin(reads.files, list(self.leave_out))
        codes = reads.codes
        if self.mutate:
            generator = np.random.default_rng([seed, Stream.VALIDATION_MUTATION, length])
            codes = np.where(left_out[:, None], codes, mutate(codes, STRAIN_DIVERGENCE, generator))
        return codes, np.where(left_out, reads.files, -1)

    def score(self, bundle: AnyBundle, length: int, num_reads: int, seed: int) -> list[ScoreBatch]:
        """Scores of so many reads of a length."""
        codes, without = self.draw(length, num_reads, seed, Stream.CALIBRATION)
        num_batches = math.ceil(num_reads * length / _BATCH_BASES)
        return [
            forward(bundle, part, np.full(len(part), length, dtype=np.int64), files)
            for part, files in zip(
                np.array_split(codes, num_batches), np.array_split(without, num_batches), strict=True
            )
            if len(part)
        ]


def null_of(genomes: Genomes, validation: Validation | None) -> Null:
    """That of validation sequences, where there are any, else of the reference itself."""
    if validation is not None:
        return Null(genomes=validation.genomes, source=validation.source, leave_out=frozenset(), mutate=False)
    numbers = Counter(file.class_name for file in genomes.files if file.usable_bases)
    several = frozenset(i for i, file in enumerate(genomes.files) if numbers[file.class_name] > 1)
    parts = []
    if several:
        parts.append("the reference, each read judged without the file that it is from")
    if min(numbers.values()) == 1:
        parts.append(f"classes of one file, with {STRAIN_DIVERGENCE:.0%} of the bases substituted")
    return Null(genomes=genomes, source="; ".join(parts), leave_out=several, mutate=True)


_ABOUT_NULLS = """These reads are as far from the reference as its genomes are from each other: where reads to
be scored are of closer genomes, p-values are too large; where of more distant species, too small.
`--val` calibrates on genomes of your own choice."""
_ABOUT_VALIDATION = """Where reads to be scored are closer to the reference than these, p-values are
too large; where they are further from it, too small."""
