"""Histograms of bounded memory that do not depend on how the data come."""

from __future__ import annotations

import numpy as np
import pytest

from genood.report.binning import (
    LENGTH_STARTS,
    MOST_BINS,
    Bins,
    GrowingHistogram,
    length_of,
    length_places,
)


def histogram_of(*parts: np.ndarray) -> GrowingHistogram:
    histogram = GrowingHistogram(2)
    for part in parts:
        histogram.add(part, (part > 0).astype(np.int64))
    return histogram


def view_of(histogram: GrowingHistogram, most_bins: int = 64, tail: float = 0.0) -> Bins:
    bins = histogram.view(most_bins, tail)
    assert bins is not None
    return bins


VALUES = np.random.default_rng(1).normal(0, 3, 5000)
VALUES[[10, 4000]] = [-90.0, 1000.5]


def same(one: GrowingHistogram, other: GrowingHistogram) -> None:
    a, b = view_of(one, MOST_BINS), view_of(other, MOST_BINS)
    assert np.array_equal(a.edges, b.edges)
    assert np.array_equal(a.counts, b.counts)


def test_counts_are_numpys() -> None:
    bins = view_of(histogram_of(VALUES))
    assert len(bins.counts) <= 64
    expected, _ = np.histogram(VALUES, bins.edges)
    assert bins.counts.sum(axis=1).tolist() == expected.tolist()
    assert bins.counts[:, 1].sum() == (VALUES > 0).sum()
    assert (bins.below, bins.above) == (0, 0)


def test_order_and_pieces_do_not_matter() -> None:
    whole = histogram_of(VALUES)
    same(whole, histogram_of(*np.array_split(VALUES, 7)))
    same(whole, histogram_of(*np.array_split(VALUES[::-1], 1000)))
    same(whole, histogram_of(np.sort(VALUES)))


@pytest.mark.parametrize("place", [0, 1, 11, 2500, 4999, 5000])
def test_merged_is_as_if_counted_together(place: int) -> None:
    merged = histogram_of(VALUES[:place])
    merged.merge(histogram_of(VALUES[place:]))
    same(histogram_of(VALUES), merged)


def test_a_single_value_and_none() -> None:
    bins = view_of(histogram_of(np.array([0.3, 0.3])))
    assert bins.counts.tolist() == [[0, 2]]
    assert bins.edges[0] <= 0.3 < bins.edges[1]
    assert GrowingHistogram(1).view(10) is None
    assert GrowingHistogram(1).quantile(0.5) is None


def test_tails_are_taken_in() -> None:
    bins = view_of(histogram_of(VALUES), tail=0.001)
    assert bins.edges[0] > -90
    assert bins.edges[-1] < 1000
    assert bins.below >= 1
    assert bins.above >= 1
    assert bins.counts.sum() == len(VALUES)
    inner, _ = np.histogram(VALUES, bins.edges[1:-1])
    assert bins.counts[1:-1].sum(axis=1).tolist() == inner.tolist()


def test_quantiles_are_within_a_bin() -> None:
    values = VALUES[np.abs(VALUES) < 20]
    histogram = histogram_of(values)
    for level in (0.05, 0.25, 0.5, 0.75, 0.95):
        found = histogram.quantile(level)
        assert found == pytest.approx(np.quantile(values, level), abs=0.03)


def test_values_far_beyond() -> None:
    bins = view_of(histogram_of(np.array([-1e300, 0.0, 1e300])))
    assert bins.counts.sum(axis=1)[[0, -1]].tolist() == [1, 1]
    assert bins.counts.sum() == 3


def test_lengths_have_bins_of_their_own() -> None:
    lengths = np.array([0, 1, 250, 1023, 1024, 1046, 1047, 10**6, 2**39])
    places = length_places(lengths)
    assert places[:5].tolist() == [0, 1, 250, 1023, 1024]
    assert (LENGTH_STARTS[places] <= lengths).all()
    assert (lengths < LENGTH_STARTS[places + 1]).all()
    assert length_of(250) == 250
    # 32 bins for each doubling: the first from 1,024 on ends below 1024 * 2^(1/32) = 1046.4.
    assert LENGTH_STARTS[1024:1026].tolist() == [1024, 1046]
    assert length_of(1024) == (1024 + 1045) // 2
