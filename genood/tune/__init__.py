"""Choosing the background model: the grid of mutation rates and L2 coefficients, and what else there is."""

from genood.tune.grid import AGAINST, L2S, MUTATION_RATES, Against, Candidate, Cell
from genood.tune.job import MAX_READS, Progress, TuneJob
from genood.tune.tuning import TuneResult, tune

__all__ = [
    "AGAINST",
    "L2S",
    "MAX_READS",
    "MUTATION_RATES",
    "Against",
    "Candidate",
    "Cell",
    "Progress",
    "TuneJob",
    "TuneResult",
    "tune",
]
