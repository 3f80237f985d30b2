"""`genood train`: the bundle, seeds, classes, and options of long trainings."""

from __future__ import annotations

import hashlib
import json
import shlex
from pathlib import Path

import pytest
from bundle_dirs import BUNDLE_FILES
from refusals import snapshot
from tiny_trainings import RESULTS, TINY, Train, results_of
from toys import markov_codes, write_fasta

from genood.sequence import Codes


def sha256_of_records(records: list[Codes]) -> str:
    """Over the length and the codes of each."""
    content = b"".join(f"{len(codes)}\0".encode() + codes.tobytes() for codes in records)
    return hashlib.sha256(content).hexdigest()


def test_files(finished: Path) -> None:
    assert set(snapshot(finished)) == BUNDLE_FILES


def test_files_can_be_shared(finished: Path, tmp_path: Path) -> None:
    """All have the permissions of any new file."""
    (tmp_path / "new").touch()
    assert {path.stat().st_mode for path in finished.iterdir()} == {(tmp_path / "new").stat().st_mode}


def test_metadata(finished: Path, genome_files: list[Path]) -> None:
    metadata = json.loads((finished / "genood.json").read_text())
    assert set(metadata) == {
        *("format_version", "readable_from", "genood_version", "kind", "model", "classes", "seed"),
        *("background", "command", "training", "data", "metrics", "files"),
    }
    assert (metadata["format_version"], metadata["kind"], metadata["seed"]) == (1, "lstm", 0)
    assert metadata["background"] == "mutated"
    assert metadata["classes"] == ["Alpha", "Beta"]
    assert shlex.split(metadata["command"]) == [
        *("genood", "train", *map(str, genome_files), "-o", str(finished), *TINY, "--quiet")
    ]
    assert metadata["model"]["foreground"] == metadata["model"]["background"]
    assert metadata["model"]["foreground"]["hidden_size"] == 8
    assert (metadata["training"]["steps"], metadata["training"]["read_length"]) == (6, 60)
    alpha, beta = ([markov_codes(4000, 1), markov_codes(3000, 2)], [markov_codes(6000, 3, stay=0.6)])
    assert metadata["data"]["files"] == [
        {"name": "Alpha__one.fna", "class_name": "Alpha", "num_records": 2}
        | {"num_bases": 7000, "usable_bases": 7000, "sha256": sha256_of_records(alpha)},
        {"name": "Beta__one.fna", "class_name": "Beta", "num_records": 1}
        | {"num_bases": 6000, "usable_bases": 6000, "sha256": sha256_of_records(beta)},
    ]
    assert set(metadata["metrics"]) == {"foreground", "background"}
    assert metadata["files"] == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in finished.iterdir()
        if path.name not in ("genood.json", "checkpoint.safetensors")
    }


def test_training_table(finished: Path) -> None:
    header, *rows = (finished / "training.tsv").read_text().splitlines()
    assert header.split("\t") == [
        "step",
        "foreground_train_loss",
        "background_train_loss",
        "foreground_val_loss",
        "background_val_loss",
    ]
    assert [row.split("\t")[0] for row in rows] == ["3", "6"]
    # A model that knows nothing loses ln 4 = 1.386 nats a base.
    assert all(1.2 < float(loss) < 1.6 for row in rows for loss in row.split("\t")[1:])


def test_best_validation_is_kept(finished: Path) -> None:
    metrics = json.loads((finished / "genood.json").read_text())["metrics"]
    rows = [row.split("\t") for row in (finished / "training.tsv").read_text().splitlines()[1:]]
    for column, role in ((3, "foreground"), (4, "background")):
        loss, step = min((float(row[column]), int(row[0])) for row in rows)
        assert metrics[role]["best_step"] == step
        assert metrics[role]["val_nats_per_base"] == pytest.approx(loss, rel=1e-5)
        assert metrics[role]["val_bits_per_base"] == pytest.approx(loss / 0.6931472, rel=1e-5)


def test_same_seed_same_weights(train: Train, finished: Path, tmp_path: Path) -> None:
    """In two processes."""
    assert train(tmp_path / "bundle").returncode == 0
    assert results_of(tmp_path / "bundle") == results_of(finished)


def test_other_seed_other_weights(train: Train, finished: Path, tmp_path: Path) -> None:
    assert train(tmp_path / "bundle", "--seed", "1").returncode == 0
    mine, theirs = results_of(tmp_path / "bundle"), results_of(finished)
    assert [name for name in RESULTS if mine[name] == theirs[name]] == []


def test_classes_and_validation_files(train: Train, genome_files: list[Path], tmp_path: Path) -> None:
    table = tmp_path / "classes.tsv"
    validation = write_fasta(tmp_path / "val.fna", {"v": markov_codes(500, 8)})
    table.write_text("file\tclass\nAlpha__one.fna\tX\nBeta__one.fna\tW\nval.fna\tX\n")
    result = train(tmp_path / "bundle", "--classes", table, "--val", validation)
    assert result.returncode == 0
    metadata = json.loads((tmp_path / "bundle" / "genood.json").read_text())
    assert metadata["classes"] == ["W", "X"]
    assert [file["class_name"] for file in metadata["data"]["files"]] == ["X", "W"]
    assert metadata["data"]["validation"] == "validation sequences"
    assert [file["name"] for file in metadata["data"]["validation_files"]] == ["val.fna"]


def test_options_of_long_trainings(train: Train, tmp_path: Path) -> None:
    board, bundle = tmp_path / "board", tmp_path / "bundle"
    options = ("--warmup-steps", "2", "--max-gradient-norm", "0", "--patience", "9", "--max-recoveries", "1")
    assert train(bundle, *options, "--tensorboard", board).returncode == 0
    training = json.loads((bundle / "genood.json").read_text())["training"]
    assert (training["warmup_steps"], training["max_gradient_norm"]) == (2, None)
    assert (training["patience"], training["max_recoveries"]) == (9, 1)
    [events] = board.iterdir()
    assert b"val_loss/background" in events.read_bytes()
    result = train(tmp_path / "ensemble", "--members", "2", "--tensorboard", board)
    assert (result.returncode, result.stderr.splitlines()[-1]) == (
        2,
        "Error: --tensorboard is for a single bundle, without --members and --per-class",
    )
