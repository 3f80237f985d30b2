"""What tests of tiny trainings by the command share."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

from toys import TRAIN_OPTIONS

Train = Callable[..., subprocess.CompletedProcess[str]]

TINY = (*TRAIN_OPTIONS, "--schedule", "constant", "--learning-rate", "0.005")
"""Under a constant learning rate the first steps do not depend on how many are to come."""
RESULTS = ("foreground.safetensors", "background.safetensors", "training.tsv", "calibration.json")


def results_of(bundle: Path) -> dict[str, bytes]:
    return {name: (bundle / name).read_bytes() for name in RESULTS}
