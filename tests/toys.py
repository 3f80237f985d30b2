"""Toy sequences and models that several tests share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from genood.bundle import Bundle
from genood.context.dense import count
from genood.context.genes import GENETIC_CODE
from genood.context.learn import learn
from genood.context.sketch import condense
from genood.models.base import DensityModel
from genood.models.context import ContextModel
from genood.models.markov import MarkovModel
from genood.models.sketch import SketchModel
from genood.recipes import MUTATED
from genood.reference.genomes import GenomeFile, Genomes
from genood.sequence import Codes, decode, mutate

TRAIN_OPTIONS = (
    "--model", "lstm",
    "--hidden-size", "8",
    "--steps", "6",
    "--batch-size", "16",
    "--read-length", "60",
    "--validation-interval", "3",
    "--preset", "demo",
    "--device", "cpu",
    "--threads", "1",
)  # fmt: skip
"""Options of `genood train` that make an LSTM bundle in seconds."""


def markov_codes(num_bases: int, seed: int, stay: float = 0.7) -> Codes:
    """Codes in which each base is followed by the next one of the alphabet with chance `stay`."""
    generator = np.random.default_rng(seed)
    steps = np.where(generator.random(num_bases) < stay, 1, generator.integers(0, 4, num_bases))
    return (np.cumsum(steps) % 4).astype(np.uint8)


def uniform_codes(num_bases: int, seed: int) -> Codes:
    """Codes drawn independently and uniformly."""
    return np.random.default_rng(seed).integers(0, 4, num_bases, dtype=np.uint8)


def coding_codes(num_bases: int, seed: int) -> Codes:
    """Whole codons drawn independently and uniformly, but for stop codons: one open reading frame."""
    codons = [codon for codon, acid in enumerate(GENETIC_CODE) if acid != "*"]
    drawn = np.random.default_rng(seed).choice(codons, num_bases // 3)
    return np.stack([drawn >> 4, drawn >> 2 & 3, drawn & 3], axis=1).astype(np.uint8).ravel()


def strain_of(codes: Codes, seed: int, divergence: float = 0.01) -> Codes:
    """Codes with so many of the bases substituted."""
    return mutate(codes, divergence, np.random.default_rng(seed))


def genomes_of(classes: Sequence[tuple[str, Codes]]) -> Genomes:
    """Genomes of one file and one segment for each class name and codes; sorted by class."""
    names = tuple(sorted({name for name, _ in classes}))
    lengths = np.array([len(codes) for _, codes in classes])
    return Genomes(
        codes=np.concatenate([codes for _, codes in classes]),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        labels=np.array([names.index(name) for name, _ in classes]),
        classes=names,
        file_ends=np.cumsum(lengths),
        files=tuple(
            GenomeFile(
                name=f"{number}.fa",
                class_name=name,
                num_records=1,
                num_bases=len(codes),
                usable_bases=len(codes),
                sha256=str(number),
            )
            for number, (name, codes) in enumerate(classes)
        ),
    )


def context_model(**classes: Codes) -> ContextModel:
    """A context model that has learned one genome of each class."""
    tables, _ = learn(genomes_of(list(classes.items())), memory=2_000_000_000)
    return ContextModel.from_tables(tables)


def markov_model(genome: Codes, *, order: int, prior: float = 1.0) -> MarkovModel:
    """A Markov chain that has counted one genome."""
    counts = np.zeros(4 ** (order + 1), dtype=np.float32)
    count(genome, np.array([0]), np.array([len(genome)]), order, counts)
    return MarkovModel.from_counts(counts, prior_count=prior)


def sketch_model(num_bytes: int = 200_000, **classes: Codes) -> SketchModel:
    """A sketch of one genome of each class."""
    return SketchModel.from_sketch(condense(genomes_of(list(classes.items())), num_bytes))


def write_fasta(path: Path, records: dict[str, Codes], width: int = 70) -> Path:
    """Write records as wrapped FASTA."""
    with path.open("w") as stream:
        for name, codes in records.items():
            letters = decode(codes)
            stream.write(f">{name} toy\n")
            stream.writelines(letters[i : i + width] + "\n" for i in range(0, len(letters), width))
    return path


class Composition(DensityModel):
    """Bases drawn independently; `probabilities` are those of A, C, G and T."""

    kind: ClassVar[str] = "composition"

    def __init__(self, probabilities: Sequence[float]) -> None:
        self.probabilities = np.array(probabilities)

    def log_probs(self, codes: Codes, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """See `DensityModel.log_probs`."""
        of_code = np.append(np.log(self.probabilities), 0.0).astype(np.float32)
        inside = np.arange(codes.shape[1]) < lengths[:, None]
        return np.where(inside, of_code[codes], np.float32(0))

    def config(self) -> dict[str, Any]:
        """See `Model.config`."""
        return {"probabilities": self.probabilities.tolist()}

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """See `Model.from_config`."""
        return cls(config["probabilities"])

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """See `Model.weights`."""
        return {}

    @classmethod
    def from_weights(cls, config: Mapping[str, Any], weights: Mapping[str, npt.NDArray[Any]]) -> Self:
        """See `Model.from_weights`."""
        return cls.from_config(config)


def composition_bundle(*probabilities: float) -> Bundle:
    """A bundle of models of composition; that of the background is uniform."""
    return Bundle(
        foreground=Composition(probabilities),
        background=Composition([0.25] * 4),
        metadata={"background": MUTATED},
        calibration={},
    )
