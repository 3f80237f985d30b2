"""From sequence files to an ensemble: `genood train --members` and `--per-class`."""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from genood.bundle import Bundle, read_metadata
from genood.bundles.files import FIRST_MEMBER, METADATA_FILE
from genood.detectors.base import ScoreBatch
from genood.ensemble import AnyBundle, EnsembleBundle, member_directory
from genood.errors import BundleError, ConfigError
from genood.making import counting, held_out, sketching
from genood.making.bundling import (
    calibrate,
    check_output,
    fit_detectors,
    losses_of,
    null_lengths,
    usual_null,
)
from genood.making.cards import ensemble_card
from genood.making.held_out import HeldOutJob
from genood.making.remember import Memory, RememberJob, background_of, load_memory, remember_bundle
from genood.recipes import Stream
from genood.reference.genomes import Genomes
from genood.reference.loading import TrainingData, Validation, load_data, provenance
from genood.reference.sampling import ReadSampler

logger = logging.getLogger(__name__)

ScoreNull = Callable[[int, int], list[ScoreBatch]]
"""Scores so many in-distribution reads of a length, given as (length, number)."""


class Members(ABC):
    """How the members of an ensemble are made: by one job, with another seed, or for another class.

    All have the same held-out stretches, those of the first member's seed, so that the reads that the
    ensemble is calibrated on are new to each.
    """

    about: ClassVar[str]
    """What differs with the seed, for people."""
    device: str = "cpu"
    """Where members are asked."""

    def __init__(self, job: Any) -> None:
        self.job = job
        """A single bundle's: its output is the ensemble's directory, its seed that of the first member."""

    @property
    @abstractmethod
    def training(self) -> Genomes:
        """What all members together are trained on."""

    @property
    @abstractmethod
    def validation(self) -> Validation:
        """What all are calibrated on."""

    @property
    @abstractmethod
    def about_nulls(self) -> str:
        """What a model card says of the validation reads."""

    @abstractmethod
    def scores(self, bundle: AnyBundle) -> ScoreNull:
        """What scores validation reads."""

    @abstractmethod
    def record(self, number: int, class_name: str | None) -> dict[str, Any]:
        """What the metadata of a member must say, beside ``data``: the parts of its metadata that matter."""

    @abstractmethod
    def make(self, number: int, class_name: str | None, directory: Path) -> bool:
        """Make the member of that number, from 1; whether it is complete.

        Parameters
        ----------
        number
            Added to the seed, less 1.
        class_name
            The class that it is to know; None is all.
        directory
            Where; what an unfinished run has left there is gone on with, or replaced.
        """

    def metrics(self, bundle: AnyBundle, lengths: Mapping[int, float]) -> dict[str, Any]:
        """How well a bundle knows validation reads, for ``genood.json``; `lengths` is of `null_lengths`."""
        config = self.job.config
        usual = usual_null(lengths, config.read_length, config.num_calibration_reads)
        return losses_of(self.scores(bundle)(*usual))

    def provenance(self, class_name: str | None = None) -> dict[str, Any]:
        """What a bundle of all classes, or of one, says about its data, JSON types."""
        if class_name is None:
            return provenance(self.training, self.validation)
        return provenance(self.training.of_class(class_name), self.validation.of_class(class_name))


class RememberedMembers(Members):
    """Members that are context models: each remembers another random half of the reference, or a class.

    A context model is the same for every seed if it is made of the same genomes.
    """

    about = "Each member remembers a random half of the reference, drawn by its seed in stretches."

    job: RememberJob

    @cached_property
    def _data(self) -> Memory:
        return load_memory(self.job)

    @property
    def training(self) -> Genomes:
        """See `Members.training`."""
        return self._data.genomes

    @property
    def validation(self) -> Validation:
        """See `Members.validation`."""
        return self._data.null.validation

    @property
    def about_nulls(self) -> str:
        """See `Members.about_nulls`."""
        return self._data.null.about

    def scores(self, bundle: AnyBundle) -> ScoreNull:
        """See `Members.scores`; where a read's file is left out, each member leaves it out."""
        return lambda length, number: self._data.null.score(bundle, length, number, self.job.config.seed)

    def record(self, number: int, class_name: str | None) -> dict[str, Any]:
        """See `Members.record`."""
        job, data = self._job(number, class_name, Path()), self._part(class_name)
        background = background_of(job.config, data.genomes)
        return {"kind": "context", "training": {**asdict(job.config), "background": background}}

    def make(self, number: int, class_name: str | None, directory: Path) -> bool:
        """See `Members.make`."""
        remember_bundle(self._job(number, class_name, directory), self._part(class_name))
        return True

    def _part(self, class_name: str | None) -> Memory:
        return self._data if class_name is None else self._data.of_class(class_name)

    def _job(self, number: int, class_name: str | None, directory: Path) -> RememberJob:
        config = replace(self.job.config, seed=self.job.config.seed + number - 1, half=class_name is None)
        return replace(self.job, config=config, output=str(directory), replace=True)


class _HeldOutMembers(Members):
    """Members that need no gradients, and have stretches of the reference held out to validate on."""

    job: HeldOutJob

    @cached_property
    def _data(self) -> TrainingData:
        return load_data(self.job)

    @property
    def training(self) -> Genomes:
        """See `Members.training`."""
        return self._data.training

    @property
    def validation(self) -> Validation:
        """See `Members.validation`."""
        return self._data.validation

    @property
    def about_nulls(self) -> str:
        """See `Members.about_nulls`."""
        return held_out.about_nulls(self.validation)

    def scores(self, bundle: AnyBundle) -> ScoreNull:
        """See `Members.scores`."""
        return held_out.null_scores(bundle, self.validation, self.job.config.seed)

    def _part(self, class_name: str | None) -> TrainingData:
        return self._data if class_name is None else self._data.of_class(class_name)

    def _job(self, number: int, class_name: str | None, directory: Path) -> Any:
        config = replace(self.job.config, seed=self.job.config.seed + number - 1, half=class_name is None)
        return replace(self.job, config=config, output=str(directory), replace=True)


class CountedMembers(_HeldOutMembers):
    """Members that are Markov chains: each counts another random half of the reference, or a class."""

    about = "Each member counts a random half of the reference, drawn by its seed in stretches."

    def record(self, number: int, class_name: str | None) -> dict[str, Any]:
        """See `Members.record`."""
        return {"kind": "markov", "training": asdict(self._job(number, class_name, Path()).config)}

    def make(self, number: int, class_name: str | None, directory: Path) -> bool:
        """See `Members.make`."""
        counting.count_bundle(self._job(number, class_name, directory), self._part(class_name))
        return True


class SketchedMembers(_HeldOutMembers):
    """Members that are sketches: each is of another random half of the reference, or of a class."""

    about = "Each member sketches a random half of the reference, drawn by its seed in stretches."

    def record(self, number: int, class_name: str | None) -> dict[str, Any]:
        """See `Members.record`."""
        return {"kind": "sketch", "training": asdict(self._job(number, class_name, Path()).config)}

    def make(self, number: int, class_name: str | None, directory: Path) -> bool:
        """See `Members.make`."""
        sketching.sketch_bundle(self._job(number, class_name, directory), self._part(class_name))
        return True


def train_ensemble(
    members: Members, *, num_members: int | None = None, resume: bool = False
) -> EnsembleBundle | None:
    """Train the members of an ensemble one after another, calibrate it and write it around them.

    Parameters
    ----------
    members
        How they are made.
    num_members
        How many, with seeds that follow each other; None is one for each class, trained on it alone.
    resume
        Go on with what there is in the output directory: members that are complete stay, one that is not
        is trained to its end, and the others follow.

    Returns
    -------
    ensemble
        As written; None if told to stop, with what is done left in the output directory.

    Raises
    ------
    GenoodError
        The input, the options or the output directory are unfit; nothing that was there is changed.
    """
    if num_members is not None and num_members < 2:
        raise ConfigError(f"an ensemble has at least 2 members, not {num_members}")
    output = Path(members.job.output)
    if not resume:
        check_output(output)
    elif not (output / FIRST_MEMBER).is_dir():
        raise BundleError(f"{output}: there is no ensemble to go on with; train without --resume")
    config = members.job.config
    classes = members.training.classes
    if num_members is None and len(classes) < 2:
        raise ConfigError("a model for each class needs two classes or more")
    names: list[str | None] = [*classes] if num_members is None else [None] * num_members
    validation = members.validation
    lengths = null_lengths(
        validation.genomes, config.read_length, validation.source, warns=members.job.wants_p_values
    )
    for name in names:
        if name is not None:  # told before the first is trained, not when its turn comes
            validation.of_class(name)
    if not _make_all(members, names, output):
        return None
    ensemble = _calibrated(members, names, lengths)
    (output / METADATA_FILE).unlink(missing_ok=True)
    return ensemble.save_around_members(output)


def _calibrated(
    members: Members, names: Sequence[str | None], lengths: Mapping[int, float]
) -> EnsembleBundle:
    """The ensemble of members that have been made, all but written."""
    config = members.job.config
    ensemble = EnsembleBundle(
        members=tuple(
            Bundle.load(member_directory(members.job.output, number), members.device)
            for number in range(1, len(names) + 1)
        ),
        by="seed" if None in names else "class",
        metadata={
            "classes": list(members.training.classes),
            "seed": config.seed,
            "command": members.job.command,
            "training": asdict(config),
            "data": members.provenance(),
        },
        calibration={},
    )
    sampler = ReadSampler(members.training, config.read_length, (config.seed, Stream.FIT))
    ensemble.detectors = fit_detectors(ensemble, sampler)
    source = members.validation.source
    calibration = calibrate(ensemble, members.scores(ensemble), lengths, config.num_calibration_reads, source)
    ensemble.calibration = calibration.to_json()
    ensemble.metadata["metrics"] = members.metrics(ensemble, lengths)
    ensemble.card = ensemble_card(ensemble, calibration, members.about, members.about_nulls)
    return ensemble


def _make_all(members: Members, names: Sequence[str | None], output: Path) -> bool:
    """Make those members that are not there; whether all are."""
    further = member_directory(output, len(names) + 1)
    if further.exists():
        raise BundleError(f"{further}: is one member too many; give the number of the first run, or more")
    places = [(number, name, member_directory(output, number)) for number, name in enumerate(names, 1)]
    missing = [place for place in places if not _is_made(members, *place)]
    if missing:
        # What is there of an ensemble that gets other members is none until they are done.
        (output / METADATA_FILE).unlink(missing_ok=True)
    for number, name, directory in missing:
        logger.info("member %d of %d%s", number, len(names), "" if name is None else f": {name}")
        if not members.make(number, name, directory):
            return False
    return True


def _is_made(members: Members, number: int, class_name: str | None, directory: Path) -> bool:
    """Whether a member is there, complete.

    Raises
    ------
    BundleError
        It was made otherwise: with other options, but fewer steps, or of other sequences.
    """
    if not (directory / METADATA_FILE).exists():
        return False
    there = read_metadata(directory)
    record = json.loads(json.dumps(members.record(number, class_name)))
    wanted = {**record, "data": json.loads(json.dumps(members.provenance(class_name)))}
    different = list(_differences(wanted, there))
    if not different:
        return True
    if different == ["steps"] and there["training"]["steps"] < record["training"]["steps"]:
        return False
    raise BundleError(
        f"{directory}: was made otherwise ({', '.join(different)}); give the options and sequences of the "
        "first run (only --steps may grow)"
    )


def _differences(wanted: Mapping[str, Any], there: Mapping[str, Any]) -> Iterator[str]:
    """Names of the values that are wanted and are not there; what else is there does not matter."""
    for name, value in wanted.items():
        found = there.get(name)
        if isinstance(value, dict) and isinstance(found, dict) and name != "data":
            yield from _differences(value, found)
        elif found != value:
            yield name
