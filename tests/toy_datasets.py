"""Toy datasets that several tests share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from toys import strain_of, uniform_codes

from genood.dataset import Origins, create_dataset
from genood.sequence import Codes, reverse_complement

CLASSES = {"Beta": 1, "Gamma": 2}
"""In-distribution classes of `write_strain_dataset`, with the seeds of their genomes."""
SOURCES = [{"kind": "toy", "files": ["a.fna"]}]
"""Of `write_toy`."""


def write_dataset(
    directory: Path, genomes: Mapping[str, Mapping[str, Codes]], *, num_reads: int, read_length: int
) -> Path:
    """A dataset of reads drawn from one genome for each split and class, classes in no order."""
    with create_dataset(directory, read_length=read_length, seed=0, sources=[]) as writer:
        for number, (split, classes) in enumerate(genomes.items()):
            generator = np.random.default_rng(number)
            names = generator.permutation(np.repeat(list(classes), num_reads)).tolist()
            starts = np.array([generator.integers(len(classes[n]) - read_length + 1) for n in names])
            strands = generator.choice(["+", "-"], len(names)).tolist()
            codes = np.stack(
                [
                    read if strand == "+" else reverse_complement(read)
                    for name, start, strand in zip(names, starts, strands, strict=True)
                    for read in [classes[name][start : start + read_length]]
                ]
            )
            writer.add(split, codes, Origins(names, [f"{n}.1" for n in names], starts, strands))
    return directory


def write_strain_dataset(directory: Path, *, num_reads: int = 400, read_length: int = 100) -> Path:
    """Reads of random genomes: strains of two classes in the in-distribution splits, others in OOD ones."""

    def strains(number: int) -> dict[str, Codes]:
        return {name: strain_of(uniform_codes(8_000, seed), number) for name, seed in CLASSES.items()}

    genomes = {
        "train_in": strains(1),
        "val_in": strains(2),
        "test_in": strains(3),
        "test_ood": {"Zeta": uniform_codes(8_000, 8), "Eta": uniform_codes(8_000, 9)},
    }
    return write_dataset(directory, genomes, num_reads=num_reads, read_length=read_length)


def write_full_dataset(
    directory: Path,
    *,
    num_reads: int = 200,
    read_length: int = 60,
    without: Mapping[str, str] | None = None,
) -> Path:
    """Reads of random genomes in every split: other strains of two classes, and other OOD classes in each.

    `without` names, by split, an in-distribution class of which there are none.
    """
    left_out = {} if without is None else without

    def strains(number: int, split: str) -> dict[str, Codes]:
        return {
            name: strain_of(uniform_codes(4_000, seed), number)
            for name, seed in CLASSES.items()
            if name != left_out.get(split)
        }

    genomes = {
        "train_in": strains(1, "train_in"),
        "val_in": strains(2, "val_in"),
        "val_ood": {name: uniform_codes(4_000, seed) for name, seed in (("Eta", 8), ("Theta", 9))},
        "test_in": strains(3, "test_in"),
        "test_ood": {name: uniform_codes(4_000, seed) for name, seed in (("Iota", 10), ("Zeta", 11))},
    }
    return write_dataset(directory, genomes, num_reads=num_reads, read_length=read_length)


def origins_of(*classes: str, accession: str = "NC_1.1") -> Origins:
    number = len(classes)
    return Origins(classes, [accession] * number, np.arange(number), ["+"] * number)


def random_reads(num_reads: int, seed: int, length: int = 12) -> Codes:
    return np.random.default_rng(seed).integers(0, 5, (num_reads, length), dtype=np.uint8)


def write_toy(directory: Path, seed: int = 0) -> Path:
    """Eight reads of two classes to train on, three of one to test on, four OOD."""
    with create_dataset(directory, read_length=12, seed=1, sources=SOURCES, variant="tiny") as writer:
        writer.add("train_in", random_reads(5, seed), origins_of("A", "B", "B", "A", "B"))
        writer.add("test_ood", random_reads(4, seed + 1), origins_of("X", "X", "Y", "Y"))
        writer.add("train_in", random_reads(3, seed + 2), origins_of("B", "A", "A"))
        writer.add("test_in", random_reads(3, seed + 3), origins_of("A", "A", "A"))
        writer.note("about", {"made": "by hand"})
    return directory
