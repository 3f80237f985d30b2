"""The maximum logit."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch
from genood.detectors.classes import classified_of, in_distribution_logits


class MaxLogit(Detector):
    """OOD score −max_k f_k(x), over the logits of the in-distribution classes k.

    Notes
    -----
    Source: Hendrycks et al. 2022, "Scaling Out-of-Distribution Detection for Real-World Settings". The
    logit of a class of mutated reads is left out.
    """

    name = "max-logit"
    needs = frozenset({"logits"})

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; a logit."""
        return batch.where_scored(-in_distribution_logits(classified_of(batch)).max(axis=1))
