"""What of an attacked read is to equal that of its target, and how far it is from it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from genood.detectors.base import Detector, ScoreBatch
from genood.errors import ConfigError

Floats = npt.NDArray[np.float64]


class Objective(ABC):
    """Quantities of a read, Q numbers, that the attack is to make equal to another read's."""

    name: ClassVar[str]
    needs: frozenset[str]
    """What of `NEEDS` they are computed from."""
    is_single: ClassVar[bool]
    """Whether it is one quantity of any bundle, Q = 1; of others, bundles decide how many there are."""

    @abstractmethod
    def values(self, batch: ScoreBatch) -> Floats:
        """The quantities of B reads, float64, shape (B, Q)."""


class FeatureObjective(Objective):
    """The features of a classifier; of an ensemble those of all members, one after the other.

    Notes
    -----
    Source: Liang et al. 2020, "An algorithm for out-of-distribution attack to neural network encoder",
    whose attack minimises the squared distance between the features of an OOD input and those of an
    in-distribution one.
    """

    name = "features"
    needs = frozenset({"features"})
    is_single = False

    def values(self, batch: ScoreBatch) -> Floats:
        """See `Objective.values`."""
        found = [member.classified for member in batch.members or (batch,)]
        features = [classified.features for classified in found if classified is not None]
        return np.concatenate(features, axis=1).astype(np.float64)


class LikelihoodObjective(Objective):
    """The foreground model's log-likelihood in nats per base, so that lengths do not matter."""

    name = "likelihood"
    needs = frozenset({"likelihood"})
    is_single = True

    def values(self, batch: ScoreBatch) -> Floats:
        """See `Objective.values`."""
        return batch.per_base(batch.log_likelihood)[:, None]


class ScoreObjective(Objective):
    """The OOD score of a detector.

    Parameters
    ----------
    detector
        Ready to score.
    """

    name = "score"
    is_single = True

    def __init__(self, detector: Detector) -> None:
        self.detector = detector
        self.needs = detector.needs

    def values(self, batch: ScoreBatch) -> Floats:
        """See `Objective.values`."""
        return self.detector.score(batch).astype(np.float64)[:, None]


def distances(values: Floats, targets: Floats) -> Floats:
    """Root of the mean squared difference over the quantities, shape (B,), of values and targets (B, Q)."""
    return np.sqrt(((values - targets) ** 2).mean(axis=1))


def percentage_errors(values: Floats, targets: Floats) -> Floats:
    """Mean absolute percentage error of each read, as a share, shape (B,).

    Notes
    -----
    Source: the code released with Liang et al. 2020: the mean absolute difference over the quantities,
    divided by the largest absolute value of the target's. Where that is 0, so must the values be:
    infinite if they are not.
    """
    errors = np.abs(values - targets).mean(axis=1)
    sizes = np.abs(targets).max(axis=1)
    where_zero = np.where(errors > 0, np.inf, 0.0)
    return np.divide(errors, sizes, out=where_zero, where=sizes > 0)


def spread(targets: Floats) -> float:
    """How far targets, (T, Q), lie from their mean: the root of the mean squared difference.

    Of a single target, or of equal ones, it is their largest absolute value, or 1 if that is 0.
    """
    value = float(np.sqrt(((targets - targets.mean(axis=0)) ** 2).mean()))
    return value or float(np.abs(targets).max()) or 1.0


def check_served(objective: Objective, gives: frozenset[str]) -> None:
    """Raise ConfigError for an objective that needs what the bundle does not give."""
    missing = objective.needs - gives
    if missing:
        raise ConfigError(
            f"the bundle that is attacked gives no {', '.join(sorted(missing))}, which the objective "
            f"{objective.name!r} needs; choose another --objective or --detector"
        )
