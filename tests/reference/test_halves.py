"""A random half of the genomes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from toys import genomes_of, uniform_codes

from genood.reference.genomes import Genomes
from genood.reference.halves import random_half

GENOMES = genomes_of(
    [("a", uniform_codes(50_000, 1)), ("a", uniform_codes(999, 2)), ("b", uniform_codes(700, 3))]
)


def kept(genomes: Genomes) -> np.ndarray:
    """Which bases lie in a segment, bool (N,)."""
    inside = np.zeros(len(genomes.codes), dtype=int)
    for start, length in zip(genomes.starts, genomes.lengths, strict=True):
        inside[start : start + length] += 1
    assert inside.max() == 1
    return inside.astype(bool)


def test_half_of_each_class() -> None:
    half = random_half(GENOMES, read_length=100, seed=0)
    labels, files = half.labels, half.files_at(half.starts)
    assert set(labels.tolist()) == {0, 1}
    assert (labels == np.array([0, 0, 1])[files]).all()
    # Stretches of class a have at least 509 bases, 50,999 / 100, those of b at least 100: 98 + 1, and 7.
    assert (half.lengths[labels == 0] >= 509).all()
    assert 50 * 509 <= half.bases_of(0) <= 50 * 999
    assert half.bases_of(1) == 400
    assert half.codes is GENOMES.codes
    assert kept(half).sum() == half.lengths.sum()


def test_neighbours_are_one_segment() -> None:
    half = random_half(GENOMES, read_length=100, seed=0)
    ends = half.starts + half.lengths
    in_one_segment = ends[:-1] == half.starts[1:]
    borders = {50_000, 50_999}
    assert set(half.starts[1:][in_one_segment].tolist()) <= borders
    assert len(half.starts) < 50


def test_seeds_differ_and_agree_with_themselves() -> None:
    first, again, other = (kept(random_half(GENOMES, read_length=100, seed=seed)) for seed in (3, 3, 4))
    assert (first == again).all()
    # Of two independent halves, half of the bases are in just one.
    assert 0.3 < (first != other).mean() < 0.7


def test_a_class_of_one_stretch_stays() -> None:
    half = random_half(GENOMES, read_length=600, seed=1)
    assert half.bases_of(1) == 700


def test_all_are_there_once_both_halves_are() -> None:
    """An odd number of stretches leaves the larger half: of 5, 3."""
    genomes = replace(genomes_of([("a", uniform_codes(500, 1))]))
    assert random_half(genomes, read_length=100, seed=0).bases_of(0) == 300
