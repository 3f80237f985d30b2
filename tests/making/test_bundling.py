"""What every training ends with."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest
from toys import composition_bundle, genomes_of, uniform_codes

from genood import ensemble
from genood.calibration import LENGTH_BINS
from genood.detectors import DETECTORS
from genood.detectors.base import ScoreBatch
from genood.detectors.likelihood import Likelihood
from genood.making import bundling
from genood.making.bundling import bundle_directory, calibrate, detectors_for, fit_detectors
from genood.reference.sampling import ReadSampler
from genood.sequence import Codes


def test_calibration_reads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """By what is independent, by their number, and of long reads by their bases; one length at a time."""
    monkeypatch.setattr(bundling, "MAX_NULL_BASES", 10_000)
    asked: list[tuple[int, int]] = []

    def score_null(length: int, num_reads: int) -> list[ScoreBatch]:
        asked.append((length, num_reads))
        zeros = np.zeros((num_reads, length), dtype=np.float32)
        return [
            ScoreBatch(
                codes=zeros.astype(np.uint8),
                lengths=np.full(num_reads, length, dtype=np.int64),
                log_p=zeros,
                background_log_p=zeros,
            )
        ]

    lengths = {10: 30.0, 50: 500.0, 100: 250.0, 20_000: 40.0}
    made = calibrate(composition_bundle(0.4, 0.1, 0.1, 0.4), score_null, lengths, 150, "toy")
    assert asked == [(10, 120), (50, 150), (100, 100), (20_000, 1)]
    assert made.nulls["llr"].num_independent == (30.0, 150.0, 100.0, 1.0)


def test_nulls_reach_long_reads() -> None:
    assert {50, 100, 150, 250, 1_000, 10_000} <= set(LENGTH_BINS)


class Mean(Likelihood):
    """Remembers the mean log-likelihood of each class; goes through the reads twice."""

    requires_fit = True

    def fit(self, batches: Iterable[ScoreBatch]) -> Mean:
        twice = []
        for _ in range(2):
            sums, numbers = np.zeros(2), np.zeros(2)
            for batch in batches:
                assert batch.labels is not None
                sums += np.bincount(batch.labels, batch.log_likelihood, minlength=2)
                numbers += np.bincount(batch.labels, minlength=2)
            twice.append(sums / numbers)
        assert np.array_equal(*twice)
        self.means = twice[0]
        return self

    def state(self) -> dict[str, np.ndarray]:
        return {"means": self.means}

    def load_state(self, state: Mapping[str, np.ndarray]) -> Mean:
        self.means = state["means"]
        return self


@pytest.fixture
def fitted_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DETECTORS._targets, "likelihood", f"{__name__}:Mean")
    monkeypatch.setattr(bundling, "NUM_FIT_READS", 2000)


@pytest.mark.usefixtures("fitted_likelihood")
def test_detectors_are_fitted_on_training_reads_with_labels() -> None:
    """Class a has only A and T, class b only C and G: -log 0.4 and -log 0.1 a base."""
    bundle = composition_bundle(0.4, 0.1, 0.1, 0.4)
    codes = uniform_codes(1000, 1)
    genomes = genomes_of([("a", codes // 2 * 3), ("b", 1 + codes // 2)])
    states = fit_detectors(bundle, ReadSampler(genomes, 50, (0,)))
    assert set(states) == {"likelihood/means"}
    np.testing.assert_allclose(states["likelihood/means"], [50 * np.log(0.4), 50 * np.log(0.1)], rtol=1e-6)
    assert "likelihood" not in detectors_for(bundle)
    bundle.detectors = states
    made = detectors_for(bundle)["likelihood"]
    assert isinstance(made, Mean)
    np.testing.assert_array_equal(made.means, states["likelihood/means"])


@pytest.mark.usefixtures("fitted_likelihood")
def test_detectors_are_fitted_on_the_same_forward_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DETECTORS._targets, "waic", f"{__name__}:Mean")
    bundle = composition_bundle(0.4, 0.1, 0.1, 0.4)
    model = bundle.foreground
    assert model is not None
    asked: list[int] = []
    log_probs = model.log_probs

    def counted(codes: Codes, lengths: np.ndarray) -> np.ndarray:
        asked.append(len(codes))
        return log_probs(codes, lengths)

    monkeypatch.setattr(model, "log_probs", counted)
    genomes = genomes_of([("a", uniform_codes(1000, 1)), ("b", uniform_codes(1000, 2))])
    states = fit_detectors(bundle, ReadSampler(genomes, 50, (0,)))
    assert set(states) == {"likelihood/means", "waic/means"}
    assert sum(asked) == 2000


@pytest.mark.parametrize(("most", "fitted"), [(10, {"likelihood/means"}), (9, set())])
@pytest.mark.usefixtures("fitted_likelihood")
def test_gradients_of_large_models_are_not_taken(
    monkeypatch: pytest.MonkeyPatch, most: int, fitted: set[str]
) -> None:
    bundle = composition_bundle(0.4, 0.1, 0.1, 0.4)
    asked: list[int] = []

    def layer_gradients(codes: Codes, lengths: np.ndarray) -> dict[str, np.ndarray]:
        asked.append(len(codes))
        return {"all": np.zeros((len(codes), 10), dtype=np.float32)}

    monkeypatch.setattr(bundle.foreground, "layer_gradients", layer_gradients)
    monkeypatch.setattr(bundle.foreground, "weights", lambda: {"all": np.zeros(10)})
    monkeypatch.setattr(type(bundle.foreground), "differentiable", True)
    monkeypatch.setattr(Mean, "needs", frozenset({"likelihood", "gradients"}))
    monkeypatch.setattr(bundling, "MOST_GRADIENT_WEIGHTS", most)
    monkeypatch.setattr(bundling, "NUM_GRADIENT_FIT_READS", 100)
    monkeypatch.setattr(ensemble, "_GRADIENT_NUMBERS", 400)
    others = {name: target for name, target in DETECTORS._targets.items() if not name.startswith("rose-")}
    monkeypatch.setattr(DETECTORS, "_targets", others)  # put back as it was, in its order
    genomes = genomes_of([("a", uniform_codes(1000, 1)), ("b", uniform_codes(1000, 2))])
    assert set(fit_detectors(bundle, ReadSampler(genomes, 50, (0,)))) == fitted
    assert asked == ([40, 40, 20] * 2 if fitted else [])
    assert "likelihood" not in detectors_for(bundle)


@pytest.mark.parametrize("linked", [False, True])
def test_an_empty_directory_is_filled_and_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    """It may be where a file system is mounted, whose name nothing can take; or a link to such a place."""
    there = tmp_path / "there"
    there.mkdir()
    before = there.stat().st_ino
    final = tmp_path / "link" if linked else there
    if linked:
        final.symlink_to(there)
    monkeypatch.chdir(there)
    for given in (final, Path()):
        with bundle_directory(given) as temporary:
            for name in ("genood.json", "weights"):
                (temporary / name).write_text(name)
            assert not (there / "weights").exists()
        assert (there.stat().st_ino, final.is_symlink()) == (before, linked)
        assert {path.name for path in there.iterdir()} == {"genood.json", "weights"}
        for path in there.iterdir():
            path.unlink()


def fail_half_way(final: Path) -> None:
    with bundle_directory(final) as temporary:
        (temporary / "weights").write_text("half")
        raise OSError("disk")


def test_a_bundle_that_fails_leaves_an_empty_directory_as_it_was(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="disk"):
        fail_half_way(tmp_path)
    assert list(tmp_path.iterdir()) == []
