"""Validation reads that backgrounds are chosen by: in-distribution ones, real OOD ones, simulated ones."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genood.dataset import Dataset, is_dataset
from genood.errors import ConfigError
from genood.recipes import Stream
from genood.reference.genomes import GenomeFile, Genomes, copies
from genood.reference.loading import VALIDATION_SPLIT, load_sequences
from genood.reference.sampling import ReadSampler
from genood.sequence import UNKNOWN, Codes, mutate
from genood.tune.grid import Against
from genood.tune.job import TuneJob

OOD_SPLIT = "val_ood"
DRAWN = 4
"""Reads drawn from genomes for each that does not overlap, at most: more would only repeat them."""
_BATCH_BASES = 65_536

Ints = npt.NDArray[np.int64]


class Batch(NamedTuple):
    """Reads of one forward pass: codes uint8 (B, L), lengths int64 (B,), and see `ReadSet`."""

    codes: Codes
    lengths: Ints
    without_files: Ints | None


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadSet:
    """N reads of one length.

    Attributes
    ----------
    codes
        uint8, shape (N, L).
    source
        Where they come from, for people.
    without_files
        int64, shape (N,), where reads are of the reference: the file that each is judged without, -1 for
        none.
    """

    codes: Codes
    source: str
    without_files: Ints | None = field(default=None)

    @property
    def fingerprint(self) -> str:
        """sha256 over the reads."""
        digest = hashlib.sha256(b"%d\0" % self.codes.shape[1] + self.codes.tobytes())
        if self.without_files is not None:
            digest.update(self.without_files.tobytes())
        return digest.hexdigest()

    @property
    def num_scored(self) -> Ints:
        """Known bases of each read, shape (N,)."""
        return (self.codes < UNKNOWN).sum(axis=1)

    def batches(self) -> Iterator[Batch]:
        """The reads, so many as are scored at a time."""
        length = self.codes.shape[1]
        size = max(1, _BATCH_BASES // length)
        for start in range(0, len(self.codes), size):
            codes = self.codes[start : start + size]
            files = None if self.without_files is None else self.without_files[start : start + size]
            yield Batch(codes, np.full(len(codes), length, dtype=np.int64), files)


class ValidationReads(NamedTuple):
    """In-distribution reads, and by `Against` the OOD reads that they are told from."""

    inside: ReadSet
    ood: Mapping[Against, ReadSet]

    def by_name(self) -> dict[str, ReadSet]:
        """All of them; those in distribution as ``in``."""
        named: dict[str, ReadSet] = {"in": self.inside}
        named.update(self.ood.items())
        return named


def validation_reads(job: TuneJob, inside: ReadSet, known: Iterable[GenomeFile]) -> ValidationReads:
    """The in-distribution reads with real OOD reads, where there are any, and simulated ones.

    Parameters
    ----------
    job
        What to tune.
    inside
        The in-distribution reads.
    known
        See `real_ood_reads`.

    Raises
    ------
    GenoodError
        See `real_ood_reads`; or there are none though they are to decide.
    """
    seed, length = job.config.seed, inside.codes.shape[1]
    ood: dict[Against, ReadSet] = {}
    real = real_ood_reads(job.ood, job.inputs, known, length=length, max_reads=job.max_reads, seed=seed)
    if real is not None:
        ood["real"] = real
    elif job.choose == "real":
        raise ConfigError("there are no real OOD reads to choose by; give some with --ood")
    ood["simulated"] = simulated_ood_reads(inside, job.simulated_rate, seed)
    return ValidationReads(inside, ood)


def drawn_reads(genomes: Genomes, length: int, max_reads: int, seed: int, source: str) -> ReadSet:
    """Reads drawn from genomes, uniformly over classes, then over positions, of both strands.

    Raises
    ------
    TrainingError
        A class has no stretch of so many bases.
    """
    num_reads = max(1, min(max_reads, math.ceil(DRAWN * genomes.independent_reads(length))))
    codes = ReadSampler(genomes, length, (seed, Stream.TUNING)).sample(0, num_reads).codes
    return ReadSet(codes=codes, source=source)


def dataset_reads(directories: Sequence[str], split: str, max_reads: int, seed: int) -> ReadSet:
    """Reads of a split of datasets as they are, or a uniform choice of so many of them.

    Raises
    ------
    InputError
        A dataset is damaged.
    ConfigError
        The datasets differ in the length of their reads.
    """
    splits = [Dataset.load(path).splits[split] for path in directories]
    if len({part.codes.shape[1] for part in splits}) > 1:
        raise ConfigError("the datasets have reads of different lengths, which do not compare")
    for part in splits:
        part.verify()
    total = sum(part.num_reads for part in splits)
    generator = np.random.default_rng([seed, Stream.TUNING])
    chosen = np.arange(total)
    if total > max_reads:
        chosen = np.sort(generator.choice(total, max_reads, replace=False))
    parts, start = [], 0
    for part in splits:
        mine = chosen[(chosen >= start) & (chosen < start + part.num_reads)] - start
        parts.append(np.asarray(part.codes[mine]))
        start += part.num_reads
    return ReadSet(codes=np.concatenate(parts), source=f"{split} of the dataset")


def in_reads_of_datasets(
    inputs: Sequence[str], validation: Sequence[str], max_reads: int, seed: int
) -> ReadSet | None:
    """The `val_in` of the datasets that are validated on; None where that is something else."""
    paths = list(validation or inputs)
    if not all(map(is_dataset, paths)) or any(
        VALIDATION_SPLIT not in Dataset.load(path).splits for path in paths
    ):
        return None
    return dataset_reads(paths, VALIDATION_SPLIT, max_reads, seed)


def real_ood_reads(
    ood: Sequence[str],
    inputs: Sequence[str],
    known: Iterable[GenomeFile],
    *,
    length: int,
    max_reads: int,
    seed: int,
) -> ReadSet | None:
    """OOD reads of the length of the in-distribution ones; None where there are none.

    Parameters
    ----------
    ood
        FASTA files that reads are drawn from, and datasets, whose `val_ood` is meant; with none, that of
        the datasets among the inputs.
    inputs
        What is trained on.
    known
        The files of all that is in-distribution, which none of the OOD files may be.
    length, max_reads, seed
        Bases of a read; how many, at most; of the choice.

    Raises
    ------
    GenoodError
        The files cannot be used, or hold no reads of that length, or are in-distribution.
    """
    if not ood:
        datasets = [path for path in inputs if is_dataset(path) and OOD_SPLIT in Dataset.load(path).splits]
        if not datasets:
            return None
        reads = dataset_reads(datasets, OOD_SPLIT, max_reads, seed)
    elif all(map(is_dataset, ood)):
        for path in ood:
            if OOD_SPLIT not in Dataset.load(path).splits:
                raise ConfigError(f"{path}: has no {OOD_SPLIT} reads; --ood takes OOD sequences")
        reads = dataset_reads(ood, OOD_SPLIT, max_reads, seed)
    else:
        genomes = load_sequences(ood, OOD_SPLIT, min_length=length)
        for file, other in copies(genomes.files, known):
            raise ConfigError(
                f"{file.name}: holds the same sequences as {other.name}, which is in-distribution; "
                "--ood takes genomes of other organisms"
            )
        reads = drawn_reads(genomes, length, max_reads, seed, "OOD sequences")
    if reads.codes.shape[1] != length:
        raise ConfigError(
            f"OOD reads have {reads.codes.shape[1]} bases and in-distribution ones {length}, which do not "
            "compare; give both as reads of one length, or as FASTA"
        )
    return reads


def simulated_ood_reads(inside: ReadSet, rate: float, seed: int) -> ReadSet:
    """The in-distribution reads with so many substitutions per base.

    Notes
    -----
    Source: Ren et al. 2019, section 4, which chooses by reads with 10 % where there are no OOD reads.
    """
    generator = np.random.default_rng([seed, Stream.SIMULATED])
    return ReadSet(
        codes=mutate(inside.codes, rate, generator),
        source=f"the in-distribution reads with {rate:.4g} substitutions per base",
        without_files=inside.without_files,
    )
