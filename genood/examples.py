"""What a model in training sees, and the parts of it that processes share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from genood.sequence import Codes


class Share(NamedTuple):
    """Which of the reads of a training step these are: the number of the first one, and that of all."""

    first: int
    total: int


class Examples(NamedTuple):
    """What a model sees: codes uint8 (N, L), and what it should say of them, int64 (N,).

    `share` is what part of a step's examples they are, where several processes share them.
    """

    codes: Codes
    labels: npt.NDArray[np.int64]
    share: Share | None = None

    def part(self, rows: slice) -> Examples:
        """Some of the examples of a step."""
        return Examples(self.codes[rows], self.labels[rows], Share(rows.start, len(self.codes)))

    def in_batches(self, size: int) -> Iterator[Examples]:
        """The same, so many at a time."""
        for start in range(0, len(self.codes), size):
            yield Examples(self.codes[start : start + size], self.labels[start : start + size])
