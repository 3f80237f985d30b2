"""What `genood` loads before it scores: a context bundle needs neither torch nor readers of tables."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from genood.bundle import Bundle
from genood.ensemble import EnsembleBundle

PROGRAM = """
import atexit, sys

def tell():
    kernel = sys.modules.get("genood.context.kernel")
    print(len(kernel.score.signatures) if kernel else 0, *sys.modules, file=sys.stderr)

atexit.register(tell)
from genood.cli import main
main()
"""
"""The command; at its end, how often the context model's loop was compiled or opened, and all modules."""

UNNEEDED = {"torch", "scipy.special", "pandas", "sklearn", "pyarrow", "rich", "jinja2", "vl_convert"}
READS = Path(__file__).parents[1] / "data" / "reads.fastq"


def run(*arguments: str | Path) -> tuple[int, set[str]]:
    """Openings of the loop, and modules that were imported."""
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    number, *modules = result.stderr.splitlines()[-1].split()
    return int(number), set(modules)


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--device", "cpu", "-t", "2", "--fdr", "0.1", "--detector", "llr", "--detector", "likelihood"),
        ("--per-position", "p.tsv", "--window-table", "w.tsv", "--regions", "r.bed", "--windows", "100"),
        ("--summary", "s.json", "--ood-out", "o.fq", "--bam-out", "b.bam", "--kraken-report", "k.txt"),
    ],
)
def test_scoring_with_a_context_bundle(
    context_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    openings, modules = run("score", "-q", "-m", context_dir, READS, "-o", "scores.tsv", *options)
    assert not modules & UNNEEDED
    assert {"numba", "numpy"} <= modules  # or the program tells nothing
    # Opened while the weights are hashed, the loop serves for the reads too.
    assert openings == 1


def test_calibrating_and_remembering(context_dir: Path, strain_files: list[Path], tmp_path: Path) -> None:
    for command in (
        ("calibrate", "-m", context_dir, *strain_files[:2], "-o", tmp_path / "calibrated"),
        ("train", "--model", "context", *strain_files, "-o", tmp_path / "remembered"),
        ("train", "--device", "cpu", *strain_files, "-o", tmp_path / "too"),
    ):
        _, modules = run(*command, "-q")
        assert "torch" not in modules


def test_an_ensemble_of_context_models(context_dir: Path, tmp_path: Path) -> None:
    member = Bundle.load(context_dir)
    ensemble = EnsembleBundle(
        members=(member, member), by="seed", metadata=dict(member.metadata), calibration=member.calibration
    )
    ensemble.save(tmp_path / "ensemble")
    openings, modules = run("score", "-q", "-m", tmp_path / "ensemble", READS, "-o", tmp_path / "scores.tsv")
    assert not modules & UNNEEDED
    assert openings == 1


def test_an_lstm_bundle_needs_torch(bundle_dir: Path, tmp_path: Path) -> None:
    _, modules = run("score", "-q", "-m", bundle_dir, READS, "-o", tmp_path / "scores.tsv")
    assert "torch" in modules
