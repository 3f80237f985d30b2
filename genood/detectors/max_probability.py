"""The maximum class probability."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch
from genood.detectors.classes import all_but, classified_of, in_distribution, log_class_probabilities


class MaxProbability(Detector):
    """OOD score 1 − max_k p(k | x), over the in-distribution classes k.

    A class of mutated reads has its share of the probability, so that a read that goes to it scores
    high, but it is never the maximum. Of a binary classifier this is the probability of mutated reads.

    Notes
    -----
    Source: Hendrycks and Gimpel 2017, "A Baseline for Detecting Misclassified and Out-of-Distribution
    Examples in Neural Networks"; Ren et al. 2019, section 4, for classifiers with a noise class.

    Differs from the paper: 1 − p in place of −p, which ranks alike but is exact near p = 1.
    """

    name = "max-probability"
    needs = frozenset({"logits"})

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; a probability."""
        found = classified_of(batch)
        log_p = log_class_probabilities(found)
        classes = in_distribution(found)
        return batch.where_scored(all_but(log_p, classes[log_p[:, classes].argmax(axis=1)]))
