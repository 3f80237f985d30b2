"""Torch's random state: seeded by several numbers, and left as it was found."""

from __future__ import annotations

from contextlib import AbstractContextManager

import numpy as np
import torch


def random_state(device: torch.device) -> AbstractContextManager[None]:
    """A block that leaves torch's random state as it found it."""
    devices = [device] if device.type == "cuda" else []
    return torch.random.fork_rng(devices)


def torch_seed(*numbers: int) -> int:
    """One seed of several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
