"""p-values, calls and the OOD fraction."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.stats import norm

from genood.calibration import (
    FRACTION_LAMBDAS,
    Calibration,
    NullDistribution,
    NullSample,
    fragments_of,
    ood_fraction,
)
from genood.detectors import DETECTORS
from genood.detectors.base import ScoreBatch
from genood.errors import BundleError


def null_of(scores: list[np.ndarray], lengths: tuple[int, ...]) -> NullDistribution:
    levels = np.linspace(0, 1, 201)
    return NullDistribution(
        lengths=lengths,
        num_independent=tuple(float(len(row)) for row in scores),
        levels=levels,
        quantiles=np.stack([np.quantile(row, levels) for row in scores]),
    )


def noise_batch(num_reads: int, length: int, seed: int) -> ScoreBatch:
    generator = np.random.default_rng(seed)
    shape = (num_reads, length)
    return ScoreBatch(
        codes=np.zeros(shape, dtype=np.uint8),
        lengths=np.full(num_reads, length, dtype=np.int64),
        log_p=-generator.gamma(2.0, 0.5, shape).astype(np.float32),
        background_log_p=-generator.gamma(2.0, 0.5, shape).astype(np.float32),
    )


def test_p_value_is_the_upper_tail() -> None:
    null = null_of([np.arange(101.0)], (250,))
    p_values = null.p_values(np.array([-1.0, 0.0, 50.0, 90.0, 100.0, 101.0]), np.full(6, 250))
    # (n · tail + 1) / (n + 1) with n = 101.
    expected = [1.0, 1.0, 51.5 / 102, 11.1 / 102, 1 / 102, 1 / 102]
    np.testing.assert_allclose(p_values, expected, atol=2e-6)


def test_p_value_falls_as_the_score_rises() -> None:
    null = null_of([np.random.default_rng(0).normal(size=500)], (250,))
    p_values = null.p_values(np.linspace(-4, 4, 300), np.full(300, 250))
    assert (np.diff(p_values) <= 0).all()
    assert p_values.min() > 0
    assert p_values.max() <= 1


@pytest.mark.parametrize("noise", [-1e-7, 0.0, 1e-7])
def test_ties_take_the_whole_tie(noise: float) -> None:
    """Half of the null at 0, a quarter at 1 and a quarter at 2: tails 1, 1/2 and 1/4."""
    null = null_of([np.array([0.0] * 100 + [1.0] * 50 + [2.0] * 50)], (250,))
    scores = np.array([0.0, 1.0, 2.0]) + noise
    # A quantile's level is right to half a step of 1/200.
    np.testing.assert_allclose(null.p_values(scores, np.full(3, 250)), [1.0, 0.5, 0.25], atol=0.006)


def test_between_ties_the_upper_one_counts() -> None:
    null = null_of([np.array([0.0] * 100 + [1.0] * 100)], (250,))
    assert null.p_values(np.array([0.5]), np.array([250]))[0] == pytest.approx(0.5, abs=0.01)


def test_nan_stays_nan() -> None:
    null = null_of([np.arange(101.0)], (250,))
    assert np.isnan(null.p_values(np.array([np.nan]), np.array([0])))[0]


def test_lengths_between_bins_are_interpolated() -> None:
    null = null_of([np.arange(101.0), np.arange(101.0) + 100], (100, 400))
    scores = np.full(5, 100.0)
    np.testing.assert_allclose(null.independent_reads(np.array([100, 3000])), [101, 101])
    p_short, p_middle, p_long, p_below, p_beyond = null.p_values(scores, np.array([100, 200, 400, 20, 5000]))
    assert p_short == pytest.approx(1 / 102, abs=1e-5)
    assert p_long == pytest.approx(1.0)
    assert p_middle == pytest.approx((p_short + p_long) / 2)
    assert (p_below, p_beyond) == (p_short, p_long)


def samples_of(lengths: tuple[int, ...], num_reads: int, seed: int) -> dict[int, NullSample]:
    return {
        length: NullSample([noise_batch(num_reads, length, seed + length)], num_reads) for length in lengths
    }


def saved_and_loaded(calibration: Calibration) -> Calibration:
    return Calibration.from_json(json.loads(json.dumps(calibration.to_json())))


@pytest.mark.parametrize("length", [1, 7, 25, 60, 100, 300])
def test_in_distribution_p_values_are_uniform(length: int) -> None:
    detectors = {name: DETECTORS[name]() for name in ("llr", "likelihood")}
    samples = samples_of((1, 5, 10, 25, 50, 100, 300), 4000, 1)
    calibration = saved_and_loaded(Calibration.fit(samples, detectors, "toy"))
    fresh = noise_batch(4000, length, 2)
    for name, detector in detectors.items():
        p_values = calibration.nulls[name].p_values(detector.score(fresh), fresh.num_scored)
        for alpha in (0.01, 0.05, 0.1, 0.5):
            # Two samples of 4,000 decide; five standard errors of their difference.
            bound = 5 * np.sqrt(2 * alpha * (1 - alpha) / 4000)
            assert abs((p_values <= alpha).mean() - alpha) < bound


def test_no_read_of_one_base_is_called_for_rounding() -> None:
    """Four scores in all: the highest is that of about a quarter of the null, before and after saving."""
    generator = np.random.default_rng(5)
    for _ in range(40):
        table = generator.normal(size=4).astype(np.float32)
        codes = generator.integers(0, 4, (1000, 1), dtype=np.uint8)
        batch = ScoreBatch(
            codes=codes,
            lengths=np.ones(1000, dtype=np.int64),
            log_p=table[codes],
            background_log_p=np.zeros((1000, 1), dtype=np.float32),
        )
        fitted = Calibration.fit({1: NullSample([batch], 1000)}, {"llr": DETECTORS["llr"]()}, "toy")
        null = saved_and_loaded(fitted).nulls["llr"]
        p_values = null.p_values(DETECTORS["llr"]().score(batch), batch.num_scored)
        assert p_values.min() > 0.2


def test_fewer_independent_reads_make_larger_p_values() -> None:
    samples = {25: NullSample([noise_batch(400, 25, 1)], 400), 50: NullSample([noise_batch(400, 50, 2)], 30)}
    null = Calibration.fit(samples, {"llr": DETECTORS["llr"]()}, "toy").nulls["llr"]
    p_values = null.p_values(np.array([99.0, 99.0]), np.array([25, 50]))
    np.testing.assert_allclose(p_values, [1 / 401, 1 / 31])


def test_json_round_trip_is_exact() -> None:
    calibration = Calibration.fit(samples_of((10, 30), 200, 1), {"llr": DETECTORS["llr"]()}, "toy reads")
    again = saved_and_loaded(calibration)
    assert again.source == "toy reads"
    assert again.nulls["llr"].lengths == (10, 30)
    assert again.nulls["llr"].num_independent == (200.0, 200.0)
    np.testing.assert_array_equal(again.nulls["llr"].quantiles, calibration.nulls["llr"].quantiles)


@pytest.mark.parametrize("damage", ["source", "detectors", "quantiles", "shape", "num_independent"])
def test_damaged_json(damage: str) -> None:
    value = Calibration.fit(samples_of((10, 30), 200, 1), {"llr": DETECTORS["llr"]()}, "toy").to_json()
    if damage in value:
        del value[damage]
    elif damage == "quantiles":
        del value["detectors"]["llr"]["quantiles"]
    elif damage == "shape":
        value["detectors"]["llr"]["quantiles"].pop()
    else:
        value["detectors"]["llr"]["num_independent"].pop()
    with pytest.raises(BundleError, match=r"calibration\.json is damaged"):
        Calibration.from_json(value)


def test_ood_fraction_by_hand() -> None:
    # 300 of 1,000 above one half: 600 are taken for in-distribution. Wilson's intervals: 0.2724 to 0.3291
    # for 0.3 of 1,000, and 0.0829 to 0.1202 for the 0.1 above 0.8.
    fraction = ood_fraction(1000, (300, 100), math.inf)
    assert fraction is not None
    assert fraction.estimate == pytest.approx(0.4)
    assert fraction.low == pytest.approx(1 - 2 * 0.3291, abs=2e-4)
    assert fraction.high == pytest.approx(1 - 5 * 0.0829, abs=5e-4)


def test_a_small_null_widens_the_interval() -> None:
    # A million reads, a hundred in the null: its shares above 0.5 and 0.8 deviate by 0.05 and 0.04.
    fraction = ood_fraction(1_000_000, (400_000, 160_000), 100)
    assert fraction is not None
    assert fraction.low == pytest.approx(0.2 - 0.8 * 1.96 * 0.05 / 0.5, abs=0.001)
    assert fraction.high == pytest.approx(0.2 + 0.8 * 1.96 * 0.04 / 0.2, abs=0.002)


def test_ood_fraction_at_the_edges() -> None:
    assert ood_fraction(0, (0, 0), 100) is None
    none_above = ood_fraction(100, (0, 0), 100)
    assert none_above is not None
    assert none_above.estimate == none_above.high == 1.0
    all_above = ood_fraction(100, (100, 100), 100)
    assert all_above is not None
    assert (all_above.estimate, all_above.low) == (0.0, 0.0)


def test_the_interval_holds_the_estimate() -> None:
    """Above 0.8 more than four tenths of those above 0.5, as ties do: the estimate is the upper limit."""
    fraction = ood_fraction(10_000, (3_000, 2_000), math.inf)
    assert fraction is not None
    assert fraction.low < fraction.estimate == fraction.high == pytest.approx(0.4)


def test_p_values_that_pile_up_are_noticed_by_hand() -> None:
    """Densities of 300 / 0.3 and 300 / 0.2, their difference 500; the deviation sqrt(300 / 0.09 + 300 / 0.04)
    = 104 without a null's share, so that 4.8 of them; of 240 / 0.2, 200, it is 2."""
    for num_far_above, null_reads, fits in ((300, math.inf, False), (240, math.inf, True), (300, 100, True)):
        fraction = ood_fraction(1000, (300 + num_far_above, num_far_above), null_reads)
        assert fraction is not None
        assert fraction.null_fits is fits


P_VALUE_LEVELS = (0.0, 0.01, 0.05, 0.1, 0.3, 0.5, 0.8, 0.9, 1.0)
OOD_SHARES = {
    100: (0.0, 0.126, 0.325, 0.468, 0.743, 0.921, 0.998, 1.0, 1.0),
    250: (0.0, 0.220, 0.431, 0.560, 0.758, 0.979, 0.999, 1.0, 1.0),
    1000: (0.0, 0.343, 0.515, 0.575, 0.840, 0.988, 0.999, 1.0, 1.0),
}
"""Shares of OOD reads with a p-value up to those levels, by read length: of 56 other bacterial and archaeal
genera, by a context model of 27 genomes with the null that training gives it."""


@pytest.mark.parametrize("num_reads", [200, 2_000, 50_000])
@pytest.mark.parametrize("num_null", [200, 2_000, 10_000])
@pytest.mark.parametrize("length", OOD_SHARES)
def test_ood_fraction_covers_mixtures(length: int, num_null: int, num_reads: int) -> None:
    """100 mixtures of 0 to 50 %, each with a null drawn anew, as a calibration draws it."""
    generator = np.random.default_rng([length, num_null, num_reads])
    covered = 0
    for truth in generator.uniform(0, 0.5, 100):
        null = np.sort(generator.normal(size=num_null))
        num_ood = generator.binomial(num_reads, truth)
        ood = norm.isf(np.interp(generator.random(num_ood), OOD_SHARES[length], P_VALUE_LEVELS))
        scores = np.concatenate([ood, generator.normal(size=num_reads - num_ood)])
        p_values = (num_null - np.searchsorted(null, scores) + 1) / (num_null + 1)
        at_half, at_end = (int((p_values > level).sum()) for level in FRACTION_LAMBDAS)
        fraction = ood_fraction(num_reads, (at_half, at_end), num_null)
        assert fraction is not None
        assert fraction.low <= fraction.estimate <= fraction.high
        assert fraction.null_fits
        covered += fraction.low <= truth <= fraction.high
    assert covered >= 90


@pytest.mark.parametrize("truth", [0.0, 0.1, 0.5])
def test_ood_fraction_covers_at_each_fraction(truth: float) -> None:
    """By the null distribution itself, with its quantiles and interpolation, not by one made here."""
    generator = np.random.default_rng(8)
    covered = 0
    for _ in range(100):
        null = null_of([generator.normal(size=1000)], (250,))
        num_ood = generator.binomial(2000, truth)
        scores = np.concatenate([generator.normal(9, 1, num_ood), generator.normal(size=2000 - num_ood)])
        p_values = null.p_values(scores, np.full(2000, 250))
        at_half, at_end = (int((p_values > level).sum()) for level in FRACTION_LAMBDAS)
        fraction = ood_fraction(2000, (at_half, at_end), 1000)
        assert fraction is not None
        covered += fraction.low <= truth <= fraction.high
    assert covered >= 90


def test_mates_are_no_more_than_their_fragments() -> None:
    """Mates that say the same leave the limits where either alone has them."""
    alone = ood_fraction(1000, (300, 110), 5000)
    assert ood_fraction(2000, (600, 220), 5000, num_fragments=1000) == alone
    assert ood_fraction(2000, (600, 220), 5000) != alone
    fits = [ood_fraction(2000, (700, 350), math.inf, num_fragments=number) for number in (None, 1000)]
    assert [found is not None and found.null_fits for found in fits] == [False, True]
    assert [fragments_of(by_mate) for by_mate in ([7, 0, 0], [0, 5, 5], [1, 4, 6])] == [7, 5, 7]


def test_what_the_detector_misses_never_raises_the_lower_limit() -> None:
    """Half of the OOD reads score as in-distribution reads do: what is known is the other half."""
    generator = np.random.default_rng(9)
    too_high = 0
    estimates = []
    for _ in range(100):
        p_values = generator.random(4000)
        p_values[:1000] *= 0.05  # a further 1,000 OOD reads keep theirs
        at_half, at_end = (int((p_values > level).sum()) for level in FRACTION_LAMBDAS)
        fraction = ood_fraction(4000, (at_half, at_end), math.inf)
        assert fraction is not None
        too_high += fraction.low > 0.25
        estimates.append(fraction.estimate)
    assert too_high <= 8
    assert np.mean(estimates) == pytest.approx(0.25, abs=0.01)
