"""From bundles of different models to one that asks them together: `genood join`."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from genood.bundle import Bundle
from genood.bundles.files import METADATA_FILE
from genood.detectors.base import ScoreBatch
from genood.ensemble import EnsembleBundle, member_directory
from genood.errors import BundleError, ConfigError
from genood.making.bundling import (
    bundle_directory,
    calibrate,
    check_output,
    losses_of,
    null_lengths,
    usual_null,
)
from genood.making.cards import ensemble_card
from genood.making.null_reads import Null, null_of
from genood.making.remember import genomes_of
from genood.reference.genomes import GenomeFile, Genomes, Ints, split_held_out
from genood.reference.loading import check_untrained, load_validation

logger = logging.getLogger(__name__)

_GIVE_VAL = "give sequences that no bundle was trained on with --val"
_Key = tuple[str, str, int]


@dataclass(frozen=True, kw_only=True)
class JoinJob:
    """Which bundles to join, and where to put the result.

    Attributes
    ----------
    bundles
        Directories of bundles of density models, two or more; left as they are.
    output
        Directory of the ensemble, which holds copies of them.
    validation, classes
        In-distribution sequences to calibrate on, see `genood.reference.loading.load_validation`; none takes
        those of the reference that a context bundle among them holds, and that no bundle was trained on.
    num_calibration_reads
        In-distribution reads behind the p-values of a length, at most.
    seed
        Of the reads that are drawn.
    command
        What the user typed, for the record.
    """

    bundles: Sequence[str]
    output: str
    validation: Sequence[str] = field(default=())
    classes: str | None = None
    num_calibration_reads: int = 2000
    seed: int = 0
    command: str = ""

    def __post_init__(self) -> None:
        if len(self.bundles) < 2:
            raise ConfigError("there is nothing to join: name two bundles or more")
        if self.classes is not None and not self.validation:
            raise ConfigError("--classes is for the files of --val, and there are none")


def join_bundles(job: JoinJob, *, device: str = "auto") -> EnsembleBundle:
    """Write an ensemble of bundles that have been trained apart, calibrated as a whole.

    Parameters
    ----------
    job
        What to join.
    device
        Where to score calibration reads, see `Model.on`.

    Returns
    -------
    ensemble
        As written.

    Raises
    ------
    GenoodError
        A bundle cannot be joined with the others, there is nothing to calibrate on, or the output directory
        is unfit; nothing that was there is changed.
    """
    output = Path(job.output)
    check_output(output)
    members = {path: Bundle.load(path, device) for path in dict.fromkeys(job.bundles)}
    if len(members) < len(job.bundles):
        raise ConfigError("a bundle is named twice")
    _check_alike(members)
    read_length = max(_training_of(path, member)["read_length"] for path, member in members.items())
    null = null_for(job, members, read_length)
    lengths = null_lengths(null.genomes, read_length, null.source)
    first = next(iter(members.values()))
    ensemble = EnsembleBundle(
        members=tuple(members.values()),
        by="model",
        metadata={
            "classes": first.metadata["classes"],
            "seed": job.seed,
            "command": job.command,
            "training": {"read_length": read_length, "num_calibration_reads": job.num_calibration_reads},
            "data": _data_of(first, null),
        },
        calibration={},
    )

    def score_null(length: int, num_reads: int) -> list[ScoreBatch]:
        return null.score(ensemble, length, num_reads, job.seed)

    logger.info("calibrating on reads from %s", null.source)
    calibration = calibrate(ensemble, score_null, lengths, job.num_calibration_reads, null.source)
    ensemble.calibration = calibration.to_json()
    usual = usual_null(lengths, read_length, job.num_calibration_reads)
    ensemble.metadata["metrics"] = losses_of(score_null(*usual))
    others_held_out = null.mutate and not all(member.leaves_files_out for member in ensemble.members)
    about_nulls = f"{_ABOUT_HELD_OUT}{null.about}" if others_held_out else null.about
    ensemble.card = ensemble_card(ensemble, calibration, _ABOUT_MEMBERS, about_nulls)
    with bundle_directory(output) as temporary:
        for number, (path, member) in enumerate(members.items(), 1):
            _copy(Path(path), member, member_directory(temporary, number))
        return ensemble.save_around_members(temporary)


def _check_alike(members: Mapping[str, Bundle]) -> None:
    """Raise BundleError unless all are density models of one reference."""
    first_path, first = next(iter(members.items()))
    seen: dict[str, str] = {}
    for path, member in members.items():
        if member.foreground is None:
            raise BundleError(f"{path}: holds a classifier; genood join takes density models")
        if _training_of(path, member).get("half", False):
            raise BundleError(
                f"{path}: knows a half of its reference, as a member of an ensemble; genood join takes others"
            )
        if seen.setdefault(member.fingerprint, path) != path:
            raise BundleError(f"{path}: is a copy of {seen[member.fingerprint]}")
        if member.metadata["classes"] != first.metadata["classes"]:
            raise BundleError(f"{path}: knows other classes than {first_path}; train both on the same files")
        if {key[:2] for key in _keys_of(member)} != {key[:2] for key in _keys_of(first)}:
            raise BundleError(
                f"{path}: was trained on other sequences than {first_path}; train both on the same files"
            )


def _training_of(path: str, member: Bundle) -> Mapping[str, Any]:
    training = member.metadata.get("training")
    if not isinstance(training, Mapping) or not isinstance(training.get("read_length"), int):
        raise BundleError(f"{path}: does not say how it was trained; train it again")
    return training


def _keys_of(member: Bundle) -> list[_Key]:
    """What tells the files of its reference apart, in their order: class, sha256, and how much is used."""
    return [(file.class_name, file.sha256, file.usable_bases) for file in _files_of(member)]


def _files_of(member: Bundle) -> list[GenomeFile]:
    try:
        return [GenomeFile(**file) for file in member.metadata["data"]["files"]]
    except (KeyError, TypeError) as error:
        raise BundleError(f"the metadata do not list the files of the reference ({error})") from error


def null_for(job: JoinJob, members: Mapping[str, Bundle], read_length: int) -> Null:
    """The reads to calibrate on: no member was trained on them, or it judges them as if it had not been.

    Parameters
    ----------
    job
        With the sequences to take them from, if they are given.
    members
        By path.
    read_length
        Runs of known bases shorter than this are left out of given sequences.

    Raises
    ------
    GenoodError
        There are none, or what is given is unfit.
    """
    if job.validation:
        validation = load_validation(job.validation, (), min_length=read_length, classes=job.classes)
        assert validation is not None  # there are some
        for member in members.values():
            check_untrained(validation.genomes.files, _files_of(member))
        return null_of(validation.genomes, validation)
    remembering = {path: member for path, member in members.items() if member.leaves_files_out}
    if not remembering:
        raise ConfigError(f"no bundle holds its reference, as that of a context model does; {_GIVE_VAL}")
    first_path, first = next(iter(remembering.items()))
    for path, member in remembering.items():
        if _keys_of(member) != _keys_of(first):
            raise ConfigError(f"{path}: was given the files in another order than {first_path}; {_GIVE_VAL}")
    genomes = genomes_of(first)
    if genomes.datasets:
        raise ConfigError(f"{first_path}: was made of a dataset, whose reads overlap; {_GIVE_VAL}")
    null = null_of(genomes, None)
    others = {path: member for path, member in members.items() if path not in remembering}
    if not others:
        return null
    held_out = _held_out(genomes, others)
    return replace(null, genomes=held_out, source=f"held-out stretches of {null.source}")


def _held_out(genomes: Genomes, members: Mapping[str, Bundle]) -> Genomes:
    """The stretches of a reference that all of these members have held out of training.

    Raises
    ------
    ConfigError
        There are none.
    """
    (first_path, first), *_ = members.items()
    training = first.metadata["training"]
    for path, member in members.items():
        data, own = member.metadata["data"], member.metadata["training"]
        if data.get("validation_files") or data.get("validation_datasets") or "held_out_fraction" not in own:
            raise ConfigError(f"{path}: held nothing of its reference out of training; {_GIVE_VAL}")
        same = all(own[name] == training[name] for name in ("held_out_fraction", "read_length", "seed"))
        if not same or _keys_of(member) != _keys_of(first):
            raise ConfigError(f"{path}: held other stretches out of training than {first_path}; {_GIVE_VAL}")
    return split_held_out(
        _in_order(genomes, _keys_of(first), first_path),
        fraction=training["held_out_fraction"],
        read_length=training["read_length"],
        seed=training["seed"],
    )[1]


def _in_order(genomes: Genomes, keys: Sequence[_Key], path: str) -> Genomes:
    """Genomes with their segments as if the files had been given in another order; files keep their numbers.

    Held-out stretches are drawn by the order of a class's segments.
    """
    places = {key: place for place, key in enumerate(keys)}
    own = [(file.class_name, file.sha256, file.usable_bases) for file in genomes.files]
    if sorted(own) != sorted(keys) or len(places) < len(keys):
        raise ConfigError(f"{path}: used other stretches of the same files than the others; {_GIVE_VAL}")
    places_F: Ints = np.array([places[key] for key in own], dtype=np.int64)
    order = np.argsort(places_F[genomes.files_at(genomes.starts)], kind="stable")
    return replace(
        genomes, starts=genomes.starts[order], lengths=genomes.lengths[order], labels=genomes.labels[order]
    )


def _data_of(member: Bundle, null: Null) -> dict[str, Any]:
    """What the ensemble says about its data, JSON types: the reference is that of any member."""
    there = member.metadata["data"]
    reference = {name: there[name] for name in ("fingerprint", "files", "datasets") if name in there}
    return {**null.provenance(null.genomes), **reference}


def _copy(source: Path, member: Bundle, target: Path) -> None:
    """Copy a bundle, without what would let its training go on."""
    target.mkdir()
    for name in (*member.metadata["files"], METADATA_FILE):
        shutil.copyfile(source / name, target / name)


_ABOUT_MEMBERS = "Members were trained apart, and are density models of different kinds or shapes."
_ABOUT_HELD_OUT = """No model was trained on these reads. A context model judges each without the file that it
is from; the others were trained without these stretches, but know the rest of their genomes.

"""
