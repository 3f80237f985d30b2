"""Gradients of what networks say of reads, by the reads' one-hot bases."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genood.attack.gradients import Pull
from genood.attack.objectives import Floats
from genood.attack.serving import AnyBundle, members_of
from genood.attack.victim import Ints
from genood.bundle import Bundle
from genood.device import computing
from genood.models.base import DensityModel
from genood.models.network import DensityNetwork
from genood.sequence import BASES, Codes

_NUM_BASES = len(BASES)
_GRADIENT_BASES = 16_384
"""Bases of one backward pass, for which all hidden values are kept; at least one read."""


def slopes_of(bundle: AnyBundle, codes: Codes, lengths: Ints, pull: Pull) -> npt.NDArray[np.float32]:
    """Gradients of each read's weighted sum of outputs, float32, shape (B, L, 4).

    Parameters
    ----------
    bundle
        Of networks; of an ensemble it is the mean of the members' gradients.
    codes, lengths
        uint8 (B, L), padded with 4, and int64 (B,), in bases.
    pull
        The weights.
    """
    members = members_of(bundle)
    step = max(1, _GRADIENT_BASES // max(codes.shape[1], 1))
    parts = []
    for start in range(0, len(codes), step):
        rows = slice(start, start + step)
        gradients = [_gradient(member, codes[rows], lengths[rows], pull.part(rows)) for member in members]
        parts.append(np.mean(gradients, axis=0))
    return np.concatenate(parts)


def _gradient(bundle: Bundle, codes: Codes, lengths: Ints, pull: Pull) -> npt.NDArray[np.float32]:
    device = torch.device(bundle.device)
    with _differentiating(device):
        # An unknown base, and what is beyond the end, is four zeros.
        rows = torch.eye(_NUM_BASES + 1, _NUM_BASES, device=device)
        one_hot = rows[torch.from_numpy(codes).to(device).long()].requires_grad_()
        (gradient,) = torch.autograd.grad(_weighted_sum(bundle, one_hot, pull), one_hot)
    return gradient.cpu().numpy()


def _weighted_sum(bundle: Bundle, one_hot: Tensor, pull: Pull) -> Tensor:
    total = torch.zeros((), device=one_hot.device)
    for model, weights in ((bundle.foreground, pull.foreground), (bundle.background, pull.background)):
        if weights is not None and weights.any():
            total = total + (_as_tensor(weights, one_hot) * _log_likelihood(model, one_hot)).sum()
    return total


def _log_likelihood(model: DensityModel | None, one_hot: Tensor) -> Tensor:
    assert isinstance(model, DensityNetwork)
    return model.relaxed_log_probs(one_hot).sum(dim=1)


def _as_tensor(weights: Floats, like: Tensor) -> Tensor:
    return torch.from_numpy(weights).to(like)


@contextmanager
def _differentiating(device: torch.device) -> Iterator[None]:
    """The context in which networks in evaluation mode have gradients."""
    with torch.enable_grad(), computing(device, "fp32"):
        if device.type != "cuda":
            yield
            return
        # cuDNN's LSTM has gradients in training mode alone.
        with torch.backends.cudnn.flags(enabled=False):
            yield
