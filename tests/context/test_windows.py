"""Which windows of a reference are kept, against taking them codon by codon."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from toys import coding_codes, genomes_of, uniform_codes

from genood.context.genes import annotate
from genood.context.windows import ALL, WINDOW, kept_windows, rank_of
from genood.sequence import Codes, reverse_complement


def window_of(codes: Codes) -> int:
    """The window of nine codons: the first two bases of each, the first codon's highest."""
    value = 0
    for base in codes.reshape(-1, 3)[:, :2].ravel().tolist():
        value = 4 * value + base
    return value


def windows_in_genes(codes: Codes) -> Iterator[int]:
    """Windows of codons that follow each other in genes, which are where `annotate` finds them."""
    for strand in (codes, reverse_complement(codes)):
        reference, [offset] = annotate(strand, np.array([0]), np.array([len(strand)]))
        places = reference[offset : offset + len(strand)] >> 2
        for start in range(len(strand) - 3 * WINDOW + 1):
            if places[start : start + 3 * WINDOW].tolist() == [1, 2, 3] * WINDOW:
                yield window_of(strand[start : start + 3 * WINDOW])


def test_all_windows_of_genes_on_both_strands() -> None:
    codes = np.concatenate(
        [coding_codes(300, 1), uniform_codes(200, 2), reverse_complement(coding_codes(240, 3))]
    )
    keys, threshold = kept_windows(genomes_of([("A", codes)]), 10_000)
    expected = set(windows_in_genes(codes))
    assert len(expected) > 100
    assert (set(keys.tolist()), threshold) == (expected, ALL)


def test_of_windows_of_two_classes_none_is_kept() -> None:
    shared, mine, other = (coding_codes(600, seed) for seed in (1, 2, 3))
    classes = [("A", np.concatenate([shared, mine])), ("B", np.concatenate([shared, other]))]
    keys = set(kept_windows(genomes_of(classes), 10_000)[0].tolist())
    assert not keys & set(windows_in_genes(shared))
    assert keys == set(windows_in_genes(classes[0][1])) ^ set(windows_in_genes(classes[1][1]))
    # Twice in a class is no reason.
    twice = kept_windows(genomes_of([("A", shared), ("A", shared)]), 10_000)[0]
    assert set(twice.tolist()) == set(windows_in_genes(shared))


@pytest.mark.parametrize("most", [1, 40, 500])
def test_those_of_lowest_rank_are_kept(most: int) -> None:
    codes = coding_codes(30_000, 5)
    keys, threshold = kept_windows(genomes_of([("A", codes)]), most)
    everything = set(windows_in_genes(codes))
    assert set(keys.tolist()) == {w for w in everything if rank_of(np.uint64(w)) < threshold}
    assert 0.5 * most < len(keys) <= most or most == 1


def test_rank_is_that_of_the_core() -> None:
    """The first and the last base of a window do not count."""
    window = window_of(coding_codes(27, 4))
    variants = [(window & ~(3 << 34) & ~3) | first << 34 | last for first in range(4) for last in range(4)]
    assert len({rank_of(np.uint64(variant)) for variant in variants}) == 1
    assert rank_of(np.uint64(window ^ 4)) != rank_of(np.uint64(window))


def test_no_genes() -> None:
    keys, _ = kept_windows(genomes_of([("A", np.zeros(100, dtype=np.uint8))]), 10)
    assert len(keys) == 0
