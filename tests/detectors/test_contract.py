"""What every detector promises, over all of `DETECTORS`; each has a number by hand in a file of its own."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from toy_batches import padded, reads_of, toy_batch, unscored

from genood.detectors import DEFAULT_DETECTOR, DETECTORS
from genood.detectors.base import NEEDS, Detector, ScoreBatch, no_values

NUM_READS = 32


@pytest.fixture(scope="module")
def toy() -> tuple[ScoreBatch, ScoreBatch]:
    """In-distribution and OOD reads."""
    return toy_batch(NUM_READS, 1, ood=False), toy_batch(NUM_READS, 2, ood=True)


@pytest.fixture(scope="module", params=list(DETECTORS))
def detector(request: pytest.FixtureRequest) -> Detector:
    made = DETECTORS[request.param]()
    return made.fit([toy_batch(300, 3, ood=False)]) if made.requires_fit else made


def test_shape_and_finite(detector: Detector, toy: tuple[ScoreBatch, ScoreBatch]) -> None:
    for batch in toy:
        scores = detector.score(batch)
        assert scores.shape == (NUM_READS,)
        assert scores.dtype == np.float32
        assert np.isfinite(scores).all()


def test_higher_means_more_ood(detector: Detector, toy: tuple[ScoreBatch, ScoreBatch]) -> None:
    in_scores, ood_scores = (detector.score(batch) for batch in toy)
    assert in_scores.max() < ood_scores.min()


def test_reads_do_not_matter_to_each_other(detector: Detector, toy: tuple[ScoreBatch, ScoreBatch]) -> None:
    alone = [detector.score(reads_of(toy[0], slice(i, i + 1)))[0] for i in range(NUM_READS)]
    np.testing.assert_allclose(detector.score(toy[0]), alone, rtol=1e-4, atol=1e-5)


def test_padding_changes_nothing(detector: Detector, toy: tuple[ScoreBatch, ScoreBatch]) -> None:
    np.testing.assert_allclose(detector.score(padded(toy[0], 9)), detector.score(toy[0]), rtol=1e-6)


@pytest.mark.parametrize("name", [name for name in DETECTORS if not DETECTORS[name].each_base])
def test_who_looks_at_no_base_needs_none(name: str, toy: tuple[ScoreBatch, ScoreBatch]) -> None:
    detector = DETECTORS[name]()
    nothing = no_values(toy[0].codes.shape)
    sums = toy[0].log_likelihood, toy[0].background_log_likelihood
    summed = replace(toy[0], log_p=nothing, background_log_p=nothing, log_likelihoods=sums, members=())
    np.testing.assert_array_equal(detector.score(summed), detector.score(toy[0]))


def test_nothing_scored_is_nan(detector: Detector, toy: tuple[ScoreBatch, ScoreBatch]) -> None:
    assert np.isnan(detector.score(unscored(toy[0]))).all()


def test_state_is_all_there_is_to_save(detector: Detector, toy: tuple[ScoreBatch, ScoreBatch]) -> None:
    state = detector.state()
    assert bool(state) == detector.requires_fit
    loaded = DETECTORS[detector.name]().load_state(state)
    np.testing.assert_array_equal(loaded.score(toy[1]), detector.score(toy[1]))


def test_grid_is_of_arguments(detector: Detector) -> None:
    for values in product(*detector.grid.values()):
        DETECTORS[detector.name](**dict(zip(detector.grid, values, strict=True)))


def test_declarations(detector: Detector) -> None:
    assert DETECTORS[detector.name] is type(detector)
    assert detector.needs
    assert detector.needs <= set(NEEDS)


def test_has_a_file_of_tests(detector: Detector) -> None:
    assert (Path(__file__).parent / f"test_{detector.name.replace('-', '_')}.py").is_file()


def test_default_is_registered() -> None:
    assert DEFAULT_DETECTOR in DETECTORS
    assert next(iter(DETECTORS)) == DEFAULT_DETECTOR
