"""What every detector promises, over all of `DETECTORS`, and a number by hand for each."""

from __future__ import annotations

import math

import numpy as np
import pytest

from genood.detectors import DEFAULT_DETECTOR, DETECTORS
from genood.detectors.base import NEEDS, Detector, ScoreBatch

BY_HAND = {
    # The read ACNG: foreground chances 1/2, 1/4, -, 1/8, background 1/4, 1/4, -, 1/4: the ratio is
    # log(2 · 1 · 1/2) = 0 over 3 bases; the log-likelihood is -log 64 over 3 bases.
    "llr": 0.0,
    "likelihood": math.log(64) / 3,
}
"""OOD score of `hand_batch` by detector; a new detector adds its own."""


def make_batch(log_p: np.ndarray, background: np.ndarray, codes: np.ndarray | None = None) -> ScoreBatch:
    codes = np.zeros(log_p.shape, dtype=np.uint8) if codes is None else codes
    mask = codes < 4
    return ScoreBatch(
        codes=codes,
        lengths=np.full(len(codes), codes.shape[1], dtype=np.int64),
        mask=mask,
        log_p=np.where(mask, log_p, 0).astype(np.float32),
        background_log_p=np.where(mask, background, 0).astype(np.float32),
    )


@pytest.fixture
def hand_batch() -> ScoreBatch:
    codes = np.array([[0, 1, 4, 2]], dtype=np.uint8)
    return make_batch(np.log([[1 / 2, 1 / 4, 1, 1 / 8]]), np.log([[1 / 4, 1 / 4, 1, 1 / 4]]), codes)


@pytest.fixture
def toy() -> tuple[ScoreBatch, ScoreBatch]:
    """In-distribution reads that the foreground likes, OOD reads that only the background likes."""
    generator = np.random.default_rng(0)
    good, bad = -generator.uniform(0.5, 1.0, (32, 20)), -generator.uniform(1.5, 2.0, (32, 20))
    return make_batch(good, bad), make_batch(bad, good)


@pytest.fixture(params=list(DETECTORS))
def detector(request: pytest.FixtureRequest, toy: tuple[ScoreBatch, ScoreBatch]) -> Detector:
    made = DETECTORS[request.param]()
    return made.fit(toy[0]) if made.requires_fit else made


def test_shape_and_finite(detector: Detector, toy: tuple[ScoreBatch, ScoreBatch]) -> None:
    scores = detector.score(toy[0])
    assert scores.shape == (32,)
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def test_higher_means_more_ood(detector: Detector, toy: tuple[ScoreBatch, ScoreBatch]) -> None:
    in_scores, ood_scores = (detector.score(batch) for batch in toy)
    assert in_scores.max() < ood_scores.min()


def test_reads_do_not_matter_to_each_other(detector: Detector, toy: tuple[ScoreBatch, ScoreBatch]) -> None:
    batch = toy[0]
    alone = [
        detector.score(make_batch(batch.log_p[i : i + 1], batch.background_log_p[i : i + 1]))[0]
        for i in range(32)
    ]
    np.testing.assert_allclose(detector.score(batch), alone, rtol=1e-6)


def test_padding_changes_nothing(detector: Detector, toy: tuple[ScoreBatch, ScoreBatch]) -> None:
    batch = toy[0]
    codes = np.pad(batch.codes, ((0, 0), (0, 9)), constant_values=4)
    padded = make_batch(
        np.pad(batch.log_p, ((0, 0), (0, 9))), np.pad(batch.background_log_p, ((0, 0), (0, 9))), codes
    )
    np.testing.assert_allclose(detector.score(padded), detector.score(batch), rtol=1e-6)


def test_nothing_scored_is_nan(detector: Detector) -> None:
    codes = np.full((2, 3), 4, dtype=np.uint8)
    assert np.isnan(detector.score(make_batch(np.zeros((2, 3)), np.zeros((2, 3)), codes))).all()


def test_by_hand(detector: Detector, hand_batch: ScoreBatch) -> None:
    assert detector.score(hand_batch)[0] == pytest.approx(BY_HAND[detector.name], abs=1e-6)


def test_declarations(detector: Detector) -> None:
    assert DETECTORS[detector.name] is type(detector)
    assert detector.needs
    assert detector.needs <= set(NEEDS)


def test_default_is_registered() -> None:
    assert DEFAULT_DETECTOR in DETECTORS
    assert next(iter(DETECTORS)) == DEFAULT_DETECTOR


def test_score_batch_sums(hand_batch: ScoreBatch) -> None:
    assert hand_batch.num_scored.tolist() == [3]
    assert hand_batch.log_likelihood[0] == pytest.approx(-math.log(64))
    assert hand_batch.background_log_likelihood[0] == pytest.approx(-math.log(64))
    assert hand_batch.llr[0] == pytest.approx(0.0, abs=1e-6)


def test_prefix_is_the_shorter_read(hand_batch: ScoreBatch) -> None:
    prefix = hand_batch.prefix(2)
    assert prefix.lengths.tolist() == [2]
    assert prefix.num_scored.tolist() == [2]
    assert prefix.llr[0] == pytest.approx(math.log(2))
