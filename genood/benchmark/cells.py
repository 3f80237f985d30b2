"""What there is to compute: training cells, scoring cells, and which need which."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

from genood.benchmark.methods import METHODS, SOURCES, Source
from genood.benchmark.scales import Scale
from genood.bundle import CLASSIFIER, ROLES
from genood.bundles.files import FORMAT_VERSION
from genood.making.counting import CountConfig
from genood.making.remember import RememberConfig
from genood.making.sketching import SketchingConfig
from genood.models import CLASSIFIERS
from genood.models.markov import MarkovConfig

_CELL_FORMAT = 1
"""Raised by a change after which what has been computed counts no more."""
_NUM_CALIBRATION_READS = 100
"""For p-values, of which a benchmark makes no use."""
SEEDS_APART = 1_000
"""Seeds of the members of one seed's ensemble follow each other; so far apart are those of two seeds."""


def digest(content: Mapping[str, Any]) -> str:
    """A hash of JSON types, of those formats of cells and bundles that this version writes."""
    text = json.dumps({"formats": [_CELL_FORMAT, FORMAT_VERSION], **content}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, kw_only=True)
class TrainingCell:
    """A model to be trained, or a bundle.

    Attributes
    ----------
    name
        Among the cells.
    kind
        Kind of model.
    config
        All that decides the result beside the reads, JSON types.
    """

    name: str
    kind: str
    config: Mapping[str, Any]

    def key(self, data: str) -> str:
        """Hash of all that decides the result, `data` being that of the reads."""
        return digest({"kind": self.kind, "config": self.config, "data": data})


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """The models that reads may be scored with.

    Attributes
    ----------
    name
        For people; empty where there is only one.
    members
        One bundle, or those of an ensemble: of each the cells that it is made of, a foreground and its
        background where it has one.
    """

    name: str
    members: tuple[tuple[TrainingCell, ...], ...]

    @property
    def cells(self) -> tuple[TrainingCell, ...]:
        """The cells of all members."""
        return tuple(cell for member in self.members for cell in member)


@dataclass(frozen=True, kw_only=True)
class ScoringCell:
    """The methods of one source and seed: tuned on the validation reads, evaluated on the test reads.

    Attributes
    ----------
    name
        Among the cells.
    source
        Its name in `SOURCES`.
    seed
        Of the models and of the draw of reads.
    candidates
        What to choose from.
    methods
        Their names in `METHODS`.
    """

    name: str
    source: str
    seed: int
    candidates: tuple[Candidate, ...]
    methods: tuple[str, ...]

    @property
    def needs(self) -> tuple[TrainingCell, ...]:
        """The training cells, each once."""
        return tuple({cell.name: cell for each in self.candidates for cell in each.cells}.values())


def scoring_cells(
    methods: Sequence[str], seeds: Iterable[int], scale: Scale, read_length: int
) -> tuple[ScoringCell, ...]:
    """The scoring cells of methods, by seed and then in the order of the table.

    Parameters
    ----------
    methods, seeds, scale
        What is wanted.
    read_length
        Of the dataset, in bases.
    """
    by_source: dict[str, list[str]] = {}
    for name in methods:
        by_source.setdefault(METHODS[name].source, []).append(name)
    return tuple(
        ScoringCell(
            name=f"score-{source}-seed{seed}",
            source=source,
            seed=seed,
            candidates=_candidates(SOURCES[source], seed, scale, read_length),
            methods=tuple(names),
        )
        for seed in seeds
        for source, names in by_source.items()
    )


def training_cells(cells: Iterable[ScoringCell]) -> tuple[TrainingCell, ...]:
    """The training cells that scoring cells need, each once."""
    return tuple({need.name: need for cell in cells for need in cell.needs}.values())


def _candidates(source: Source, seed: int, scale: Scale, read_length: int) -> tuple[Candidate, ...]:
    seeds = [seed * SEEDS_APART + number for number in range(source.members or scale.num_members)]
    first = [_training(source, each, scale, read_length) for each in seeds]
    if source.grid == "none":
        return (Candidate(name="", members=tuple((cell,) for cell in first)),)
    return tuple(
        Candidate(
            name=f"μ {rate:g}, λ {l2:g}",
            members=tuple(
                (cell, _training(source, each, scale, read_length, mutation_rate=rate, l2=l2))
                for cell, each in zip(first, seeds, strict=True)
            ),
        )
        for rate, l2 in product(scale.mutation_rates, scale.l2s if "l2" in source.grid else (0.0,))
    )


def _training(source: Source, seed: int, scale: Scale, read_length: int, **background: float) -> TrainingCell:
    """The cell of a model, a background if it is told of which kind."""
    recipe = scale.recipes[source.kind]
    if recipe.train is None:
        seed = 0  # it is the same, or nearly, for every seed
    config: dict[str, Any] = {"seed": seed}
    names = [source.kind]
    if source.by_class:
        names.append("by-class")
        config["by_class"] = True
    if recipe.train is None:
        config |= _made_at_once(source.kind, recipe.shape, seed, read_length)
    else:
        config["shape"] = dict(recipe.shape)
        config["role"] = _role(source.kind, background)
        if source.kind in CLASSIFIERS:
            config["shape"]["variant"] = source.variant
            names.append(source.variant)
        else:
            names.append(config["role"])
        rate = recipe.train.mutation_rate if source.variant != "plain" else 0.0
        train = replace(
            recipe.train,
            seed=seed,
            read_length=min(recipe.train.read_length, read_length),
            mutation_rate=background.get("mutation_rate", rate),
            l2=background.get("l2", 0.0),
        )
        config["train"] = asdict(train)
        if background:
            names += [f"mu{train.mutation_rate:g}", f"lambda{train.l2:g}"]
    return TrainingCell(name="-".join(["train", *names, f"seed{seed}"]), kind=source.kind, config=config)


def _made_at_once(kind: str, shape: Mapping[str, Any], seed: int, read_length: int) -> dict[str, Any]:
    """The whole configuration of a model that is not trained step by step, defaults and all."""
    common: dict[str, Any] = {
        "seed": seed,
        "read_length": read_length,
        "num_calibration_reads": _NUM_CALIBRATION_READS,
    }
    if kind == "context":
        return {"remember": asdict(RememberConfig(**common))}
    if kind == "sketch":
        return {"sketch": asdict(SketchingConfig(**common))}
    return {"count": asdict(CountConfig(model=MarkovConfig(**shape), **common))}


def _role(kind: str, background: Mapping[str, float]) -> str:
    """What a model that is trained step by step is in its bundle."""
    if kind in CLASSIFIERS:
        return CLASSIFIER
    return ROLES[1] if background else ROLES[0]
