"""`genood tune`: what it prints and leaves, interruption, and what is refused."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest
from conftest import Genood, StartGenood
from toy_datasets import write_dataset
from toys import markov_codes, uniform_codes

TINY = (
    "--model", "lstm",
    "--preset", "demo",
    "--hidden-size", "6",
    "--steps", "6",
    "--batch-size", "16",
    "--read-length", "40",
    "--validation-interval", "3",
    "--mutation-rate", "0.2",
    "--mutation-rate", "0.1",
    "--l2", "0",
    "--device", "cpu",
    "--threads", "1",
)  # fmt: skip
NUM_READS = 60


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    genomes = {
        "train_in": {"Alpha": markov_codes(6000, 1), "Beta": markov_codes(6000, 3, stay=0.5)},
        "val_in": {"Alpha": markov_codes(6000, 11), "Beta": markov_codes(6000, 13, stay=0.5)},
        "val_ood": {"Zeta": uniform_codes(6000, 8)},
    }
    directory = tmp_path_factory.mktemp("tune") / "dataset"
    return write_dataset(directory, genomes, num_reads=NUM_READS, read_length=50)


def results_of(directory: Path) -> dict[str, bytes]:
    """All files but those that hold the command."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in directory.rglob("*")
        if path.is_file() and path.name not in ("tuning.json", "genood.json", "MODEL_CARD.md")
    }


def test_tune_and_score(genood_here: Genood, dataset: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "tuning"
    result = genood_here("tune", dataset, "-o", output, *TINY)
    assert result.returncode == 0, result.stderr
    assert result.stdout == (output / "tuning.md").read_text()
    assert "| μ \\ λ | 0 |\n" in result.stdout
    tuning = json.loads((output / "tuning.json").read_text())
    assert [cell["mutation_rate"] for cell in tuning["cells"]] == [0.1, 0.2]
    best = max(tuning["cells"], key=lambda cell: cell["real"]["auroc"])
    assert best == tuning["choices"]["real"]

    for side in ("in", "ood"):
        reads, table = dataset / f"val_{side}.npy", tmp_path / f"{side}.tsv"
        assert genood_here("score", "-m", output / "bundle", reads, "-o", table).returncode == 0
    evaluated = genood_here("evaluate", tmp_path / "in.tsv", tmp_path / "ood.tsv", "--resamples", "1")
    auroc = float(evaluated.stdout.splitlines()[1].split("\t")[1])
    assert auroc == pytest.approx(best["real"]["auroc"], abs=2e-4)
    assert "## Choice of the background" in (output / "bundle" / "MODEL_CARD.md").read_text()


def test_context_model_by_default(genood_here: Genood, dataset: Path, tmp_path: Path) -> None:
    options = ("--read-length", "50", "--mutation-rate", "0.1", "--device", "cpu", "--quiet")
    result = genood_here("tune", dataset, "-o", tmp_path / "t", *options, "--choose", "simulated")
    assert (result.returncode, result.stderr) == (0, "")
    assert "| mutated, μ 0.1 |" in result.stdout
    assert "| read-chain |" in result.stdout
    metadata = json.loads((tmp_path / "t" / "bundle" / "genood.json").read_text())
    assert metadata["tuning"]["chosen_by"] == "simulated"
    assert metadata["command"].startswith("genood tune ")


def test_markov_chain(genood_here: Genood, dataset: Path, tmp_path: Path) -> None:
    options = ("--model", "markov", "--order", "3", "--read-length", "50", "--mutation-rate", "0.1")
    result = genood_here("tune", dataset, "-o", tmp_path / "t", *options, "--device", "cpu", "--quiet")
    assert (result.returncode, result.stderr) == (0, "")
    assert "| low-order |" in result.stdout
    model = json.loads((tmp_path / "t" / "bundle" / "genood.json").read_text())["model"]
    assert model["foreground"]["order"] == 3


def test_interrupted_and_killed(
    start_genood: StartGenood, genood_here: Genood, dataset: Path, tmp_path: Path
) -> None:
    """What is done stays, and the same command gives in the end what one gives that was never stopped."""
    output = tmp_path / "stopped"
    command = ("tune", dataset, "-o", output, *TINY, "--seeds", "20")
    with start_genood(*command) as process:
        while b"1 of 40: " not in (line := process.stderr.readline()):
            assert line, "tuning ended"
        process.send_signal(signal.SIGINT)
        rest = process.stderr.read().decode().splitlines()
        assert process.wait(timeout=60) == 130
    assert rest[-1] == f"genood: stopped; the same command goes on from what is in {output}"
    assert [path.name for path in output.iterdir()] == ["cells"]
    first = output / "cells" / "seed-0" / "mutated-0.1-0.0" / "result.json"
    before = first.stat().st_mtime_ns
    with start_genood(*command) as process:
        while b"4 of 40: " not in (line := process.stderr.readline()):
            assert line, "tuning ended"
    assert [path.name for path in output.iterdir()] == ["cells"]
    assert genood_here("tune", dataset, "-o", output, *TINY, "--seeds", "2").returncode == 0
    assert first.stat().st_mtime_ns == before
    assert genood_here("tune", dataset, "-o", tmp_path / "whole", *TINY, "--seeds", "2").returncode == 0
    whole = results_of(tmp_path / "whole")
    assert len(whole) > 20
    assert whole.items() <= results_of(output).items()


def test_other_options(genood_here: Genood, dataset: Path, tmp_path: Path) -> None:
    options = ("--read-length", "50", "--mutation-rate", "0.1", "--device", "cpu")
    assert genood_here("tune", dataset, "-o", tmp_path / "t", *options).returncode == 0
    result = genood_here("tune", dataset, "-o", tmp_path / "t", *options, "--seed", "5")
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr == (
        f"genood: error: {tmp_path / 't'}: was begun with seed 0, not 5; give the options and sequences of "
        "then (only the grid and --seeds may change), or another directory\n"
    )


REFUSED = {
    "l2 of a context model": (("--model", "context", "--l2", "0"), "--l2 has no meaning for --model context"),
    "steps of a context model": (("--steps", "5"), "--steps has no meaning for --model context"),
    "memory of an lstm": (("--model", "lstm", "--memory", "1"), "--memory has no meaning for --model lstm"),
    "order of a context model": (("--order", "3"), "--order has no meaning for --model context"),
    "rate of 0": (("--mutation-rate", "0"), "0.0 is not in the range 0<x<=1"),
    "unknown choice": (("--choose", "test"), "'test' is not one of 'real', 'simulated'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_usage_errors(genood_here: Genood, dataset: Path, tmp_path: Path, case: str) -> None:
    options, message = REFUSED[case]
    result = genood_here("tune", dataset, "-o", tmp_path / "t", "--device", "cpu", *options)
    assert result.returncode == 2
    assert message in result.stderr
    assert not (tmp_path / "t").exists()


def test_bad_data(genood_here: Genood, dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "x").touch()
    short = ("--read-length", "50")
    for arguments, message in (
        ((tmp_path / "none.fna", "-o", tmp_path / "t"), "none.fna: no such file"),
        ((dataset, "-o", tmp_path / "full"), "is not empty, and holds no tuning; give a new directory"),
        ((dataset, "-o", tmp_path / "t", *short, "--ood", tmp_path / "none.fna"), "none.fna: no such file"),
        ((dataset, "-o", tmp_path / "t", "--read-length", "51"), "its reads have 50 bases"),
    ):
        result = genood_here("tune", *arguments, "--device", "cpu")
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.startswith("genood: error: ")
        assert len(result.stderr.splitlines()) == 1
        assert message in result.stderr
        assert not (tmp_path / "t").exists()
