"""Tiny trainings by the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Genood
from tiny_trainings import TINY, Train


@pytest.fixture
def train(genood_here: Genood, genome_files: list[Path]) -> Train:
    """Train on the genomes with the tiny options and further ones, which win."""

    def run(output: Path, *options: str | Path, genomes: list[Path] = genome_files) -> object:
        return genood_here("train", *genomes, "-o", output, *TINY, *options)

    return run


@pytest.fixture(scope="session")
def finished(genood: Genood, genome_files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle in a directory whose parent had to be made, trained quietly; tests must not change it."""
    output = tmp_path_factory.mktemp("finished") / "new" / "bundle"
    result = genood("train", *genome_files, "-o", output, *TINY, "--quiet")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    return output
