"""The likelihood of the best class against a Markov chain fitted to the read, per base."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.context.chain import read_chain
from genood.detectors.base import Detector, ScoreBatch


class MarkovLikelihoodRatio(Detector):
    """OOD score −(max_c log p(x | c) − log p_chain(x)) / n, in nats per base, over the n scored positions.

    There is a density model for each class c; the chain is the read's own, of the order from 0 to 3 that
    has the lowest BIC, see `genood.context.chain.read_chain`.

    Notes
    -----
    Source: Bai, Ren and Sun 2022, "MLR-OOD: a Markov chain based likelihood ratio method for
    out-of-distribution detection of genomic sequences".

    Differs from the paper: natural logarithms on both sides, where its released code takes those of the
    chain to base 4; each read's own order, where that code takes the order that is most common among
    the reads to be scored, so that their scores depend on each other; bases before a full context have
    probability 1/4, where it leaves them out.
    """

    name = "mlr"
    needs = frozenset({"class-members"})

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; nats per base."""
        best_class = np.max([member.log_likelihood for member in batch.members], axis=0)
        chain = np.where(batch.mask, read_chain(batch.codes, batch.lengths), 0.0)
        return (-batch.per_base(best_class - chain.sum(axis=1, dtype=np.float64))).astype(np.float32)
