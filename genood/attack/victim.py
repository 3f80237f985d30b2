"""The bundle under attack, asked as a black box: what it says of changed reads."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import numpy as np
import numpy.typing as npt

from genood.attack.objectives import Floats, Objective
from genood.detectors.base import ScoreBatch
from genood.ensemble import AnyBundle, most_reads
from genood.forward import forward
from genood.sequence import Codes

BATCH_BASES = 65_536
"""Bases of one forward pass; at least one read."""

Ints = npt.NDArray[np.int64]


class Victim:
    """The quantities that an attack is after, by one bundle.

    Parameters
    ----------
    bundle
        The models.
    objective
        Which quantities.
    """

    def __init__(self, bundle: AnyBundle, objective: Objective) -> None:
        self.bundle = bundle
        self.objective = objective

    def values(self, codes: Codes, lengths: Ints) -> Floats:
        """The quantities of B reads, float64, shape (B, Q).

        Parameters
        ----------
        codes, lengths
            uint8 (B, L) and int64 (B,), in bases.
        """
        batches = batches_of(self.bundle, codes, lengths, self.objective.needs)
        return np.concatenate([self.objective.values(batch) for batch in batches])


def batches_of(
    bundle: AnyBundle, codes: Codes, lengths: Ints, needs: Collection[str]
) -> Iterator[ScoreBatch]:
    """What a bundle says of reads, uint8 (B, L) and int64 (B,), so many at a time as memory has room for."""
    step = min(max(1, BATCH_BASES // max(codes.shape[1], 1)), most_reads(bundle, needs))
    for start in range(0, len(codes), step):
        rows = slice(start, start + step)
        yield forward(bundle, codes[rows], lengths[rows], needs=needs)
