"""`genood train` of models that are made at once: context models, sketches, Markov chains."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path

import pytest
from bundle_dirs import BUNDLE_FILES
from conftest import Genood
from refusals import check_error, snapshot
from toys import coding_codes, uniform_codes, write_fasta

from genood import bundle
from genood.errors import InputError


def test_context_is_the_default_without_a_gpu(context_dir: Path, strain_files: list[Path]) -> None:
    assert set(snapshot(context_dir)) == BUNDLE_FILES - {
        *("background.safetensors", "checkpoint.safetensors", "detectors.safetensors")
    }
    metadata = json.loads((context_dir / "genood.json").read_text())
    assert (metadata["kind"], metadata["background"]) == ("context", "other-classes")
    assert shlex.split(metadata["command"]) == [
        *("genood", "train", *map(str, strain_files), "-o", str(context_dir), "--device", "cpu")
    ]
    assert metadata["training"]["memory"] == 2_000_000_000
    assert metadata["files"] == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in context_dir.iterdir()
        if path.name != "genood.json"
    }


def test_what_context_training_says(genood: Genood, strain_files: list[Path], tmp_path: Path) -> None:
    result = genood("train", "--model", "context", *strain_files[:2], "-o", tmp_path / "bundle")
    assert (result.returncode, result.stdout) == (0, "")
    assert [line.split()[:2] for line in result.stderr.splitlines()] == [
        ["genood:", word] for word in ("reference:", "keeping", "wrote")
    ]
    assert "reference: 1 classes, 2 files, 47,798 bases" in result.stderr


def test_threads_do_not_change_a_context_bundle(
    genood: Genood, context_dir: Path, strain_files: list[Path], tmp_path: Path
) -> None:
    options = ("--model", "context", "--threads", "3", "--quiet")
    assert genood("train", *strain_files, "-o", tmp_path / "bundle", *options).returncode == 0
    for name in ("foreground.safetensors", "calibration.json", "training.tsv"):
        assert (tmp_path / "bundle" / name).read_bytes() == (context_dir / name).read_bytes(), name


def test_adding_to_a_context_bundle(
    genood_here: Genood, context_dir: Path, strain_files: list[Path], tmp_path: Path
) -> None:
    """The bundle says that its model is the context model; Alpha comes before the classes there."""
    new = write_fasta(tmp_path / "Alpha__1.fna", {"a": uniform_codes(20_000, 8)})
    before = snapshot(context_dir)
    larger, whole = tmp_path / "larger", tmp_path / "whole"
    assert genood_here("train", new, "--add", context_dir, "-o", larger).returncode == 0
    assert genood_here("train", *strain_files, new, "-o", whole, "--model", "context").returncode == 0
    assert snapshot(context_dir) == before
    for name in ("foreground.safetensors", "calibration.json", "training.tsv"):
        assert (larger / name).read_bytes() == (whole / name).read_bytes(), name
    data = [json.loads((bundle / "genood.json").read_text())["data"] for bundle in (larger, whole)]
    assert data[0] == data[1]
    assert genood_here("info", larger).stdout.count("| Alpha | 1 | 20,000 |") == 1


@pytest.mark.parametrize(
    ("bundle", "options", "says"),
    [
        (
            "lstm",
            ("--read-length", "60"),
            "a bundle of kind lstm does not hold its reference; --add takes context bundles",
        ),
        ("nothing", (), "nothing: is not a bundle (no genood.json)"),
        ("context", ("--read-length", "100"), "was made with --read-length 250; give the same"),
        ("context", ("--memory", "0.1"), "more than the 0.10 GB of --memory; give more, or fewer genomes"),
        ("same", (), "Gamma__0.fna: is there already, as Gamma__0.fna"),
    ],
)
def test_bad_additions(
    genood_here: Genood,
    bundle_dir: Path,
    context_dir: Path,
    strain_files: list[Path],
    tmp_path: Path,
    bundle: str,
    options: tuple[str, ...],
    says: str,
) -> None:
    new = write_fasta(tmp_path / "New.fna", {"n": uniform_codes(5000, 8)})
    if bundle == "same":
        new = strain_files[2]
    to = {"lstm": bundle_dir, "nothing": tmp_path / "nothing"}.get(bundle, context_dir)
    check_error(genood_here("train", new, "--add", to, "-o", tmp_path / "bundle", *options), says)
    assert not (tmp_path / "bundle").exists()


BAD_CONTEXT_TRAINING = {
    "memory": (5, ("--memory", "0.1"), "GB of --memory; give more, or fewer genomes"),
    "one class": (
        2,
        ("--background", "other-classes"),
        "the background other-classes needs two classes or more; give --background low-order",
    ),
    "long reads": (5, ("--read-length", "15000"), "class 'Beta' has no stretch of 15000 known bases"),
}


@pytest.mark.parametrize(
    ("num_files", "options", "says"), BAD_CONTEXT_TRAINING.values(), ids=BAD_CONTEXT_TRAINING
)
def test_bad_context_training(
    genood_here: Genood,
    strain_files: list[Path],
    tmp_path: Path,
    num_files: int,
    options: tuple[str, ...],
    says: str,
) -> None:
    genomes = strain_files[:num_files]
    output = tmp_path / "new" / "bundle"
    check_error(genood_here("train", *genomes, "-o", output, "--model", "context", *options), says)
    assert list(tmp_path.iterdir()) == []


def test_sketch(genood: Genood, tmp_path: Path) -> None:
    genomes = [
        write_fasta(tmp_path / f"{name}__1.fna", {"one": coding_codes(60_000, seed)})
        for seed, name in enumerate(("Alpha", "Beta"))
    ]
    options = ("--model", "sketch", "--max-size", "0.55", "--held-out-fraction", "0.2")
    result = genood("train", *genomes, "-o", tmp_path / "bundle", *options)
    assert (result.returncode, result.stdout) == (0, "")
    assert "keeping" in result.stderr
    files = snapshot(tmp_path / "bundle")
    assert set(files) == BUNDLE_FILES - {
        *("checkpoint.safetensors", "detectors.safetensors", "background.safetensors")
    }
    assert sum(map(len, files.values())) <= 0.55 * 2**20
    metadata = json.loads(files["genood.json"])
    assert (metadata["kind"], metadata["background"]) == ("sketch", "composition")
    assert (metadata["training"]["max_size"], metadata["training"]["held_out_fraction"]) == (576716, 0.2)
    small = genood("train", *genomes, "-o", tmp_path / "small", *options, "--max-size", "0.1")
    check_error(small, "max size must be above 0.46 MiB, not 0.1")


def test_markov(genood: Genood, strain_files: list[Path], tmp_path: Path) -> None:
    options = ("--model", "markov", "--order", "4", "--mutation-rate", "0.2", "--held-out-fraction", "0.2")
    result = genood("train", *strain_files, "-o", tmp_path / "bundle", *options)
    assert (result.returncode, result.stdout) == (0, "")
    assert set(snapshot(tmp_path / "bundle")) == BUNDLE_FILES - {
        *("checkpoint.safetensors", "detectors.safetensors")
    }
    metadata = json.loads((tmp_path / "bundle" / "genood.json").read_text())
    assert (metadata["kind"], metadata["background"]) == ("markov", "mutated")
    assert metadata["model"] == {"foreground": {"order": 4}, "background": {"order": 4}}
    training = metadata["training"]
    assert (training["mutation_rate"], training["held_out_fraction"]) == (0.2, 0.2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--background", "read-chain"), "background of a Markov chain is of mutated, low-order"),
        (("--order", "13"), "order must be an integer from 0 to 12, not 13"),
    ],
)
def test_bad_markov_training(
    genood_here: Genood, strain_files: list[Path], tmp_path: Path, options: tuple[str, ...], says: str
) -> None:
    output = tmp_path / "new" / "bundle"
    check_error(genood_here("train", *strain_files, "-o", output, "--model", "markov", *options), says)
    assert list(tmp_path.iterdir()) == []


def test_markov_mutation_rate_needs_mutation(genood_here: Genood, tmp_path: Path) -> None:
    given = ("--model", "markov", "--mutation-rate", "0.1", "--background", "low-order")
    result = genood_here("train", "none.fa", "-o", tmp_path / "b", *given)
    assert (result.returncode, result.stderr.splitlines()[-1]) == (
        2,
        "Error: --mutation-rate needs --background mutated",
    )


@pytest.mark.parametrize("options", [(), ("--background", "low-order")])
def test_mutation_rate_needs_mutation(genood_here: Genood, tmp_path: Path, options: tuple[str, ...]) -> None:
    given = ("--model", "context", "--mutation-rate", "0.1", *options)
    result = genood_here("train", "none.fa", "-o", tmp_path / "b", *given)
    assert result.returncode == 2
    assert (
        "Error: --mutation-rate needs --background mutated, --model lstm or --model markov" in result.stderr
    )


@pytest.mark.parametrize("model", ["context", "markov", "sketch"])
def test_a_bundle_that_could_not_be_written_leaves_nothing(
    genood_here: Genood,
    strain_files: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    model: str,
) -> None:
    """When all but its last file was; the same command then writes it."""
    command = ("train", *strain_files, "-o", tmp_path / "bundle", "--model", model, "-q")

    def full(root: Path, *_: object) -> str:
        raise InputError(root / "genood.json", "cannot be written (No space left on device)")

    with monkeypatch.context() as patch:
        patch.setattr(bundle, "write_metadata", full)
        result = genood_here(*command)
    check_error(result, f"{tmp_path / 'bundle' / 'genood.json'}: cannot be written (No space left on device)")
    assert list(tmp_path.iterdir()) == []
    assert genood_here(*command).returncode == 0
