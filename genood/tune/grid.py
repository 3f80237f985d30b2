"""The backgrounds that are tried, how well each did, and which is the best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Any, Literal, get_args

import numpy as np

from genood.errors import ConfigError
from genood.metrics import Separation
from genood.recipes import MUTATED

Against = Literal["real", "simulated"]
AGAINST: tuple[Against, ...] = get_args(Against)
"""The OOD reads that backgrounds are chosen by: those of other organisms, and mutated ones."""

MUTATION_RATES = (0.01, 0.05, 0.1, 0.2)
L2S = (0.0, 1e-6, 1e-5, 1e-4, 1e-3)
"""The grid of Ren et al. 2019, Table S4."""


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A background that the foreground is compared with.

    Attributes
    ----------
    background
        Its name, of `DensityModel.backgrounds`.
    mutation_rate
        μ: substitutions per base of what it learns; None where the foreground derives it from itself.
    l2
        λ: L2 coefficient; None where the model is not trained by gradients.
    """

    background: str = MUTATED
    mutation_rate: float | None = None
    l2: float | None = None

    @property
    def name(self) -> str:
        """Its name among files."""
        return "-".join([self.background, *(str(x) for x in (self.mutation_rate, self.l2) if x is not None)])

    def __str__(self) -> str:
        """As tables show it."""
        if self.mutation_rate is None:
            return self.background
        l2 = "" if self.l2 is None else f", λ {self.l2:g}"
        return f"μ {self.mutation_rate:g}{l2}"


def candidates(
    mutation_rates: Sequence[float], l2s: Sequence[float | None], derived: Sequence[str] = ()
) -> tuple[Candidate, ...]:
    """Backgrounds that the foreground derives from itself, then the grid, row by row.

    Raises
    ------
    ConfigError
        A value is out of range or named twice, or there is none.
    """
    for what, values in (("mutation rate", mutation_rates), ("L2 coefficient", l2s)):
        if not values:
            raise ConfigError(f"the grid needs a {what}")
        if len(set(values)) < len(values):
            raise ConfigError(f"a {what} of the grid is named twice")
    for rate in mutation_rates:
        if not 0 < rate <= 1:
            raise ConfigError(f"mutation rates must be above 0 and at most 1, not {rate}")
    for l2 in l2s:
        if l2 is not None and not 0 <= l2 < math.inf:
            raise ConfigError(f"L2 coefficients must be 0 or more, not {l2}")
    grid = product(sorted(mutation_rates), sorted(l2s, key=lambda l2: l2 or 0.0))
    return (
        *(Candidate(background=name) for name in derived),
        *(Candidate(mutation_rate=rate, l2=l2) for rate, l2 in grid),
    )


@dataclass(frozen=True, kw_only=True)
class Cell:
    """How well the likelihood ratio to one background separates.

    Attributes
    ----------
    candidate
        The background.
    separations
        By the OOD reads, those of each seed, in the order of the seeds; of one seed alone where the
        background is the same for all.
    """

    candidate: Candidate
    separations: Mapping[str, tuple[Separation, ...]]

    def mean(self, against: Against, metric: str = "auroc") -> float:
        """The mean of a metric over the seeds."""
        return float(np.mean([getattr(each, metric) for each in self.separations[against]]))

    def standard_error(self, against: Against, metric: str = "auroc") -> float | None:
        """The standard error of that mean; None of one seed."""
        values = [getattr(each, metric) for each in self.separations[against]]
        return float(np.std(values, ddof=1) / math.sqrt(len(values))) if len(values) > 1 else None

    def to_json(self) -> dict[str, Any]:
        """The cell as JSON types."""
        return {
            **asdict(self.candidate),
            **{
                against: {
                    "auroc": self.mean(against),
                    "auroc_standard_error": self.standard_error(against),
                    "seeds": [each._asdict() for each in self.separations[against]],
                }
                for against in AGAINST
                if against in self.separations
            },
        }


def best_cell(cells: Sequence[Cell], against: Against, *, l2: float | None = None) -> Cell:
    """The cell of the highest mean AUROC, the first of equals.

    Parameters
    ----------
    cells
        What was tried.
    against
        The OOD reads that decide.
    l2
        If given, only mutated backgrounds of this λ are considered: with 0, the paper's tuning of μ alone.

    Raises
    ------
    ConfigError
        There is no such cell, or there were no such reads.
    """
    fitting = [cell for cell in cells if l2 is None or cell.candidate.l2 == l2]
    if not fitting:
        raise ConfigError(f"no background with L2 coefficient {l2:g} was tried")
    if any(against not in cell.separations for cell in fitting):
        raise ConfigError(f"there were no {against} OOD reads to choose by")
    return max(fitting, key=lambda cell: cell.mean(against))
