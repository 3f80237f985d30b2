"""The d2S dissimilarity between genomes, from counts of words centred by a Markov background.

Of a genome, X_w is how often the word w of k bases occurs on its two strands, n how many words they
hold, and p_w the probability of w in a Markov chain fitted to them. With X̃_w = X_w − n p_w, and Ỹ_w of
another genome,

    D2S = Σ_w X̃_w Ỹ_w / s_w,  s_w = √(X̃_w² + Ỹ_w²),
    d2S = ½ (1 − D2S / (√(Σ_w X̃_w² / s_w) √(Σ_w Ỹ_w² / s_w))),

which lies in [0, 1]: 0 for a genome and itself, ½ where what they prefer and avoid has nothing in
common, above ½ where it is opposed.

Source: Reinert, Chew, Sun, Waterman 2009, "Alignment-free sequence comparison (I)", and Wan, Reinert,
Sun, Waterman 2010, "(II)", for D2S; Ren et al. 2018, "Alignment-free sequence analysis and
applications", for d2S and backgrounds that are Markov chains. Ren et al. 2019 set the least d2S of an
OOD class from the in-distribution classes beside its AUROC.

What these leave open is done as follows. Both strands are counted, and the chain is fitted to both,
since which strand of a contig an assembly gives is chance; so no distance changes when a contig is
turned round. p_w is the mean over w and its reverse complement, which differ only by what happens at
the ends of contigs. Words with an unknown base are left out. Counts are not divided by the length of
the genome. Words of 6 bases and order 2 are the defaults because VirHostMatcher (Ahlgren, Ren et al.
2017), a program by the first author of Ren et al. 2019, computes d2S with these.
"""

from __future__ import annotations

import logging
import os
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np

from data_prep.cells import number_cell
from data_prep.table import read_genome_table
from data_prep.tsv import check_path, read_lines, write_table
from data_prep.words import Floats, Profile, WordModel, compiled, profile_of
from genood.dataset import SPLITS, is_codes_file, side_of
from genood.errors import ConfigError, InputError
from genood.files import check_distinct, check_writable
from genood.readers import check_readable, read_file
from genood.reference.labels import class_of

logger = logging.getLogger("genood.prep.distance")

Progress = Callable[[str, int, int], None]
"""Called with a stage, how much of it is done, and of how much."""

REFERENCE_SPLIT = "train_in"
"""What a model learns from, and therefore what OOD classes are measured against."""

_WORDS_AT_ONCE = 32_768
"""Words of all genomes that a thread holds as float64."""
_TILE = 512
"""Words of all genomes that are compared at a time, so that they stay in a core's cache."""
_MAX_IN_MEMORY = 2**30
"""Bytes of profiles beyond which they are kept in a temporary file."""
_PAIR_COLUMNS = ("genome_a", "class_a", "split_a", "genome_b", "class_b", "split_b", "d2s")
_CLASS_COLUMNS = ("split", "class", "d2s", "nearest_class", "genome", "nearest_genome")


class Genome(NamedTuple):
    """One genome to compare.

    Attributes
    ----------
    path
        FASTA, plain or compressed.
    name
        What it is called in the tables.
    class_name, split
        Where it belongs; the split may be empty.
    """

    path: str
    name: str
    class_name: str
    split: str = ""


class ClassDistance(NamedTuple):
    """How far an OOD class is from the in-distribution classes.

    Attributes
    ----------
    split, class_name
        The OOD class.
    d2s
        The least between one of its genomes and one of `REFERENCE_SPLIT`.
    nearest_class
        Of the latter.
    genome, nearest_genome
        The names of the two.
    """

    split: str
    class_name: str
    d2s: float
    nearest_class: str
    genome: str
    nearest_genome: str


def write_distances(
    inputs: Sequence[str],
    output: str,
    model: WordModel,
    *,
    directory: str | None = None,
    matrix_output: str | None = None,
    classes_output: str | None = None,
    num_threads: int = 1,
    progress: Progress | None = None,
) -> None:
    """Compare genomes and write tables: of pairs; if asked, as a matrix; and of OOD classes.

    Parameters
    ----------
    inputs, directory
        See `find_genomes`.
    output, matrix_output, classes_output
        Files; ``-`` is standard output.
    model, num_threads, progress
        See `genome_distances`.

    Raises
    ------
    GenoodError
        As `find_genomes`, `genome_distances` and `class_distances`; an output is an input too, or
        cannot be written.
    """
    genomes = find_genomes(inputs, directory=directory)
    read = dict.fromkeys([*inputs, *(genome.path for genome in genomes)])  # files without a table are both
    outputs = [output, matrix_output, classes_output]
    check_distinct(read, outputs)
    check_writable(outputs)
    if classes_output is not None:
        _sides(genomes)  # now rather than after the work
    distances = genome_distances(genomes, model, num_threads=num_threads, progress=progress)
    logger.info("%d genomes, words of %d bases, background of order %d", len(genomes), model.k, model.order)
    write_table(output, _PAIR_COLUMNS, _pair_rows(genomes, distances))
    if matrix_output is not None:
        rows = ([genome.name, *map(number_cell, row)] for genome, row in zip(genomes, distances, strict=True))
        write_table(matrix_output, ["genome", *(genome.name for genome in genomes)], rows)
    if classes_output is not None:
        found = class_distances(genomes, distances)
        rows = ([number_cell(cell) if isinstance(cell, float) else cell for cell in row] for row in found)
        write_table(classes_output, _CLASS_COLUMNS, rows)


def find_genomes(inputs: Sequence[str], *, directory: str | None = None) -> list[Genome]:
    """The genomes of a table, under the names of its column ``file``, or of FASTA files, under theirs.

    Parameters
    ----------
    inputs
        A table (see `data_prep.table`), if it is one; else FASTA files, whose names state their classes.
    directory
        Where the files of a table are.

    Raises
    ------
    ConfigError
        A directory, but no table; a single genome of a table; or a file's name that no table can hold.
    InputError
        The table or a file cannot be read, a file is named twice or part of a dataset, or a single one is
        FASTA.
    """
    if len(inputs) == 1:
        if os.path.isfile(inputs[0]) and _is_fasta(inputs[0]):
            raise InputError(inputs[0], "a distance needs two FASTA files, or a table")
        rows = read_genome_table(inputs[0], genomes=directory)
        genomes = [Genome(os.fspath(row.path), row.file, row.class_name, row.split) for row in rows]
    elif directory is not None:
        raise ConfigError("--genomes goes with one table of genomes; FASTA files are named by their paths")
    else:
        check_readable(inputs)
        for path in inputs:
            check_path(path)
            if is_codes_file(path):
                raise InputError(path, "is part of a dataset, no genome")
        for path, number in Counter(map(os.path.realpath, inputs)).items():
            if number > 1:
                raise InputError(path, "is named twice")
        genomes = [Genome(path, path, class_of(path)) for path in inputs]
    if len(genomes) < 2:
        raise ConfigError("a distance is between two genomes; name more of them")
    return genomes


def _is_fasta(path: str) -> bool:
    """Whether the first line that is not empty is a title."""
    return next((line.startswith(">") for _, line in read_lines(path) if line.strip()), False)


def genome_distances(
    genomes: Sequence[Genome],
    model: WordModel,
    *,
    num_threads: int = 1,
    progress: Progress | None = None,
) -> Floats:
    """The d2S between each two of N genomes; the same for any number of threads.

    Profiles take 2 × 4^k × N bytes: in memory up to 1 GB, beyond that in a temporary file.

    Parameters
    ----------
    genomes
        What to compare.
    model
        Words and background.
    num_threads
        How many parts of the words are compared at a time.
    progress
        Told of progress.

    Returns
    -------
    distances
        float64, shape (N, N), symmetric, from 0 to 1, 0 on the diagonal; NaN where the counts of a
        genome are just what its background expects.

    Raises
    ------
    InputError
        A genome cannot be read, or has no stretch of k known bases.
    """
    with _table_of(len(genomes), model.profile_size) as profiles:
        # One by one: reading holds the GIL, so that threads would only be in each other's way.
        for number, genome in enumerate(genomes):
            profile = profile_of((record.codes for record in read_file(genome.path)), model)
            if profile is None:
                raise InputError(genome.path, f"has no stretch of {model.k} known bases")
            profiles[number] = profile
            if progress is not None:
                progress("reading genomes", number + 1, len(genomes))
        return d2s(profiles, num_threads=num_threads, progress=progress)


def d2s(profiles: Profile, *, num_threads: int = 1, progress: Progress | None = None) -> Floats:
    """The d2S between each two of N profiles, shape (N, words); see `genome_distances`."""
    num_genomes, num_words = profiles.shape
    starts = range(0, num_words, _WORDS_AT_ONCE)

    def sums_of(start: int) -> Floats:
        part = profiles[:, start : start + _WORDS_AT_ONCE].astype(np.float64)
        sums = np.zeros((3, num_genomes, num_genomes))
        _add_sums(part, sums)
        return sums

    sums = np.zeros((3, num_genomes, num_genomes))
    pool = ThreadPoolExecutor(num_threads)
    try:
        # Added in the order of the words: rounding depends on it.
        for number, part in enumerate(pool.map(sums_of, starts)):
            sums += part
            if progress is not None:
                progress("comparing words", number + 1, len(starts))
    finally:
        pool.shutdown(cancel_futures=True)
    products, firsts, seconds = sums
    with np.errstate(invalid="ignore"):  # 0 / 0, the NaN that is promised
        upper = np.triu(0.5 * (1.0 - products / np.sqrt(firsts * seconds)), 1)
    return np.clip(upper + upper.T, 0.0, 1.0)  # only rounding leaves the range


def class_distances(genomes: Sequence[Genome], distances: Floats) -> list[ClassDistance]:
    """How far each OOD class is from the in-distribution classes, nearest first within each split.

    Ren et al. 2019 also take the least over the in-distribution classes; they compare one genome of
    each class, where here all that are given count.

    Raises
    ------
    ConfigError
        No genome is of `REFERENCE_SPLIT`, or none of an OOD split.
    """
    members, reference = _sides(genomes)
    found = []
    for (split, class_name), numbers in members.items():
        part = np.nan_to_num(distances[np.ix_(numbers, reference)], nan=np.inf)
        row, column = np.unravel_index(np.argmin(part), part.shape)
        nearest = genomes[reference[column]]
        genome = genomes[numbers[row]]
        least = float(distances[numbers[row], reference[column]])
        found.append(ClassDistance(split, class_name, least, nearest.class_name, genome.name, nearest.name))

    def key(row: ClassDistance) -> tuple[int, float, str]:
        return SPLITS.index(row.split), float(np.nan_to_num(row.d2s, nan=np.inf)), row.class_name

    return sorted(found, key=key)


def _sides(genomes: Sequence[Genome]) -> tuple[dict[tuple[str, str], list[int]], list[int]]:
    """Indices into the genomes: of each OOD split and class, and of all of the reference."""
    members: dict[tuple[str, str], list[int]] = {}
    reference = []
    for number, genome in enumerate(genomes):
        if genome.split == REFERENCE_SPLIT:
            reference.append(number)
        elif side_of(genome.split) == "ood":
            members.setdefault((genome.split, genome.class_name), []).append(number)
    if not reference or not members:
        raise ConfigError(
            "distances of OOD classes need a table with genomes "
            f"of {REFERENCE_SPLIT} and of val_ood or test_ood"
        )
    return members, reference


def _pair_rows(genomes: Sequence[Genome], distances: Floats) -> Iterator[tuple[str, ...]]:
    for i, a in enumerate(genomes):
        for j in range(i + 1, len(genomes)):
            b = genomes[j]
            yield (*a[1:], *b[1:], number_cell(distances[i, j]))


@contextmanager
def _table_of(num_genomes: int, num_words: int) -> Iterator[Profile]:
    """An array for profiles, in memory or, if it is large, in a file that is gone afterwards."""
    shape = (num_genomes, num_words)
    if 4 * num_genomes * num_words <= _MAX_IN_MEMORY:
        yield np.empty(shape, dtype=np.float32)
        return
    with tempfile.TemporaryFile(prefix="genood-") as stream:
        yield np.memmap(stream, dtype=np.float32, mode="w+", shape=shape)


def _sum_pairs(profiles: Floats, sums: Floats) -> None:
    """Add the three sums of d2S over some words, for each two genomes.

    `profiles` is of shape (N, words), `sums` (3, N, N), its upper triangles used: of X̃Ỹ/s, X̃²/s, Ỹ²/s.
    """
    num_genomes, num_words = profiles.shape
    for start in range(0, num_words, _TILE):
        stop = min(start + _TILE, num_words)
        for i in range(num_genomes):
            for j in range(i + 1, num_genomes):
                product = first = second = 0.0
                for w in range(start, stop):
                    x = profiles[i, w]
                    y = profiles[j, w]
                    norm = np.sqrt(x * x + y * y)
                    inverse = 1.0 / norm if norm > 0.0 else 0.0
                    product += x * y * inverse
                    first += x * x * inverse
                    second += y * y * inverse
                sums[0, i, j] += product
                sums[1, i, j] += first
                sums[2, i, j] += second


# Without the GIL, for threads; sums may be taken in any order, many terms at a time.
_add_sums = compiled(_sum_pairs, fastmath={"reassoc", "contract"}, error_model="numpy")
