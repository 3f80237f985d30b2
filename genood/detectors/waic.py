"""WAIC: the mean of the members' log-likelihoods less their variance, per base."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch


class WAIC(Detector):
    """OOD score −(E[log p_θ(x)] − Var[log p_θ(x)]) / n over the members θ of an ensemble.

    The log-likelihood is that of the whole read in nats, before mean and variance are taken; the variance
    has the number of members as its divisor.

    Notes
    -----
    Source: Choi, Jang and Alemi 2018, "WAIC, but Why? Generative Ensembles for Robust Anomaly Detection",
    of independently trained members.

    Differs from the paper: divided by the n scored positions. Mean and variance are of the read and not
    of a base, as the paper's are of an image: reads of one length have the paper's ranking. To take the
    variance per base would divide it by n once more, and it would hardly count.
    """

    name = "waic"
    needs = frozenset({"likelihood", "members"})

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; nats per base."""
        log_likelihoods = np.stack([member.log_likelihood for member in batch.members])
        waic = log_likelihoods.mean(axis=0) - log_likelihoods.var(axis=0)
        return (-batch.per_base(waic)).astype(np.float32)
