"""Directories of bundles that hold no models: all else is there, by hand."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from genood.bundles.files import TRAINING_FILE, write_metadata, write_parts
from genood.files import write_text

BUNDLE_FILES = {
    "genood.json",
    "foreground.safetensors",
    "background.safetensors",
    "calibration.json",
    "detectors.safetensors",
    "training.tsv",
    "MODEL_CARD.md",
    "checkpoint.safetensors",
}
"""Of an LSTM's, all that there can be."""

LEVELS = np.linspace(0, 1, 101)
CARD = "# genood bundle\n\nA card.\n\n| class | files |\n|---|---|\n| Alpha | 1 |\n"


def calibration_of(*detectors: str, independent: tuple[float, ...] = (39.0, 999.0)) -> dict[str, Any]:
    """In-distribution scores are uniform: from 0 to 1 at 100 bases, from 1 to 2 at 400."""
    null = {
        "lengths": [100, 400][: len(independent)],
        "num_independent": list(independent),
        "levels": LEVELS.tolist(),
        "quantiles": [LEVELS.tolist(), (LEVELS + 1).tolist()][: len(independent)],
    }
    return {"source": "held-out <stretches>", "detectors": dict.fromkeys(detectors, null)}


def metadata_of(kind: str, model: Mapping[str, Any], **changes: Any) -> dict[str, Any]:
    """Content of ``genood.json``, of two classes."""
    files = [
        {"name": f"{name}.fa", "class_name": name, "num_records": 2, "num_bases": n, "usable_bases": n}
        | {"sha256": 64 * letter}
        for name, n, letter in (("Alpha", 1000, "a"), ("Beta", 3000, "b"))
    ]
    return {
        "kind": kind,
        "model": dict(model),
        "classes": ["Alpha", "Beta"],
        "seed": 7,
        "command": "genood train <all>",
        "data": {"fingerprint": "f00d", "files": files, "validation": "held-out stretches"},
        "metrics": {},
        **changes,
    }


def write_bundle(
    root: Path,
    metadata: dict[str, Any],
    *,
    table: str | None = None,
    calibration: dict[str, Any] | None = None,
    detectors: Mapping[str, Any] | None = None,
) -> Path:
    """Write all of a bundle but its models; what is there is replaced."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    names: list[str] = []
    if table is not None:
        write_text(root / TRAINING_FILE, table)
        names.append(TRAINING_FILE)
    calibration = calibration_of("llr", "likelihood") if calibration is None else calibration
    names += write_parts(root, calibration, CARD, dict(detectors or {}))
    write_metadata(root, metadata, names)
    return root


STEPS = {
    "steps": 6, "batch_size": 4, "learning_rate": 0.5, "schedule": "cosine", "read_length": 60,
    "num_validation_reads": 10,
}  # fmt: skip


def lstm_dir(root: Path, **changes: Any) -> Path:
    """An LSTM's, after three validations, of which the second was the foreground's best."""
    metadata = metadata_of(
        "lstm",
        {"foreground": {"hidden_size": 8}, "background": {"hidden_size": 8}},
        background="mutated",
        training=STEPS,
        metrics={
            "foreground": {"best_step": 4, "val_nats_per_base": 1.25, "val_bits_per_base": 1.8},
            "background": {"best_step": 6, "val_nats_per_base": 1.5, "val_bits_per_base": 2.2},
        },
    )
    table = (
        "step\tforeground_train_loss\tbackground_train_loss\tforeground_val_loss\tbackground_val_loss\n"
        "2\t1.5\t1.75\t1.375\t1.625\n4\t1.25\t1.5\t1.25\t1.5625\n6\t1.125\t1.4\t1.3\t1.5\n"
    )
    return write_bundle(root, metadata | changes, table=table)


def cnn_dir(root: Path, variant: str = "noise-class") -> Path:
    """A classifier's, with a fitted detector."""
    confusion = [[8, 2, 0], [1, 6, 3], [0, 0, 10]]
    metadata = metadata_of(
        "cnn",
        {"classifier": {"num_classes": 2, "variant": variant}},
        training=STEPS,
        metrics={"classifier": {"best_step": 2, "val_accuracy": 0.8, "val_confusion": confusion}},
    )
    table = (
        "step\tclassifier_train_loss\tclassifier_val_loss\tclassifier_val_accuracy\n"
        "2\t0.9\t0.5\t0.75\n4\t0.8\t0.625\t0.8\n"
    )
    fitted = {"knn/features": np.zeros((5, 3), np.float32), "rose-diagonal/curvature": np.ones(2, np.float32)}
    calibration = calibration_of("max-probability", "knn")
    return write_bundle(root, metadata, table=table, calibration=calibration, detectors=fitted)


def markov_dir(root: Path, **changes: Any) -> Path:
    """A Markov chain's."""
    metadata = metadata_of(
        "markov",
        {"foreground": {"order": 5}},
        background="low-order",
        training={"model": {"order": 5}, "half": False, "prior_count": 4.0},
        metrics={"foreground": {"val_nats_per_base": 0.9}},
    )
    return write_bundle(root, metadata | changes, table="model\tval_nats_per_base\nforeground\t0.9\n")


def context_dir(root: Path, **changes: Any) -> Path:
    """A context model's."""
    metadata = metadata_of(
        "context",
        {"foreground": {"num_positions": 4000}},
        background="other-classes",
        training={"memory": 2_000_000_000, "read_length": 250, "plan": {"nuc_sampling": 2}},
        metrics={"foreground": {"val_nats_per_base": 0.5}, "background": {"val_nats_per_base": 1.25}},
    )
    table = "model\tval_nats_per_base\nforeground\t0.5\nbackground\t1.25\n"
    return write_bundle(root, metadata | changes, table=table)
