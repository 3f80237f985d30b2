"""What the page of a bundle is made from: all of its directory but the weights themselves."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

from genood.bundles.files import DETECTORS_FILE, ENSEMBLE, METADATA_FILE, TRAINING_FILE
from genood.ensemble import member_directory
from genood.errors import BundleError, ConfigError
from genood.recipes import TrainConfig
from genood.report.facts import BundleFacts, checked_text

MOST_POINTS = 400
"""Rows of ``training.tsv`` that are drawn."""
STEP = "step"

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A bundle or an ensemble.

    Attributes
    ----------
    facts
        Its metadata, nulls and card.
    columns
        Of ``training.tsv`` those of numbers, by name, float64; of an ensemble none.
    models
        Of ``training.tsv`` the column that names models, where there is one.
    fitted
        Names and shapes of what detectors have learned, by detector.
    sizes
        Bytes of its files.
    members
        Those of an ensemble.
    """

    facts: BundleFacts
    columns: Mapping[str, Floats]
    models: Sequence[str]
    fitted: Mapping[str, Mapping[str, Sequence[int]]]
    sizes: Mapping[str, int]
    members: Sequence[Trained] = ()

    @classmethod
    def read(cls, directory: str | os.PathLike[str]) -> Trained:
        """Read what the page of a bundle shows.

        Raises
        ------
        BundleError
            No bundle, a newer format, or a file is missing, damaged or another than the bundle was made with.
        """
        root = Path(directory)
        facts = BundleFacts.read(os.fspath(directory))
        files = facts.metadata["files"]
        models: list[str] = []
        columns: dict[str, Floats] = {}
        if TRAINING_FILE in files:
            models, columns = _table(root / TRAINING_FILE, checked_text(root, TRAINING_FILE, facts.metadata))
        return cls(
            facts=facts,
            columns=columns,
            models=models,
            fitted=_fitted(root / DETECTORS_FILE) if DETECTORS_FILE in files else {},
            sizes={name: (root / name).stat().st_size for name in files if (root / name).is_file()},
            members=_members(root, facts.metadata) if facts.metadata["kind"] == ENSEMBLE else (),
        )

    @property
    def kind(self) -> str:
        """The kind of its models, of `MODELS` or `CLASSIFIERS`."""
        metadata = self.facts.metadata
        if metadata["kind"] == ENSEMBLE:
            return str(metadata["model"].get("kind", ENSEMBLE))
        return str(metadata["kind"])

    @property
    def recipe(self) -> TrainConfig | None:
        """How it was trained step by step, where it was, and the recipe is one that this version knows."""
        given = self.facts.metadata.get("training", {})
        names = {field.name for field in fields(TrainConfig)}
        if not isinstance(given, Mapping) or not {"steps", "learning_rate"} <= set(given):
            return None
        try:
            return TrainConfig(**{name: value for name, value in given.items() if name in names})
        except (ConfigError, TypeError):
            return None

    def drawn_rows(self) -> npt.NDArray[np.int64]:
        """Rows of the table that are drawn: all, or as many as `MOST_POINTS`, first and last among them."""
        number = len(next(iter(self.columns.values()), ()))
        return np.unique(np.linspace(0, number - 1, min(number, MOST_POINTS)).round().astype(np.int64))


def _members(root: Path, metadata: Mapping[str, Any]) -> list[Trained]:
    listed = metadata.get("members")
    if not isinstance(listed, list):
        raise BundleError(f"{root / METADATA_FILE}: does not say what the members are")
    members = []
    for number, entry in enumerate(listed, 1):
        member = Trained.read(member_directory(root, number))
        if not isinstance(entry, Mapping) or member.facts.fingerprint != entry.get("fingerprint"):
            raise BundleError(f"{member.facts.path}: is not the member that the ensemble was made with")
        members.append(member)
    return members


def _table(path: Path, text: str) -> tuple[list[str], dict[str, Floats]]:
    """The names of models, and the columns of numbers, of a ``training.tsv``."""
    header, *rows = csv.reader(text.splitlines() or [""], delimiter="\t", quoting=csv.QUOTE_NONE)
    if any(len(row) != len(header) for row in rows):
        raise BundleError(f"{path}: is damaged; copy the bundle again")
    models: list[str] = []
    columns: dict[str, Floats] = {}
    for name, cells in zip(header, zip(*rows, strict=True), strict=bool(rows)):
        if name == "model":
            models = list(cells)
            continue
        try:
            columns[name] = np.array([float(cell) if cell else math.nan for cell in cells])
        except ValueError as error:
            raise BundleError(f"{path}: holds what is no number ({error}); copy the bundle again") from error
    return models, columns


def _fitted(path: Path) -> dict[str, dict[str, list[int]]]:
    """Shapes by detector and array, read from the file's header alone."""
    found: dict[str, dict[str, list[int]]] = {}
    try:
        with safe_open(path, framework="numpy") as file:
            for key in file.keys():  # noqa: SIM118
                detector, _, name = key.partition("/")
                found.setdefault(detector, {})[name] = list(file.get_slice(key).get_shape())
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path}: cannot be read ({error}); copy the bundle again") from error
    return found
