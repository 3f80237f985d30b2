"""`genood train --model cnn`: its bundle, what it says, resuming, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import Genood
from refusals import check_refused, snapshot
from safetensors.numpy import load_file
from toys import markov_codes, uniform_codes, write_fasta

from genood.bundle import Bundle
from genood.sequence import pad

OPTIONS = (
    *("--model", "cnn", "--preset", "demo", "--filters", "12", "--filter-length", "8", "--hidden-size", "6"),
    *("--steps", "6", "--batch-size", "16", "--read-length", "60", "--validation-interval", "3"),
    *("--schedule", "constant", "--device", "cpu", "--threads", "1"),
)
VARIANTS = ["plain", "binary", "noise-class", "calibrated"]
RESULTS = ("classifier.safetensors", "training.tsv", "calibration.json", "detectors.safetensors")


@pytest.fixture(scope="module")
def trained(genood: Genood, genome_files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with its log beside it; not to be changed."""
    output = tmp_path_factory.mktemp("cnn") / "bundle"
    result = genood("train", *genome_files, "-o", output, *OPTIONS)
    assert (result.returncode, result.stdout) == (0, ""), result.stderr
    output.with_name("log").write_text(result.stderr)
    return output


def test_files_and_metadata(trained: Path) -> None:
    assert {path.name for path in trained.iterdir()} == {
        *("genood.json", "MODEL_CARD.md", "checkpoint.safetensors", *RESULTS)
    }
    metadata = json.loads((trained / "genood.json").read_text())
    assert "background" not in metadata
    assert (metadata["kind"], metadata["classes"]) == ("cnn", ["Alpha", "Beta"])
    assert metadata["model"] == {
        "classifier": {
            **{"num_classes": 2, "variant": "plain", "num_filters": 12, "filter_length": 8},
            **{"hidden_size": 6, "dropout": 0.1},
        }
    }
    measured = metadata["metrics"]["classifier"]
    assert set(measured) == {"best_step", "val_nats_per_read", "val_accuracy", "val_confusion"}
    confusion = measured["val_confusion"]
    assert sum(map(sum, confusion)) == 500
    assert measured["val_accuracy"] == (confusion[0][0] + confusion[1][1]) / 500
    table = (trained / "training.tsv").read_text().splitlines()
    assert [line.split("\t")[0] for line in table] == ["step", "3", "6"]


def test_says_its_accuracy(trained: Path, genood_here: Genood) -> None:
    measured = json.loads((trained / "genood.json").read_text())["metrics"]["classifier"]
    log = trained.with_name("log").read_text()
    shown = "genood: accuracy on reads of held-out stretches of the reference: "
    assert f"{shown}{measured['val_accuracy']:.3f}" in log
    assert "genood: step 6: classifier " in log
    card = genood_here("info", trained).stdout
    assert f"| {measured['val_nats_per_read']:.4f} | {measured['val_accuracy']:.4f} |" in card
    assert "| class | Alpha | Beta | right |" in card
    alpha = measured["val_confusion"][0]
    assert f"| Alpha | {alpha[0]} | {alpha[1]} | {alpha[0] / sum(alpha):.3f} |" in card
    assert "The outputs are the classes." in card


def test_loaded_bundle_classifies(trained: Path) -> None:
    bundle = Bundle.load(trained)
    assert (bundle.foreground, bundle.background) == (None, None)
    assert bundle.gives == {"logits", "features"}
    found = bundle.classify(*pad([uniform_codes(60, 1), uniform_codes(5, 2)]))
    assert found.logits.shape == (2, 2)
    weights = load_file(trained / "classifier.safetensors")
    assert (found.weight == weights["output.weight"]).all()


@pytest.mark.parametrize("variant", VARIANTS[1:])
def test_variants(genood_here: Genood, genome_files: list[Path], tmp_path: Path, variant: str) -> None:
    output = tmp_path / "bundle"
    options = (*OPTIONS, "--variant", variant, "--mutation-rate", "0.3")
    assert genood_here("train", *genome_files, "-o", output, *options).returncode == 0
    bundle = Bundle.load(output)
    assert bundle.metadata["model"]["classifier"]["variant"] == variant
    assert bundle.metadata["training"]["mutation_rate"] == 0.3
    assert ("mutated-class" in bundle.gives) == (variant != "calibrated")
    card = genood_here("info", output).stdout
    assert "0.3 substitutions per base" in card.replace("\n", " ")
    header = {"binary": "any class | mutated", "noise-class": "Alpha | Beta | mutated"}
    assert f"| class | {header.get(variant, 'Alpha | Beta')} | right |" in card


def test_stopped_and_resumed_is_the_same(
    genood_here: Genood, genome_files: list[Path], trained: Path, tmp_path: Path
) -> None:
    """Six steps and seven more, or thirteen."""
    resumed, whole = Path(shutil.copytree(trained, tmp_path / "resumed")), tmp_path / "whole"
    options = (*OPTIONS, "--steps", "13")
    assert genood_here("train", *genome_files, "-o", resumed, *options, "--resume").returncode == 0
    assert genood_here("train", *genome_files, "-o", whole, *options).returncode == 0
    for name in RESULTS:
        assert (resumed / name).read_bytes() == (whole / name).read_bytes(), name


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--filters", "13"), "as num filters was 12 and is now 13; "),
        (("--variant", "binary"), "as variant was plain and is now binary; "),
        (("--model", "lstm"), "--filters has no meaning for --model lstm"),
    ],
)
def test_resume_refuses_another_model(
    genood_here: Genood,
    genome_files: list[Path],
    trained: Path,
    tmp_path: Path,
    options: tuple[str, ...],
    says: str,
) -> None:
    directory = Path(shutil.copytree(trained, tmp_path / "bundle"))
    before = snapshot(directory)
    result = genood_here("train", *genome_files, "-o", directory, *OPTIONS, *options, "--resume")
    assert result.returncode != 0
    assert says in result.stderr
    assert snapshot(directory) == before


def test_validation_classes_go_by_name(genood_here: Genood, genome_files: list[Path], tmp_path: Path) -> None:
    other = write_fasta(tmp_path / "Other__val.fna", {"v": markov_codes(6000, 8)})
    beta = write_fasta(tmp_path / "Beta__val.fna", {"v": markov_codes(6000, 9, stay=0.6)})
    output = tmp_path / "bundle"
    check_refused(
        genood_here,
        tmp_path,
        *("train", *genome_files, "-o", output, *OPTIONS, "--val", other, "--val", beta),
        says="validation reads are of Other, but the reference's classes are Alpha, Beta; name files of",
    )
    assert genood_here("train", *genome_files, "-o", output, *OPTIONS, "--val", beta).returncode == 0
    confusion = json.loads((output / "genood.json").read_text())["metrics"]["classifier"]["val_confusion"]
    assert (sum(confusion[0]), sum(confusion[1])) == (0, 500)


def test_one_class(genood_here: Genood, genome_files: list[Path], tmp_path: Path) -> None:
    says = "a plain classifier needs at least 2 classes, not 1"
    arguments = ("train", genome_files[0], "-o", tmp_path / "bundle", *OPTIONS)
    check_refused(genood_here, tmp_path, *arguments, says=says)


@pytest.mark.parametrize(
    ("model", "option", "value"),
    [
        *(("cnn", *option) for option in [("--l2", "0"), ("--layers", "2"), ("--memory", "2")]),
        *(("cnn", *option) for option in [("--background", "low-order"), ("--add", "bundle")]),
        *((model, "--variant", "plain") for model in ("lstm", "context")),
        *((model, "--filters", "8") for model in ("lstm", "context")),
        *((model, "--filter-length", "8") for model in ("lstm", "context")),
    ],
)
def test_options_of_other_models(
    genood_here: Genood, tmp_path: Path, model: str, option: str, value: str
) -> None:
    """Before anything is read: the genome does not exist."""
    result = genood_here("train", "none.fa", "-o", tmp_path / "b", "--model", model, option, value)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1] == f"Error: {option} has no meaning for --model {model}"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("variant", [(), ("--variant", "plain")])
def test_mutation_rate_needs_mutated_reads(
    genood_here: Genood, tmp_path: Path, variant: tuple[str, ...]
) -> None:
    given = ("--model", "cnn", "--mutation-rate", "0.1", *variant)
    result = genood_here("train", "none.fa", "-o", tmp_path / "b", *given)
    assert result.returncode == 2
    assert "Error: --mutation-rate needs a --variant that learns from mutated reads" in result.stderr
