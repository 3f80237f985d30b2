"""Where models run: the device and the precision a user asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager

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


@contextmanager
def computing(device: torch.device, precision: Precision) -> Iterator[None]:
    """The context in which models run: matrix products in bfloat16, or all of float32.

    ``auto`` is fp32 until a measurement shows that bf16 scores as well. cuDNN would take TF32 for
    float32 unless told not to, and a bundle must score the same on every device.
    """
    with ExitStack() as stack:
        if precision == "bf16":
            stack.enter_context(torch.autocast(device.type, dtype=torch.bfloat16))
        if device.type == "cuda":
            stack.enter_context(_without_tf32())
        yield


def _without_tf32() -> AbstractContextManager[None]:
    """A block in which cuDNN computes float32 in float32, and is otherwise as it was.

    What `torch.backends.cudnn.flags` is not told, it resets, and cuDNN itself it turns off.
    """
    cudnn = torch.backends.cudnn
    return cudnn.flags(
        enabled=cudnn.enabled,
        benchmark=cudnn.benchmark,
        deterministic=cudnn.deterministic,
        allow_tf32=False,
    )
