"""Training cells: models, made by what `genood train` is made of, and what each cost.

What is trained step by step is one model a cell: a foreground is then trained once for all backgrounds, and
each is what `genood train` makes with the same seed. Other kinds are bundles.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from genood.benchmark.cells import TrainingCell
from genood.bundle import CLASSIFIER, Bundle
from genood.bundles.files import CHECKPOINT_FILE, DETECTORS_FILE
from genood.ensemble import AnyBundle, load_bundle
from genood.files import atomic_path, write_json
from genood.files.damage import json_object, naming_damage
from genood.files.tensors import map_tensors, write_tensors
from genood.making.counting import CountConfig, CountJob, count_bundle
from genood.making.members import CountedMembers, train_ensemble
from genood.making.remember import RememberConfig, RememberJob, remember_bundle
from genood.making.sketching import SketchingConfig, SketchJob, sketch_bundle
from genood.models import CLASSIFIERS, MODELS
from genood.models.base import Model
from genood.models.markov import MarkovConfig
from genood.recipes import MUTATED, NO_BACKGROUND, Stream, TrainConfig
from genood.reference.genomes import Genomes
from genood.reference.loading import TRAINING_SPLIT, VALIDATION_SPLIT, genomes_of_split
from genood.reference.sampling import ReadSampler
from genood.training.following import Stopping

logger = logging.getLogger(__name__)

_COSTS_FILE = "costs.json"
_SPENT_FILE = "spent.json"
_MODEL_FILE = "model.json"
_BUNDLE = "bundle"


@dataclass(frozen=True, kw_only=True)
class Costs:
    """What a model cost.

    Attributes
    ----------
    seconds
        That training took; None where it went on after a break that left no account of it.
    num_bytes
        Of the weights.
    """

    seconds: float | None
    num_bytes: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """Where training cells lie, and what they are trained on.

    Attributes
    ----------
    directory
        Of the cells.
    dataset
        Directory of the reads.
    data
        Hash of the reads.
    read_length
        Of the dataset, in bases.
    device
        Where to train, by its name.
    stopping
        See `genood.making.build.train_bundle`.
    """

    directory: Path
    dataset: str
    data: str
    read_length: int
    device: str
    stopping: Stopping

    def folder(self, cell: TrainingCell) -> Path:
        """Where a cell lies."""
        return self.directory / f"{cell.name}-{cell.key(self.data)}"

    @cached_property
    def training(self) -> Genomes:
        """The reads to train on, in memory."""
        return genomes_of_split(self.dataset, TRAINING_SPLIT, min_length=1)

    @cached_property
    def validation(self) -> Genomes:
        """The reads to validate on, in memory."""
        return genomes_of_split(self.dataset, VALIDATION_SPLIT, min_length=1)


def costs_of(cell: TrainingCell, place: Place) -> Costs | None:
    """What a training cell cost, if it is done; InputError where the account is damaged."""
    path = place.folder(cell) / _COSTS_FILE
    if not path.is_file():
        return None
    with naming_damage(path, remove=path.parent):
        return Costs(**json_object(path))


def run_training(cell: TrainingCell, place: Place) -> bool:
    """Train a cell's model, or go on where an earlier run was interrupted; False if told to stop.

    Raises
    ------
    GenoodError
        As the training does.
    """
    folder = place.folder(cell)
    spent: float | None = 0.0
    if (folder / CHECKPOINT_FILE).is_file():
        spent = _seconds_of(folder / _SPENT_FILE)
    elif folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / _SPENT_FILE).unlink(missing_ok=True)
    start = time.perf_counter()
    finished = False
    try:
        finished = _TRAINERS.get(cell.kind, _train_steps)(cell, folder, place)
    finally:
        seconds = None if spent is None else spent + time.perf_counter() - start
        if not finished:
            write_json(folder / _SPENT_FILE, {"seconds": seconds})
    if finished:
        weights = (path for path in folder.rglob("*.safetensors") if path.name not in _NO_WEIGHTS)
        num_bytes = sum(path.stat().st_size for path in weights)
        write_json(folder / _COSTS_FILE, {"seconds": seconds, "num_bytes": num_bytes})
        (folder / CHECKPOINT_FILE).unlink(missing_ok=True)
    return finished


_NO_WEIGHTS = (CHECKPOINT_FILE, DETECTORS_FILE)


def load_trained(cells: tuple[TrainingCell, ...], place: Place) -> AnyBundle:
    """The models of cells that belong together, a foreground and its background, or the bundle of one."""
    folders = [place.folder(cell) for cell in cells]
    if (folders[0] / _BUNDLE).is_dir():
        return load_bundle(folders[0] / _BUNDLE, place.device)
    models: dict[str, Any] = {}
    for folder in folders:
        with naming_damage(folder / _MODEL_FILE, remove=folder):
            content = json_object(folder / _MODEL_FILE)
            role = content["role"]
            weights = folder / f"{role}.safetensors"
        with naming_damage(weights, remove=folder):
            model = _model(content, weights)
        models[role] = model.on(place.device)
    background = MUTATED if "background" in models else NO_BACKGROUND
    return Bundle(**models, metadata={"background": background}, calibration={})


def _model(content: Mapping[str, Any], weights: Path) -> Model:
    known: Mapping[str, type[Model]] = CLASSIFIERS if content["role"] == CLASSIFIER else MODELS
    return known[content["kind"]].from_weights(content["config"], map_tensors(weights))


def _train_steps(cell: TrainingCell, folder: Path, place: Place) -> bool:
    """Train one model step by step; its weights and ``model.json`` are then in the folder."""
    from genood.models.device import resolve_device  # which takes torch, as other kinds do not
    from genood.training.classifier_learner import classifier_learners
    from genood.training.learners import density_learners
    from genood.training.loop import Trainer

    role, shape = cell.config["role"], dict(cell.config["shape"])
    config = TrainConfig(**cell.config["train"])
    device = resolve_device(place.device)
    if role == CLASSIFIER:
        shape["num_classes"] = len(place.training.classes)
        learners = classifier_learners(cell.kind, shape, config, device)
    else:
        learners = density_learners(cell.kind, shape, config, device, [role])
    trainer = Trainer(
        learners=learners,
        model={"model": cell.kind, "role": role, **shape},
        config=config,
        training=ReadSampler(place.training, config.read_length, (config.seed, Stream.READS)),
        validation=ReadSampler(place.validation, config.read_length, (config.seed, Stream.VALIDATION)),
        fingerprint=place.data,
        device=device,
    )
    checkpoint = folder / CHECKPOINT_FILE
    if checkpoint.is_file():
        trainer.resume(checkpoint)
    with place.stopping() as should_stop:
        if not trainer.run(checkpoint=checkpoint, should_stop=should_stop):
            return False
    model = trainer.learners[role].best_model()
    with atomic_path(folder / f"{role}.safetensors") as path:
        write_tensors(path, model.weights())
    content = {"kind": cell.kind, "role": role, "config": model.config(), "metrics": trainer.metrics()[role]}
    write_json(folder / _MODEL_FILE, content)
    return True


def _remember(cell: TrainingCell, folder: Path, place: Place) -> bool:
    job = RememberJob(
        inputs=[place.dataset],
        output=str(folder / _BUNDLE),
        config=RememberConfig(**cell.config["remember"]),
        command="genood benchmark",
        wants_p_values=False,
    )
    remember_bundle(job)
    return True


def _sketch(cell: TrainingCell, folder: Path, place: Place) -> bool:
    job = SketchJob(
        inputs=[place.dataset],
        output=str(folder / _BUNDLE),
        config=SketchingConfig(**cell.config["sketch"]),
        command="genood benchmark",
        wants_p_values=False,
    )
    sketch_bundle(job)
    return True


def _count(cell: TrainingCell, folder: Path, place: Place) -> bool:
    config = cell.config["count"]
    job = CountJob(
        inputs=[place.dataset],
        output=str(folder / _BUNDLE),
        config=CountConfig(**{**config, "model": MarkovConfig(**config["model"])}),
        command="genood benchmark",
        wants_p_values=False,
    )
    if cell.config.get("by_class"):
        train_ensemble(CountedMembers(job))
    else:
        count_bundle(job)
    return True


_TRAINERS: Mapping[str, Callable[[TrainingCell, Path, Place], bool]] = {
    "context": _remember,
    "markov": _count,
    "sketch": _sketch,
}
"""By kind, how what is not trained step by step is made; the result says whether it is complete."""


def accuracy_of(cell: TrainingCell, place: Place) -> float | None:
    """The accuracy of a classifier on reads of `val_in`; None of other models."""
    path = place.folder(cell) / _MODEL_FILE
    if not path.is_file():
        return None
    with naming_damage(path, remove=path.parent):
        accuracy: float | None = json_object(path)["metrics"].get("val_accuracy")
    return accuracy


def _seconds_of(path: Path) -> float | None:
    """Seconds that an interrupted training has taken; None where there is no account of it."""
    if not path.is_file():
        return None
    with naming_damage(path):
        seconds: float | None = json_object(path)["seconds"]
    return seconds
