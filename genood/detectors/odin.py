"""ODIN on the input of the last layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Classified, Detector, ScoreBatch
from genood.detectors.classes import Floats, best_class, classified_of, log_odds
from genood.detectors.log_sums import log_softmax
from genood.errors import ConfigError


class Odin(Detector):
    """OOD score by S_ŷ(h̃; T), the maximum class probability at a temperature, of features made surer.

    With the features h of a read, W and b of the last layer, and ŷ the most probable class,

        S(h; T) = softmax((W h + b) / T)
        h̃ = h − ε sign(−∇_h log S_ŷ(h; T)) = h + ε sign(W_ŷ − Σ_k S_k(h; T) W_k)

    and the score is that of the class that is then the most probable, T times the log-odds of the K − 1
    other classes against it, less what these would be were all classes alike:

        T (log (1 − S_ŷ) − log S_ŷ − log (K − 1)) = T log mean_{k ≠ ŷ} exp((f_k − f_ŷ) / T)

    with f = W h̃ + b. For any T it is of the size of differences between logits, while S comes within 1 / T
    of 1 / K, and close to 1 at a low T, where float32 no longer tells reads apart.

    The gradient's factor 1 / T does not change its sign. As in `MaxProbability`, a class of mutated reads
    has its share of the probability, and is one of the K, but is never ŷ.

    Parameters
    ----------
    temperature
        T, above 0.
    epsilon
        ε, in the features' units, at least 0.

    Raises
    ------
    ConfigError
        Values outside those.

    Notes
    -----
    Source: Liang et al. 2018, equations 1 and 2. As Ren et al. 2019, section 4, have it for sequences,
    which are discrete: perturbed is not the input but that of the last layer.

    Differs from the paper: those log-odds in place of −S, which for one T rank alike.
    """

    name = "odin"
    needs = frozenset({"logits", "features"})
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {
        "temperature": (1.0, 5.0, 10.0, 100.0, 1000.0),
        "epsilon": (0.0, 1e-4, 1e-3, 1e-2, 1e-1),
    }

    def __init__(self, *, temperature: float = 1000.0, epsilon: float = 1e-3) -> None:
        if not (temperature > 0 and epsilon >= 0):
            raise ConfigError(
                f"odin: temperature must be above 0 and epsilon at least 0, not {temperature} and {epsilon}"
            )
        self.temperature = temperature
        self.epsilon = epsilon

    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """See `Detector.score`; in units of logits."""
        found = classified_of(batch)
        logits = self._tempered(found, self._perturbed(found))
        odds = log_odds(logits, best_class(found, logits))
        return batch.where_scored(-self.temperature * (odds + np.log(logits.shape[1] - 1)))

    def _perturbed(self, found: Classified) -> Floats:
        """Features moved to where their class is more probable, shape (B, F)."""
        features = found.features.astype(np.float64)
        weight = found.weight.astype(np.float64)
        logits = self._tempered(found, features)
        gradient = weight[best_class(found, logits)] - np.exp(log_softmax(logits)) @ weight
        return features + self.epsilon * np.sign(gradient)

    def _tempered(self, found: Classified, features: Floats) -> Floats:
        """Logits over T, shape (B, K)."""
        logits = features @ found.weight.astype(np.float64).T + found.bias.astype(np.float64)
        return logits / self.temperature
