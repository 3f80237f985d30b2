"""The free energy of the logits."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch
from genood.detectors.classes import classified_of, in_distribution_logits
from genood.detectors.log_sums import log_sum_exp


class Energy(Detector):
    """OOD score −log Σ_k exp f_k(x), over the logits of the in-distribution classes k.

    Notes
    -----
    Source: Liu et al. 2020, "Energy-based Out-of-distribution Detection", at the temperature of 1 that
    the paper recommends. The logit of a class of mutated reads is left out.
    """

    name = "energy"
    needs = frozenset({"logits"})

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; nats."""
        return batch.where_scored(-log_sum_exp(in_distribution_logits(classified_of(batch))))
