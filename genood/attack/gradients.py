"""Which substitutions to try first, by a first-order estimate from the gradient of one-hot bases.

Shapes: B reads, L positions, 4 bases, K classes, F features.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from genood.attack.objectives import FeatureObjective, Floats, LikelihoodObjective, Objective, ScoreObjective
from genood.attack.search import Ints, State
from genood.attack.serving import members_of
from genood.attack.victim import Victim, batches_of
from genood.detectors.base import Detector, ScoreBatch
from genood.ensemble import AnyBundle
from genood.sequence import BASES

_NUM_BASES = len(BASES)
_OF_DENSITY = frozenset({"likelihood", "background"})
_OF_CLASSIFIER = frozenset({"logits", "mutated-class"})
_STEP = 1e-2
"""Of finite differences: nats per base, or of a logit. Scores are float32, so that it must not be small."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pull:
    """Weights of a model's outputs: what it is whose gradient is taken is their weighted sum.

    Attributes
    ----------
    foreground, background
        Of the log-likelihoods, shape (B,).
    logits, features
        Shapes (B, K) and (B, F).
    """

    foreground: Floats | None = None
    background: Floats | None = None
    logits: Floats | None = None
    features: Floats | None = None

    def part(self, rows: slice) -> Pull:
        """The weights of some of the reads."""
        given = {name: values[rows] for name, values in vars(self).items() if values is not None}
        return Pull(**given)


def has_gradients(bundle: AnyBundle, objective: Objective) -> bool:
    """Whether `GradientRanking` can rank for that: networks, and a quantity of their outputs alone."""
    members = members_of(bundle)
    if isinstance(objective, FeatureObjective):
        return all("features" in member.gives for member in members)
    if objective.needs <= _OF_DENSITY:
        return all("gradients" in member.gives for member in members)
    return objective.needs <= _OF_CLASSIFIER and all("logits" in member.gives for member in members)


class GradientRanking:
    """Substitutions by how near the first-order estimate of their effect brings a read to its target.

    Parameters
    ----------
    victim
        For which `has_gradients` is true.

    Notes
    -----
    Source: Ebrahimi et al. 2018, "HotFlip: White-box adversarial examples for text classification",
    equation 4: of a substitution of base a by b at position l, the estimated change is the derivative by
    the one-hot input at (l, b) less that at (l, a).

    Differs from it: the estimates only order the substitutions; `Search` tries the first ones. Of a single
    quantity, the estimate is how far it is then from its target, so that steps that are too large do not
    come first. A detector's score has its gradient through that of the log-likelihoods or the logits, by
    which it is differentiated numerically; an ensemble's is the mean of its members'.
    """

    def __init__(self, victim: Victim) -> None:
        self._bundle = victim.bundle
        self._objective = victim.objective

    def orders(self, state: State) -> list[Ints]:
        """See `Ranking.orders`."""
        estimates_BL4 = self.estimates(state)
        if self._objective.is_single:
            missing = (state.values - state.targets)[..., None]
            estimates_BL4 = np.abs(missing + estimates_BL4)
        return [
            flat[np.argsort(merits.reshape(-1)[flat], kind="stable")]
            for merits, allowed in zip(estimates_BL4, state.allowed, strict=True)
            for flat in [np.flatnonzero(allowed)]
        ]

    def estimates(self, state: State) -> Floats:
        """Estimated change, float64 (B, L, 4), of the objective's quantity, see `Objective.is_single`.

        Of one that is not single, that of the mean squared error of its quantities, however many these are.
        """
        slopes = self._slopes(state)
        present = np.minimum(state.codes, _NUM_BASES - 1)[..., None].astype(np.int64)
        return slopes - np.take_along_axis(slopes, present, axis=2)

    def _slopes(self, state: State) -> Floats:
        from genood.attack.slopes import slopes_of

        parts = []
        start = 0
        for batch in batches_of(self._bundle, state.codes, state.lengths, self._objective.needs):
            rows = slice(start, start + len(batch.codes))
            pull = _pull(self._objective, batch, state.values[rows], state.targets[rows])
            parts.append(slopes_of(self._bundle, batch.codes, batch.lengths, pull))
            start = rows.stop
        return np.concatenate(parts).astype(np.float64)


def _pull(objective: Objective, batch: ScoreBatch, values: Floats, targets: Floats) -> Pull:
    """The outputs' weights whose sum changes as the quantity, or as the mean squared error of several."""
    if isinstance(objective, FeatureObjective):
        return Pull(features=2.0 * (values - targets) / values.shape[1])
    if isinstance(objective, LikelihoodObjective):
        return Pull(foreground=batch.per_base(np.ones(len(batch.codes))))
    assert isinstance(objective, ScoreObjective)
    if objective.needs <= _OF_CLASSIFIER:
        return Pull(logits=_by_logits(objective.detector, batch))
    return Pull(**{role: _by_log_p(objective.detector, batch, role) for role in ("foreground", "background")})


def _by_log_p(detector: Detector, batch: ScoreBatch, role: str) -> Floats:
    """Derivatives of a score by the log-likelihood of one of the models, shape (B,)."""

    def moved(step: float) -> ScoreBatch:
        name = "log_p" if role == "foreground" else "background_log_p"
        shift = np.where(batch.mask, np.float32(step), np.float32(0.0))
        return replace(batch, **{name: getattr(batch, name) + shift})

    return batch.per_base(_derivative(detector, moved))


def _by_logits(detector: Detector, batch: ScoreBatch) -> Floats:
    """Derivatives of a score by the logits, shape (B, K)."""
    found = batch.classified
    assert found is not None

    def moved(column: int, step: float) -> ScoreBatch:
        logits = found.logits.copy()
        logits[:, column] += step
        return replace(batch, classified=replace(found, logits=logits))

    columns = range(found.logits.shape[1])
    return np.stack([_derivative(detector, partial(moved, column)) for column in columns], axis=1)


def _derivative(detector: Detector, moved: Callable[[float], ScoreBatch]) -> Floats:
    """Central difference of a score over batches moved by a step, shape (B,)."""
    above, below = (detector.score(moved(step)).astype(np.float64) for step in (_STEP, -_STEP))
    return (above - below) / (2.0 * _STEP)
