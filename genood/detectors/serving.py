"""Which detectors a bundle can serve, by what it gives and they need."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import numpy.typing as npt

from genood.detectors import DEFAULT_DETECTOR, DETECTORS
from genood.detectors.base import NEEDS, Detector
from genood.errors import BundleError, ConfigError

_GIVEN_BY: Mapping[str, str] = {
    "likelihood": "density models (genood train --model context, sketch, lstm or markov)",
    "background": "density models with a background (genood train --model context, sketch, lstm or markov)",
    "logits": "a classifier (genood train --model cnn)",
    "features": "a single classifier (genood train --model cnn)",
    "mutated-class": "a classifier with a class of mutated reads (genood train --variant noise-class)",
    "gradients": "density models trained by gradients (genood train --model lstm)",
    "members": "an ensemble of like models of the same sequences (genood train --model lstm --members)",
    "class-members": "an ensemble with a density model for each class (genood train --per-class)",
}
"""By need, the kind of bundle that gives it."""

_DEFAULTS = (DEFAULT_DETECTOR, "max-probability", "likelihood")
"""What judges unless it is said: the first that the bundle serves."""


def is_served(name: str, gives: Collection[str]) -> bool:
    """Whether a bundle that gives this serves the detector of that name."""
    return DETECTORS[name].needs <= set(gives)


def served(gives: Collection[str]) -> list[str]:
    """Names of the detectors that a bundle serves, in the order of `DETECTORS`."""
    return [name for name in DETECTORS if is_served(name, gives)]


def default_detector(gives: Collection[str]) -> str:
    """Name of the detector that judges, unless another is named.

    Raises
    ------
    ConfigError
        There is none.
    """
    for name in _DEFAULTS:
        if name in DETECTORS and is_served(name, gives):
            return name
    raise ConfigError(f"no detector is served by what the bundle gives: {', '.join(gives) or 'nothing'}")


def check_served(names: Collection[str], gives: Collection[str]) -> None:
    """Raise ConfigError for the first detector that needs what the bundle does not give."""
    for name in names:
        missing = DETECTORS[name].needs - set(gives)
        if missing:
            # Where gradients are needed, few of those serve that have a likelihood.
            first = "gradients" if "gradients" in missing else min(missing, key=NEEDS.index)
            raise ConfigError(
                f"the detector {name!r} needs a bundle of {_GIVEN_BY[first]}, which this is not"
            )


def needs_of(detectors: Iterable[Detector]) -> frozenset[str]:
    """All that some detectors need, of `NEEDS`."""
    return frozenset().union(*(detector.needs for detector in detectors))


def ready_detector(name: str, states: Mapping[str, npt.NDArray[Any]], **options: float) -> Detector:
    """A detector of `DETECTORS` that can score, fitted if it has to be.

    Parameters
    ----------
    name
        The detector's.
    states
        What detectors have learned, see `Bundle.detectors`.
    options
        Values of its `Detector.grid` in place of its defaults.

    Raises
    ------
    BundleError
        It has to be fitted, and the bundle holds nothing of that.
    """
    detector = DETECTORS[name](**options)
    if not detector.requires_fit:
        return detector
    state = {key.partition("/")[2]: value for key, value in states.items() if key.partition("/")[0] == name}
    if not state:
        raise BundleError(f"the bundle holds no fitted {name!r}; train it again")
    return detector.load_state(state)
