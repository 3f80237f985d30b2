"""The `genood benchmark` command."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import Genood
from safetensors.numpy import load_file as read_weights
from toy_datasets import write_full_dataset

from genood.benchmark.scales import SCALES
from genood.dataset import Dataset
from genood.models.cnn import CNN
from genood.sequence import decode

OPTIONS = ("--methods", "markov-likelihood,markov-llr", "--device", "cpu", "--threads", "1")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_full_dataset(tmp_path_factory.mktemp("benchmark") / "dataset")


@pytest.fixture(autouse=True)
def small_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genood.benchmark.running.SCALES", {**SCALES, "demo": SCALES["smoke"]})


def test_table(genood_here: Genood, dataset: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = tmp_path / "out"
    result = genood_here("benchmark", dataset, "-o", out, *OPTIONS, "--seeds", "2")
    assert result.returncode == 0, result.stderr
    assert result.stdout == (out / "table.md").read_text()
    assert result.stdout.count("| Markov chain, ") == 2
    assert "mean and (standard error) over 2 seeds" in result.stdout
    told = [record.getMessage() for record in caplog.records if record.name == "genood"]
    assert told[:2] == ["train-markov-seed0", "score-markov-seed0: val: likelihood, llr"]
    caplog.clear()
    again = genood_here("benchmark", dataset, "-o", out, *OPTIONS, "--seeds", "2")
    assert again.stdout == result.stdout
    assert not caplog.records


def test_cells(genood_here: Genood, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    listed = genood_here("benchmark", dataset, "-o", out, *OPTIONS, "--list-cells")
    assert listed.returncode == 0
    assert listed.stdout.splitlines() == [
        "cell\tneeds\tdone",
        "train-markov-seed0\t\tno",
        "score-markov-seed0\ttrain-markov-seed0\tno",
    ]
    assert not out.exists()
    done = genood_here("benchmark", dataset, "-o", out, *OPTIONS, "--cell", "train-markov-seed0")
    assert (done.returncode, done.stdout) == (0, "")
    listed = genood_here("benchmark", dataset, "-o", out, *OPTIONS, "--list-cells")
    assert "train-markov-seed0\t\tyes" in listed.stdout
    assert not (out / "table.md").exists()


def test_figures(genood_here: Genood, dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    distances = tmp_path / "d.tsv"
    classes = sorted(set(Dataset.load(dataset).splits["test_ood"].origins()["class"]))
    rows = [f"test_ood\t{name}\t0.{number}\tA\n" for number, name in enumerate(classes, 1)]
    distances.write_text("split\tclass\td2s\tnearest_class\n" + "".join(rows))
    result = genood_here(*("benchmark", dataset, "-o", out, *OPTIONS, "--figures", "--distances", distances))
    assert result.returncode == 0, result.stderr
    drawn = {path.stem for path in (out / "figures").glob("*.svg")}
    assert drawn >= {"likelihood-gc", "ratio-histogram", "roc", "classes", "distance", "positions"}
    # The figures are of the reads that the table is of.
    separation = pd.read_csv(out / "figures" / "separation.tsv", sep="\t").set_index("method")
    table = json.loads((out / "table.json").read_text())
    for method in table["methods"]:
        [auroc] = method["metrics"]["auroc"]["values"]
        assert separation.loc[method["title"], "auroc"] == pytest.approx(auroc, abs=1e-5)
    positions = pd.read_csv(out / "figures" / "positions.tsv", sep="\t")
    reads = pd.read_csv(out / "figures" / "reads.tsv", sep="\t")
    # The mean of a read's positions is its score, and its bases are the dataset's.
    name = positions["read_id"].iloc[-1]
    split, _, row = name.partition(":")
    part = positions[positions["read_id"] == name]
    codes = Dataset.load(dataset).splits[split].codes[int(row)]
    assert "".join(part["base"]) == decode(codes)
    assert np.isclose(reads["Markov chain, ratio"], part["llr"].mean(), atol=1e-5).any()


def test_accuracy_by_class(
    genood_here: Genood, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table of classes against the classifier's own answers."""
    all_reads = replace(SCALES["smoke"], max_test_reads=None)
    monkeypatch.setattr("genood.benchmark.running.SCALES", {**SCALES, "demo": all_reads})
    out = tmp_path / "out"
    result = genood_here("benchmark", dataset, "-o", out, "--methods", "max-logit,entropy", "--figures")
    assert result.returncode == 0, result.stderr
    table = pd.read_csv(out / "figures" / "classes.tsv", sep="\t").set_index("class")
    inside = table[table["side"] == "in"]
    assert table[table["side"] == "ood"]["accuracy"].isna().all()
    [folder] = (out / "cells" / "trained").glob("train-cnn-plain-seed0-*")
    config = json.loads((folder / "model.json").read_text())["config"]
    classifier = CNN.from_weights(config, read_weights(folder / "classifier.safetensors"))
    split = Dataset.load(dataset).splits["test_in"]
    codes, truth = np.array(split.codes), split.origins()["class"].to_numpy()
    logits = classifier.classify(codes, np.full(len(codes), codes.shape[1])).logits
    names = np.array(sorted(set(truth)))
    right = names[logits.argmax(axis=1)] == truth
    assert len(truth) == inside["num_reads"].sum()
    for name, row in inside.iterrows():
        assert row["accuracy"] == pytest.approx(right[truth == name].mean(), abs=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--methods", "magic"), "no method is called 'magic'; there are likelihood, llr-mu, llr, "),
        (("--methods", "markov-llr,,"), "no method is called ''; there are likelihood, "),
        (
            ("--cell", "train-lstm-foreground-seed0", "--cell", "magic"),
            "no cell is called 'magic'; --list-cells shows them",
        ),
        (("--figures", "--distances", "no.tsv"), "no.tsv: "),
    ],
)
def test_what_is_not_there_is_said(
    genood_here: Genood, dataset: Path, tmp_path: Path, options: tuple[str, ...], message: str
) -> None:
    result = genood_here("benchmark", dataset, "-o", tmp_path / "out", "--device", "cpu", *options)
    assert result.returncode == 1
    assert result.stderr.startswith(f"genood: error: {message}")
    assert len(result.stderr.splitlines()) == 1
    assert not (tmp_path / "out").exists()


def test_distances_are_of_figures(genood_here: Genood, dataset: Path, tmp_path: Path) -> None:
    result = genood_here("benchmark", dataset, "-o", tmp_path / "out", "--distances", "d.tsv")
    assert result.returncode == 2
    assert "--distances goes with --figures" in result.stderr


def test_names_of_methods_may_have_spaces_between_them(
    genood_here: Genood, dataset: Path, tmp_path: Path
) -> None:
    options = ("--methods", "markov-likelihood, markov-llr", "--device", "cpu", "--list-cells")
    result = genood_here("benchmark", dataset, "-o", tmp_path / "out", *options)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("command", ["benchmark", "tune"])
def test_standard_output_is_no_directory(
    genood_here: Genood, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = genood_here(command, dataset, "-o", "-")
    assert result.returncode == 1
    assert re.fullmatch(
        r"genood: error: -: a (benchmark|tuning) is a directory; it cannot go to standard output\n",
        result.stderr,
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["", "genood.json", "dataset.json"])
def test_what_is_no_directory_for_a_benchmark(
    genood_here: Genood, dataset: Path, tmp_path: Path, name: str
) -> None:
    out = tmp_path / "out"
    if name:
        out.mkdir()
        (out / name).touch()
        message = f"{out}: holds a {name}; name another directory for the benchmark"
    else:
        out.touch()
        message = f"{out}: is a file; name a directory for the benchmark"
    result = genood_here("benchmark", dataset, "-o", out, *OPTIONS)
    assert result.returncode == 1
    assert result.stderr == f"genood: error: {message}\n"
    assert not (out / "cells").exists()


def test_no_dataset(genood_here: Genood, tmp_path: Path) -> None:
    result = genood_here("benchmark", tmp_path, "-o", tmp_path / "out", "--device", "cpu")
    assert result.returncode == 1
    assert "is not a dataset" in result.stderr
