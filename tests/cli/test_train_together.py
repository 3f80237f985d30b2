"""`genood train` under torchrun, two processes of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import Genood
from toys import TRAIN_OPTIONS

KILLED_ONCE = Path(__file__).parents[1] / "killed_once.py"


def torchrun(
    *arguments: str | Path, started: tuple[str | Path, ...] = ("-m", "genood")
) -> tuple[int, list[str]]:
    """The exit code, and what genood says on stderr."""
    launcher = (sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2")
    result = subprocess.run(
        [*launcher, "--monitor-interval", "0.1", *map(str, [*started, *arguments])],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.stdout == ""
    said = ("genood", "Error: ")
    return result.returncode, [line for line in result.stderr.splitlines() if line.startswith(said)]


def losses_of(bundle: Path) -> np.ndarray:
    return np.loadtxt(bundle / "training.tsv", skiprows=1)


def test_restart_after_a_killed_process(genood: Genood, genome_files: list[Path], tmp_path: Path) -> None:
    """The checkpoint of step 4 is left, and gone on from, to what one process has."""
    together, alone = tmp_path / "together", tmp_path / "alone"
    started = ("--max-restarts", "1", KILLED_ONCE)
    code, said = torchrun("train", *genome_files, "-o", together, *TRAIN_OPTIONS, started=started)
    assert code == 0
    ended = "another process of the training has ended, after step 4"
    lost = f"genood: error: {ended}; go on with --resume from step 4"
    validated = [line for line in said if line.startswith("genood: step ")]
    assert [line.split(":")[1] for line in validated] == [" step 3", " step 6"]
    assert said.index(validated[0]) < said.index(lost) < said.index(validated[1])
    assert said[-1] == f"genood: wrote {together}"
    for beginning, number in {"genood: reference: ": 2, "genood: error: ": 1, "genood: wrote ": 1}.items():
        assert sum(line.startswith(beginning) for line in said) == number
    assert genood("train", *genome_files, "-o", alone, *TRAIN_OPTIONS).returncode == 0
    assert {path.name for path in together.iterdir()} == {path.name for path in alone.iterdir()}
    np.testing.assert_allclose(losses_of(together), losses_of(alone), rtol=1e-4)
    data = [json.loads((bundle / "genood.json").read_text())["data"] for bundle in (together, alone)]
    assert data[0] == data[1]


def test_bad_input_is_told_once(genome_files: list[Path], tmp_path: Path) -> None:
    options = (*TRAIN_OPTIONS, "--read-length", "100000")
    code, said = torchrun("train", *genome_files, "-o", tmp_path / "bundle", *options)
    [line] = (line for line in said if line.startswith("genood: error: ") or "Error" in line)
    assert code == 1
    assert line.startswith("genood: error: class 'Alpha' has no stretch of 100000 known bases; ")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--model", "context"), "a context model"),
        (("--model", "markov"), "a markov model"),
        (("--model", "lstm", "--members", "2"), "an ensemble"),
    ],
)
@pytest.mark.parametrize("rank", ["0", "1"])
def test_what_one_process_makes(
    genood_here: Genood,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    options: tuple[str, ...],
    what: str,
    rank: str,
) -> None:
    """Before anything is read; the second process leaves the word to the first."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", rank)
    result = genood_here("train", "none.fa", "-o", tmp_path / "bundle", "--device", "cpu", *options)
    assert (result.returncode, result.stdout) == (2, "")
    says = f"Error: {what} is made by one process; start genood train without torchrun"
    assert result.stderr.splitlines()[-1:] == ([says] if rank == "0" else [])


def test_one_process_tunes(genood_here: Genood, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Several would write to the same files."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    result = genood_here("tune", "none.fa", "-o", tmp_path / "tuned")
    assert result.returncode == 2
    assert result.stderr.endswith("is made by one process; start genood tune without torchrun\n")
