"""The tables of a small reference."""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import pytest
from toys import uniform_codes, write_fasta

from genood.context import dense, hashing
from genood.context.genes import reference_codes
from genood.context.learn import learn
from genood.context.tables import Tables
from genood.errors import ConfigError
from genood.reference.genomes import Genomes, load_genomes

MEMORY = 2_000_000_000


@pytest.fixture(scope="module")
def skewed(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    """Big has ten times the bases of Small, and no C or G; Small has no A or T."""
    folder = tmp_path_factory.mktemp("skewed")
    big, small = uniform_codes(20_000, 1), uniform_codes(2000, 2)
    files = [
        write_fasta(folder / "Big__1.fa", {"b": np.where(big < 2, 0, 3).astype(np.uint8)}),
        write_fasta(folder / "Small__1.fa", {"s": np.where(small < 2, 1, 2).astype(np.uint8)}),
    ]
    return learn(load_genomes(files, min_length=60), memory=MEMORY)[0]


def test_threads_do_not_matter(genomes: Genomes, tables: Tables) -> None:
    alone, plan = learn(genomes, memory=MEMORY, num_threads=1)
    for field in fields(Tables):
        mine, other = getattr(alone, field.name), getattr(tables, field.name)
        if isinstance(mine, np.ndarray):
            assert mine.dtype == other.dtype
            assert mine.tobytes() == other.tobytes(), field.name
        else:
            assert mine == other
    assert (plan.nuc_sampling, plan.aa_sampling, plan.class_order) == (2, 1, 8)


def test_reference_is_the_genomes(genomes: Genomes, tables: Tables) -> None:
    codes, starts, lengths = reference_codes(tables.reference, tables.offsets)
    assert codes.tobytes() == genomes.codes.tobytes()
    assert starts.tolist() == genomes.starts.tolist() == [0, 20_000, 30_000, 55_000, 75_000]
    assert lengths.tolist() == genomes.lengths.tolist()
    assert tables.labels.tolist() == [0, 0, 0, 1, 2]
    assert tables.files.tolist() == [0, 0, 1, 2, 3]
    assert tables.num_classes == 3


def test_index_is_filled_to_at_most_its_load(tables: Tables) -> None:
    for table in (tables.nuc, tables.aa):
        assert 0.5 * hashing.MAX_LOAD < hashing.load(table) < 1.1 * hashing.MAX_LOAD


def test_sizes(tables: Tables) -> None:
    """4 + 16 + ... bytes, up to order 8, over all classes and by class, of which there are 8."""
    assert tables.low.shape == ((4**10 - 4) // 3,)
    assert tables.by_class.shape == (8 * (4**10 - 4) // 3,)


def test_each_context_has_probabilities_that_sum_to_one(tables: Tables) -> None:
    for order in range(dense.MAX_ORDER + 1):
        rows = tables.low[dense.start_of(order) : dense.start_of(order + 1)].reshape(-1, 4)[:5000]
        np.testing.assert_allclose(np.exp(-dense.NATS_PER_STEP * rows).sum(axis=1), 1.0, atol=1 / 60)
    rows = tables.by_class.reshape(-1, 4, 8)[:10_000]
    np.testing.assert_allclose(dense.CLASS_PROBABILITIES[rows].sum(axis=1)[:, :3], 1.0, atol=1 / 30)
    assert (rows[:, :, 3:] == dense.NEVER).all()


def test_classes_weigh_equally(skewed: Tables) -> None:
    """Big has ten times the bases; yet of all bases each is as probable as the others."""
    np.testing.assert_allclose(np.exp(-dense.NATS_PER_STEP * skewed.low[:4]), 0.25, atol=0.005)


def test_tables_by_class_hold_their_class_alone(skewed: Tables) -> None:
    """Of order 0, then 1: by context, base, class. After 4,000 bases a foreign one has 4 in 4,016."""
    order_0 = dense.CLASS_PROBABILITIES[skewed.by_class[:32].reshape(4, 8)].T
    np.testing.assert_allclose(order_0[0], [0.5, 0.0, 0.0, 0.5], atol=0.02)
    np.testing.assert_allclose(order_0[1], [0.0, 0.5, 0.5, 0.0], atol=0.02)
    order_1 = dense.CLASS_PROBABILITIES[skewed.by_class[32:160].reshape(4, 4, 8)].transpose(0, 2, 1)
    for context, label in ((0, 0), (3, 0), (1, 1), (2, 1)):
        np.testing.assert_allclose(order_1[context, label], order_0[label], atol=0.03)
    # A context that a class has not: as without the context.
    np.testing.assert_allclose(order_1[1, 0], order_0[0], atol=0.02)


def test_by_class_by_hand(genomes: Genomes, tables: Tables) -> None:
    """Orders 0 to 3 of each class, from counts of both strands."""
    for label in range(3):
        counts = np.zeros(4**4, dtype=np.float32)
        mine = tables.labels == label
        # Up to a handful at the starts of segments, lower orders are sums of the highest.
        dense.count(tables.reference, tables.offsets[mine], genomes.lengths[mine], 3, counts)
        wanted = dense.interpolate(dense.lower_orders(counts, 3), dense.CLASS_PRIOR_COUNT)
        for order, expected in enumerate(wanted):
            first, last = (8 * dense.start_of(k) for k in (order, order + 1))
            found = tables.by_class[first:last].reshape(-1, 4, 8)[:, :, label]
            np.testing.assert_allclose(dense.CLASS_PROBABILITIES[found], expected, atol=0.02)


def test_too_many_bases_for_the_memory(genomes: Genomes) -> None:
    with pytest.raises(ConfigError, match=r"^83,0\d\d bases need 0\.\d\d GB .* of --memory"):
        learn(genomes, memory=10**8)


def test_genomes_are_left_alone(genomes: Genomes) -> None:
    before = genomes.codes.tobytes()
    learn(replace(genomes), memory=MEMORY)
    assert genomes.codes.tobytes() == before
