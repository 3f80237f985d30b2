"""What an attack wants, how it searches, and how much it may change."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Literal, get_args

from genood.errors import ConfigError

ObjectiveName = Literal["features", "likelihood", "score"]
SearchName = Literal["gradient", "greedy"]

OBJECTIVES: tuple[ObjectiveName, ...] = get_args(ObjectiveName)
SEARCHES: tuple[SearchName, ...] = get_args(SearchName)

_ROUNDING = 1e-9
"""So that 0.29 of 100 bases are 29, whatever 0.29 is in binary."""


class Draw(IntEnum):
    """Keeps the random draws of different purposes apart: the number after the seed."""

    OOD_READS = 1
    TARGET_READS = 2
    RANDOM_READS = 3
    SUBSTITUTIONS = 4


@dataclass(frozen=True, kw_only=True)
class AttackConfig:
    """How reads are attacked.

    Attributes
    ----------
    epsilons
        Largest shares of a read's bases that may be substituted, 0 to 1; 0, the read as it is, is
        always reported.
    objective
        What is to equal the target read's: the classifier's ``features``, the log-likelihood per base
        (``likelihood``), or the OOD ``score`` of a detector.
    detector
        The detector of ``score``; None for the bundle's default.
    search
        ``gradient`` or ``greedy``; None for the former where the model has gradients, else the latter.
    candidates
        Substitutions that are tried at a time, for each read.
    tries
        So many times the next candidates are tried where none came closer; then the read is left.
    tolerance
        A read is matched, and left, at this distance from its target, in units of the spread of the
        target reads.
    seed
        Of everything random.
    reads_at_once
        Reads that are attacked at the same time; results do not depend on it.
    """

    epsilons: tuple[float, ...] = (0.01, 0.02, 0.05, 0.1)
    objective: ObjectiveName = "score"
    detector: str | None = None
    search: SearchName | None = None
    candidates: int = 32
    tries: int = 4
    tolerance: float = 0.1
    seed: int = 0
    reads_at_once: int = 64

    def __post_init__(self) -> None:
        if not self.epsilons or not all(0 <= epsilon <= 1 for epsilon in self.epsilons):
            raise ConfigError(f"epsilons must lie between 0 and 1, not {_shown(self.epsilons)}")
        for name in ("candidates", "tries", "reads_at_once"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not self.tolerance >= 0:
            raise ConfigError(f"tolerance must not be negative, not {self.tolerance}")
        if self.detector is not None and self.objective != "score":
            raise ConfigError(f"a detector is attacked by its score, not by {self.objective}")

    @property
    def levels(self) -> tuple[float, ...]:
        """The epsilons that are reported, ascending from 0."""
        return tuple(sorted({0.0, *self.epsilons}))


def budget(epsilon: float, length: int) -> int:
    """Bases of a read of some length that may be substituted."""
    return min(length, math.floor(epsilon * length + _ROUNDING))


def _shown(values: Sequence[float]) -> str:
    return ", ".join(f"{value:g}" for value in values) or "none"
