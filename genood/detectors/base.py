"""What every detector promises, and the batch it scores."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from genood.context.rows import row_sums
from genood.detectors.row_counts import row_counts
from genood.models.base import Classified
from genood.sequence import UNKNOWN, Codes

__all__ = ["NEEDS", "Classified", "Detector", "ScoreBatch", "no_values"]

NEEDS = (
    "likelihood",
    "background",
    "logits",
    "features",
    "mutated-class",
    "gradients",
    "members",
    "class-members",
)
"""What a detector may consume; the engine makes one forward pass for all that need the same.

``likelihood`` and ``background`` are those of density models. ``logits`` and ``features`` are a
classifier's, ``mutated-class`` that one of its classes is that of mutated reads. ``gradients`` are
those of the log-likelihood. ``members`` are those of an ensemble, trained alike but for the seed;
``class-members`` those of one with a density model for each class.
"""


@dataclass(frozen=True, kw_only=True)
class ScoreBatch:
    """B reads and what the forward pass gave for them.

    Attributes
    ----------
    codes
        uint8, shape (B, L).
    lengths
        int64, shape (B,), in bases.
    log_p, background_log_p
        float32, shape (B, L), nats: log-probability of each base under the foreground and the
        background model; 0 where `mask` is False. NaN throughout where there is no such model, or where
        `log_likelihoods` stands for them.
    log_likelihoods
        Foreground and background log-likelihoods of the reads, float64 (B,), nats, where of single bases
        nothing was asked.
    classified
        What the classifier says, where there is one.
    gradients
        Derivatives of each read's log-likelihood by layer, where they were asked for: float32, shape
        (B, ...) with the layer's weights after the reads.
    members
        The same reads by each member of an ensemble.
    labels
        Class of each read, int64, shape (B,), where it is known.
    leading
        The class of the reference that explains each read best, int64, shape (B,), where it was asked for.
    leads
        Bases of each read before the first that may be scored, int64, shape (B,); None is no base.
    """

    codes: Codes
    lengths: npt.NDArray[np.int64]
    log_p: npt.NDArray[np.float32]
    background_log_p: npt.NDArray[np.float32]
    log_likelihoods: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]] | None = None
    classified: Classified | None = None
    gradients: Mapping[str, npt.NDArray[np.float32]] | None = None
    members: tuple[ScoreBatch, ...] = ()
    labels: npt.NDArray[np.int64] | None = None
    leading: npt.NDArray[np.int64] | None = None
    leads: npt.NDArray[np.int64] | None = None

    @cached_property
    def mask(self) -> npt.NDArray[np.bool_]:
        """The positions that are scored, which hold a known base, shape (B, L)."""
        mask = self.codes < UNKNOWN
        if self.lengths.min(initial=mask.shape[1]) < mask.shape[1]:
            mask &= np.arange(mask.shape[1]) < self.lengths[:, None]
        if self.leads is not None:
            mask &= np.arange(mask.shape[1]) >= self.leads[:, None]
        return mask

    @property
    def num_scored(self) -> npt.NDArray[np.int64]:
        """Scored positions of each read, shape (B,)."""
        return self._counts[0]

    @property
    def num_strong(self) -> npt.NDArray[np.int64]:
        """Scored positions of each read that are C or G, shape (B,)."""
        return self._counts[1]

    @cached_property
    def _counts(self) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        return row_counts(self.codes, self.lengths, self.leads)

    @cached_property
    def log_likelihood(self) -> npt.NDArray[np.float64]:
        """Foreground log-likelihood of each read, shape (B,), nats."""
        return row_sums(self.log_p) if self.log_likelihoods is None else self.log_likelihoods[0]

    @cached_property
    def background_log_likelihood(self) -> npt.NDArray[np.float64]:
        """Background log-likelihood of each read, shape (B,), nats."""
        return row_sums(self.background_log_p) if self.log_likelihoods is None else self.log_likelihoods[1]

    @cached_property
    def llr(self) -> npt.NDArray[np.float64]:
        """Log-likelihood ratio of each read, shape (B,), nats."""
        return self.log_likelihood - self.background_log_likelihood

    def per_base(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Values of each read over its scored positions, shape (B,); NaN where there are none."""
        num_scored = self.num_scored
        return np.divide(values, num_scored, out=np.full(len(values), np.nan), where=num_scored > 0)

    def where_scored(self, values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.float32]:
        """Values of each read, shape (B,), as float32; NaN where no position is scored."""
        return np.where(self.num_scored > 0, values, np.nan).astype(np.float32)

    def without_leads(self, leads: npt.NDArray[np.int64]) -> ScoreBatch:
        """The same reads with their first bases, as many as in int64 (B,), not scored."""
        assert self.log_likelihoods is None, "single bases were not asked for"
        counts = np.arange(self.codes.shape[1]) >= leads[:, None]
        return replace(
            self,
            leads=leads if self.leads is None else np.maximum(leads, self.leads),
            log_p=np.where(counts, self.log_p, np.float32(0.0)),
            background_log_p=np.where(counts, self.background_log_p, np.float32(0.0)),
            members=tuple(member.without_leads(leads) for member in self.members),
        )

    def prefix(self, length: int) -> ScoreBatch:
        """The likelihoods of the same reads cut after `length` bases; valid as models never look ahead."""
        return ScoreBatch(
            codes=self.codes[:, :length],
            lengths=np.minimum(self.lengths, length),
            leads=self.leads,
            log_p=self.log_p[:, :length],
            background_log_p=self.background_log_p[:, :length],
        )


def no_values(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """What a model that is not there says of bases: NaN, read-only."""
    return np.broadcast_to(np.float32(np.nan), shape)


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
    each_base: ClassVar[bool] = True
    """Whether it looks at log-probabilities of single bases, not only at log-likelihoods of reads, which take
    less time."""
    by_base: ClassVar[bool] = False
    """Whether its score is a mean of the bases' own scores, so that any stretch of a read has one."""
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {}
    """Keyword arguments to choose on validation reads, each with the values to try; all have defaults."""

    def fit(self, batches: Iterable[ScoreBatch]) -> Self:
        """Learn what the detector needs from in-distribution reads; nothing, unless overridden.

        Parameters
        ----------
        batches
            Training reads with their labels; may be gone through more than once.
        """
        return self

    def state(self) -> dict[str, npt.NDArray[Any]]:
        """What `fit` has learned, to be saved."""
        return {}

    def load_state(self, state: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Take back what `state` gave, in place of `fit`."""
        return self

    @abstractmethod
    def score(self, batch: ScoreBatch) -> npt.NDArray[np.float32]:
        """OOD score of each read, float32, shape (B,); higher means more OOD, NaN where nothing is scored."""
