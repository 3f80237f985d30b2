"""What every detector promises, and the batch it scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from typing import ClassVar, Self

import numpy as np
import numpy.typing as npt

from genood.sequence import Codes

NEEDS = ("likelihood", "logits", "features", "gradients")
"""What a detector may consume; the engine makes one forward pass for all that need the same."""


@dataclass(frozen=True, kw_only=True)
class ScoreBatch:
    """B reads and what the forward pass gave for them.

    Attributes
    ----------
    codes
        uint8, shape (B, L).
    lengths
        int64, shape (B,), in bases.
    mask
        bool, shape (B, L): the positions that are scored.
    log_p, background_log_p
        float32, shape (B, L), nats: log-probability of each base under the foreground and the
        background model; 0 where `mask` is False.
    """

    codes: Codes
    lengths: npt.NDArray[np.int64]
    mask: npt.NDArray[np.bool_]
    log_p: npt.NDArray[np.float32]
    background_log_p: npt.NDArray[np.float32]

    @cached_property
    def num_scored(self) -> npt.NDArray[np.int64]:
        """Scored positions of each read, shape (B,)."""
        return self.mask.sum(axis=1)

    @cached_property
    def log_likelihood(self) -> npt.NDArray[np.float64]:
        """Foreground log-likelihood of each read, shape (B,), nats."""
        return self.log_p.sum(axis=1, dtype=np.float64)

    @cached_property
    def background_log_likelihood(self) -> npt.NDArray[np.float64]:
        """Background log-likelihood of each read, shape (B,), nats."""
        return self.background_log_p.sum(axis=1, dtype=np.float64)

    @cached_property
    def llr(self) -> npt.NDArray[np.float64]:
        """Log-likelihood ratio of each read, shape (B,), nats."""
        return self.log_likelihood - self.background_log_likelihood

    def per_base(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Values of each read over its scored positions, shape (B,); NaN where there are none."""
        num_scored = self.num_scored
        return np.divide(values, num_scored, out=np.full(len(values), np.nan), where=num_scored > 0)

    def without_leads(self, leads: npt.NDArray[np.int64]) -> ScoreBatch:
        """The same reads with their first bases, as many as in int64 (B,), not scored."""
        counts = np.arange(self.codes.shape[1]) >= leads[:, None]
        return replace(
            self,
            mask=self.mask & counts,
            log_p=np.where(counts, self.log_p, np.float32(0.0)),
            background_log_p=np.where(counts, self.background_log_p, np.float32(0.0)),
        )

    def prefix(self, length: int) -> ScoreBatch:
        """The same reads cut after `length` bases; valid as models never look ahead."""
        return ScoreBatch(
            codes=self.codes[:, :length],
            lengths=np.minimum(self.lengths, length),
            mask=self.mask[:, :length],
            log_p=self.log_p[:, :length],
            background_log_p=self.background_log_p[:, :length],
        )


class Detector(ABC):
    """Turns reads into OOD scores.

    A subclass is one file and one line in `DETECTORS`; the tests in
    ``tests/detectors/test_contract.py`` then hold it to this contract.
    """

    name: ClassVar[str]
    """The detector's name in `DETECTORS`."""
    needs: ClassVar[frozenset[str]]
    """What it consumes, of `NEEDS`."""
    requires_fit: ClassVar[bool] = False
    """Whether `fit` must be called before `score`."""

    def fit(self, batch: ScoreBatch) -> Self:
        """Learn what the detector needs from in-distribution reads; nothing, unless overridden."""
        return self

    @abstractmethod
    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """OOD score of each read, float32, shape (B,); higher means more OOD, NaN where nothing is scored."""
