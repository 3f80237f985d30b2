"""The log-likelihood of the foreground model alone, per base."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch


class Likelihood(Detector):
    """OOD score −log p_θ(x) / n, in nats per base, over the n scored positions of x.

    Notes
    -----
    Source: Ren et al. 2019, section 2, the baseline that GC content confounds.

    Differs from the paper: divided by the number of scored positions, as for the ratio.
    """

    name = "likelihood"
    needs = frozenset({"likelihood"})
    each_base = False
    by_base = True

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; nats per base."""
        return (-batch.per_base(batch.log_likelihood)).astype(np.float32)
