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

import os
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from genood.bundles.files import (
    ANY_MEMBER,
    ENSEMBLE,
    FIRST_MEMBER,
    METADATA_FILE,
    TRAINING_FILE,
    Arrays,
    check_free,
    read_format,
    read_parts,
    read_tensors,
    read_text,
    write_metadata,
    write_parts,
)
from genood.errors import BundleError, ConfigError
from genood.files import atomic_path, sha256_of, write_text
from genood.files.tensors import write_tensors
from genood.models import CLASSIFIERS, MODELS
from genood.models.base import Classified, Classifier, DensityModel, Model
from genood.recipes import MUTATED, NO_BACKGROUND, Precision
from genood.sequence import Codes

ROLES = ("foreground", "background")
CLASSIFIER = "classifier"


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
    def names_classes(self) -> bool:
        """Whether it tells which class of the reference explains a read best."""
        if self.classifier is not None:
            return self.classifier.mutated_class in (None, self.classifier.num_classes)
        return self.foreground is not None and self.foreground.names_classes

    @property
    def leaves_files_out(self) -> bool:
        """Whether its models can judge a read without a file of the reference that they know."""
        return self.foreground is not None and self.foreground.leaves_files_out

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

    def compute_in(self, precision: Precision) -> None:
        """See `Model.compute_in`; of all its models."""
        for model in self._models().values():
            model.compute_in(precision)

    def log_probs(
        self,
        codes: Codes,
        lengths: npt.NDArray[np.int64],
        without_files: npt.NDArray[np.int64] | None = None,
        leading: npt.NDArray[np.int64] | None = None,
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
        leading
            Likewise; only where the bundle `names_classes`.

        Returns
        -------
        log_p, background_log_p
            float32, shape (B, L), nats; 0 where not scored.

        Raises
        ------
        BundleError
            It holds a classifier.
        """
        foreground, background = self._density_models()
        return foreground.log_probs_with_background(codes, lengths, background, without_files, leading)

    def log_likelihoods(
        self,
        codes: Codes,
        lengths: npt.NDArray[np.int64],
        leading: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Foreground and background log-likelihoods of a batch, float64 (B,), nats; see `log_probs`.

        It takes less time than the log-probabilities of each base.
        """
        foreground, background = self._density_models()
        return foreground.log_likelihoods(codes, lengths, background, leading)

    def _density_models(self) -> tuple[DensityModel, DensityModel | str]:
        """The foreground, and the background or its name."""
        if self.foreground is None:
            raise BundleError("a bundle of a classifier gives no likelihood")
        if self.background is None:
            name: str = self.metadata["background"]
            return self.foreground, name
        return self.foreground, self.background

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
            training_table=read_text(root / TRAINING_FILE),
            card=card,
            fingerprint=sha256_of(root / METADATA_FILE),
        )


def prepare(directory: str | os.PathLike[str]) -> None:
    """Do ahead what takes time before a bundle's models can score, but for its weights: imports, mostly.

    Raises
    ------
    BundleError
        No bundle, or a newer format.
    """
    root = Path(directory)
    roots = [root]
    if read_format(root)["kind"] == ENSEMBLE:
        roots = [root / FIRST_MEMBER, *sorted(root.glob(ANY_MEMBER))]
    for model_class in dict.fromkeys(_model_class(each, read_metadata(each)) for each in roots):
        model_class.prepare()


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


def _own_files(roles: Iterable[str]) -> tuple[str, ...]:
    """The files that a bundle with models in these roles has beside those of `write_parts`."""
    return (*(f"{role}.safetensors" for role in roles), TRAINING_FILE)


def _model_class(root: Path, metadata: Mapping[str, Any]) -> type[Model]:
    kind = metadata["kind"]
    known: Mapping[str, type[Model]] = CLASSIFIERS if CLASSIFIER in metadata["model"] else MODELS
    if not isinstance(kind, str) or kind not in known:
        raise BundleError(f"{root}: unknown kind of model {kind!r}; known are {', '.join(known)}")
    return known[kind]


def _load_model(root: Path, metadata: Mapping[str, Any], role: str, model_class: type[Model]) -> Model:
    weights = read_tensors(root / f"{role}.safetensors")
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
