"""The methods of the benchmark: what each trains, and the detector that it asks."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from genood.errors import ConfigError
from genood.models import CLASSIFIERS

Grid = Literal["none", "mutation-rate", "mutation-rate-l2"]


@dataclass(frozen=True, kw_only=True)
class Source:
    """What a method scores with.

    Attributes
    ----------
    kind
        Kind of model.
    variant
        Of a classifier.
    members
        Models that differ in their seed: 1 is no ensemble, 0 an ensemble of as many as the scale says.
    by_class
        A model for each class.
    grid
        Which backgrounds are tried: none, or several μ without λ, or several of both.
    """

    kind: str
    variant: str = "plain"
    members: int = 1
    by_class: bool = False
    grid: Grid = "none"

    @property
    def tells_classes_apart(self) -> bool:
        """Whether it needs two in-distribution classes or more."""
        return self.by_class or (self.kind in CLASSIFIERS and self.variant in ("plain", "calibrated"))

    @property
    def names_classes(self) -> bool:
        """Whether it is validated by the class that it gives a read."""
        return self.kind in CLASSIFIERS and self.variant != "binary"


@dataclass(frozen=True, kw_only=True)
class Method:
    """A row of the table.

    Attributes
    ----------
    title
        What it is called there.
    source
        Its name in `SOURCES`.
    detector
        Its name in `DETECTORS`.
    """

    title: str
    source: str
    detector: str


SOURCES: Mapping[str, Source] = {
    "lstm": Source(kind="lstm"),
    "lstm-mu": Source(kind="lstm", grid="mutation-rate"),
    "lstm-mu-lambda": Source(kind="lstm", grid="mutation-rate-l2"),
    "lstm-members": Source(kind="lstm", members=0),
    "cnn": Source(kind="cnn"),
    "cnn-5": Source(kind="cnn", members=5),
    "cnn-10": Source(kind="cnn", members=10),
    "cnn-20": Source(kind="cnn", members=20),
    "cnn-binary": Source(kind="cnn", variant="binary"),
    "cnn-noise-class": Source(kind="cnn", variant="noise-class"),
    "cnn-calibrated": Source(kind="cnn", variant="calibrated"),
    "markov": Source(kind="markov"),
    "markov-by-class": Source(kind="markov", by_class=True),
    "context": Source(kind="context"),
    "sketch": Source(kind="sketch"),
}
"""What is trained, by the name that scoring cells bear."""

METHODS: Mapping[str, Method] = {
    "likelihood": Method(title="likelihood", source="lstm", detector="likelihood"),
    "llr-mu": Method(title="likelihood ratio (μ)", source="lstm-mu", detector="llr"),
    "llr": Method(title="likelihood ratio (μ, λ)", source="lstm-mu-lambda", detector="llr"),
    "max-probability": Method(title="max class probability", source="cnn", detector="max-probability"),
    "entropy": Method(title="entropy of classes", source="cnn", detector="entropy"),
    "odin": Method(title="ODIN, adapted", source="cnn", detector="odin"),
    "mahalanobis": Method(title="Mahalanobis distance", source="cnn", detector="mahalanobis"),
    "relative-mahalanobis": Method(
        title="relative Mahalanobis distance", source="cnn", detector="relative-mahalanobis"
    ),
    "ensemble-5": Method(title="5 classifiers", source="cnn-5", detector="max-probability"),
    "ensemble-10": Method(title="10 classifiers", source="cnn-10", detector="max-probability"),
    "ensemble-20": Method(title="20 classifiers", source="cnn-20", detector="max-probability"),
    "binary": Method(title="binary classifier", source="cnn-binary", detector="mutated-probability"),
    "noise-class": Method(
        title="classifier with noise class", source="cnn-noise-class", detector="max-probability"
    ),
    "noise-probability": Method(
        title="probability of the noise class", source="cnn-noise-class", detector="mutated-probability"
    ),
    "calibrated": Method(
        title="classifier calibrated on mutated reads", source="cnn-calibrated", detector="max-probability"
    ),
    "waic": Method(title="WAIC", source="lstm-members", detector="waic"),
    "rose-diagonal": Method(title="ROSE, diagonal", source="lstm", detector="rose-diagonal"),
    "rose-ekfac": Method(title="ROSE, EKFAC", source="lstm", detector="rose-ekfac"),
    "input-complexity": Method(title="input complexity", source="lstm", detector="input-complexity"),
    "mlr": Method(title="MLR-OOD", source="markov-by-class", detector="mlr"),
    "energy": Method(title="energy", source="cnn", detector="energy"),
    "max-logit": Method(title="max logit", source="cnn", detector="max-logit"),
    "knn": Method(title="nearest neighbours of features", source="cnn", detector="knn"),
    "markov-likelihood": Method(title="Markov chain, likelihood", source="markov", detector="likelihood"),
    "markov-llr": Method(title="Markov chain, ratio", source="markov", detector="llr"),
    "context-likelihood": Method(title="context model, likelihood", source="context", detector="likelihood"),
    "context-llr": Method(title="context model, ratio", source="context", detector="llr"),
    "sketch-likelihood": Method(title="sketch, likelihood", source="sketch", detector="likelihood"),
    "sketch-llr": Method(title="sketch, ratio", source="sketch", detector="llr"),
}
"""The rows of the table by the name that ``--methods`` takes."""


def chosen_methods(names: Iterable[str], left_out: Collection[str]) -> tuple[str, ...]:
    """The methods of these names, in the order of the table; all but those left out, if none is named.

    Raises
    ------
    ConfigError
        There is no such method.
    """
    wanted = set(names)
    unknown = sorted(wanted - set(METHODS))
    if unknown:
        raise ConfigError(f"no method is called {unknown[0]!r}; there are {', '.join(METHODS)}")
    return tuple(name for name in METHODS if (name in wanted if wanted else name not in left_out))
