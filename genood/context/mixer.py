"""Learn how experts and dense tables are mixed: a softmax regression on what the experts look like.

The logit of a base is a weighted sum of the dense tables' log-probabilities, the weights by the state
of the strongest expert, plus for two experts and each feature of their states a number for what the
base would be to the expert: the same base, or one of four kinds of substitution. All numbers are fitted
together by maximum likelihood; the problem is convex.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load
from torch import Tensor

from genood.context.record import (
    NUM_CATEGORIES,
    NUM_FEATURES,
    NUM_LEVELS,
    NUM_PLACES,
    NUM_RUNS,
)
from genood.context.votes import NO_EXPERT

SHAPES = {
    "weights": (2, NUM_FEATURES, NUM_PLACES, NUM_LEVELS, NUM_CATEGORIES),
    "gates": (NUM_PLACES, NUM_RUNS, 2),
    "no_expert_gates": (2,),
}
DEFAULT_FILE = "mixer.safetensors"
_ITERATIONS = 30
_RIDGE = 2e-5
"""Weight of the squared distance from the start, per position."""

Mixer = Mapping[str, Tensor]


def default_mixer() -> dict[str, Tensor]:
    """The weights that come with genood, learned by ``benchmarks/mixer.py``.

    Notes
    -----
    They were learned when places that agreed with 18 of the last 32 bases were followed, not 24 as now.
    Learned again, they give in-distribution reads of the benchmark fewer nats per base, 0.439 against
    0.443, but tell them from others less well, an AUROC of 0.947 against 0.949; so these stayed.
    """
    return load(resources.files("genood.context").joinpath(DEFAULT_FILE).read_bytes())


def plain_mixer() -> dict[str, Tensor]:
    """Weights that trust the table over all classes alone."""
    mixer = {name: torch.zeros(shape) for name, shape in SHAPES.items()}
    mixer["gates"][..., 0] = 1.0
    mixer["no_expert_gates"][0] = 1.0
    return mixer


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

    def log_probs(self, mixer: Mixer) -> Tensor:
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
) -> dict[str, Tensor]:
    """Weights of the highest likelihood, held near `start` where there is little to learn from."""
    mixer = {name: tensor.clone().requires_grad_() for name, tensor in start.items()}
    optimizer = torch.optim.LBFGS(
        mixer.values(), max_iter=iterations, history_size=10, line_search_fn="strong_wolfe"
    )

    def loss() -> Tensor:
        distance = sum(((mixer[name] - start[name]) ** 2).sum() for name in mixer)
        value = ridge * distance - seen.log_probs(mixer).mean()
        gradients = torch.autograd.grad(value, list(mixer.values()))
        for tensor, gradient in zip(mixer.values(), gradients, strict=True):
            tensor.grad = gradient
        return value.detach()

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return {name: tensor.detach() for name, tensor in mixer.items()}
