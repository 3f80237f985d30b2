"""The probability of the class of mutated reads."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch
from genood.detectors.classes import classified_of, log_class_probabilities
from genood.errors import ConfigError


class MutatedProbability(Detector):
    """OOD score p(mutated | x), of a classifier that learned to tell mutated reads from its classes.

    Notes
    -----
    Source: Ren et al. 2019, section 4, the binary classifier that is given perturbed inputs.

    Differs from the paper: the probability in place of the log-odds, which rank alike. Of a classifier
    with a class of noise beside the K others, the paper takes the maximum over those, see
    `genood.detectors.max_probability.MaxProbability`.
    """

    name = "mutated-probability"
    needs = frozenset({"logits", "mutated-class"})

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; a probability."""
        found = classified_of(batch)
        if found.mutated_class is None:
            raise ConfigError(f"{self.name} needs a classifier with a class of mutated reads")
        return batch.where_scored(np.exp(log_class_probabilities(found)[:, found.mutated_class]))
