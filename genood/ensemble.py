"""Ensembles: several bundles that are asked together, and what they say together.

An ensemble's directory holds the complete bundles of its members, ``member-1``, ``member-2`` and so on,
and

==========================  ==============================================================
``genood.json``             as of any bundle, with the kind ``ensemble``, what tells members
                            apart, and the fingerprint of each
``calibration.json``        null distributions of the detectors over all members together
``detectors.safetensors``   what detectors have learned, where there is one that does
``MODEL_CARD.md``           what the ensemble is, for people
==========================  ==============================================================

``genood.json`` is written last: until then the directory is no bundle.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import reduce
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self, get_args

import numpy as np
import numpy.typing as npt

from genood.bundle import Bundle
from genood.bundles.files import (
    ENSEMBLE,
    METADATA_FILE,
    check_free,
    read_format,
    read_parts,
    write_metadata,
    write_parts,
)
from genood.detectors.base import Classified, ScoreBatch
from genood.detectors.classes import most_likely
from genood.errors import BundleError, ConfigError
from genood.files import sha256_of
from genood.models.base import Model
from genood.recipes import Precision

By = Literal["seed", "class", "model"]
"""What tells the members of an ensemble apart: the seed of all that is random, the class they know, or what
model they are."""

_SHARED = frozenset({"likelihood", "background", "logits", "mutated-class"})
"""What all members together give if each of them does."""
_GRADIENT_NUMBERS = 2**25
"""Of the gradients of the reads of a forward pass: 128 MiB of float32."""
_LEAST_BATCH = 65_536
"""Bases of a forward pass of many members, at least: what all say is kept at the same time."""
_PIECES_AT_ONCE, _LEAST_PIECE = 8, 16_384
"""Pieces of a long sequence in a forward pass of several members, which threads share; and bases of a piece,
at least, beside which its lead is little."""


@dataclass(kw_only=True)
class EnsembleBundle:
    """Bundles that are asked together.

    Attributes
    ----------
    members
        The bundles, at least one.
    by
        What tells them apart. With ``class``, each is a density model of the class of the same place in
        the metadata's ``classes``; with ``model``, they are of any kinds, and know all classes.
    metadata, calibration, detectors, card
        See `Bundle`; those of the ensemble.
    """

    members: tuple[Bundle, ...]
    by: By
    metadata: dict[str, Any]
    calibration: dict[str, Any]
    detectors: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    card: str = ""
    fingerprint: str = field(default="")

    @property
    def gives(self) -> frozenset[str]:
        """See `Bundle.gives`.

        Members that have each learned a half of the reference are no ``members``: they differ by what they
        have seen, and most where one of them knows a read, which is in-distribution. So do members of
        different kinds.
        """
        shared = frozenset.intersection(*(member.gives for member in self.members)) & _SHARED
        if self.by == "class":
            return shared | {"class-members"}
        halves = any(member.metadata.get("training", {}).get("half", False) for member in self.members)
        return shared if halves or self.by == "model" else shared | {"members"}

    @property
    def names_classes(self) -> bool:
        """See `Bundle.names_classes`."""
        if self.by == "model":
            return any(member.names_classes for member in self.members)
        return self.by == "class" or all(member.names_classes for member in self.members)

    @property
    def model(self) -> Model:
        """The first member's; the others are asked in the same way."""
        return self.members[0].model

    @property
    def kinds(self) -> str:
        """The kinds of its members, each once, for people: ``context+lstm``."""
        return "+".join(dict.fromkeys(member.model.kind for member in self.members))

    @property
    def device(self) -> str:
        """The device that the models are on; where one is on a GPU, that."""
        return next((m.device for m in self.members if m.device != "cpu"), "cpu")

    def compute_in(self, precision: Precision) -> None:
        """See `Model.compute_in`; of those models that have matrix products, refused if none has."""
        refused: list[ConfigError] = []
        for member in self.members:
            try:
                member.compute_in(precision)
            except ConfigError as error:
                refused.append(error)
        if len(refused) == len(self.members):
            raise refused[0]

    def save(self, directory: str | os.PathLike[str], *, replace: bool = False) -> Self:
        """Write the ensemble, its members first; the parameters and errors are those of `Bundle.save`."""
        root = Path(directory)
        if replace:
            (root / METADATA_FILE).unlink(missing_ok=True)
        check_free(root)
        for number, member in enumerate(self.members, 1):
            member.save(member_directory(root, number), replace=replace)
        return self.save_around_members(root)

    def save_around_members(self, directory: str | os.PathLike[str]) -> Self:
        """As `save`, where the members have been written already."""
        root = Path(directory)
        check_free(root)
        files = write_parts(root, self.calibration, self.card, self.detectors)
        self.metadata |= {
            "kind": ENSEMBLE,
            "by": self.by,
            "model": {"kind": self.kinds},
            "members": [
                {"directory": member_directory(root, number).name, "fingerprint": member.fingerprint}
                for number, member in enumerate(self.members, 1)
            ],
        }
        self.fingerprint = write_metadata(root, self.metadata, files)
        return self

    @classmethod
    def load(
        cls,
        directory: str | os.PathLike[str],
        device: str = "cpu",
        hashes: Mapping[Path, Future[str]] | None = None,
    ) -> Self:
        """Read an ensemble with all members; the parameters and errors are those of `Bundle.load`."""
        root = Path(directory)
        metadata = read_format(root)
        if metadata["kind"] != ENSEMBLE:
            raise BundleError(f"{root}: is a single bundle, and no ensemble")
        by: Any = metadata.get("by")
        listed: Any = metadata.get("members")
        if by not in get_args(By) or not _is_list_of_members(listed):
            raise BundleError(f"{root / METADATA_FILE}: does not say what the members are")
        if by == "class" and len(listed) != len(metadata["classes"]):
            raise BundleError(f"{root / METADATA_FILE}: has not as many members as classes")
        calibration, card, detectors = read_parts(root, metadata["files"], hashes)
        members = []
        for number, entry in enumerate(listed, 1):
            path = member_directory(root, number)
            if entry["directory"] != path.name:
                raise BundleError(f"{root / METADATA_FILE}: names the member {entry['directory']!r}")
            member = Bundle.load(path, device, hashes)
            if member.fingerprint != entry["fingerprint"]:
                raise BundleError(f"{path}: is not the member that the ensemble was made with")
            members.append(member)
        return cls(
            members=tuple(members),
            by=by,
            metadata=metadata,
            calibration=calibration,
            detectors=detectors,
            card=card,
            fingerprint=sha256_of(root / METADATA_FILE),
        )


AnyBundle = Bundle | EnsembleBundle


def load_bundle(
    directory: str | os.PathLike[str],
    device: str = "cpu",
    hashes: Mapping[Path, Future[str]] | None = None,
) -> AnyBundle:
    """Read a bundle or an ensemble; the parameters and errors are those of `Bundle.load`."""
    if read_format(Path(directory))["kind"] == ENSEMBLE:
        return EnsembleBundle.load(directory, device, hashes)
    return Bundle.load(directory, device, hashes)


def member_directory(directory: str | os.PathLike[str], number: int) -> Path:
    """Where the member of that number, from 1, is in an ensemble's directory."""
    return Path(directory) / f"member-{number}"


class Asking(NamedTuple):
    """How a bundle is best asked: see `Model.batch_bases`, `Model.piece_bases` and `Model.side_by_side`."""

    batch_bases: int
    piece_bases: int | None
    side_by_side: bool


def how_asked(bundle: AnyBundle) -> Asking:
    """How all models of a bundle can be asked together."""
    models = [bundle.model] if isinstance(bundle, Bundle) else [member.model for member in bundle.members]
    batch_bases = max(_LEAST_BATCH, min(model.batch_bases for model in models) // len(models))
    piece_bases = min((m.piece_bases for m in models if m.piece_bases is not None), default=None)
    if piece_bases is not None and len(models) > 1:
        piece_bases = max(_LEAST_PIECE, min(piece_bases, batch_bases // _PIECES_AT_ONCE))
    return Asking(
        batch_bases=batch_bases,
        piece_bases=piece_bases,
        side_by_side=all(model.side_by_side for model in models),
    )


def num_weights(bundle: AnyBundle) -> int:
    """Weights of the model that a read's gradients are by."""
    return sum(array.size for array in bundle.model.weights().values())


def most_reads(bundle: AnyBundle, needs: Collection[str]) -> int:
    """Reads of one forward pass, at most, beside what limits their bases: gradients take much memory."""
    if "gradients" not in needs:
        return sys.maxsize
    return max(1, _GRADIENT_NUMBERS // num_weights(bundle))


def combined(members: Sequence[ScoreBatch]) -> ScoreBatch:
    """What all members of an ensemble say together of the reads that each of them was given.

    A base's probability is the mean of the members' probabilities, under the background too, and a
    class's probability the mean of theirs. The class that explains a read best is the likeliest by that,
    or, of density models, the one that most members name.
    """
    first = members[0]
    classified = [member.classified for member in members if member.classified is not None]
    together = _classified(classified) if len(classified) == len(members) else None
    leading = [member.leading for member in members if member.leading is not None]

    def mean_where_scored(log_p: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
        # Rounding leaves a little of 0 where nothing is scored; and no model at all says NaN everywhere.
        return np.multiply(_log_mean(log_p), first.mask, dtype=np.float64).astype(np.float32)

    return replace(
        first,
        log_p=mean_where_scored([member.log_p for member in members]),
        background_log_p=mean_where_scored([member.background_log_p for member in members]),
        classified=together,
        members=tuple(members),
        leading=None if not leading else _most_named(leading) if together is None else most_likely(together),
    )


def best_member(batch: ScoreBatch) -> npt.NDArray[np.int64]:
    """The member under whose foreground each read is the most likely, int64 (B,); of equals the first."""
    return np.argmax([member.log_likelihood for member in batch.members], axis=0)


def _most_named(members: Sequence[npt.NDArray[np.int64]]) -> npt.NDArray[np.int64]:
    """The class that most members name for each read, of equals the first."""
    votes = np.zeros((len(members[0]), int(np.max(members, initial=0)) + 1), dtype=np.int64)
    for named in members:
        votes[np.arange(len(named)), named] += 1
    return votes.argmax(axis=1)


def _classified(members: Sequence[Classified]) -> Classified:
    """Logits whose softmax is the mean of the members' class probabilities.

    Their scale, which no softmax shows, is such that the logarithm of the sum of their exponentials is
    the mean of the members'. Members have no features in common: the logits stand for them, behind a last
    layer that changes nothing.
    """
    logits = [member.logits.astype(np.float64) for member in members]
    scales = [np.logaddexp.reduce(values, axis=1, keepdims=True) for values in logits]
    log_mean = _log_mean([values - scale for values, scale in zip(logits, scales, strict=True)])
    values = (log_mean + np.mean(scales, axis=0)).astype(np.float32)
    num_classes = values.shape[1]
    return Classified(
        logits=values,
        features=values,
        weight=np.eye(num_classes, dtype=np.float32),
        bias=np.zeros(num_classes, dtype=np.float32),
        mutated_class=members[0].mutated_class,
    )


def _log_mean(log_values: Sequence[npt.NDArray[np.floating[Any]]]) -> npt.NDArray[np.float64]:
    """Logarithm of the mean of values given by their logarithms."""
    with np.errstate(invalid="ignore"):  # of NaN, where there is no such model
        total: npt.NDArray[np.float64] = reduce(
            np.logaddexp, (values.astype(np.float64) for values in log_values)
        )
    return total - np.log(len(log_values))


def _is_list_of_members(value: Any) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(entry, dict) and {"directory", "fingerprint"} <= set(entry) for entry in value)
    )
