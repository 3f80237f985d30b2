"""What a model in training sees, and the parts of it that processes share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from genood.sequence import Codes

if TYPE_CHECKING:
    from torch import Tensor


class Share(NamedTuple):
    """Which of the reads of a training step these are: the number of the first one, and that of all."""

    first: int
    total: int


class View(NamedTuple):
    """What a model sees of the reads of a step: the first ones as they are, then the first ones mutated.

    Attributes
    ----------
    num_plain, num_mutated
        How many of each.
    mutated_label
        What it is to say of mutated reads; None: what it says of the read.
    by_class
        Whether it is to say of a read its class; else it is 0.
    """

    num_plain: int
    num_mutated: int
    mutated_label: int | None = None
    by_class: bool = True

    @property
    def num_examples(self) -> int:
        """All that it sees."""
        return self.num_plain + self.num_mutated


class Examples(NamedTuple):
    """What a model sees: codes uint8 (N, L), and what it should say of them, int64 (N,).

    Arrays, or tensors where reads are drawn by torch. `share` is what part of a step's examples they are,
    where several processes share them.
    """

    codes: Codes | Tensor
    labels: npt.NDArray[np.int64] | Tensor
    share: Share | None = None

    def part(self, rows: slice) -> Examples:
        """Some of the examples of a step."""
        return Examples(self.codes[rows], self.labels[rows], Share(rows.start, len(self.codes)))

    def in_batches(self, size: int) -> Iterator[Examples]:
        """The same, so many at a time."""
        for start in range(0, len(self.codes), size):
            yield Examples(self.codes[start : start + size], self.labels[start : start + size])
