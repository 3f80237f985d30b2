"""What a tuning has done so far, on disk: a cell that is there is not made again.

``cells/options.json`` holds all that decides a cell but its place in the grid and its seed;
``cells/seed-N/NAME/`` a cell: ``result.json``, and weights where they took long. While one is being
trained, its checkpoint is there instead.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genood.errors import ConfigError
from genood.files import write_json
from genood.files.damage import json_object, naming_damage
from genood.metrics import Separation
from genood.tune.grid import Against, Candidate

CELLS = "cells"
_OPTIONS_FILE = "options.json"
_RESULT_FILE = "result.json"


class Store:
    """The directory of a tuning.

    Parameters
    ----------
    root
        Where it is; made if missing.
    options
        All that decides a cell, but its place in the grid and its seed; JSON types.

    Raises
    ------
    ConfigError
        It holds something else, or a tuning with other options.
    InputError
        A file of it is damaged.
    """

    def __init__(self, root: Path, options: Mapping[str, Any]) -> None:
        self.root = root
        path = root / CELLS / _OPTIONS_FILE
        if path.is_file():
            with naming_damage(path, remove=root / CELLS):
                before = json_object(path)
            _check_same(root, before, json.loads(json.dumps(options)))
            return
        check_new(root)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, options)

    def cell(self, name: str, seed: int) -> Path:
        """The directory of a cell, made if missing."""
        folder = self.root / CELLS / f"seed-{seed}" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def result(self, candidate: Candidate, seed: int) -> dict[Against, Separation] | None:
        """How well the ratio to a background separates; None where that is not known yet."""
        path = self.cell(candidate.name, seed) / _RESULT_FILE
        if not path.is_file():
            return None
        with naming_damage(path):
            return {against: Separation(**values) for against, values in json_object(path).items()}  # type: ignore[misc]

    def put(self, candidate: Candidate, seed: int, separations: Mapping[Against, Separation]) -> None:
        """Keep what `result` gives."""
        values = {against: each._asdict() for against, each in separations.items()}
        write_json(self.cell(candidate.name, seed) / _RESULT_FILE, values)


def check_new(root: Path) -> None:
    """Raise ConfigError unless a directory holds nothing, or a tuning."""
    if root.exists() and not root.is_dir():
        raise ConfigError(f"{root}: is a file; name a directory for the tuning")
    if (root / CELLS / _OPTIONS_FILE).is_file():
        return
    # A run that was stopped before it wrote its options has left nothing but an empty directory.
    if root.is_dir() and any(path.name != CELLS or any(path.iterdir()) for path in root.iterdir()):
        raise ConfigError(f"{root}: is not empty, and holds no tuning; give a new directory")


def _check_same(root: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    for name in (*now, *(name for name in before if name not in now)):
        there, given = before.get(name), now.get(name)
        if there != given:
            difference = _difference(name.replace("_", " "), there, given)
            raise ConfigError(
                f"{root}: was begun with {difference}; give the options and sequences of then "
                "(only the grid and --seeds may change), or another directory"
            )


def _difference(name: str, there: Any, given: Any) -> str:
    """What differs, for people; hashes tell them nothing."""
    if name == "data":
        return "other sequences to train or validate on"
    if name == "validation reads":
        sides = [side for side in {**there, **given} if there.get(side) != given.get(side)]
        return f"other validation reads ({', '.join(sides)})"
    return f"{name} {there}, not {given}"
