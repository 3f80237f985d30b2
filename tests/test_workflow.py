"""The Snakemake workflow, really run on the repository's examples."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent


def snakemake(directory: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [BIN / "snakemake", "--snakefile", ROOT / "workflows" / "Snakefile", "--cores", "2"]
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(
        [*command, "--directory", directory, *options],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )


@pytest.fixture
def case(tmp_path: Path) -> Path:
    """The workflow's own test case, where its relative paths hold."""
    folder = tmp_path / "workflows" / "case"
    shutil.copytree(ROOT / "workflows" / ".test" / "config", folder / "config")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    return folder


def test_from_reference_to_evaluation(case: Path) -> None:
    result = snakemake(case)
    assert result.returncode == 0, result.stderr
    results = case / "results"
    with gzip.open(results / "scores" / "coli.tsv.gz", "rt") as table:
        assert len(table.readlines()) == 1 + 1650
    summary = json.loads((results / "summaries" / "others.json").read_text())
    assert summary["reads"]["in"] == 1650
    evaluation = json.loads((results / "evaluation.json").read_text())
    assert evaluation["reads"] == {"in": 1650, "ood": 1650}
    assert not (results / "pooled" / "in.tsv").exists()
    again = snakemake(case, "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("config.yaml", "score_options", "score_option", "score_option"),
        ("samples.tsv", "\tin\n", "\tmaybe\n", "maybe"),
        ("samples.tsv", "others", "coli", "named twice: coli"),
        ("samples.tsv", "in.fasta.gz", "missing.fasta.gz", "missing.fasta.gz"),
    ],
)
def test_mistakes_stop_it_before_anything_runs(
    case: Path, file: str, old: str, new: str, message: str
) -> None:
    path = case / "config" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    result = snakemake(case)
    assert result.returncode == 1
    assert message in result.stdout + result.stderr
    assert not (case / "results").exists()


def test_an_interrupted_training_goes_on(case: Path) -> None:
    config = case / "config" / "config.yaml"
    text = config.read_text()
    bundle = case / "results" / "bundle"
    config.write_text(text.replace("--steps 20", "--steps 10 --schedule constant"))
    assert snakemake(case, "results/bundle/genood.json").returncode == 0
    # What a killed job leaves: a checkpoint after 10 of 20 steps, and no bundle.
    (bundle / "genood.json").unlink()
    config.write_text(text.replace("--steps 20", "--steps 20 --schedule constant"))
    assert snakemake(case, "results/bundle/genood.json").returncode == 0
    assert (bundle / "training.tsv").read_text().splitlines()[-1].startswith("20\t")
    assert "step 10:" not in (case / "logs" / "train.log").read_text()


def test_without_truth_there_is_no_evaluation(case: Path) -> None:
    sheet = case / "config" / "samples.tsv"
    rows = [line.split("\t")[:2] for line in sheet.read_text().splitlines()]
    sheet.write_text("".join("\t".join(row) + "\n" for row in rows))
    result = snakemake(case, "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "rule score" in result.stdout + result.stderr
    assert "rule evaluate" not in result.stdout + result.stderr


def test_a_benchmark_cell_by_cell(case: Path) -> None:
    result = snakemake(case, "benchmark")
    assert result.returncode == 0, result.stderr
    results = case / "results" / "benchmark"
    assert sorted(path.name for path in (results / "done").iterdir()) == [
        "score-markov-seed0",
        "train-markov-seed0",
    ]
    assert (results / "table.md").read_text().count("| Markov chain, ") == 2
    assert not (case / "results" / "bundle").exists()
    again = snakemake(case, "benchmark", "--dry-run")
    assert "Nothing to be done" in again.stdout + again.stderr
