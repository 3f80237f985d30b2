"""What scoring says of reads, and what it must not depend on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from toys import uniform_codes

from genood.context import dense, hashing
from genood.context.genes import GROUPS
from genood.context.tables import BACKGROUND_ORDER, Background, Tables
from genood.reference.genomes import Genomes
from genood.sequence import UNKNOWN, Codes, mutate, reverse_complement

ReadOf = Callable[[int, int, int], Codes]
Floats = npt.NDArray[np.float32]

FROM_ONE_CLASS = [(0, 2000), (0, 25_000), (1, 12_000), (2, 15_000), (3, 4000)]
"""Files and bases at which no class has what another has."""


def padded(reads: list[Codes], filling: int = UNKNOWN) -> tuple[Codes, npt.NDArray[np.int64]]:
    lengths = np.array([len(read) for read in reads], dtype=np.int64)
    codes = np.full((len(reads), int(lengths.max())), filling, dtype=np.uint8)
    for row, read in zip(codes, reads, strict=True):
        row[: len(read)] = read
    return codes, lengths


def log_probs(
    tables: Tables, codes: Codes, lengths: npt.NDArray[np.int64], **how: Any
) -> tuple[Floats, Floats]:
    said, of_background = tables.score(codes, lengths, **how)
    return said.log_p, of_background.log_p


def scores(tables: Tables, reads: list[Codes], background: Background = "none") -> tuple[Floats, Floats]:
    return log_probs(tables, *padded(reads), background=background)


def log_p(tables: Tables, read: Codes) -> Floats:
    return scores(tables, [read])[0][0]


def llr(tables: Tables, read: Codes, background: Background) -> float:
    """Log-likelihood ratio of a read, nats."""
    mine, other = scores(tables, [read], background)
    return float((mine - other).sum())


@pytest.fixture(scope="module")
def mixed(read_of: ReadOf) -> list[Codes]:
    """45 reads of many lengths: copies, on both strands, more or less mutated, and random ones."""
    generator = np.random.default_rng(1)
    reads = []
    for i in range(45):
        length = [250, 17, 1000, 100, 511, 513, 60, 1, 30][i % 9]
        read = read_of(i % 4, int(generator.integers(0, 6900)), length)
        read = mutate(read, [0.0, 0.05, 0.2][i % 3], i)
        read = reverse_complement(read) if i % 2 else read
        reads.append(uniform_codes(length, 1000 + i) if i % 5 == 4 else read)
        reads[-1][generator.integers(0, length, length // 200)] = UNKNOWN
    return reads


@pytest.mark.parametrize("background", ["none", "other-classes"])
def test_probabilities_of_a_position_sum_to_one(
    tables: Tables, read_of: ReadOf, background: Background
) -> None:
    read = mutate(read_of(0, 2000, 120), 0.05, 1)
    for t in (0, 1, 2, 20, 60, 61, 62, 119):
        variants = np.stack([read] * 4)
        variants[:, t] = range(4)
        chances = np.exp(
            log_probs(tables, variants[:, : t + 1], np.full(4, t + 1))[0][:, t].astype(np.float64)
        )
        assert chances.sum() == pytest.approx(1.0, abs=1e-5)
    assert chances.max() > 0.6


def test_probabilities_of_the_low_order_background_sum_to_one(tables: Tables) -> None:
    for t in (0, 1, 5):
        variants = np.stack([uniform_codes(6, 1001)] * 4)
        variants[:, t] = range(4)
        _, found = log_probs(tables, variants, np.full(4, 6), background="low-order")
        assert np.exp(found[:, t]).sum() == pytest.approx(1.0, abs=1e-5)


def test_no_look_ahead(tables: Tables, mixed: list[Codes]) -> None:
    """What comes later in a read does not matter, nor that it comes."""
    for i in (0, 2, 4, 5, 11):
        read = mixed[i]
        whole = log_p(tables, read)
        for t in (1, len(read) // 3, len(read) - 1):
            other = np.concatenate([read[:t], uniform_codes(len(read) - t, 99)])
            assert log_p(tables, other)[:t].tolist() == whole[:t].tolist()
            assert log_p(tables, read[:t]).tolist() == whole[:t].tolist()


@pytest.mark.parametrize("background", ["none", "low-order", "other-classes"])
def test_reads_do_not_depend_on_their_batch(
    tables: Tables, mixed: list[Codes], background: Background
) -> None:
    together = log_probs(tables, *padded(mixed), background=background)
    for num_threads in (2, 5):
        again = log_probs(tables, *padded(mixed), background=background, num_threads=num_threads)
        for mine, other in zip(together, again, strict=True):
            assert mine.tobytes() == other.tobytes()
    otherwise = log_probs(tables, *padded(mixed, filling=1), background=background)
    backwards = log_probs(tables, *padded(mixed[::-1]), background=background)
    for which in range(2):
        assert otherwise[which].tobytes() == together[which].tobytes()
        assert backwards[which][::-1].tobytes() == together[which].tobytes()
        for row, read in zip(together[which], mixed, strict=True):
            alone = scores(tables, [read], background)[which][0]
            assert row[: len(read)].tolist() == alone.tolist()
            assert not row[len(read) :].any()
            assert not row[: len(read)][read == UNKNOWN].any()


def test_observing_does_not_depend_on_threads(tables: Tables, read_of: ReadOf) -> None:
    codes = np.stack([mutate(read_of(i % 4, 100 * i, 200), 0.03, i) for i in range(41)])
    for mine, other in zip(tables.observe(codes), tables.observe(codes, num_threads=5), strict=True):
        assert mine.tobytes() == other.tobytes()


@pytest.mark.parametrize(("file", "start"), FROM_ONE_CLASS)
@pytest.mark.parametrize("backwards", [False, True])
def test_copied_reads(tables: Tables, read_of: ReadOf, file: int, start: int, backwards: bool) -> None:
    read = read_of(file, start, 250)
    read = reverse_complement(read) if backwards else read
    foreign = np.mean([log_p(tables, uniform_codes(250, seed)).sum() for seed in range(1000, 1005)])
    found = log_p(tables, read)
    assert foreign < -320
    assert found.sum() > -80
    assert found[150:].mean() > -0.05


@pytest.mark.parametrize(("file", "start"), FROM_ONE_CLASS)
def test_one_substitution_is_forgiven(tables: Tables, read_of: ReadOf, file: int, start: int) -> None:
    read = read_of(file, start, 250)
    whole = log_p(tables, read).sum()
    for other in range(1, 4):
        read[125] = (read_of(file, start, 250)[125] + other) % 4
        assert 1.0 < whole - log_p(tables, read).sum() < 20.0


def test_an_unknown_base_breaks_nothing(tables: Tables, read_of: ReadOf) -> None:
    read = read_of(0, 2000, 250)
    whole = log_p(tables, read)
    read[125] = UNKNOWN
    found = log_p(tables, read)
    assert found[125] == 0.0
    assert found[:125].tolist() == whole[:125].tolist()
    np.testing.assert_allclose(found[126:], whole[126:], atol=0.1)


@pytest.mark.parametrize("background", ["none", "low-order", "other-classes"])
def test_reads_of_all_lengths(tables: Tables, read_of: ReadOf, background: Background) -> None:
    long = np.concatenate([read_of(0, 0, 10_000), uniform_codes(5000, 1001), read_of(1, 0, 5000)])
    unknown = np.full(40, UNKNOWN, dtype=np.uint8)
    reads = [long[:0], long[:1], long[:5], long, unknown]
    for found in scores(tables, reads, background):
        assert found.shape == (5, 20_000)
        assert np.isfinite(found).all()
        assert (found <= 1e-5).all()
        assert not found[0].any()
        assert not found[4].any()
        assert not found[2, 5:].any()
    mine = scores(tables, reads)[0]
    assert (mine[[1, 2], 0] < -1).all()
    assert mine[3, 100:10_000].mean() > -0.05
    assert mine[3, 10_100:15_000].mean() < -1.3
    assert mine[3, 15_100:].mean() > -0.05
    assert log_probs(tables, np.empty((0, 7), dtype=np.uint8), np.empty(0, dtype=np.int64))[0].shape == (0, 7)
    nothing = log_probs(tables, np.empty((2, 0), dtype=np.uint8), np.array([0, 0]), background=background)
    assert [array.shape for array in nothing] == [(2, 0), (2, 0)]


@pytest.mark.parametrize("background", ["none", "other-classes"])
def test_without_a_file_its_experts_are_not_followed(
    tables: Tables, genomes: Genomes, mixed: list[Codes], background: Background
) -> None:
    """As if the file were not in the index."""
    codes, lengths = padded(mixed)
    every = log_probs(tables, codes, lengths, background=background)[0]
    for file in range(4):
        rest = tables.files != file
        blocks = hashing.blocks_of(tables.offsets[rest], len(tables.reference))
        places = (tables.reference, tables.offsets[rest], blocks)
        segments = (*places, genomes.lengths[rest], tables.labels[rest])
        nuc, aa = np.zeros_like(tables.nuc), np.zeros_like(tables.aa)
        hashing.index_nucleotides(*segments, tables.nuc_sampling, nuc)
        hashing.index_translated(*segments, GROUPS, tables.aa_sampling, aa)
        without = log_probs(
            tables, codes, lengths, background=background, without_files=np.full(len(codes), file)
        )
        expected = log_probs(replace(tables, nuc=nuc, aa=aa), codes, lengths, background=background)
        for mine, other in zip(without, expected, strict=True):
            np.testing.assert_allclose(mine, other, atol=1e-5)
        assert (without[0].sum(axis=1) < every.sum(axis=1) - 5).sum() > 3
    nowhere = log_probs(tables, codes, lengths, background=background, without_files=np.full(len(codes), -1))
    assert nowhere[0].tobytes() == every.tobytes()


def test_files_are_forbidden_read_by_read(tables: Tables, read_of: ReadOf) -> None:
    codes = np.stack([read_of(1, 12_000, 250)] * 20)
    without = np.array([1, -1, 0, 2] * 5)
    found = log_probs(tables, codes, np.full(20, 250), without_files=without, num_threads=2)[0].sum(axis=1)
    assert len(set(found[without == 1].tolist())) == len(set(found[without != 1].tolist())) == 1
    # The dense tables know the reference by heart, but not as well.
    assert found[0] < found[1] - 20


def test_reads_of_one_class_and_of_two_against_the_other_classes(tables: Tables, read_of: ReadOf) -> None:
    shared = read_of(0, 11_000, 250)
    assert shared.tolist() == read_of(2, 6000, 250).tolist()
    of_one = [llr(tables, read_of(file, start, 250), "other-classes") for file, start in FROM_ONE_CLASS]
    assert min(of_one) > 200
    assert abs(llr(tables, shared, "other-classes")) < 5
    foreign = [llr(tables, uniform_codes(250, seed), "other-classes") for seed in range(1000, 1005)]
    assert max(np.abs(foreign)) < 20


def test_other_classes_are_those_without_the_best(tables: Tables, read_of: ReadOf) -> None:
    """One chimera of Alpha, 300 bases, and Beta, 150: Alpha is left out, Beta still known."""
    read = np.concatenate([read_of(1, 12_000, 300), read_of(2, 15_000, 150)])
    _, background = scores(tables, [read], "other-classes")
    assert background[0, 50:300].mean() < -1.2
    assert background[0, 350:].mean() > -0.3


def test_composition_of_all_classes(tables: Tables) -> None:
    """Where no genome is copied from: six bases of context, flattened; over blocks of a long read, too."""
    read = uniform_codes(1300, 1003)
    read[[50, 120, 121, 700]] = UNKNOWN
    _, found = scores(tables, [read], "other-classes")
    power = 0.5 * tables.no_expert_gates.sum(dtype=np.float64)
    history = read % 4
    for t, base in enumerate(read.tolist()):
        if base == UNKNOWN:
            assert found[0, t] == 0.0
            continue
        order = min(t, 6)
        context = sum(int(b) * 4**i for i, b in enumerate(reversed(history[t - order : t])))
        start = 4 * ((4**order - 1) // 3 + context)
        row = np.exp(-tables.low[start : start + 4].astype(np.float64) / 32 * power)
        assert found[0, t] == pytest.approx(np.log(row[base] / row.sum()), abs=1e-5)


def test_low_order_background(tables: Tables, genomes: Genomes) -> None:
    """Two bases of context, fewer at the start; N counts as A in a context."""
    read = uniform_codes(200, 1003)
    read[[50, 120, 121]] = UNKNOWN
    _, found = scores(tables, [read], "low-order")
    assert BACKGROUND_ORDER == 2
    bases = [base % 4 for base in read.tolist()]
    for t, base in enumerate(read.tolist()):
        if base == UNKNOWN:
            assert found[0, t] == 0.0
            continue
        context = bases[max(0, t - 2) : t]
        start = [0, 4, 20][len(context)] + 4 * sum(b * 4**i for i, b in enumerate(reversed(context)))
        row = np.exp(-tables.low[start : start + 4].astype(np.float64) / 32)
        assert found[0, t] == pytest.approx(np.log(row[base] / row.sum()), abs=1e-5)


def test_low_order_background_has_the_frequencies_of_the_reference(tables: Tables, genomes: Genomes) -> None:
    """The three classes weigh equally: the mean of their shares of a base after two others."""
    counts = np.zeros((3, 64), dtype=np.float32)
    for label in range(3):
        mine = tables.labels == label
        dense.count(tables.reference, tables.offsets[mine], genomes.lengths[mine], 2, counts[label])
    share = (counts / counts.sum(axis=1, keepdims=True)).mean(axis=0).reshape(16, 4)
    read = np.array([1, 3, 2], dtype=np.uint8)
    expected = np.log(share[7, 2] / share[7].sum())
    assert scores(tables, [read], "low-order")[1][0, 2] == pytest.approx(expected, abs=0.03)
