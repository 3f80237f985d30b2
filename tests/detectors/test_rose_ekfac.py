"""ROSE with EKFAC, by hand, against dense matrices, and where it is exact."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_batches import likelihood_batch
from toys import uniform_codes

from genood.detectors.base import ScoreBatch
from genood.detectors.rose_diagonal import RoseDiagonal
from genood.detectors.rose_ekfac import RoseEKFAC
from genood.models.lstm import LSTM, LSTMConfig

Floats = np.ndarray


def with_gradients(gradients: Floats) -> ScoreBatch:
    """Reads of one base with these gradients of one layer."""
    ones = np.ones((len(gradients), 1))
    return replace(likelihood_batch(-ones, -ones), gradients={"layer": gradients.astype(np.float32)})


def forms_of(detector: RoseEKFAC, gradients: Floats) -> list[float]:
    parts = detector.fit_fisher([with_gradients(gradients)])["layer"]
    return [detector.form(parts, gradient) for gradient in gradients]


def test_by_hand() -> None:
    # Of (2, 2), (-2, -2), (1, -1), (-1, 1), E[Gᵀ G] has the eigenvectors (1, 1)/√2 and (1, -1)/√2. In them
    # the reads are (√8, 0), (-√8, 0), (0, √2) and (0, -√2), up to signs: eigenvalues 4 and 1, and all four
    # forms are 2. The diagonal of 5/2 would give 16/5 and 4/5.
    train = np.array([[[2, 2]], [[-2, -2]], [[1, -1]], [[-1, 1]]])
    assert forms_of(RoseEKFAC(damping=0.0), train) == pytest.approx([2, 2, 2, 2])
    # (3, 1) is (√8, √2) there: 8/4 + 2/1.
    detector = RoseEKFAC(damping=0.0)
    parts = detector.fit_fisher([with_gradients(train)])["layer"]
    assert detector.form(parts, np.array([[3.0, 1.0]])) == pytest.approx(4)


def test_equals_dense_matrices() -> None:
    """The inverse of (U ⊗ V) diag(E[(Uᵀ G V)²]) (U ⊗ V)ᵀ, all of it written out."""
    generator = np.random.default_rng(1)
    gradients = (generator.normal(size=(60, 12)) @ generator.normal(size=(12, 12))).reshape(60, 3, 4)
    gradients = gradients.astype(np.float32).astype(np.float64)
    _, u = np.linalg.eigh(np.mean([g @ g.T for g in gradients], axis=0))
    _, v = np.linalg.eigh(np.mean([g.T @ g for g in gradients], axis=0))
    basis = np.kron(u, v)
    vectors = gradients.reshape(60, -1)
    eigenvalues = np.mean((vectors @ basis) ** 2, axis=0)
    damped = eigenvalues + 0.01 * eigenvalues.mean()
    inverse = np.linalg.inv(basis @ np.diag(damped) @ basis.T)
    expected = np.einsum("bi,ij,bj->b", vectors, inverse, vectors)
    np.testing.assert_allclose(forms_of(RoseEKFAC(damping=0.01), gradients), expected, rtol=1e-8)


def test_exact_where_the_covariance_is_a_kronecker_product() -> None:
    """Of many reads, the form is sᵀ F⁻¹ s of the covariance that they have; a diagonal's is not."""
    generator = np.random.default_rng(2)
    left, right = generator.normal(size=(3, 3)), generator.normal(size=(4, 4))
    gradients = left @ generator.normal(size=(40_000, 3, 4)) @ right.T
    inverse = np.linalg.inv(np.kron(left @ left.T, right @ right.T))
    vectors = gradients.reshape(-1, 12)
    exact = np.einsum("bi,ij,bj->b", vectors[:200], inverse, vectors[:200])
    forms = {}
    for detector in (RoseEKFAC(damping=0.0), RoseDiagonal(damping=0.0)):
        parts = detector.fit_fisher([with_gradients(gradients)])["layer"]
        forms[detector.name] = np.array([detector.form(parts, gradient) for gradient in gradients[:200]])
    np.testing.assert_allclose(forms["rose-ekfac"], exact, rtol=0.06)
    assert abs(forms["rose-diagonal"] / exact - 1).max() > 1


def test_vectors_have_all_of_their_fisher_information() -> None:
    generator = np.random.default_rng(3)
    vectors = generator.normal(size=(50, 5)) @ generator.normal(size=(5, 5))
    inverse = np.linalg.inv(np.mean([np.outer(s, s) for s in vectors], axis=0))
    expected = np.einsum("bi,ij,bj->b", vectors, inverse, vectors)
    np.testing.assert_allclose(forms_of(RoseEKFAC(damping=0.0), vectors[:, None]), expected, rtol=1e-4)


def test_of_an_lstm() -> None:
    """Fitted on what a model gives for its own reads, it tells those of another composition from them."""
    model = LSTM(LSTMConfig(hidden_size=4))
    mine = np.stack([uniform_codes(80, seed) for seed in range(60)])
    other = np.where(mine < 3, np.uint8(0), mine)

    def batch(codes: Floats) -> ScoreBatch:
        lengths = np.full(len(codes), 80)
        log_p = model.log_probs(codes, lengths)
        return replace(
            likelihood_batch(log_p, np.zeros(log_p.shape), codes),
            gradients=model.layer_gradients(codes, lengths),
        )

    for detector in (RoseDiagonal(), RoseEKFAC()):
        detector.fit([batch(mine[:20]), batch(mine[20:40])])
        assert detector.score(batch(mine[40:])).max() < detector.score(batch(other[40:])).min()
