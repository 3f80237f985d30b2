"""Density models of compiled loops: how they are asked, and what they set up."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from genood.models.base import DensityModel


class CompiledModel(DensityModel):
    """A density model whose loops over bases are compiled; it runs on CPUs.

    It takes a whole window of reads at a time: arrays of that size are of large pages, which cost less to
    get. With one sequence for each window, pieces are what its threads share.
    """

    batch_bases: ClassVar[int] = 2_097_152
    piece_bases: ClassVar[int | None] = 131_072
    side_by_side: ClassVar[bool] = True

    @classmethod
    def prepare(cls) -> None:
        """See `Model.prepare`; numba sets itself up at its first call, and opens what it compiled before."""
        cls.from_config({}).log_probs(np.zeros((1, 1), dtype=np.uint8), np.ones(1, dtype=np.int64))
