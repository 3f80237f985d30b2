"""Snakemake, really run, with the commands of this environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = ROOT / "workflows"
BIN = Path(sys.executable).parent
GENOOD = BIN / "genood"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment in which jobs find genood, Snakemake and Python."""
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **(extra or {})}


def snakemake(
    directory: Path, *options: str | Path, extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Snakemake in a directory."""
    return subprocess.run(
        [BIN / "snakemake", "--nocolor", *options],
        cwd=directory,
        capture_output=True,
        text=True,
        env=environment(extra),
        timeout=300,
    )
