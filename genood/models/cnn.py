"""The paper's classifier: convolution, global max pool, a dense layer, a softmax over classes.

Shapes: B reads, R some of them, L positions, P windows, W numbers of a window, F filters, H hidden units,
K outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self, get_args

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from genood.errors import ConfigError
from genood.models.base import Classified, Classifier
from genood.models.network import Network
from genood.recipes import Variant
from genood.sequence import BASES, Codes

_NUM_BASES = len(BASES)
_CACHED_MATCHES, _HELD_MATCHES = 2**20, 2**24
"""Matches of filters held at once, R x F x P: 4 MiB of float32 on a CPU, whose caches hold them until the
strongest are found; 64 MiB on a GPU."""


@dataclass(frozen=True, kw_only=True)
class CNNConfig:
    """Shape of the classifier, and what its outputs mean.

    Attributes
    ----------
    num_classes
        Classes of the reference.
    variant
        ``plain``: the classes. ``binary``: reads of all classes against mutated reads. ``noise-class``: the
        classes, and one of mutated reads. ``calibrated``: the classes, all as likely for mutated reads.
    num_filters, filter_length
        Filters of the convolution, and bases that one looks at.
    hidden_size
        Units of the dense layer.
    dropout
        Chance that a pooled filter, or an output of the dense layer, is dropped in training.
    """

    num_classes: int
    variant: Variant = "plain"
    num_filters: int = 1000
    filter_length: int = 20
    hidden_size: int = 1000
    dropout: float = 0.1

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            raise ConfigError(f"variant must be of {', '.join(get_args(Variant))}, not {self.variant!r}")
        least = 1 if self.mutated_class is not None else 2
        if self.num_classes < least:
            raise ConfigError(
                f"a {self.variant} classifier needs at least {least} classes, not {self.num_classes}"
            )
        for name in ("num_filters", "filter_length", "hidden_size"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name.replace('_', ' ')} must be at least 1, not {getattr(self, name)}")
        if not 0.0 <= self.dropout < 1.0:
            raise ConfigError(f"dropout must be at least 0 and below 1, not {self.dropout}")

    @property
    def mutated_class(self) -> int | None:
        """Which output is that of mutated reads, the last one, where there is one."""
        return {"binary": 1, "noise-class": self.num_classes}.get(self.variant)

    @property
    def num_outputs(self) -> int:
        """Outputs of the softmax, K."""
        return self.num_classes if self.mutated_class is None else self.mutated_class + 1


class CNN(Network, Classifier):
    """Convolutional classifier of reads of any length.

    Parameters
    ----------
    config
        Shape of the model.

    Notes
    -----
    Source: the classifier of Ren et al. 2019: one-hot input, 1000 filters of length 20, ReLU, a global max
    pool, a dense layer of 1000 units with ReLU, softmax; dropout 0.1. Its variants are that paper's baselines
    that learn from mutated reads; ``calibrated`` follows Lee et al. 2018, equation 1, and Hendrycks et al.
    2019.

    As in the code released with it, both the pooled filters and the dense layer's outputs are dropped out,
    and weights start as Glorot and Bengio's.

    Differs from the paper and its code:

    * The code has 200 dense units by default, and learns an embedding of the bases that starts as one-hot;
      here the input is one-hot, as in the text.
    * Reads of any length: windows that reach over a read's end do not count, and a read shorter than a filter
      is one window, filled up with zeros.

    An unknown base enters as four zeros.
    """

    kind = "cnn"

    def __init__(self, config: CNNConfig) -> None:
        super().__init__()
        self._config = config
        # A convolution; its weights as those of a product of windows, base after base, with filters.
        self.filters = nn.Linear(config.filter_length * _NUM_BASES, config.num_filters)
        self.dense = nn.Linear(config.num_filters, config.hidden_size)
        self.output = nn.Linear(config.hidden_size, config.num_outputs)
        one_hot = torch.cat([torch.eye(_NUM_BASES), torch.zeros(1, _NUM_BASES)])
        self.register_buffer("_one_hot", one_hot, persistent=False)
        for layer in (self.filters, self.dense, self.output):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    @property
    def mutated_class(self) -> int | None:
        """See `Classifier.mutated_class`."""
        return self._config.mutated_class

    @property
    def variant(self) -> Variant:
        """See `CNNConfig.variant`."""
        return self._config.variant

    @property
    def num_classes(self) -> int:
        """See `Classifier.num_classes`."""
        return self._config.num_classes

    def one_hot(self, codes: Tensor) -> Tensor:
        """Codes, uint8 (B, L), as float32 (B, L, 4); four zeros for an unknown base."""
        one_hot: Tensor = self._one_hot  # type: ignore[assignment]
        return one_hot[codes.long()]

    def features(self, one_hot: Tensor, lengths: Tensor) -> Tensor:
        """What the last layer is given; differentiable where gradients are enabled.

        Parameters
        ----------
        one_hot
            float32, shape (B, L, 4); what is beyond a read's end does not matter.
        lengths
            Integers, shape (B,), in bases.

        Returns
        -------
        features
            float32, shape (B, H).
        """
        return self._features_of(self._strongest(one_hot, lengths))

    def logits(self, one_hot: Tensor, lengths: Tensor) -> Tensor:
        """Logits of the classes, float32, shape (B, K); the arguments are those of `features`."""
        logits: Tensor = self.output(self.features(one_hot, lengths))
        return logits.float()

    def forward(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """Logits, float32 (B, K), of codes, uint8 (B, L), and lengths (B,), in bases."""
        return self.logits(self.one_hot(codes), lengths)

    def classify(self, codes: Codes, lengths: npt.NDArray[np.int64]) -> Classified:
        """See `Classifier.classify`."""
        with self.scoring():
            features_BH = self._features_of(self._pooled(*self.tensors(codes, lengths)))
            logits_BK = self.output(features_BH)
        return Classified(
            logits=logits_BK.cpu().numpy(),
            features=features_BH.cpu().numpy(),
            weight=self.output.weight.detach().cpu().numpy(),
            bias=self.output.bias.detach().cpu().numpy(),
            mutated_class=self.mutated_class,
        )

    def config(self) -> dict[str, Any]:
        """See `Model.config`."""
        return asdict(self._config)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """See `Model.from_config`."""
        try:
            return cls(CNNConfig(**config))
        except TypeError as error:
            raise ConfigError(f"configuration of the classifier: {error}") from error

    def _pooled(self, codes: Tensor, lengths: Tensor) -> Tensor:
        """The strongest match of each filter in each read, shape (B, F), in bounded memory."""
        num_positions, width = codes.shape[1], self._config.filter_length
        step = max(width, self._windows_at_once)
        pooled_BF = self._strongest(self.one_hot(codes[:, : step + width - 1]), lengths)
        for start in range(step, num_positions - width + 1, step):
            chunk_BL = codes[:, start : start + step + width - 1]
            more_BF = self._strongest(self.one_hot(chunk_BL), lengths - start, least=0)
            pooled_BF = torch.maximum(pooled_BF, more_BF)
        return pooled_BF

    def _strongest(self, one_hot: Tensor, lengths: Tensor, least: int = 1) -> Tensor:
        """The strongest match of each filter, shape (B, F), a read having so many windows at least.

        The match is -inf where there are none, which is for scoring alone.
        """
        num_positions = one_hot.shape[1]
        width = self._config.filter_length
        inside = torch.arange(num_positions, device=one_hot.device) < lengths[:, None]
        filled = F.pad(one_hot * inside[..., None], (0, 0, 0, max(width - num_positions, 0)))
        num_windows = (lengths - width + 1).clamp(min=least)
        if not torch.is_grad_enabled():
            return torch.cat([matches_RFP.amax(dim=2) for matches_RFP in self._matches(filled, num_windows)])
        # No other windows have a part in the gradients, so that none but these are multiplied for them.
        with torch.no_grad():
            found = [matches_RFP.max(dim=2).indices for matches_RFP in self._matches(filled, num_windows)]
        places_BF = torch.cat(found)
        reads = torch.arange(len(places_BF), device=places_BF.device)
        windows_BPW = filled.flatten(1).unfold(1, _NUM_BASES * width, _NUM_BASES)
        best_BFW = windows_BPW[reads[:, None], places_BF]
        return (best_BFW * self.filters.weight).sum(dim=-1) + self.filters.bias

    def _matches(self, one_hot: Tensor, num_windows: Tensor) -> Iterator[Tensor]:
        """How the windows of some reads after others match the filters, shape (R, F, P); -inf beyond them."""
        filters = self.filters
        kernels = filters.weight.view(filters.out_features, -1, _NUM_BASES).transpose(1, 2).contiguous()
        most_windows = one_hot.shape[1] - self._config.filter_length + 1
        beyond_BP = torch.arange(most_windows, device=one_hot.device) >= num_windows[:, None]
        # On a GPU, asking would wait for all that is queued.
        has_beyond = beyond_BP.is_cuda or bool(beyond_BP.any())
        size = max(1, self._windows_at_once // most_windows)
        for start in range(0, max(1, len(one_hot)), size):  # once where there are no reads
            some = slice(start, start + size)
            matches_RFP = F.conv1d(one_hot[some].transpose(1, 2), kernels, filters.bias)
            if has_beyond:
                matches_RFP.masked_fill_(beyond_BP[some, None], -torch.inf)
            yield matches_RFP

    @property
    def _windows_at_once(self) -> int:
        """Windows to which all filters are held at once."""
        most = _CACHED_MATCHES if self.device == "cpu" else _HELD_MATCHES
        return max(1, most // self._config.num_filters)

    def _features_of(self, pooled_BF: Tensor) -> Tensor:
        dropout = self._config.dropout
        kept_BF = self.dropped(torch.relu(pooled_BF), dropout)
        hidden_BH = torch.relu(self.dense(kept_BF))
        return self.dropped(hidden_BH, dropout).float()
