"""How experts and dense tables are mixed: a softmax regression on what the experts look like.

The logit of a base is a weighted sum of the dense tables' log-probabilities, the weights by the state
of the strongest expert, plus for two experts and each feature of their states a number for what the
base would be to the expert: the same base, or one of four kinds of substitution. `genood.context.fitting`
learns all these numbers together.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

from genood.context.record import (
    NUM_CATEGORIES,
    NUM_FEATURES,
    NUM_LEVELS,
    NUM_PLACES,
    NUM_RUNS,
)

SHAPES = {
    "weights": (2, NUM_FEATURES, NUM_PLACES, NUM_LEVELS, NUM_CATEGORIES),
    "gates": (NUM_PLACES, NUM_RUNS, 2),
    "no_expert_gates": (2,),
}
DEFAULT_FILE = "mixer.safetensors"

Mixer = Mapping[str, npt.NDArray[np.float32]]
"""Arrays of `SHAPES`, by name."""


def default_mixer() -> dict[str, npt.NDArray[np.float32]]:
    """The weights that come with genood, learned by ``benchmarks/mixer.py``.

    Notes
    -----
    They were learned when places that agreed with 18 of the last 32 bases were followed, not 24 as now.
    Learned again, they give in-distribution reads of the benchmark fewer nats per base, 0.439 against
    0.443, but tell them from others less well, an AUROC of 0.947 against 0.949; so these stayed.
    """
    return load(resources.files("genood.context").joinpath(DEFAULT_FILE).read_bytes())


def plain_mixer() -> dict[str, npt.NDArray[np.float32]]:
    """Weights that trust the table over all classes alone."""
    mixer = {name: np.zeros(shape, dtype=np.float32) for name, shape in SHAPES.items()}
    mixer["gates"][..., 0] = 1.0
    mixer["no_expert_gates"][0] = 1.0
    return mixer
