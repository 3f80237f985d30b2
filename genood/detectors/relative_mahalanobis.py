"""Mahalanobis' distance to the nearest class, relative to that to all reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch
from genood.detectors.classes import Floats, classified_of
from genood.detectors.gaussians import ClassMoments, squared_distances, whitening


class RelativeMahalanobis(Detector):
    """OOD score min_k (h − μ_k)ᵀ Σ⁻¹ (h − μ_k) − (h − μ)ᵀ Σ₀⁻¹ (h − μ), of the features h of a read.

    μ_k and Σ are those of `Mahalanobis`, μ and Σ₀ mean and covariance of all training reads, whatever
    their class: what the classes have in common cancels, as the background's likelihood does.

    Parameters
    ----------
    shrinkage
        As for `Mahalanobis`. Σ₀ is the shrunk Σ and the covariance of the classes' means, so that where
        training reads do not vary both distances are the same and cancel.

    Notes
    -----
    Source: Ren et al. 2021, "A Simple Fix to Mahalanobis Distance for Improving Near-OOD Detection".

    Differs from the paper: the covariances are shrunk.
    """

    name = "relative-mahalanobis"
    needs = frozenset({"features"})
    requires_fit = True

    def __init__(self, *, shrinkage: float | None = None) -> None:
        self.shrinkage = shrinkage
        self._state: dict[str, Floats] = {}

    def fit(self, batches: Iterable[ScoreBatch]) -> Self:
        """Means and covariance of the classes and of all reads; see `Detector.fit`."""
        moments = ClassMoments.of(batches)
        tied = moments.tied_covariance(self.shrinkage)
        self._state = {
            "means": moments.means,
            "whitening": whitening(tied),
            "overall_mean": moments.mean[None],
            "overall_whitening": whitening(tied + moments.between_covariance()),
        }
        return self

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Means, (K, F) and (1, F), and whitening matrices, (F, F), float64."""
        return dict(self._state)

    def load_state(self, state: Mapping[str, npt.NDArray[Any]]) -> Self:
        """See `Detector.load_state`."""
        self._state = dict(state)
        return self

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; a difference of squared distances, without unit."""
        features = classified_of(batch).features.astype(np.float64)
        state = self._state
        nearest = squared_distances(features, state["means"], state["whitening"]).min(axis=1)
        overall = squared_distances(features, state["overall_mean"], state["overall_whitening"])
        return batch.where_scored(nearest - overall[:, 0])
