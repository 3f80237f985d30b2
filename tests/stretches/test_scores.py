"""Windows that tile a sequence, and their scores."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from long_sequences import NULL, sequence

from genood.detectors import DETECTORS
from genood.errors import ConfigError
from genood.stretches.scores import StretchScorer

SCORER = StretchScorer(DETECTORS["llr"](), NULL)


@pytest.mark.parametrize(
    ("num_bases", "ends"),
    [(0, [0]), (1, [1]), (4, [4]), (5, [5]), (6, [4, 6]), (9, [4, 9]), (10, [4, 8, 10]), (12, [4, 8, 12])],
)
def test_the_last_window_takes_less_than_half_of_one(num_bases: int, ends: list[int]) -> None:
    windows = SCORER.windows([sequence([0.0] * num_bases)], 4)[0]
    assert windows.ends.tolist() == ends
    assert windows.starts.tolist() == [0, *ends[:-1]]


def test_scores_by_hand() -> None:
    """Sums -1.5 and 1 over 3 and 4 scored bases; the last window, of 2, has none.

    The null is uniform from -1 to 1 with 199 reads: 0.5 has the tail 1/4, -0.25 the tail 5/8.
    """
    nan = math.nan
    read = sequence([-1.0, nan, -1.0, 0.5, 0.25, 0.25, 0.25, 0.25, nan, nan])
    windows = SCORER.windows([read], 4)[0]
    assert windows.num_scored.tolist() == [3, 4, 0]
    np.testing.assert_allclose(windows.llr, [-1.5, 1.0, nan])
    np.testing.assert_allclose(windows.llr_per_base, [-0.5, 0.25, nan])
    np.testing.assert_allclose(windows.ood_scores, [0.5, -0.25, nan])
    np.testing.assert_allclose(
        windows.p_values, [(199 / 4 + 1) / 200, (199 * 5 / 8 + 1) / 200, nan], rtol=1e-5
    )


def test_one_stretch() -> None:
    stretch = SCORER.stretch(sequence([1.0, 2.0, math.nan, 4.0, 8.0]), 1, 4)
    assert (stretch.starts.tolist(), stretch.ends.tolist()) == ([1], [4])
    assert (stretch.num_scored.tolist(), stretch.llr.tolist()) == ([2], [6.0])


def test_by_base() -> None:
    places, scores = SCORER.by_base(sequence([1.0, 2.0, math.nan, 4.0, 8.0]), 1, 4)
    assert (places.tolist(), scores.tolist()) == ([1, 3], [-2.0, -4.0])
    places, scores = SCORER.by_base(sequence([1.0, 2.0]), 1, 1)
    assert (len(places), len(scores)) == (0, 0)


def test_likelihood_judges_by_the_foreground() -> None:
    scorer = StretchScorer(DETECTORS["likelihood"](), NULL)
    windows = scorer.windows([sequence([0.0, 0.0], background=-0.5)], 2)[0]
    assert windows.ood_scores.tolist() == [0.5]
    assert windows.llr.tolist() == [0.0]


@pytest.mark.parametrize("name", ["input-complexity", "max-probability", "rose-diagonal"])
def test_detectors_without_windows(name: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} has no scores by window; name another"):
        StretchScorer(DETECTORS[name](), NULL)


@given(num_bases=st.integers(0, 300), size=st.integers(1, 100), seed=st.integers(0, 99))
def test_windows_tile(num_bases: int, size: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    llr = np.where(generator.random(num_bases) < 0.2, np.nan, generator.normal(size=num_bases))
    windows = SCORER.windows([sequence(llr.tolist())], size)[0]
    assert windows.starts[0] == 0
    assert windows.ends[-1] == num_bases
    assert (windows.starts[1:] == windows.ends[:-1]).all()
    lengths = windows.ends - windows.starts
    assert (lengths[:-1] == size).all()
    assert len(lengths) == 1 or size / 2 <= lengths[-1] < 1.5 * size
    assert windows.num_scored.sum() == np.isfinite(llr).sum()
    assert np.nansum(windows.llr) == pytest.approx(np.nansum(llr), abs=1e-4)
