"""Which detectors a bundle can serve, by what it gives and they need."""

from __future__ import annotations

from collections.abc import Collection

from genood.detectors import DETECTORS
from genood.errors import ConfigError

GIVEN = frozenset({"likelihood", "background"})
"""What bundles of density models give, of `genood.detectors.base.NEEDS`."""


def served(gives: Collection[str]) -> list[str]:
    """Names of the detectors that a bundle serves, in the order of `DETECTORS`."""
    return [name for name in DETECTORS if DETECTORS[name].needs <= set(gives)]


def check_served(names: Collection[str], gives: Collection[str]) -> None:
    """Raise ConfigError for the first detector that needs what the bundle does not give."""
    for name in names:
        missing = DETECTORS[name].needs - set(gives)
        if missing:
            raise ConfigError(
                f"the detector {name!r} needs {', '.join(sorted(missing))}, which this bundle does not give"
            )
