"""Counts by class and of further detectors, against the same by hand and by other means."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from genood.calibration import NullDistribution
from genood.report import by_class
from genood.report.accumulate import RunAccumulator, ScoreColumns
from genood.report.agreement import DetectorCounts
from genood.report.binning import MOST_GRID_BINS, GrowingGrid
from genood.report.by_class import OTHERS, ClassCounts
from genood.report.figures import Figure
from genood.report.run import Run
from genood.report.views import MOST_DRAWN, MOST_ROWS, view_figures

LEVELS = np.linspace(0, 1, 101)
UNIFORM = NullDistribution(
    lengths=(100,), num_independent=(999.0,), levels=LEVELS, quantiles=LEVELS[np.newaxis]
)
GENERATOR = np.random.default_rng(1)
FIRST = GENERATOR.normal(0, 3, 4000)
SECOND = FIRST * 2 + GENERATOR.normal(0, 4, 4000)
FIRST[10], SECOND[4] = 300.0, -2000.5


def grid_of(*parts: slice) -> GrowingGrid:
    grid = GrowingGrid()
    for part in parts:
        grid.add(FIRST[part], SECOND[part])
    return grid


def test_a_grid_counts_as_numpy_does() -> None:
    found = grid_of(slice(None)).view(MOST_GRID_BINS)
    assert found is not None
    first, second, counts = found
    expected, _, _ = np.histogram2d(FIRST, SECOND, (first, second))
    assert counts.tolist() == expected.astype(int).tolist()
    assert max(counts.shape) <= MOST_GRID_BINS
    assert min(counts.shape) > MOST_GRID_BINS // 2 - 2


def test_a_trimmed_grid_loses_nothing() -> None:
    found = grid_of(slice(None)).view(32, 0.01)
    assert found is not None
    first, second, counts = found
    assert counts.sum() == 4000
    assert len(first) - 1 <= 32
    assert second[-1] - second[0] < 64


@pytest.mark.parametrize("place", [0, 1, 11, 2500, 3999, 4000])
def test_pieces_and_merging_do_not_matter(place: int) -> None:
    merged = grid_of(slice(0, place))
    merged.merge(grid_of(slice(place, None)))
    in_pieces = grid_of(*(slice(start, start + 99) for start in range(0, 4000, 99)))
    whole = grid_of(slice(None)).view(MOST_GRID_BINS)
    assert whole is not None
    for other in (merged, in_pieces):
        found = other.view(MOST_GRID_BINS)
        assert found is not None
        assert all(np.array_equal(one, two) for one, two in zip(whole, found, strict=True))


def test_an_empty_grid() -> None:
    assert GrowingGrid().view(10) is None
    assert math.isnan(DetectorCounts().rank_correlation())


def counts_of(first: np.ndarray, second: np.ndarray, null: NullDistribution | None = None) -> DetectorCounts:
    counts = DetectorCounts(null)
    counts.add(
        second,
        first_scores=first,
        p_values=1 - first,
        calls=np.zeros(len(first), dtype=np.int64),
        num_scored=np.full(len(first), 100),
    )
    return counts


def test_rank_correlation_is_scipys() -> None:
    """Scores of few values are bins of their own, so that ties are ties."""
    first = GENERATOR.integers(0, 40, 500) / 4
    second = np.round(first + GENERATOR.integers(-20, 20, 500) / 4)
    assert counts_of(first, second).rank_correlation() == pytest.approx(spearmanr(first, second).statistic)
    assert counts_of(first, -first).rank_correlation() == pytest.approx(-1)
    assert math.isnan(counts_of(first, np.ones(500)).rank_correlation())


def test_agreement_by_hand() -> None:
    """A score of the uniform null is 1 - p: of six reads one is foreign to both, two to one of them."""
    first = np.array([0.99, 0.99, 0.5, 0.5, np.nan, 0.96])
    second = np.array([0.99, 0.50, 0.99, 0.5, 0.99, np.nan])
    counts = counts_of(first, second, UNIFORM)
    assert counts.both.tolist() == [[1, 1], [1, 1]]
    counts.merge(counts_of(first[:1], second[:1], UNIFORM))
    assert counts.both.tolist() == [[1, 1], [1, 2]]
    bins = counts.score_bins(60, 0.0)
    assert bins is not None
    assert bins.counts.sum() == 6  # the first detector's NaN takes nothing from the second's scores


def test_classes_by_hand() -> None:
    counts = ClassCounts()
    p_values = np.array([0.01, 0.5, 0.9, np.nan, 0.3])
    calls = np.array([1, 0, 0, 2, 0])
    counts.add(["B", "A", "B", "", "A"], calls, p_values)
    other = ClassCounts()
    other.add(["C", "A"], np.array([0, 1]), np.array([0.2, 0.02]))
    counts.merge(other)
    assert counts.names == ["A", "B", "C"]
    assert [counts.calls(name).tolist() for name in "ABC"] == [[2, 1, 0], [1, 1, 0], [1, 0, 0]]
    assert counts.p_value_quantile("A", 0.5) == pytest.approx(0.3)
    assert counts.p_value_quantile("B", 1.0) == pytest.approx(0.9)


def test_classes_have_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(by_class, "MOST_CLASSES", 3)
    counts = ClassCounts()
    for part in (["a", "b"], ["c", "d", "a"], ["e", "b"]):
        counts.add(part, np.zeros(len(part), dtype=np.int64), np.full(len(part), 0.5))
    assert counts.names == [OTHERS, "a", "b", "c"]
    assert counts.calls(OTHERS).tolist() == [2, 0, 0]


def run_of(num_reads: int, num_classes: int) -> Run:
    generator = np.random.default_rng(3)
    scores = generator.uniform(0, 1, num_reads)
    lengths = np.full(num_reads, 100)
    counts = RunAccumulator(UNIFORM, other_nulls={"likelihood": UNIFORM})
    counts.add(
        ScoreColumns(
            names=[f"r{i}" for i in range(num_reads)],
            mates=np.zeros(num_reads, dtype=np.int64),
            lengths=lengths,
            num_scored=lengths,
            gc=np.full(num_reads, 0.5),
            llr_per_base=-scores,
            ood_scores=scores,
            p_values=1 - scores,
            calls=(scores >= 0.95).astype(np.int64),
            others={"likelihood": np.clip(scores + generator.normal(0, 0.1, num_reads), 0, 1)},
            classes=[f"class {i % num_classes:04}" for i in range(num_reads)],
        )
    )
    return Run(name="run", table="run.tsv", counts=counts)


def figures(run: Run) -> dict[str, Figure]:
    return {figure.title: figure for figure in view_figures(run)}


def test_what_is_shown() -> None:
    run = run_of(1000, 4)
    shown = figures(run)
    assert list(shown) == ["OOD scores of likelihood", "llr and likelihood", "Classes", "P-values by class"]
    classes = shown["Classes"]
    assert [row[:3] for row in classes.rows] == [(f"class {i:04}", "250", "25 %") for i in range(4)]
    assert sum(int(row[4]) for row in classes.rows) == int(run.counts.call_counts[1])
    agreed = dict(shown["llr and likelihood"].rows)
    assert sum(int(n) for name, n in agreed.items() if name.startswith("p ≤ 0.05")) == 1000
    assert f"both find {agreed['p ≤ 0.05 by both']} reads foreign" in shown["llr and likelihood"].caption


def test_many_classes_have_a_bound() -> None:
    classes = figures(run_of(4000, 1000))["Classes"]
    assert len(classes.rows) == MOST_ROWS
    assert len(classes.spec["data"]["values"]) == 2 * MOST_DRAWN
    assert "960 more are not drawn" in classes.caption
