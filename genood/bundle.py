"""The bundle: the directory that training writes and scoring reads.

============================  ============================================================
``genood.json``               format version, kind, model configuration, classes, seed, command,
                              data, metrics, and the sha256 of the other files
``foreground.safetensors``    weights of the foreground model
``background.safetensors``    weights of the background model, unless the foreground derives it
``calibration.json``          null distributions of the detectors
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
from genood.models import MODELS
from genood.models.base import DensityModel
from genood.recipes import MUTATED, NO_BACKGROUND
from genood.sequence import Codes
from genood.tensors import map_tensors, write_tensors

FORMAT_VERSION = 1
READABLE_FROM = "0.1.0"
"""The first version of genood that reads FORMAT_VERSION."""

METADATA_FILE = "genood.json"
CALIBRATION_FILE = "calibration.json"
TRAINING_FILE = "training.tsv"
CARD_FILE = "MODEL_CARD.md"
CHECKPOINT_FILE = "checkpoint.safetensors"
ROLES = ("foreground", "background")

_REQUIRED = ("kind", "model", "classes", "seed", "command", "data", "metrics", "files")


@dataclass(kw_only=True)
class Bundle:
    """A foreground and a background model with all that is known about them.

    Attributes
    ----------
    foreground, background
        Density models of the same kind; no background where the foreground derives it from itself.
    metadata
        Content of ``genood.json``, JSON types: ``background`` (its name), ``classes``, ``seed``,
        ``command``, ``data``, ``metrics`` and, once saved, ``files`` and the format.
    calibration
        Content of ``calibration.json``; `genood.calibration.Calibration.from_json` reads it.
    training_table, card
        Content of ``training.tsv`` and ``MODEL_CARD.md``.
    """

    foreground: DensityModel
    background: DensityModel | None
    metadata: dict[str, Any]
    calibration: dict[str, Any]
    training_table: str = ""
    card: str = ""
    fingerprint: str = field(default="")

    @property
    def device(self) -> str:
        """The device that the models are on."""
        return self.foreground.device

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
        """
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
        write_json(root / CALIBRATION_FILE, self.calibration)
        write_text(root / TRAINING_FILE, self.training_table)
        write_text(root / CARD_FILE, self.card)
        self.metadata |= {
            "format_version": FORMAT_VERSION,
            "readable_from": READABLE_FROM,
            "genood_version": __version__,
            "kind": self.foreground.kind,
            "model": {role: model.config() for role, model in models.items()},
            "files": {name: sha256_of(root / name) for name in _files(models)},
        }
        write_json(root / METADATA_FILE, self.metadata)
        self.fingerprint = sha256_of(root / METADATA_FILE)
        return self

    def _models(self) -> dict[str, DensityModel]:
        """The models by role."""
        both = {"foreground": self.foreground, "background": self.background}
        return {role: model for role, model in both.items() if model is not None}

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
        _check_files(root, metadata["files"], hashes if hashes is not None else {})
        models = {role: _load_model(root, metadata, role).on(device) for role in metadata["model"]}
        if metadata["background"] not in models["foreground"].backgrounds:
            raise BundleError(f"{root}: unknown background {metadata['background']!r}")
        return cls(
            foreground=models["foreground"],
            background=models.get("background"),
            metadata=metadata,
            calibration=_read_json(root / CALIBRATION_FILE),
            training_table=_read_text(root / TRAINING_FILE),
            card=_read_text(root / CARD_FILE),
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


def read_metadata(directory: str | os.PathLike[str]) -> dict[str, Any]:
    """Content of a bundle's ``genood.json``, its format checked.

    Raises
    ------
    BundleError
        No bundle, a newer format, or a part of the metadata is missing.
    """
    root = Path(directory)
    if not (root / METADATA_FILE).is_file():
        if (root / CHECKPOINT_FILE).is_file():
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
    models, files = metadata["model"], metadata["files"]
    if not isinstance(models, dict) or "foreground" not in models or not set(models) <= set(ROLES):
        raise BundleError(f"{root / METADATA_FILE}: has no configuration of the foreground model")
    metadata.setdefault("background", MUTATED)
    if metadata["background"] == MUTATED and "background" not in models:
        raise BundleError(f"{root / METADATA_FILE}: has no configuration of the background model")
    if not isinstance(files, dict) or not set(_files(models)) <= set(files):
        raise BundleError(f"{root / METADATA_FILE}: lacks the sha256 of a file")
    return metadata


def _files(roles: Iterable[str]) -> tuple[str, ...]:
    """The files of a bundle with models in these roles, all but ``genood.json``."""
    weights = (f"{role}.safetensors" for role in roles)
    return (*weights, CALIBRATION_FILE, TRAINING_FILE, CARD_FILE)


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


def _load_model(root: Path, metadata: Mapping[str, Any], role: str) -> DensityModel:
    kind = metadata["kind"]
    path = root / f"{role}.safetensors"
    if not isinstance(kind, str) or kind not in MODELS:
        raise BundleError(f"{root}: unknown kind of model {kind!r}; known are {', '.join(MODELS)}")
    try:
        weights = map_tensors(path)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"{path}: cannot be read ({error})") from error
    try:
        return MODELS[kind].from_weights(metadata["model"][role], weights)
    except (KeyError, TypeError):
        raise BundleError(f"{root}: has no configuration of the {role} model") from None
    except ConfigError as error:
        reason = str(error).splitlines()[0]  # torch goes on with where in its code that is
        raise BundleError(f"{root}: {reason}") from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise BundleError(f"{path}: weights do not fit the configuration ({reason})") from error
