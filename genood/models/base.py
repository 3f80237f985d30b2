"""What every density model promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from genood.sequence import UNKNOWN


def scored_mask(codes: Tensor, lengths: Tensor) -> Tensor:
    """Which positions are scored: those within the read whose base is known.

    Parameters
    ----------
    codes
        uint8, shape (B, L).
    lengths
        Integers, shape (B,), in bases.

    Returns
    -------
    mask
        bool, shape (B, L).
    """
    positions = torch.arange(codes.shape[1], device=codes.device)
    return (positions < lengths[:, None]) & (codes < UNKNOWN)


class DensityModel(nn.Module, ABC):
    """A distribution over reads, factored from the first base to the last.

    A subclass is one file and one line in `MODELS`; the tests in ``tests/models/test_contract.py``
    then hold it to this contract:

    * Results depend neither on the other reads of a batch nor on padding.
    * Any read length works: beyond what the model holds at once it carries its state on.
    * `from_config(model.config())` makes a model of the same shapes, so that configuration and
      `state_dict` are all there is to save.
    """

    kind: ClassVar[str]
    """The model's name in `MODELS`."""

    @abstractmethod
    def log_probs(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Natural-log probability of each base given the bases before it.

        Parameters
        ----------
        codes
            uint8, shape (B, L), codes from 0 to 4, padded on the right with any of them.
        lengths
            int64, shape (B,), in bases.

        Returns
        -------
        log_probs
            float32, shape (B, L), nats; 0 where `scored_mask` is False. The first base has one too.
            Differentiable where gradients are enabled; on CUDA, an LSTM only in training mode.
        """

    @abstractmethod
    def config(self) -> dict[str, Any]:
        """The configuration as JSON types."""

    @classmethod
    @abstractmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """Make an untrained model.

        Raises
        ------
        ConfigError
            A value or a key that the model does not know.
        """
