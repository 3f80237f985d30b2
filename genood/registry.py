"""Names mapped to classes that are imported when first asked for.

The command line lists the names of models and detectors in its help; importing torch for that would
make ``--help`` take seconds.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Generic, TypeVar, cast

T = TypeVar("T")


class Registry(Mapping[str, type[T]], Generic[T]):
    """A mapping from a name to a class, given as ``"package.module:Class"``."""

    def __init__(self, targets: Mapping[str, str]) -> None:
        self._targets = dict(targets)

    def register(self, name: str, target: str) -> None:
        """Add a class of a module that can be imported, so that its name is taken wherever those here are.

        To be done before the command line is imported, which has the names from here.

        Raises
        ------
        ValueError
            There is a class of that name.
        """
        if name in self._targets:
            raise ValueError(f"{name!r} is {self._targets[name]} already")
        self._targets[name] = target

    def __getitem__(self, name: str) -> type[T]:
        module, _, attribute = self._targets[name].partition(":")
        return cast("type[T]", getattr(import_module(module), attribute))

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._targets!r})"
