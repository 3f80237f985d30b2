"""What every density model promises."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from genood.recipes import MUTATED
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
    device_types: ClassVar[tuple[str, ...]] = ("cpu", "cuda", "mps")
    """Where it can run; elsewhere it stays on the CPU."""
    backgrounds: ClassVar[tuple[str, ...]] = (MUTATED,)
    """Backgrounds that it can be compared with; all but `MUTATED` it derives from itself."""
    batch_bases: ClassVar[int] = 65_536
    """Bases that it scores best at a time."""
    piece_bases: ClassVar[int | None] = None
    """Bases beyond which it scores sequences in pieces; None where it carries all its state on."""
    overlap: ClassVar[int] = 1
    """Windows of reads that it scores best at the same time: more where one leaves threads idle."""

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

    def log_probs_with_background(
        self,
        codes: npt.NDArray[np.uint8],
        lengths: npt.NDArray[np.int64],
        background: str,
        without_files: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Log-probabilities, and those of a background that the model derives from itself.

        Parameters
        ----------
        codes, lengths
            uint8 (B, L) and int64 (B,), in bases.
        background
            Its name, or `NO_BACKGROUND` for zeros; a background may look at the whole read.
        without_files
            int64 (B,): a file of the reference that a read must be judged without; -1 for none.

        Returns
        -------
        log_probs, background_log_probs
            float32 (B, L), nats; 0 where not scored.
        """
        raise NotImplementedError(f"{self.kind} has no background of its own")

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

    @classmethod
    def from_weights(cls, config: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Self:
        """Make a model with the weights of one that was saved.

        Raises
        ------
        ConfigError
            As `from_config`.
        RuntimeError
            The weights do not fit the configuration.
        """
        model = cls.from_config(config)
        model.load_state_dict(weights)
        return model
