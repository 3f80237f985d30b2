"""What all models share that are torch modules: weights, devices, and how they are evaluated."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genood.models.base import DensityModel, Model
from genood.models.device import computing, resolve_device
from genood.models.examples import Share
from genood.recipes import Precision
from genood.sequence import UNKNOWN, Codes
from genood.threads import chosen_threads


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


class Network(nn.Module, Model):
    """A model that is a torch module; its weights are the module's parameters and buffers.

    A subclass has `forward`, `config` and `from_config`, and evaluates itself in a `scoring` block.
    """

    reads_per_core: ClassVar[int | None] = None
    """Reads that a CPU's core works on best by itself, where cores get more done so than together."""
    precision: Precision = "fp32"
    """What matrix products run in where the model is asked and not trained."""
    share: Share | None = None
    """What part of a step's reads it is trained on, where several processes share them."""

    def __init__(self) -> None:
        super().__init__()
        threads = chosen_threads()
        if threads is not None:
            torch.set_num_threads(threads)

    def weights(self) -> dict[str, npt.NDArray[Any]]:
        """See `Model.weights`."""
        return {name: tensor.detach().cpu().numpy() for name, tensor in self.state_dict().items()}

    @classmethod
    def from_weights(cls, config: Mapping[str, Any], weights: Mapping[str, npt.NDArray[Any]]) -> Self:
        """See `Model.from_weights`; in evaluation mode, and with a copy of the weights."""
        model = cls.from_config(config)
        model.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
        return model.eval()

    @property
    def device(self) -> str:
        """See `Model.device`."""
        return str(self._torch_device)

    def on(self, device: str) -> Self:
        """See `Model.on`."""
        return self.to(resolve_device(device))

    def compute_in(self, precision: Precision) -> None:
        """See `Model.compute_in`."""
        self.precision = precision

    @property
    def draws(self) -> bool:
        """Whether it drops out anything in training."""
        return True

    @property
    def drops_by_read(self) -> bool:
        """Whether all that is dropped out goes through `dropped`."""
        return True

    def dropped(self, values: Tensor, rate: float) -> Tensor:
        """Values with some dropped out in training, whatever part of a step's reads they are of.

        Parameters
        ----------
        values
            Shape (B, ...), by read.
        rate
            Chance of each.
        """
        if self.share is None or not self.training or rate == 0.0:
            return F.dropout(values, rate, self.training)
        # Drawn for all reads of the step, so that each process drops what one alone would.
        ones = torch.ones((self.share.total, *values.shape[1:]), dtype=values.dtype, device=values.device)
        return values * F.dropout(ones, rate)[self.share.first : self.share.first + len(values)]

    @property
    def _torch_device(self) -> torch.device:
        return next(self.parameters()).device

    @contextmanager
    def scoring(self) -> Iterator[None]:
        """The context in which a model is asked and not trained: no gradients, no dropout."""
        was_training = self.training
        if was_training:
            self.eval()
        try:
            with torch.inference_mode(), computing(self._torch_device, self.precision):
                yield
        finally:
            if was_training:
                self.train()

    def tensors(self, *arrays: npt.NDArray[Any]) -> Iterator[Tensor]:
        """Arrays as tensors on the model's device."""
        return (torch.from_numpy(array).to(self._torch_device) for array in arrays)


class DensityNetwork(Network, DensityModel):
    """A density model that is a torch module and can be trained by gradients."""

    @abstractmethod
    def forward(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """`DensityModel.log_probs` of tensors on the model's device.

        Parameters
        ----------
        codes, lengths
            uint8 (B, L) and int64 (B,), in bases.

        Returns
        -------
        log_probs
            float32, shape (B, L), nats; 0 where `scored_mask` is False. Differentiable where gradients
            are enabled; on CUDA, an LSTM only in training mode.
        """

    @abstractmethod
    def relaxed_log_probs(self, one_hot: Tensor) -> Tensor:
        """As `forward`, of one-hot bases instead of codes: differentiable in the bases.

        Parameters
        ----------
        one_hot
            float32, shape (B, L, 4); four zeros for an unknown base, and beyond a read's end.

        Returns
        -------
        log_probs
            float32, shape (B, L), nats: of what lies between bases, their log-probabilities weighted.
        """

    def log_probs(self, codes: Codes, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """See `DensityModel.log_probs`."""
        with self.scoring():
            log_p: Tensor = self(*self.tensors(codes, lengths))
            return log_p.float().cpu().numpy()
