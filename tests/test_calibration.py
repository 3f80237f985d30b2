"""p-values, calls and the OOD fraction."""

from __future__ import annotations

import json

import numpy as np
import pytest

from genood.calibration import Calibration, NullDistribution, ood_fraction
from genood.detectors import DETECTORS
from genood.detectors.base import ScoreBatch
from genood.errors import BundleError


def null_of(scores: list[np.ndarray], lengths: tuple[int, ...]) -> NullDistribution:
    levels = np.linspace(0, 1, 201)
    return NullDistribution(
        lengths=lengths,
        num_reads=len(scores[0]),
        levels=levels,
        quantiles=np.stack([np.quantile(row, levels) for row in scores]),
    )


def noise_batch(num_reads: int, length: int, seed: int) -> ScoreBatch:
    generator = np.random.default_rng(seed)
    shape = (num_reads, length)
    return ScoreBatch(
        codes=np.zeros(shape, dtype=np.uint8),
        lengths=np.full(num_reads, length, dtype=np.int64),
        mask=np.ones(shape, dtype=bool),
        log_p=-generator.gamma(2.0, 0.5, shape).astype(np.float32),
        background_log_p=-generator.gamma(2.0, 0.5, shape).astype(np.float32),
    )


def test_p_value_is_the_upper_tail() -> None:
    null = null_of([np.arange(101.0)], (250,))
    p_values = null.p_values(np.array([-1.0, 0.0, 50.0, 90.0, 100.0, 101.0]), np.full(6, 250))
    # (n · tail + 1) / (n + 1) with n = 101.
    expected = [1.0, 1.0, 51.5 / 102, 11.1 / 102, 1 / 102, 1 / 102]
    np.testing.assert_allclose(p_values, expected)


def test_p_value_falls_as_the_score_rises() -> None:
    null = null_of([np.random.default_rng(0).normal(size=500)], (250,))
    p_values = null.p_values(np.linspace(-4, 4, 300), np.full(300, 250))
    assert (np.diff(p_values) <= 0).all()
    assert p_values.min() > 0
    assert p_values.max() <= 1


def test_ties_take_the_whole_tie() -> None:
    null = null_of([np.array([0.0] * 50 + [1.0] * 50)], (250,))
    assert null.p_values(np.array([0.0]), np.array([250]))[0] == pytest.approx(1.0)
    assert null.p_values(np.array([1.0]), np.array([250]))[0] == pytest.approx(0.5, abs=0.02)


def test_nan_stays_nan() -> None:
    null = null_of([np.arange(101.0)], (250,))
    assert np.isnan(null.p_values(np.array([np.nan]), np.array([0])))[0]


def test_lengths_between_bins_are_interpolated() -> None:
    null = null_of([np.arange(101.0), np.arange(101.0) + 100], (100, 400))
    scores = np.full(5, 100.0)
    p_short, p_middle, p_long, p_below, p_beyond = null.p_values(scores, np.array([100, 200, 400, 20, 5000]))
    assert p_short == pytest.approx(1 / 102)
    assert p_long == pytest.approx(1.0)
    assert p_middle == pytest.approx((p_short + p_long) / 2)
    assert (p_below, p_beyond) == (p_short, p_long)


@pytest.mark.parametrize("length", [1, 7, 25, 60, 100, 300])
def test_in_distribution_p_values_are_uniform(length: int) -> None:
    detectors = {name: DETECTORS[name]() for name in DETECTORS}
    calibration = Calibration.fit([noise_batch(4000, 300, 1)], detectors, "toy")
    assert calibration.nulls["llr"].lengths == (1, 2, 5, 10, 25, 50, 75, 100, 150, 250, 300)
    fresh = noise_batch(4000, length, 2)
    for name, detector in detectors.items():
        p_values = calibration.nulls[name].p_values(detector.score(fresh), fresh.num_scored)
        for alpha in (0.01, 0.05, 0.1, 0.5):
            # Two samples of 4,000 decide; five standard errors of their difference.
            bound = 5 * np.sqrt(2 * alpha * (1 - alpha) / 4000)
            assert abs((p_values <= alpha).mean() - alpha) < bound


def test_json_round_trip() -> None:
    calibration = Calibration.fit([noise_batch(200, 30, 1)], {"llr": DETECTORS["llr"]()}, "toy reads")
    again = Calibration.from_json(json.loads(json.dumps(calibration.to_json())))
    assert again.source == "toy reads"
    assert again.nulls["llr"].lengths == (1, 2, 5, 10, 25, 30)
    np.testing.assert_allclose(again.nulls["llr"].quantiles, calibration.nulls["llr"].quantiles, rtol=1e-6)


@pytest.mark.parametrize("damage", ["source", "detectors", "quantiles", "shape"])
def test_damaged_json(damage: str) -> None:
    value = Calibration.fit([noise_batch(200, 30, 1)], {"llr": DETECTORS["llr"]()}, "toy").to_json()
    if damage in value:
        del value[damage]
    elif damage == "quantiles":
        del value["detectors"]["llr"]["quantiles"]
    else:
        value["detectors"]["llr"]["quantiles"].pop()
    with pytest.raises(BundleError, match=r"calibration\.json is damaged"):
        Calibration.from_json(value)


def test_ood_fraction_by_hand() -> None:
    # 300 of 1,000 above one half: 600 are taken for in-distribution. Wilson's interval for 0.3 of
    # 1,000 is 0.2724 to 0.3291.
    fraction = ood_fraction(1000, 300)
    assert fraction is not None
    assert fraction.estimate == pytest.approx(0.4)
    assert fraction.low == pytest.approx(1 - 2 * 0.3291, abs=2e-4)
    assert fraction.high == pytest.approx(1 - 2 * 0.2724, abs=2e-4)


def test_ood_fraction_at_the_edges() -> None:
    assert ood_fraction(0, 0) is None
    none_above = ood_fraction(100, 0)
    assert none_above is not None
    assert none_above.estimate == none_above.high == 1.0
    all_above = ood_fraction(100, 100)
    assert all_above is not None
    assert all_above == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("truth", [0.0, 0.1, 0.5])
def test_ood_fraction_covers_separable_mixtures(truth: float) -> None:
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(100):
        num_ood = generator.binomial(2000, truth)
        p_values = np.concatenate([generator.uniform(0, 0.1, num_ood), generator.random(2000 - num_ood)])
        fraction = ood_fraction(2000, int((p_values > 0.5).sum()))
        assert fraction is not None
        covered += fraction.low <= truth <= fraction.high
    assert covered >= 88
