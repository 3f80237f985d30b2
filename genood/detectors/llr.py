"""The log-likelihood ratio of foreground and background model, per base."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch


class LikelihoodRatio(Detector):
    """OOD score −(log p_θ(x) − log p_θ0(x)) / n, in nats per base, over the n scored positions of x.

    Notes
    -----
    Source: Ren et al. 2019, equation 4.

    Differs from the paper: the ratio is divided by the number of scored positions, so that reads of
    different lengths can be compared; at one length the ranking is the same.
    """

    name = "llr"
    needs = frozenset({"likelihood", "background"})
    each_base = False
    by_base = True

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; nats per base."""
        return (-batch.per_base(batch.llr)).astype(np.float32)
