"""What is to be tuned, and who is told how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from genood.errors import ConfigError
from genood.making.counting import CountConfig
from genood.making.remember import RememberConfig
from genood.recipes import TrainConfig
from genood.reference.loading import ReferenceJob
from genood.tune.grid import L2S, MUTATION_RATES, Against

MAX_READS = 10_000
_CONFIGS: Mapping[str, type] = {"context": RememberConfig, "markov": CountConfig}
"""What says how to make a model, where that is no `TrainConfig`."""


@dataclass(frozen=True, kw_only=True)
class TuneJob(ReferenceJob):
    """Which backgrounds to try, on what, and where to put the tuning.

    Reads of `validation`, or of what is held out for want of it, are what is chosen by, too.

    Attributes
    ----------
    model
        Kind of density model, of `MODELS`.
    config
        How to make models: a `RememberConfig` for a context model, a `CountConfig` for a Markov chain, else a
        `TrainConfig`. Its seed is the first; its background, mutation rate and L2 coefficient do not count.
    model_config
        The configuration of a model that is trained step by step.
    mutation_rates, l2s
        The grid. Context models and Markov chains have no L2 coefficient, and are compared with the
        backgrounds that they derive from themselves, too.
    num_seeds
        Seeds that each cell is trained with. The bundle is that of the first.
    ood
        OOD FASTA files to choose by, or datasets, whose `val_ood` is meant; none takes that of the inputs,
        where there is one.
    simulated_rate
        Substitutions per base of simulated OOD reads.
    max_reads
        Validation reads of each side, at most.
    choose
        The OOD reads that decide about the bundle; None takes the real ones where there are any.
    """

    config: TrainConfig | RememberConfig | CountConfig
    model: str
    model_config: Mapping[str, Any] = field(default_factory=dict)
    mutation_rates: Sequence[float] = MUTATION_RATES
    l2s: Sequence[float] = L2S
    num_seeds: int = 1
    ood: Sequence[str] = ()
    simulated_rate: float = 0.1
    max_reads: int = MAX_READS
    choose: Against | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.config, _CONFIGS.get(self.model, TrainConfig)):
            raise ConfigError(f"{type(self.config).__name__} is not for a model of kind {self.model}")
        if not 0 < self.simulated_rate <= 1:
            raise ConfigError(
                f"the rate of simulated OOD reads must be above 0 and at most 1, not {self.simulated_rate}"
            )
        for name in ("num_seeds", "max_reads"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name.replace('_', ' ')} must be at least 1, not {getattr(self, name)}")

    @property
    def seeds(self) -> range:
        """All seeds."""
        return range(self.config.seed, self.config.seed + self.num_seeds)


class Progress(Protocol):
    """Where tuning tells how far it is."""

    def begin(self, name: str, number: int, total: int) -> None:
        """Before a cell: what it is, and which of how many, from 1."""

    def step(self, step: int, losses: Mapping[str, float]) -> None:
        """As `genood.training.loop.Progress.step`, of the model that is being trained."""

    def validated(self, losses: Any) -> None:
        """As `genood.training.loop.Progress.validated`."""
