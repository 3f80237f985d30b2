"""The log-odds of the class of mutated reads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch
from genood.detectors.classes import classified_of, log_odds
from genood.errors import ConfigError


class MutatedProbability(Detector):
    """OOD score log p(mutated | x) − log Σ_k p(k | x), over all other classes k.

    Of a classifier that learned to tell mutated reads from its classes. These log-odds rank reads as the
    probability of mutated reads does, which a sure classifier brings so close to 0 or 1 that float32, and
    the digits of a table, no longer tell reads apart.

    Notes
    -----
    Source: Ren et al. 2019, section 4, the binary classifier that is given perturbed inputs.

    Differs from the paper: of a classifier with a class of noise beside the K others, the paper takes the
    maximum over those, see `genood.detectors.max_probability.MaxProbability`.
    """

    name = "mutated-probability"
    needs = frozenset({"logits", "mutated-class"})

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; in nats."""
        found = classified_of(batch)
        if found.mutated_class is None:
            raise ConfigError(f"{self.name} needs a classifier with a class of mutated reads")
        logits = found.logits.astype(np.float64)
        return batch.where_scored(log_odds(logits, np.full(len(logits), found.mutated_class)))
