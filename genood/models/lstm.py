"""The paper's density model: an LSTM over one-hot bases, a dense layer, a softmax.

Shapes: B reads, L positions, K = 4 bases, H hidden units, N layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from genood.errors import ConfigError
from genood.models.cast_lstm import CastLSTM
from genood.models.lstm_gradients import layer_gradients, reads_at_once
from genood.models.network import DensityNetwork, scored_mask
from genood.models.one_core import one_core_each
from genood.sequence import BASES, Codes

_NUM_BASES = len(BASES)
_BASES_AT_ONCE = 2048
"""Bases of all reads that a CPU takes in one stretch; gates of more would not stay in a core's cache.
Chosen, as `LSTM.reads_per_core`, by ``benchmarks/lstm_rate.py``."""
_DEVICE_ELEMENTS = 2**24
"""Hidden values held at once on an accelerator, B x positions x H: 64 MiB of float32."""
_MIN_STRETCH = 16


@dataclass(frozen=True, kw_only=True)
class LSTMConfig:
    """Shape of the LSTM.

    Attributes
    ----------
    hidden_size
        Units of each layer.
    num_layers
        LSTM layers.
    dropout
        Chance that an output of a layer is dropped in training.
    forget_bias
        Start value of the forget gate's bias; the other biases start at 0.
    """

    hidden_size: int = 256
    num_layers: int = 1
    dropout: float = 0.0
    forget_bias: float = 1.0

    def __post_init__(self) -> None:
        if self.hidden_size < 1:
            raise ConfigError(f"hidden size must be at least 1, not {self.hidden_size}")
        if self.num_layers < 1:
            raise ConfigError(f"number of layers must be at least 1, not {self.num_layers}")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout must be at least 0 and below 1, not {self.dropout}")


class LSTM(DensityNetwork):
    """LSTM density model over any read length.

    Parameters
    ----------
    config
        Shape of the model.

    Notes
    -----
    Source: Ren et al. 2019, section 4: one-hot input, one LSTM layer, a dense layer to 4, softmax.

    Differs from the paper:

    * The start state is learned and the first base is predicted from it; the released code scores
      from the second base on.
    * The paper's dropout is recurrent, on the cell's candidate, which fused LSTMs do not offer;
      here each layer's output is dropped out instead.

    An unknown base enters as four zeros and is not scored.

    Reads one by one take a core several times as long as many side by side do, and so long sequences are
    scored in pieces. What a base owes to those before a piece and its lead is a few millionths of a nat on
    average, as measured on one model of 192 units.
    """

    kind = "lstm"
    batch_bases: ClassVar[int] = 262_144
    piece_bases: ClassVar[int | None] = 16_384
    differentiable: ClassVar[bool] = True
    reads_per_core: ClassVar[int | None] = 64

    def __init__(self, config: LSTMConfig) -> None:
        super().__init__()
        self._config = config
        hidden, layers = config.hidden_size, config.num_layers
        self.lstm = CastLSTM(
            _NUM_BASES,
            hidden,
            num_layers=layers,
            dropout=config.dropout if layers > 1 else 0.0,
        )
        self.dense = nn.Linear(hidden, _NUM_BASES)
        self.start_hidden = nn.Parameter(torch.zeros(layers, 1, hidden))
        self.start_cell = nn.Parameter(torch.zeros(layers, 1, hidden))
        one_hot = torch.cat([torch.eye(_NUM_BASES), torch.zeros(1, _NUM_BASES)])
        self.register_buffer("_one_hot", one_hot, persistent=False)
        with torch.no_grad():
            # Gates lie in the order input, forget, cell, output; the two biases add up.
            for name, bias in self.lstm.named_parameters():
                if name.startswith("bias"):
                    bias.zero_()
                if name.startswith("bias_ih"):
                    bias[hidden : 2 * hidden].fill_(config.forget_bias)

    def forward(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """See `DensityNetwork.forward`.

        Positions are taken in stretches that bound the memory whatever the length (on an accelerator only
        without gradients); the state goes on from stretch to stretch, and so do gradients. Inside,
        positions come first, as the layers have them.
        """
        num_reads, num_positions = codes.shape
        state = self._start_state(num_reads)
        codes_LB = codes.T.long()
        # The state before a base predicts it; the output after it belongs to the next one.
        next_logits = self._logits(state[0][-1:])
        log_probs = []
        step = self._stretch_length(num_reads, num_positions)
        for start in range(0, num_positions, step):
            stretch_TB = codes_LB[start : start + step]
            outputs_TBH, state = self.lstm(self._inputs(stretch_TB), state)
            logits_KTB = torch.cat([next_logits, self._logits(outputs_TBH)], dim=1)
            log_probs.append(_log_probs_of(logits_KTB[:, :-1], stretch_TB))
            next_logits = logits_KTB[:, -1:]
        if not log_probs:
            return torch.zeros(num_reads, 0, device=codes.device)
        return torch.where(scored_mask(codes, lengths), torch.cat(log_probs).T, 0.0)

    def log_probs(self, codes: Codes, lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float32]:
        """See `DensityModel.log_probs`; on a CPU, parts of the reads side by side, one to a core."""
        if self._torch_device.type != "cpu":
            return super().log_probs(codes, lengths)
        score = super().log_probs
        size = self.reads_per_core or len(codes)
        parts = [slice(first, first + size) for first in range(0, len(codes), size)]
        with self.scoring():
            found = one_core_each(lambda part: score(codes[part], lengths[part]), parts)
        return np.concatenate([np.zeros((0, codes.shape[1]), np.float32), *found])

    def relaxed_log_probs(self, one_hot: Tensor) -> Tensor:
        """See `DensityNetwork.relaxed_log_probs`."""
        state = self._start_state(len(one_hot))
        bases_LBK = one_hot.transpose(0, 1)
        outputs_LBH, _ = self.lstm(bases_LBK, state)
        states_LBH = torch.cat([state[0][-1:], outputs_LBH[:-1]])
        log_p_KLB = torch.log_softmax(self._logits(states_LBH), dim=0)
        return (bases_LBK.permute(2, 0, 1) * log_p_KLB).sum(dim=0).T

    def layer_gradients(
        self, codes: Codes, lengths: npt.NDArray[np.int64]
    ) -> dict[str, npt.NDArray[np.float32]]:
        """See `DensityModel.layer_gradients`; by the layers of `genood.models.lstm_gradients`.

        The learned start state counts as no layer.
        """
        config = self._config
        size = reads_at_once(codes.shape[1], config.hidden_size, config.num_layers)
        parts = []
        for first in range(0, max(len(codes), 1), size):
            rows = slice(first, first + size)
            with torch.inference_mode(False), torch.no_grad():
                codes_BL, lengths_B = self.tensors(codes[rows], lengths[rows])
                found = layer_gradients(
                    self.lstm,
                    self.dense,
                    self._start_state(len(codes_BL)),
                    self._inputs(codes_BL.long()),
                    codes_BL.long().clamp(max=_NUM_BASES - 1),
                    scored_mask(codes_BL, lengths_B),
                )
            parts.append({name: gradient.cpu().numpy() for name, gradient in found.items()})
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def config(self) -> dict[str, Any]:
        """See `Model.config`."""
        return asdict(self._config)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """See `Model.from_config`."""
        try:
            return cls(LSTMConfig(**config))
        except TypeError as error:
            raise ConfigError(f"configuration of the LSTM: {error}") from error

    @property
    def draws(self) -> bool:
        """See `Network.draws`."""
        return self._config.dropout > 0.0

    @property
    def drops_by_read(self) -> bool:
        """See `Network.drops_by_read`; what is dropped out between layers is torch's matter."""
        return self._config.num_layers == 1 or self._config.dropout == 0.0

    def _start_state(self, num_reads: int) -> tuple[Tensor, Tensor]:
        return (
            self.start_hidden.expand(-1, num_reads, -1).contiguous(),
            self.start_cell.expand(-1, num_reads, -1).contiguous(),
        )

    def _stretch_length(self, num_reads: int, num_positions: int) -> int:
        if self._torch_device.type == "cpu":
            return max(_MIN_STRETCH, _BASES_AT_ONCE // max(num_reads, 1))
        if torch.is_grad_enabled():
            return max(num_positions, 1)
        return max(_MIN_STRETCH, _DEVICE_ELEMENTS // max(num_reads * self._config.hidden_size, 1))

    def _inputs(self, codes: Tensor) -> Tensor:
        one_hot: Tensor = self._one_hot  # type: ignore[assignment]
        return one_hot[codes]

    def _logits(self, states_TBH: Tensor) -> Tensor:
        """What the states say of the next base, float32, (K, T, B): bases first are normalised fastest."""
        rate = self._config.dropout
        if self.training and rate > 0.0:
            states_TBH = self.dropped(states_TBH.transpose(0, 1).contiguous(), rate).transpose(0, 1)
        by_state = states_TBH.flatten(0, 1).T
        logits = torch.addmm(self.dense.bias[:, None], self.dense.weight, by_state)
        return logits.float().view(_NUM_BASES, *states_TBH.shape[:2])


def _log_probs_of(logits: Tensor, codes: Tensor) -> Tensor:
    """Log-probabilities of codes, (T, B), by logits, (K, T, B); of anything where they are unknown."""
    observed = codes.clamp(max=_NUM_BASES - 1)[None]
    return torch.log_softmax(logits, dim=0).gather(0, observed)[0]
