"""Learn how experts and dense tables are mixed, see `genood.context.mixer`.

All numbers are fitted together by maximum likelihood; the problem is convex.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from genood.context.mixer import Mixer
from genood.context.record import NUM_FEATURES
from genood.context.votes import NO_EXPERT

_ITERATIONS = 30
_RIDGE = 2e-5
"""Weight of the squared distance from the start, per position."""


def tensors_of(mixer: Mixer) -> dict[str, Tensor]:
    """The same numbers as tensors, which share their memory."""
    return {name: torch.from_numpy(array) for name, array in mixer.items()}


class Observations:
    """What `genood.context.kernel.observe` saw, with the bases that came.

    Parameters
    ----------
    codes
        uint8, shape (B, L): the bases; those unknown are left out.
    states, packed, logs
        As `observe` gives them.
    """

    def __init__(
        self,
        codes: npt.NDArray[np.uint8],
        states: npt.NDArray[np.uint8],
        packed: npt.NDArray[np.uint16],
        logs: npt.NDArray[np.float32],
    ) -> None:
        known = codes < 4
        self.bases = torch.from_numpy(codes[known].astype(np.int64))
        self.logs = torch.from_numpy(logs[known])
        states_N25 = torch.from_numpy(states[known].astype(np.int64))
        packed_N2 = torch.from_numpy(packed[known].astype(np.int64))
        self.present = states_N25[:, :, 0] != NO_EXPERT
        self.states = torch.where(self.present[:, :, None], states_N25, 0)
        self.categories = (packed_N2[:, :, None] >> torch.tensor([0, 3, 6, 9])) & 7

    def log_probs(self, mixer: Mapping[str, Tensor]) -> Tensor:
        """Log-probability of each base that came, nats, shape (N,)."""
        place, run = self.states[:, 0, 0], self.states[:, 0, 4]
        gates = torch.where(self.present[:, :1], mixer["gates"][place, run], mixer["no_expert_gates"])
        logits = gates[:, :1] * self.logs[:, :4] + gates[:, 1:] * self.logs[:, 4:]
        for rank in range(2):
            place = self.states[:, rank, 0]
            by_category = sum(
                mixer["weights"][rank, feature, place, self.states[:, rank, 1 + feature]]
                for feature in range(NUM_FEATURES)
            )
            assert isinstance(by_category, Tensor)
            votes = torch.gather(by_category, 1, self.categories[:, rank])
            logits = logits + torch.where(self.present[:, rank, None], votes, 0.0)
        return torch.log_softmax(logits, dim=1).gather(1, self.bases[:, None])[:, 0]


def fit(
    seen: Observations, start: Mixer, *, iterations: int = _ITERATIONS, ridge: float = _RIDGE
) -> dict[str, npt.NDArray[np.float32]]:
    """Weights of the highest likelihood, held near `start` where there is little to learn from."""
    anchor = tensors_of(start)
    mixer = {name: tensor.clone().requires_grad_() for name, tensor in anchor.items()}
    optimizer = torch.optim.LBFGS(
        mixer.values(), max_iter=iterations, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        distance = sum(((mixer[name] - anchor[name]) ** 2).sum() for name in mixer)
        value = ridge * distance - seen.log_probs(mixer).mean()
        gradients = torch.autograd.grad(value, list(mixer.values()))
        for tensor, gradient in zip(mixer.values(), gradients, strict=True):
            tensor.grad = gradient
        return value.detach()

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return {name: tensor.detach().numpy() for name, tensor in mixer.items()}
