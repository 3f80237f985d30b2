"""`genood train` and `genood score` on a dataset."""

from __future__ import annotations

import csv
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Genood
from toy_datasets import write_dataset, write_strain_dataset
from toys import TRAIN_OPTIONS, markov_codes, uniform_codes, write_fasta

CONTEXT = ("--model", "context", "--read-length", "100", "--device", "cpu", "--threads", "1")


@pytest.fixture(scope="module")
def strains(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_strain_dataset(tmp_path_factory.mktemp("strains") / "d")


@pytest.fixture(scope="module")
def markov(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reads that an LSTM tells from uniform ones after few steps."""
    genomes = {
        "train_in": {"Alpha": markov_codes(5_000, 1), "Beta": markov_codes(5_000, 2, stay=0.8)},
        "val_in": {"Alpha": markov_codes(5_000, 3), "Beta": markov_codes(5_000, 4, stay=0.8)},
        "test_in": {"Alpha": markov_codes(5_000, 5), "Beta": markov_codes(5_000, 6, stay=0.8)},
        "test_ood": {"Zeta": uniform_codes(5_000, 7)},
    }
    directory = tmp_path_factory.mktemp("markov") / "d"
    return write_dataset(directory, genomes, num_reads=200, read_length=80)


@pytest.fixture(scope="module")
def context_bundle(genood: Genood, strains: Path) -> Path:
    output = strains.with_name("bundle")
    result = genood("train", strains, "-o", output, *CONTEXT)
    assert result.returncode == 0, result.stderr
    return output


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def metadata_of(bundle: Path) -> dict[str, Any]:
    metadata: dict[str, Any] = json.loads((bundle / "genood.json").read_text())
    return metadata


def scores_of(genood: Genood, bundle: Path, dataset: Path, split: str, folder: Path) -> list[dict[str, str]]:
    output = folder / f"{split}.tsv"
    result = genood("score", "-m", bundle, dataset / f"{split}.npy", "-o", output, "--device", "cpu")
    assert result.returncode == 0, result.stderr
    return rows_of(output)


def check_scores(genood: Genood, bundle: Path, dataset: Path, column: str, folder: Path) -> None:
    """Each test read has its row, and the OOD ones score as more OOD."""
    scores = {split: scores_of(genood, bundle, dataset, split, folder) for split in ("test_in", "test_ood")}
    for split, rows in scores.items():
        codes = np.load(dataset / f"{split}.npy")
        assert [row["read_id"] for row in rows] == [f"{split}:{number}" for number in range(len(codes))]
        assert {row["length"] for row in rows} == {str(codes.shape[1])}
        gc = np.isin(codes, [1, 2]).mean(axis=1)
        np.testing.assert_allclose([float(row["gc"]) for row in rows], gc, rtol=1e-5)
    values = {split: np.array([float(row[column]) for row in rows]) for split, rows in scores.items()}
    assert np.median(values["test_ood"]) < np.quantile(values["test_in"], 0.05)


def test_context_model_of_a_dataset(
    genood_here: Genood, context_bundle: Path, strains: Path, tmp_path: Path
) -> None:
    metadata = metadata_of(context_bundle)
    assert metadata["classes"] == ["Beta", "Gamma"]
    assert metadata["data"]["validation"] == "val_in of the dataset"
    [part] = metadata["data"]["datasets"]
    hashes = json.loads((strains / "dataset.json").read_text())["files"]
    assert part["sha256"]["train_in.npy"] == hashes["train_in.npy"]
    check_scores(genood_here, context_bundle, strains, "llr_per_base", tmp_path)
    # Calibrated on reads of other strains, as the test reads are.
    called = [row["call"] for row in rows_of(tmp_path / "test_in.tsv")]
    assert called.count("ood") <= 0.15 * len(called)
    called = [row["call"] for row in rows_of(tmp_path / "test_ood.tsv")]
    assert called.count("ood") >= 0.9 * len(called)


def test_lstm_of_a_dataset(genood_here: Genood, markov: Path, tmp_path: Path) -> None:
    """Windows of 60 bases of its reads of 80."""
    bundle = tmp_path / "bundle"
    options = (*TRAIN_OPTIONS, "--steps", "60", "--validation-interval", "30")
    result = genood_here("train", markov, "-o", bundle, *options)
    assert result.returncode == 0, result.stderr
    data = metadata_of(bundle)["data"]
    assert data["validation"] == "val_in of the dataset"
    assert [file["usable_bases"] for file in data["files"]] == [16_000, 16_000]
    check_scores(genood_here, bundle, markov, "log_likelihood", tmp_path)


def test_the_lstm_goes_on_from_a_checkpoint(genood_here: Genood, markov: Path, tmp_path: Path) -> None:
    constant = (*TRAIN_OPTIONS, "--schedule", "constant")
    for arguments in (
        ("-o", tmp_path / "whole", *constant),
        ("-o", tmp_path / "parts", *constant, "--steps", "3"),
        ("-o", tmp_path / "parts", *constant, "--resume"),
    ):
        assert genood_here("train", markov, *arguments).returncode == 0
    name = "foreground.safetensors"
    assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_adding_to_a_dataset_is_training_at_once(
    genood_here: Genood, context_bundle: Path, strains: Path, tmp_path: Path
) -> None:
    fasta = write_fasta(tmp_path / "Delta__one.fna", {"d": uniform_codes(6_000, 3)})
    validated = (*CONTEXT, "--val", strains)
    for arguments in (
        (fasta, "-o", tmp_path / "first", *CONTEXT),
        (strains, "--add", tmp_path / "first", "-o", tmp_path / "added", *validated),
        (fasta, strains, "-o", tmp_path / "once", *validated),
    ):
        result = genood_here("train", *arguments)
        assert result.returncode == 0, result.stderr
    for name in ("foreground.safetensors", "calibration.json"):
        assert (tmp_path / "added" / name).read_bytes() == (tmp_path / "once" / name).read_bytes()
    assert metadata_of(tmp_path / "added")["data"] == metadata_of(tmp_path / "once")["data"]
    # Without sequences to calibrate on, neither way round.
    for inputs, first in ((strains, tmp_path / "first"), (fasta, context_bundle)):
        result = genood_here("train", inputs, "--add", first, "-o", tmp_path / "no", *CONTEXT)
        check_error(result, "--add of or to a dataset needs sequences to calibrate on; give --val")
        assert not (tmp_path / "no").exists()


def check_error(result: subprocess.CompletedProcess[str], says: str) -> None:
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("genood: error: ")
    assert len(result.stderr.splitlines()) == 1
    assert says in result.stderr


@pytest.mark.parametrize("model", ["lstm", "context"])
def test_what_is_refused(genood_here: Genood, strains: Path, tmp_path: Path, model: str) -> None:
    table = tmp_path / "classes.tsv"
    table.write_text("file\tclass\nx\ty\n")
    fasta = write_fasta(tmp_path / "Delta__one.fna", {"d": uniform_codes(6_000, 3)})
    bare = write_dataset(
        tmp_path / "bare", {"train_in": {"A": uniform_codes(900, 1)}}, num_reads=3, read_length=100
    )
    common = ("-o", tmp_path / "no", "--model", model, "--device", "cpu")
    for arguments, problem in (
        ((strains, "--read-length", "101"), "give --read-length 100 or less"),
        ((strains, "--read-length", "100", "--classes", table), "a dataset has its classes"),
        ((bare, "--read-length", "100"), "bare: has no val_in reads"),
        ((fasta, strains, "--read-length", "100"), "FASTA files and datasets together"),
        ((strains / "train_in.npy", "--read-length", "100"), "is part of a dataset"),
    ):
        check_error(genood_here("train", *arguments, *common), problem)
        assert not (tmp_path / "no").exists()


def test_scoring_names_a_split(
    genood_here: Genood, context_bundle: Path, strains: Path, tmp_path: Path
) -> None:
    result = genood_here("score", "-m", context_bundle, strains, "-o", tmp_path / "x.tsv")
    check_error(result, "is a dataset; name one of its splits")
    damaged = tmp_path / "test_in.npy"
    damaged.write_bytes((strains / "test_in.npy").read_bytes()[:-1])
    result = genood_here("score", "-m", context_bundle, damaged, "-o", tmp_path / "x.tsv")
    check_error(result, "test_in.npy: is damaged")
    assert not (tmp_path / "x.tsv").exists()
