"""What a training tells whoever follows it, and how it hears that it is to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Protocol

Stopping = Callable[[], AbstractContextManager[Callable[[], bool]]]
"""Opens a block in which a function tells whether somebody has asked to stop."""


def never_stopping() -> AbstractContextManager[Callable[[], bool]]:
    """A block in which nobody asks to stop."""
    return nullcontext(lambda: False)


class Validated(NamedTuple):
    """One row of ``training.tsv``.

    Attributes
    ----------
    step
        Number of the step after which it was validated.
    values
        By column: each model's mean training loss since the row before, without the L2 term, and what
        its `Learner.columns` measure on validation reads.
    """

    step: int
    values: dict[str, float]


class Progress(Protocol):
    """Where training tells how far it is."""

    def step(self, step: int, losses: Mapping[str, float]) -> None:
        """After a step: its number, and each model's training loss."""

    def validated(self, row: Validated) -> None:
        """After a validation."""
