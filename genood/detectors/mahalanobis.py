"""Mahalanobis' distance to the nearest class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch
from genood.detectors.classes import Floats, classified_of
from genood.detectors.gaussians import ClassMoments, squared_distances, whitening


class Mahalanobis(Detector):
    """OOD score min_k (h − μ_k)ᵀ Σ⁻¹ (h − μ_k), of the features h of a read.

    μ_k are the means of the classes' training reads, Σ is the covariance within classes, one for all.

    Parameters
    ----------
    shrinkage
        How far Σ is shrunk towards a multiple of the identity, 0 to 1; with None as far as the number
        of reads asks for (`genood.detectors.gaussians.oas_shrinkage`), which goes to 0 with many reads.

    Notes
    -----
    Source: Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples and
    Adversarial Attacks", equations 1 and 2; as in Ren et al. 2019, section 4, of the last layer's input
    alone, and without the perturbation of the input.

    Differs from the paper: Σ is shrunk, so that features that are collinear or more than there are
    reads do no harm; where training reads never vary, the paper's pseudo-inverse sees nothing.
    """

    name = "mahalanobis"
    needs = frozenset({"features"})
    requires_fit = True

    def __init__(self, *, shrinkage: float | None = None) -> None:
        self.shrinkage = shrinkage
        self._means: Floats = np.zeros((0, 0))
        self._whitening: Floats = np.zeros((0, 0))

    def fit(self, batches: Iterable[ScoreBatch]) -> Self:
        """Means of the classes and the covariance within them; see `Detector.fit`."""
        moments = ClassMoments.of(batches)
        self._means = moments.means
        self._whitening = whitening(moments.tied_covariance(self.shrinkage))
        return self

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """Means, (K, F), and the whitening matrix, (F, F), float64."""
        return {"means": self._means, "whitening": self._whitening}

    def load_state(self, state: Mapping[str, npt.NDArray[Any]]) -> Self:
        """See `Detector.load_state`."""
        self._means, self._whitening = state["means"], state["whitening"]
        return self

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; a squared distance, without unit."""
        features = classified_of(batch).features.astype(np.float64)
        return batch.where_scored(squared_distances(features, self._means, self._whitening).min(axis=1))
