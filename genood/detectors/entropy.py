"""The entropy of the class distribution."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch
from genood.detectors.classes import classified_of, in_distribution, log_class_probabilities
from genood.detectors.log_sums import log_softmax


class Entropy(Detector):
    """OOD score −Σ_k q(k | x) log q(k | x), in nats, over the K in-distribution classes k.

    q is the classifier's p. Where it has a class of mutated reads, the probability of that is shared
    out evenly, q(k) = p(k) + p(mutated) / K: a read that surely is mutated is of no class, so that the
    score is log K, where the entropy of p would be 0. Of a binary classifier, K = 1, it is 0 throughout.

    Notes
    -----
    Source: Ren et al. 2019, section 4, "entropy of the predictive class distribution". The sharing is
    genood's own.
    """

    name = "entropy"
    needs = frozenset({"logits"})

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; nats, 0 to log K."""
        found = classified_of(batch)
        log_p = log_class_probabilities(found)
        log_q = log_p[:, in_distribution(found)]
        if found.mutated_class is not None:
            log_q = np.logaddexp(log_q, log_p[:, [found.mutated_class]] - np.log(log_q.shape[1]))
            log_q = log_softmax(log_q)  # of a single class exactly 0, whatever was rounded
        return batch.where_scored((np.exp(log_q) * -log_q).sum(axis=1))
