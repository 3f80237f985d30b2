"""AUROC, AUPRC and FPR80 by hand, with ties, NaN and a single class."""

from __future__ import annotations

import numpy as np
import pytest

from genood.errors import GenoodError
from genood.metrics import roc_points, separation, separation_intervals

IN = np.array([0.1, 0.2, 0.3, 0.6, 0.9])
OOD = np.array([0.4, 0.5, 0.7, 0.8])


def test_by_hand() -> None:
    # Pairs in the right order (in below OOD): 4 + 4 + 4 + 2 + 0 of 20. Walking down the scores in,
    # in, in, ood, ood, in, ood, ood, in: precision at the positives 1, 1, 1, 4/6, 5/9. 80 % of the
    # in-distribution reads are recognised at 0.6, where two of four OOD reads are taken in.
    result = separation(IN, OOD)
    assert result.auroc == pytest.approx(14 / 20)
    assert result.auprc == pytest.approx((3 + 4 / 6 + 5 / 9) / 5)
    assert result.fpr80 == pytest.approx(0.5)


def test_perfect_and_reversed() -> None:
    assert separation(np.array([1.0, 2.0]), np.array([3.0, 4.0])) == (1.0, 1.0, 0.0)
    worst = separation(np.array([3.0, 4.0]), np.array([1.0, 2.0]))
    assert worst.auroc == 0.0
    assert worst.fpr80 == 1.0


def test_ties_count_half() -> None:
    result = separation(np.array([1.0, 1.0]), np.array([1.0, 2.0]))
    assert result.auroc == pytest.approx(0.75)
    assert result.fpr80 == 0.5


def test_nan_is_left_out() -> None:
    with_nan = separation(np.append(IN, np.nan), np.append(OOD, [np.nan, np.nan]))
    assert with_nan == separation(IN, OOD)


@pytest.mark.parametrize("side", ["in-distribution", "OOD"])
def test_a_single_class_is_an_error(side: str) -> None:
    empty = np.array([np.nan])
    arguments = (empty, OOD) if side == "in-distribution" else (IN, empty)
    with pytest.raises(GenoodError, match=side):
        separation(*arguments)


def test_intervals() -> None:
    generator = np.random.default_rng(0)
    in_scores, ood_scores = generator.normal(0, 1, 400), generator.normal(1, 1, 400)
    intervals = separation_intervals(in_scores, ood_scores, num_resamples=200, seed=1)
    assert list(intervals) == ["auroc", "auprc", "fpr80"]
    for interval in intervals.values():
        assert interval.low < interval.value < interval.high
    # Two normals a standard deviation apart: AUROC Φ(1/√2) = 0.760; its standard error at 400 + 400
    # is about 0.017.
    assert intervals["auroc"].value == pytest.approx(0.760, abs=0.04)
    assert 0.04 < intervals["auroc"].high - intervals["auroc"].low < 0.09
    assert intervals == separation_intervals(in_scores, ood_scores, num_resamples=200, seed=1)
    assert intervals != separation_intervals(in_scores, ood_scores, num_resamples=200, seed=2)


def test_roc_points_by_hand() -> None:
    fpr, tpr = roc_points(IN, OOD)
    assert np.rint(4 * fpr).tolist() == [0, 0, 0, 2, 2, 4, 4]
    assert np.rint(5 * tpr).tolist() == [0, 1, 3, 3, 4, 4, 5]


def test_roc_points_of_many_reads() -> None:
    generator = np.random.default_rng(1)
    in_scores, ood_scores = generator.normal(size=5000), generator.normal(1, size=5000)
    all_points = np.array(roc_points(in_scores, ood_scores, max_points=10**6))
    fpr, tpr = roc_points(in_scores, ood_scores, max_points=100)
    assert len(fpr) <= 100 < all_points.shape[1]
    assert (fpr[0], tpr[0], fpr[-1], tpr[-1]) == (0, 0, 1, 1)
    assert np.trapezoid(tpr, fpr) == pytest.approx(separation(in_scores, ood_scores).auroc, abs=1e-3)
