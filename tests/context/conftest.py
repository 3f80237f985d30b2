"""A small reference, and what is learned from it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from toys import uniform_codes, write_fasta

from genood.context.learn import learn
from genood.context.tables import Tables
from genood.reference.genomes import Genomes, load_genomes
from genood.sequence import Codes, mutate

SHARED = uniform_codes(3000, 10)
"""In Alpha's first file from base 10,000 on, and in Beta from 5000 on, where its second half is mutated."""


@pytest.fixture(scope="session")
def genomes(tmp_path_factory: pytest.TempPathFactory) -> Genomes:
    """Alpha in two files of two records and one, Beta and the shorter Gamma in one each."""
    folder = tmp_path_factory.mktemp("context")
    first, beta = uniform_codes(20_000, 1), uniform_codes(20_000, 4)
    first[10_000:13_000] = SHARED
    beta[5000:6500] = SHARED[:1500]
    beta[6500:8000] = mutate(SHARED[1500:], 0.05, 6)
    return load_genomes(
        [
            write_fasta(folder / "Alpha__1.fna", {"a1": first, "a2": uniform_codes(10_000, 2)}),
            write_fasta(folder / "Alpha__2.fna", {"a3": uniform_codes(25_000, 3)}),
            write_fasta(folder / "Beta__1.fna", {"b": beta}),
            write_fasta(folder / "Gamma__1.fna", {"c": uniform_codes(8000, 5)}),
        ],
        min_length=60,
    )


@pytest.fixture(scope="session")
def tables(genomes: Genomes) -> Tables:
    """Learned on three threads; tests must not change them."""
    return learn(genomes, memory=2_000_000_000, num_threads=3)[0]


@pytest.fixture(scope="session")
def read_of(genomes: Genomes) -> Callable[[int, int, int], Codes]:
    """A copy of `length` bases of a file, from a base of its on."""

    def copy(file: int, start: int, length: int) -> Codes:
        first = int(genomes.file_ends[file - 1]) if file else 0
        assert first + start + length <= genomes.file_ends[file]
        return np.copy(genomes.codes[first + start : first + start + length])

    return copy
