"""Files that a training goes on from: safetensors, without code; the training's numbers are JSON within."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from safetensors import SafetensorError, safe_open
from torch import Tensor

from genood.errors import TrainingError
from genood.files import atomic_path
from genood.files.tensors import write_tensors

_FORMAT = 2
_GOOD = "good."
"""What the tensors of a state to step back to are called, before their names."""


class State(NamedTuple):
    """A training after a step.

    Attributes
    ----------
    numbers
        JSON types; ``step`` is among them.
    tensors
        By name, on the CPU, nobody else's.
    """

    numbers: Mapping[str, Any]
    tensors: Mapping[str, Tensor]

    @property
    def step(self) -> int:
        """Steps done."""
        step: int = self.numbers["step"]
        return step


class Checkpoint(NamedTuple):
    """What a file holds.

    Attributes
    ----------
    about
        What is not of one state: the training's identity, its history. JSON types.
    state
        To go on from.
    good
        To step back to if a loss goes wrong; often the same.
    """

    about: Mapping[str, Any]
    state: State
    good: State

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write it, atomically."""
        numbers = {"format": _FORMAT, **self.about, **self.state.numbers}
        tensors = dict(self.state.tensors)
        if self.good.step != self.state.step:
            numbers["good"] = self.good.numbers
            tensors |= {f"{_GOOD}{name}": tensor for name, tensor in self.good.tensors.items()}
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            arrays = {name: tensor.numpy() for name, tensor in tensors.items()}
            write_tensors(temporary, arrays, {"genood": json.dumps(numbers)})

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> Checkpoint:
        """What `write` wrote.

        Raises
        ------
        TrainingError
            The file is missing, damaged, or of another version.
        """
        if not os.path.isfile(path):
            raise TrainingError(f"{path}: there is no checkpoint to resume from; train without --resume")
        try:
            with safe_open(path, framework="pt") as file:
                numbers = json.loads(file.metadata()["genood"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (OSError, SafetensorError, KeyError, TypeError, ValueError) as error:
            raise TrainingError(f"{path}: is not a genood checkpoint, or damaged ({error})") from error
        if numbers.get("format") != _FORMAT:
            raise TrainingError(
                f"{path}: was written by another version of genood (format {numbers.get('format')})"
            )
        state = State(numbers, {name: t for name, t in tensors.items() if not name.startswith(_GOOD)})
        if "good" not in numbers:
            return cls(numbers, state, state)
        good = {name.removeprefix(_GOOD): t for name, t in tensors.items() if name.startswith(_GOOD)}
        return cls(numbers, state, State(numbers["good"], good))
