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
    """A read-only mapping from a name to a class, given as ``"package.module:Class"``."""

    def __init__(self, targets: Mapping[str, str]) -> None:
        self._targets = dict(targets)

    def __getitem__(self, name: str) -> type[T]:
        module, _, attribute = self._targets[name].partition(":")
        return cast("type[T]", getattr(import_module(module), attribute))

    def __iter__(self) -> Iterator[str]:
        return iter(self._targets)

    def __len__(self) -> int:
        return len(self._targets)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._targets!r})"
