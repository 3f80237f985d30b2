"""Where models run: the device and the precision a user asks for."""

from __future__ import annotations

from contextlib import AbstractContextManager

import torch

from genood.errors import ConfigError
from genood.recipes import Precision


def resolve_device(name: str) -> torch.device:
    """Turn ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps`` into a device that is there.

    ``auto`` takes CUDA where there is some, else Apple's MPS, else the CPU.

    Raises
    ------
    ConfigError
        No such device on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise ConfigError(f"unknown device {name!r}; use auto, cpu, cuda, cuda:N or mps") from None
    there = {
        "cpu": True,
        "cuda": (device.index or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if not there.get(device.type, False):
        raise ConfigError(f"device {name!r} is not on this machine; --device auto takes what is there")
    return device


def autocast(device: torch.device, precision: Precision) -> AbstractContextManager[object]:
    """The context in which matrix products run in bfloat16, or in which nothing changes.

    ``auto`` is fp32 until a measurement shows that bf16 scores as well.
    """
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
