"""Gradients of what networks say of reads, by the reads' one-hot bases."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genood.attack.gradients import Pull
from genood.attack.serving import members_of
from genood.attack.victim import Ints
from genood.bundle import Bundle
from genood.ensemble import AnyBundle
from genood.models.cnn import CNN
from genood.models.device import computing
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
    pulls = _by_member(members, pull)
    step = max(1, _GRADIENT_BASES // max(codes.shape[1], 1))
    parts = []
    for start in range(0, len(codes), step):
        rows = slice(start, start + step)
        gradients = [
            _gradient(member, codes[rows], lengths[rows], own.part(rows))
            for member, own in zip(members, pulls, strict=True)
        ]
        parts.append(np.mean(gradients, axis=0))
    return np.concatenate(parts)


def _gradient(bundle: Bundle, codes: Codes, lengths: Ints, pull: Pull) -> npt.NDArray[np.float32]:
    device = torch.device(bundle.device)
    with _differentiating(device):
        # An unknown base, and what is beyond the end, is four zeros.
        rows = torch.eye(_NUM_BASES + 1, _NUM_BASES, device=device)
        one_hot = rows[torch.from_numpy(codes).to(device).long()].requires_grad_()
        (gradient,) = torch.autograd.grad(_weighted_sum(bundle, one_hot, lengths, pull), one_hot)
    return gradient.cpu().numpy()


def _by_member(members: Sequence[Bundle], pull: Pull) -> list[Pull]:
    """The weights of each member: the same, but for features, of which each has its own."""
    if pull.features is None:
        return [pull] * len(members)
    widths = [_cnn(member).output.in_features for member in members]
    parts = np.split(pull.features, np.cumsum(widths)[:-1], axis=1)
    return [Pull(features=features) for features in parts]


def _weighted_sum(bundle: Bundle, one_hot: Tensor, lengths: Ints, pull: Pull) -> Tensor:
    outputs = []
    for model, weights in ((bundle.foreground, pull.foreground), (bundle.background, pull.background)):
        if weights is not None and weights.any():
            assert isinstance(model, DensityNetwork)
            outputs.append((weights, model.relaxed_log_probs(one_hot).sum(dim=1)))
    if pull.logits is not None or pull.features is not None:
        cnn = _cnn(bundle)
        features = cnn.features(one_hot, torch.from_numpy(lengths).to(one_hot.device))
        if pull.features is not None:
            outputs.append((pull.features, features))
        if pull.logits is not None:
            outputs.append((pull.logits, cnn.output(features)))
    total = one_hot.new_zeros(())
    for weights, values in outputs:
        total = total + (torch.from_numpy(weights).to(values) * values).sum()
    return total


def _cnn(bundle: Bundle) -> CNN:
    assert isinstance(bundle.classifier, CNN)
    return bundle.classifier


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
