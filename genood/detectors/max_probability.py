"""The maximum class probability."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch
from genood.detectors.classes import best_class, classified_of, log_odds


class MaxProbability(Detector):
    """OOD score −log max_k p(k | x), over the in-distribution classes k.

    A class of mutated reads has its share of the probability, so that a read that goes to it scores
    high, but it is never the maximum. Of a binary classifier this ranks as the log-odds of mutated reads do.

    Notes
    -----
    Source: Hendrycks and Gimpel 2017, "A Baseline for Detecting Misclassified and Out-of-Distribution
    Examples in Neural Networks"; Ren et al. 2019, section 4, for classifiers with a noise class.

    Differs from the paper: −log p in place of −p. It ranks alike, and float32 holds it as exactly where p is
    close to 0 as where it is close to 1; there it is 1 − p, by the log-odds.
    """

    name = "max-probability"
    needs = frozenset({"logits"})

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; in nats, at least 0."""
        found = classified_of(batch)
        logits = found.logits.astype(np.float64)
        return batch.where_scored(np.logaddexp(0.0, -log_odds(logits, best_class(found, logits))))
