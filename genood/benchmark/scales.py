"""How large a benchmark is: the recipe of each kind of model, the grids, the reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from genood.errors import ConfigError
from genood.recipes import PRESETS, TrainConfig
from genood.tune.grid import L2S, MUTATION_RATES


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How models of a kind are trained: the steps, where there are some, and the shape of the model."""

    train: TrainConfig | None = None
    shape: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large a benchmark is.

    Attributes
    ----------
    recipes
        By kind of model. Reads to train on are no longer than the dataset's.
    mutation_rates, l2s
        The backgrounds that are tried. The recipes' own must be among them.
    num_members
        Members of an ensemble whose method does not say.
    num_seeds
        Seeds, unless the user says.
    left_out
        Methods that are computed only if they are named.
    max_val_reads, max_test_reads
        Reads of each side that are scored, at most; None is all.
    """

    recipes: Mapping[str, Recipe]
    mutation_rates: tuple[float, ...] = MUTATION_RATES
    l2s: tuple[float, ...] = L2S
    num_members: int = 5
    num_seeds: int = 1
    left_out: frozenset[str] = frozenset()
    max_val_reads: int | None = None
    max_test_reads: int | None = None

    def __post_init__(self) -> None:
        config = self.recipes["lstm"].train
        assert config is not None
        if config.mutation_rate not in self.mutation_rates or config.l2 not in self.l2s:
            raise ConfigError("the background of the recipe must be in the grid")


_COUNTED = {"markov": Recipe(), "context": Recipe(), "sketch": Recipe()}


def _recipes(lstm: str, cnn: str, of_lstm: Mapping[str, Any], of_cnn: Mapping[str, Any]) -> dict[str, Recipe]:
    """Those of presets of `genood train` for an LSTM and a CNN, with changes to how they are trained."""
    stepwise = {
        kind: Recipe(
            train=replace(PRESETS[preset].train_config(kind), **changes), shape=PRESETS[preset].models[kind]
        )
        for kind, preset, changes in (("lstm", lstm, of_lstm), ("cnn", cnn, of_cnn))
    }
    return {**stepwise, **_COUNTED}


_TINY = replace(PRESETS["demo"].train, steps=2, batch_size=4, validation_interval=2, num_validation_reads=10)

SCALES: Mapping[str, Scale] = {
    "smoke": Scale(
        recipes={
            "lstm": Recipe(train=_TINY, shape={"hidden_size": 4}),
            "cnn": Recipe(train=_TINY, shape={"num_filters": 8, "filter_length": 8, "hidden_size": 8}),
            "markov": Recipe(shape={"order": 8}),
            "context": Recipe(),
            "sketch": Recipe(),
        },
        mutation_rates=(0.1,),
        l2s=(0.0, 1e-4),
        num_members=2,
        max_val_reads=20,
        max_test_reads=20,
    ),
    "demo": Scale(
        recipes=_recipes(
            "demo",
            "demo",
            {"steps": 800, "validation_interval": 100},
            {"steps": 300, "validation_interval": 50},
        ),
        mutation_rates=(0.1, 0.2),
        l2s=(0.0, 1e-4),
        num_members=3,
    ),
    "small": Scale(
        # 75 LSTMs and 69 CNNs in a night on two cores: those of 256 units would take weeks.
        recipes=_recipes("quick", "small", {"steps": 8_000, "validation_interval": 500}, {"steps": 4_000}),
        num_seeds=3,
        max_val_reads=2_000,
        max_test_reads=10_000,
    ),
    "paper": Scale(
        recipes=_recipes("paper", "paper", {}, {}),
        num_seeds=10,
        # A read's gradient by all weights of that LSTM has 16 million numbers.
        left_out=frozenset({"rose-diagonal", "rose-ekfac"}),
    ),
}
"""``smoke`` runs every method for tests; the others are those of ``--preset``."""
