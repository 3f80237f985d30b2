"""Reads of many lengths, and a bundle of chains, that the tests of scoring share."""

from __future__ import annotations

import numpy as np
from toys import markov_model, uniform_codes

from genood.bundle import Bundle
from genood.readers import Read
from genood.recipes import MUTATED


def mixed_reads(number: int = 60) -> list[Read]:
    lengths = np.random.default_rng(0).integers(1, 300, number)
    return [Read(f"r{i}", uniform_codes(int(n), i)) for i, n in enumerate(lengths)]


def chains(bundle: Bundle) -> Bundle:
    """Markov chains with the p-values of another bundle, which say nothing here."""
    models = [markov_model(uniform_codes(20_000, seed), order=7) for seed in range(2)]
    metadata = {"background": MUTATED, "classes": ["x"]}
    return Bundle(
        foreground=models[0], background=models[1], metadata=metadata, calibration=bundle.calibration
    )
