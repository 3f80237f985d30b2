"""The bundle: the directory that training writes and scoring reads.

============================  ============================================================
``genood.json``               format version, kind, model configuration, classes, seed, command,
                              data, metrics, and the sha256 of the other files
``foreground.safetensors``    weights of the foreground model
``background.safetensors``    weights of the background model, unless the foreground derives it
``classifier.safetensors``    weights of a classifier, in place of both
``calibration.json``          null distributions of the detectors
``detectors.safetensors``     what detectors have learned, as ``NAME/KEY``, where there is one that does
``training.tsv``              losses by step
``MODEL_CARD.md``             what the bundle is, for people
============================  ============================================================

``genood.json`` is written last: a directory without it is not a bundle. Loading checks every file
against its sha256 and never executes code. ``checkpoint.safetensors``, where there is one, lets
training go on; scoring does not need it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError

from genood import __version__
from genood.errors import BundleError, ConfigError
from genood.files import atomic_path, sha256_of, write_json, write_text
from genood.models import CLASSIFIERS, MODELS
from genood.models.base import Classified, Classifier, DensityModel, Model
from genood.recipes import MUTATED, NO_BACKGROUND
from genood.sequence import Codes
from genood.tensors import map_tensors, write_tensors

FORMAT_VERSION = 1
READABLE_FROM = "0.1.0"
"""The first version of genood that reads FORMAT_VERSION."""

METADATA_FILE = "genood.json"
CALIBRATION_FILE = "calibration.json"
DETECTORS_FILE = "detectors.safetensors"
TRAINING_FILE = "training.tsv"
CARD_FILE = "MODEL_CARD.md"
CHECKPOINT_FILE = "checkpoint.safetensors"
ROLES = ("foreground", "background")
CLASSIFIER = "classifier"
ENSEMBLE = "ensemble"
"""The kind of a directory that holds several bundles, see `genood.ensemble`."""
FIRST_MEMBER = "member-1"

Arrays = dict[str, npt.NDArray[Any]]

_REQUIRED = ("kind", "model", "classes", "seed", "command", "data", "metrics", "files")


@dataclass(kw_only=True)
class Bundle:
    """A foreground and a background model, or a classifier, with all that is known about them.

    Attributes
    ----------
    foreground, background
        Density models of the same kind; no background where the foreground derives it from itself.
    classifier
        Of the classes; a bundle has either density models or this.
    metadata
        Content of ``genood.json``, JSON types: ``background`` (its name, where there are density
        models), ``classes``, ``seed``, ``command``, ``data``, ``metrics`` and, once saved, ``files`` and
        the format.
    calibration
        Content of ``calibration.json``; `genood.calibration.Calibration.from_json` reads it.
    detectors
        Content of ``detectors.safetensors``: what `Detector.state` gives, each with the detector's name
        and a slash before it.
    training_table, card
        Content of ``training.tsv`` and ``MODEL_CARD.md``.
    """

    foreground: DensityModel | None = None
    background: DensityModel | None = None
    classifier: Classifier | None = None
    metadata: dict[str, Any]
    calibration: dict[str, Any]
    detectors: Arrays = field(default_factory=dict)
    training_table: str = ""
    card: str = ""
    fingerprint: str = field(default="")

    @property
    def gives(self) -> frozenset[str]:
        """What detectors can have of it, of `genood.detectors.base.NEEDS`."""
        if self.classifier is not None:
            mutated = set() if self.classifier.mutated_class is None else {"mutated-class"}
            return frozenset({"logits", "features"} | mutated)
        gives = {"likelihood"}
        if self.metadata["background"] != NO_BACKGROUND:
            gives.add("background")
        if self.foreground is not None and self.foreground.differentiable:
            gives.add("gradients")
        return frozenset(gives)

    @property
    def model(self) -> Model:
        """The foreground model or the classifier, which says how all are best asked."""
        model = self.foreground if self.foreground is not None else self.classifier
        if model is None:
            raise BundleError("a bundle needs a foreground model or a classifier")
        return model

    @property
    def device(self) -> str:
        """The device that the models are on."""
        return self.model.device

    def log_probs(
        self,
        codes: Codes,
        lengths: npt.NDArray[np.int64],
        without_files: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Foreground and background log-probabilities of a batch.

        Parameters
        ----------
        codes
            uint8, shape (B, L).
        lengths
            int64, shape (B,), in bases.
        without_files
            See `DensityModel.log_probs_with_background`; only for models that have one.

        Returns
        -------
        log_p, background_log_p
            float32, shape (B, L), nats; 0 where not scored.

        Raises
        ------
        BundleError
            It holds a classifier.
        """
        if self.foreground is None:
            raise BundleError("a bundle of a classifier gives no likelihood")
        if self.background is None:
            return self.foreground.log_probs_with_background(
                codes, lengths, self.metadata["background"], without_files
            )
        if without_files is None:
            return self.foreground.log_probs(codes, lengths), self.background.log_probs(codes, lengths)
        log_p, background_log_p = (
            model.log_probs_with_background(codes, lengths, NO_BACKGROUND, without_files)[0]
            for model in (self.foreground, self.background)
        )
        return log_p, background_log_p

    def classify(self, codes: Codes, lengths: npt.NDArray[np.int64]) -> Classified:
        """What the classifier says of reads, see `Classifier.classify`.

        Raises
        ------
        BundleError
            It holds density models.
        """
        if self.classifier is None:
            raise BundleError("a bundle of density models gives no classes")
        return self.classifier.classify(codes, lengths)

    def save(self, directory: str | os.PathLike[str], *, replace: bool = False) -> Self:
        """Write the bundle; ``genood.json`` comes last and makes it one.

        Parameters
        ----------
        directory
            Where; made if missing.
        replace
            Take the place of a bundle that is there.

        Raises
        ------
        BundleError
            There is a bundle already and `replace` is not set.
        """
        root = Path(directory)
        if replace:
            (root / METADATA_FILE).unlink(missing_ok=True)
        check_free(root)
        root.mkdir(parents=True, exist_ok=True)
        models = self._models()
        for role, model in models.items():
            with atomic_path(root / f"{role}.safetensors") as path:
                write_tensors(path, model.weights())
        write_text(root / TRAINING_FILE, self.training_table)
        files = write_parts(root, self.calibration, self.card, self.detectors)
        self.metadata |= {
            "kind": self.model.kind,
            "model": {role: model.config() for role, model in models.items()},
        }
        self.fingerprint = write_metadata(root, self.metadata, (*_own_files(models), *files))
        return self

    def _models(self) -> dict[str, Model]:
        """The models by role."""
        models = {"foreground": self.foreground, "background": self.background, CLASSIFIER: self.classifier}
        return {role: model for role, model in models.items() if model is not None}

    @classmethod
    def load(
        cls,
        directory: str | os.PathLike[str],
        device: str = "cpu",
        hashes: Mapping[Path, Future[str]] | None = None,
    ) -> Self:
        """Read a bundle and put its models on a device.

        Parameters
        ----------
        directory
            Where it is.
        device
            Where, see `Model.on`.
        hashes
            The sha256 of those files that somebody has begun to hash, see `sha256_ahead`.

        Raises
        ------
        BundleError
            No bundle, a newer format, a file that is missing or differs from its sha256, or weights
            that do not fit the configuration.
        ConfigError
            No such device on this machine.
        """
        root = Path(directory)
        metadata = read_metadata(root)
        model_class = _model_class(root, metadata)
        if hashes is not None:
            model_class.prepare()  # while they are made
        calibration, card, detectors = read_parts(root, metadata["files"], hashes)
        models: dict[str, Any] = {
            role: _load_model(root, metadata, role, model_class).on(device) for role in metadata["model"]
        }
        if "foreground" in models and metadata["background"] not in models["foreground"].backgrounds:
            raise BundleError(f"{root}: unknown background {metadata['background']!r}")
        return cls(
            **models,
            metadata=metadata,
            calibration=calibration,
            detectors=detectors,
            training_table=_read_text(root / TRAINING_FILE),
            card=card,
            fingerprint=sha256_of(root / METADATA_FILE),
        )


def check_free(directory: str | os.PathLike[str]) -> None:
    """Raise BundleError if a new bundle cannot be written there, or would overwrite something."""
    root = Path(directory)
    if (root / METADATA_FILE).exists():
        raise BundleError(f"{root}: there is a bundle already; remove it or give another --output")
    there = next(path for path in (root, *root.parents) if path.exists())
    if not there.is_dir():
        raise BundleError(f"{there}: is a file; name a directory for the bundle")
    if not os.access(there, os.W_OK):
        raise BundleError(f"{there}: cannot be written to; name another directory for the bundle")


def read_format(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Content of the ``genood.json`` of a bundle of any kind, its format checked.

    Raises
    ------
    BundleError
        No bundle, a newer format, or a part that any kind has is missing.
    """
    root = Path(directory)
    if not (root / METADATA_FILE).is_file():
        if is_unfinished(root):
            raise BundleError(f"{root}: training has not finished; finish it with genood train --resume")
        raise BundleError(f"{root}: is not a bundle (no {METADATA_FILE}); genood train writes one")
    metadata = _read_json(root / METADATA_FILE)
    version = metadata.get("format_version")
    if not isinstance(version, int):
        raise BundleError(f"{root / METADATA_FILE}: has no format version")
    if version > FORMAT_VERSION:
        needed = metadata.get("readable_from", "a newer version")
        raise BundleError(
            f"{root}: bundle format {version} needs genood {needed} or later; this is {__version__}"
        )
    missing = [key for key in _REQUIRED if key not in metadata]
    if missing:
        raise BundleError(f"{root / METADATA_FILE}: lacks {', '.join(missing)}")
    files = metadata["files"]
    if not isinstance(files, dict) or not {CALIBRATION_FILE, CARD_FILE} <= set(files):
        raise BundleError(f"{root / METADATA_FILE}: lacks the sha256 of a file")
    return metadata


def read_metadata(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """As `read_format`, of a single bundle, its models checked too."""
    root = Path(directory)
    metadata = read_format(root)
    if metadata["kind"] == ENSEMBLE:
        raise BundleError(f"{root}: is an ensemble, and no single bundle; name one of its members")
    models = metadata["model"]
    if not isinstance(models, dict) or set(models) != {CLASSIFIER}:
        _check_density_models(root, models, metadata)
    if not set(_own_files(models)) <= set(metadata["files"]):
        raise BundleError(f"{root / METADATA_FILE}: lacks the sha256 of a file")
    return metadata


def _check_density_models(root: Path, models: Any, metadata: dict[str, Any]) -> None:
    if not isinstance(models, dict) or "foreground" not in models or not set(models) <= set(ROLES):
        raise BundleError(f"{root / METADATA_FILE}: has no configuration of the foreground model")
    metadata.setdefault("background", MUTATED)
    if metadata["background"] == MUTATED and "background" not in models:
        raise BundleError(f"{root / METADATA_FILE}: has no configuration of the background model")


def is_unfinished(directory: str | os.PathLike[str]) -> bool:
    """Whether training has begun there, of a bundle or of the first member of an ensemble, and not ended."""
    root = Path(directory)
    begun = (root / CHECKPOINT_FILE).is_file() or (root / FIRST_MEMBER).is_dir()
    return begun and not (root / METADATA_FILE).exists()


def write_metadata(root: Path, metadata: dict[str, Any], files: Iterable[str]) -> str:
    """Write ``genood.json``, which makes a bundle of a directory that holds all else; returns its sha256."""
    metadata |= {
        "format_version": FORMAT_VERSION,
        "readable_from": READABLE_FROM,
        "genood_version": __version__,
        "files": {name: sha256_of(root / name) for name in files},
    }
    write_json(root / METADATA_FILE, metadata)
    return sha256_of(root / METADATA_FILE)


def write_parts(root: Path, calibration: Any, card: str, detectors: Arrays) -> tuple[str, ...]:
    """Write what bundles of all kinds have; returns the files' names."""
    write_json(root / CALIBRATION_FILE, calibration)
    write_text(root / CARD_FILE, card)
    if not detectors:
        return (CALIBRATION_FILE, CARD_FILE)
    with atomic_path(root / DETECTORS_FILE) as path:
        write_tensors(path, detectors)
    return (CALIBRATION_FILE, CARD_FILE, DETECTORS_FILE)


def read_parts(
    root: Path, files: Mapping[str, str], hashes: Mapping[Path, Future[str]] | None
) -> tuple[dict[str, Any], str, Arrays]:
    """Check all files of a bundle against their sha256; returns what `write_parts` was given."""
    _check_files(root, files, hashes if hashes is not None else {})
    detectors = _read_tensors(root / DETECTORS_FILE) if DETECTORS_FILE in files else {}
    return _read_json(root / CALIBRATION_FILE), _read_text(root / CARD_FILE), detectors


def _own_files(roles: Iterable[str]) -> tuple[str, ...]:
    """The files that a bundle with models in these roles has beside those of `write_parts`."""
    return (*(f"{role}.safetensors" for role in roles), TRAINING_FILE)


def _read_tensors(path: Path) -> Arrays:
    try:
        return map_tensors(path)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path}: cannot be read ({error})") from error


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(value, dict):
        raise BundleError(f"{path}: is not a JSON object")
    return value


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise BundleError(f"{path}: is no text ({error})") from error


def _check_files(root: Path, files: Mapping[str, str], hashes: Mapping[Path, Future[str]]) -> None:
    for name, sha256 in files.items():
        path = root / name
        if path.parent != root or not path.is_file():
            raise BundleError(f"{path}: the bundle names this file, but it is not there")
        found = hashes[path].result() if path in hashes else sha256_of(path)
        if found != sha256:
            raise BundleError(f"{path}: differs from the sha256 in {METADATA_FILE}; copy the bundle again")


def _model_class(root: Path, metadata: Mapping[str, Any]) -> type[Model]:
    kind = metadata["kind"]
    known: Mapping[str, type[Model]] = CLASSIFIERS if CLASSIFIER in metadata["model"] else MODELS
    if not isinstance(kind, str) or kind not in known:
        raise BundleError(f"{root}: unknown kind of model {kind!r}; known are {', '.join(known)}")
    return known[kind]


def _load_model(root: Path, metadata: Mapping[str, Any], role: str, model_class: type[Model]) -> Model:
    weights = _read_tensors(root / f"{role}.safetensors")
    try:
        return model_class.from_weights(metadata["model"][role], weights)
    except (KeyError, TypeError):
        raise BundleError(f"{root}: has no configuration of the {role} model") from None
    except ConfigError as error:
        reason = str(error).splitlines()[0]  # torch goes on with where in its code that is
        raise BundleError(f"{root}: {reason}") from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        path = root / f"{role}.safetensors"
        raise BundleError(f"{path}: weights do not fit the configuration ({reason})") from error
