"""Snakemake, really run, with the commands of this environment."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
WORKFLOWS = ROOT / "workflows"
BIN = Path(sys.executable).parent
GENOOD = BIN / "genood"
HAS_MULTIQC = (BIN / "multiqc").exists()


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment in which jobs find genood, Snakemake and Python."""
    return {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **(extra or {})}


def path_with(first: Path) -> dict[str, str]:
    """PATH where commands are looked up in `first` before all else."""
    return {"PATH": os.pathsep.join(map(str, (first, BIN, os.environ["PATH"])))}


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


def new_case(folder: Path, **config: Any) -> Path:
    """The workflow's own test case, where its relative paths hold; keys of its configuration replaced."""
    case = folder / "workflows" / "case"
    shutil.copytree(WORKFLOWS / ".test" / "config", case / "config")
    (folder / "examples").symlink_to(ROOT / "examples")
    if config:
        # JSON is YAML, too.
        config = {"samples": "config/samples.tsv", "multiqc": {"enabled": HAS_MULTIQC}} | config
        (case / "config" / "config.yaml").write_text(json.dumps(config))
    return case


def run_case(
    case: Path, *options: str, extra: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the workflow in the directory of a case."""
    workflow = ("--snakefile", WORKFLOWS / "Snakefile", "--cores", "2")
    return snakemake(case, *workflow, *options, extra=extra)
