"""What a result was measured on."""

from __future__ import annotations

import os
import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy
import torch

import genood


def describe() -> dict[str, Any]:
    """Machine, versions and command as JSON types; of absolute paths in the command, the last part."""
    return {
        "machine": {
            "processor": platform.machine(),
            "cores": os.cpu_count(),
            "system": platform.system(),
            "cpu_capability": torch.backends.cpu.get_cpu_capability(),
            "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        },
        "versions": {
            "genood": genood.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "numpy": numpy.__version__,
        },
        "command": shlex.join(
            ["python", *(Path(word).name if Path(word).is_absolute() else word for word in sys.argv)]
        ),
    }
