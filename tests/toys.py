"""Toy sequences and models that several tests share."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from genood.sequence import Codes, decode

TRAIN_OPTIONS = (
    "--hidden-size", "8",
    "--steps", "6",
    "--batch-size", "16",
    "--read-length", "60",
    "--validation-interval", "3",
    "--preset", "demo",
    "--device", "cpu",
    "--threads", "1",
)  # fmt: skip
"""Options of `genood train` that make a bundle in seconds."""


def markov_codes(num_bases: int, seed: int, stay: float = 0.7) -> Codes:
    """Codes in which each base is followed by the next one of the alphabet with chance `stay`."""
    generator = np.random.default_rng(seed)
    steps = np.where(generator.random(num_bases) < stay, 1, generator.integers(0, 4, num_bases))
    return (np.cumsum(steps) % 4).astype(np.uint8)


def uniform_codes(num_bases: int, seed: int) -> Codes:
    """Codes drawn independently and uniformly."""
    return np.random.default_rng(seed).integers(0, 4, num_bases, dtype=np.uint8)


def write_fasta(path: Path, records: dict[str, Codes], width: int = 70) -> Path:
    """Write records as wrapped FASTA."""
    with path.open("w") as stream:
        for name, codes in records.items():
            letters = decode(codes)
            stream.write(f">{name} toy\n")
            stream.writelines(letters[i : i + width] + "\n" for i in range(0, len(letters), width))
    return path
