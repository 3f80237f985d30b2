"""What a sketch finds in reads, and what it makes of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from toys import coding_codes, genomes_of, uniform_codes

from genood.context import dense
from genood.context.fuse import make_filter, segment_length
from genood.context.sketch import FLATTENING, VOTE, Sketch, condense, look_up, make_questions
from genood.context.windows import ALL, WINDOW, kept_windows
from genood.errors import ConfigError
from genood.sequence import Codes, encode, reverse_complement

SPAN = 3 * WINDOW


def looked_up(read: Codes, genome: Codes) -> tuple[list[int], list[int]]:
    """What `look_up` finds of a read in all windows of a genome, forward and backward."""
    keys, threshold = kept_windows(genomes_of([("A", genome)]), 100_000)
    table, seed = make_filter(keys)
    forward, backward = np.full((2, len(read)), 255, dtype=np.uint8)
    look_up(read, table, seed, segment_length(len(keys)), threshold, make_questions(), forward, backward)
    return forward.tolist(), backward.tolist()


def is_shown(found: list[int], read: Codes, t: int) -> bool:
    return bool(found[t] >> int(read[t]) & 1)


def test_a_read_of_a_gene_is_found_on_its_strand() -> None:
    """From the ninth codon on, its second base ends a window; read backwards, its first one does."""
    gene = coding_codes(600, 1)
    read = gene[90:300]
    forward, backward = looked_up(read, gene)
    ends = range(SPAN + 1, len(read), 3)  # the first window takes one codon more, whose stop could be seen
    assert all(is_shown(forward, read, t) for t in ends)
    assert sum(map(bool, backward)) <= 5
    turned = reverse_complement(read)
    forward, backward = looked_up(turned, gene)
    assert all(is_shown(backward, turned, t) for t in range(SPAN + 2, len(read), 3))
    assert sum(map(bool, forward)) <= 5


def test_third_bases_do_not_count_others_do() -> None:
    gene = coding_codes(600, 2)
    read = gene[:120].copy()
    read[2::3] = 1  # no codon that ends in C is a stop codon
    forward, _ = looked_up(read, gene)
    assert all(is_shown(forward, read, t) for t in range(SPAN + 1, 120, 3))
    read[60] = (read[60] + 1) % 4
    forward, _ = looked_up(read, gene)
    shown = [is_shown(forward, read, t) for t in range(1, 120, 3)]
    assert not any(shown[20:28])
    assert all(shown[29:])


def test_what_comes_is_not_looked_at() -> None:
    gene = coding_codes(600, 3)
    read = gene[:60].copy()
    before = looked_up(read, gene)
    read[40] = (read[40] + 1) % 4
    after = looked_up(read, gene)
    for a, b in zip(before, after, strict=True):
        assert a[:41] == b[:41]


def test_an_unknown_base_hides_its_windows() -> None:
    gene = coding_codes(600, 4)
    read = gene[:150].copy()
    read[60] = 4
    forward, _ = looked_up(read, gene)
    shown = [t for t in range(1, 150, 3) if is_shown(forward, np.minimum(read, 3), t)]
    assert not [t for t in shown if 60 <= t < 60 + SPAN]
    assert [t for t in shown if t < 60]
    assert [t for t in shown if t > 60 + SPAN]


def by_hand() -> tuple[Sketch, Codes]:
    """A sketch of the window of nine codons GAA, and a read of thirty.

    Of A, C, G and T the composition of all classes is 1/2, 1/4, 1/8, 1/8, that of the only class 1/4, 1/2,
    1/8, 1/8.
    """
    letter = int(encode("G")[0]) * 4 + int(encode("A")[0])
    table, seed = make_filter(np.array([sum(letter << (4 * k) for k in range(WINDOW))], dtype=np.uint64))
    composition = dense.to_bytes(np.array([[1 / 2, 1 / 4, 1 / 8, 1 / 8]], dtype=np.float32))
    sketch = Sketch(
        windows=table,
        num_windows=1,
        seed=seed,
        threshold=ALL,
        composition=np.tile(composition, (dense.start_of(7) // 4, 1)).ravel(),
        by_class=dense.to_class_bytes(np.array([1 / 4, 1 / 2, 1 / 8, 1 / 8], dtype=np.float32)),
        class_order=0,
        num_classes=1,
    )
    return sketch, encode("GAA" * 30)


def test_numbers_by_hand() -> None:
    """At the second base of the tenth codon, A: odds of 1/4 against 3/4, times e."""
    sketch, read = by_hand()
    ([log_p], _), ([background], _) = sketch.score(read[None], np.array([len(read)]))
    e = math.exp(VOTE)
    t = SPAN + 1
    assert log_p[t] == pytest.approx(math.log(0.25 * e / (0.25 * e + 0.75)), abs=1e-5)
    assert log_p[t + 1] == pytest.approx(math.log(0.25), abs=1e-5)
    flattened = np.array([1 / 4, 1 / 2, 1 / 8, 1 / 8]) ** (1 - FLATTENING)
    flattened *= np.array([1 / 2, 1 / 4, 1 / 8, 1 / 8]) ** FLATTENING
    for place, base in ((t - 1, 2), (t, 0), (t + 1, 0)):
        assert background[place] == pytest.approx(math.log(flattened[base] / flattened.sum()), abs=0.01)


def test_results_do_not_depend_on_threads() -> None:
    genome = coding_codes(3000, 6)
    sketch = condense(genomes_of([("A", genome), ("B", uniform_codes(3000, 7))]), 200_000)
    codes = np.stack([genome[i : i + 200] for i in range(0, 2800, 40)])
    lengths = np.full(len(codes), 200)
    for one, many in zip(
        sketch.score(codes, lengths), sketch.score(codes, lengths, num_threads=3), strict=True
    ):
        np.testing.assert_array_equal(one.log_p, many.log_p)
        np.testing.assert_array_equal(one.sums, many.sums)


def test_fits_into_the_bytes_that_it_is_given() -> None:
    genomes = genomes_of([(name, coding_codes(60_000, seed)) for seed, name in enumerate("ABC")])
    sizes = []
    for num_bytes in (150_000, 60_000, 40_000):
        sketch = condense(genomes, num_bytes)
        sizes.append(sum(len(a) for a in (sketch.windows, sketch.composition, sketch.by_class)))
        assert sizes[-1] <= num_bytes
    assert sizes == sorted(sizes, reverse=True)
    with pytest.raises(ConfigError, match="needs more than"):
        condense(genomes, 20_000)
