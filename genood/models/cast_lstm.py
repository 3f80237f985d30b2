"""An LSTM that computes in bfloat16 where it is told to, from weights that stay float32."""

from __future__ import annotations

import warnings

import torch
from torch import Tensor, nn


class CastLSTM(nn.LSTM):
    """`nn.LSTM`, which in an autocast block on CUDA computes in the block's type and no other.

    Torch's autocast gives cuDNN's RNNs float16, whatever the block says, and the gradients of a mean over
    thousands of bases are too small for float16. Here weights, bases and the state are cast before torch
    sees them; gradients come back to the float32 weights as float32. Elsewhere it is `nn.LSTM`.
    """

    def forward(  # type: ignore[override]
        self, bases: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As `nn.LSTM`, of a batch and a state of each layer."""
        if bases.is_cuda and torch.is_autocast_enabled("cuda"):
            return self.computed_in(torch.get_autocast_dtype("cuda"), bases, state)
        found: tuple[Tensor, tuple[Tensor, Tensor]] = super().forward(bases, state)
        return found

    def computed_in(
        self, dtype: torch.dtype, bases: Tensor, state: tuple[Tensor, Tensor]
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """What `forward` gives, computed in a type, and of that type."""
        weights = [weight.to(dtype) for weight in self._flat_weights if weight is not None]
        start = [part.to(dtype) for part in state]
        with torch.autocast(bases.device.type, enabled=False), warnings.catch_warnings():
            # cuDNN copies weights that do not lie in one piece; beside the rest of a step, that is little.
            warnings.filterwarnings("ignore", "RNN module weights are not part of single contiguous chunk")
            outputs, hidden, cell = torch.lstm(
                bases.to(dtype),
                start,
                weights,
                self.bias,
                self.num_layers,
                self.dropout,
                self.training,
                self.bidirectional,
                self.batch_first,
            )
        return outputs, (hidden, cell)
