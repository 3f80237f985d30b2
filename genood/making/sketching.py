"""From sequence files to a bundle of a few megabytes: `genood train --model sketch`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from genood.bundle import Bundle
from genood.context.sketch import condense
from genood.errors import ConfigError
from genood.making.bundling import calibrate, losses_of, save_at_once, usual_null
from genood.making.cards import model_card
from genood.making.held_out import HeldOutJob, about_nulls, begin, null_scores
from genood.models.sketch import SketchModel
from genood.recipes import SKETCH_BACKGROUNDS
from genood.reference.halves import random_half
from genood.reference.loading import TrainingData, Validation, provenance

DEFAULT_SIZE = 8 << 20
_OTHER_FILES = 480_000
"""Bytes left for all but the model: calibration, model card and what is known of the reference's files."""
_A_FILE = 700
"""Bytes more for each file of the reference."""


@dataclass(frozen=True, kw_only=True)
class SketchingConfig:
    """How to make a sketch.

    Attributes
    ----------
    max_size
        Bytes that the bundle may take.
    read_length
        Runs of known bases shorter than this are left out; bases of a validation read.
    held_out_fraction
        Part of each class kept apart to calibrate on, where no validation sequences are given.
    num_calibration_reads
        In-distribution reads behind the p-values of a length, at most.
    half
        Whether a half of the reference is sketched, drawn by the seed, see
        `genood.reference.halves.random_half`: that tells members of an ensemble apart.
    seed
        Of everything random: what is held out, which half is drawn, and what is calibrated on.
    """

    max_size: int = DEFAULT_SIZE
    read_length: int = 250
    held_out_fraction: float = 0.05
    num_calibration_reads: int = 2000
    half: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_size <= _OTHER_FILES:
            raise ConfigError(
                f"max size must be above {_OTHER_FILES / 2**20:.2g} MiB, not {self.max_size / 2**20:.2g}"
            )
        if self.read_length < 1:
            raise ConfigError(f"read length must be at least 1, not {self.read_length}")
        if not 0 < self.held_out_fraction < 1:
            raise ConfigError(f"held-out fraction must lie between 0 and 1, not {self.held_out_fraction}")
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, but is {self.seed}")


@dataclass(frozen=True, kw_only=True)
class SketchJob(HeldOutJob):
    """What to sketch, and where to put it."""

    config: SketchingConfig


def sketch_bundle(job: SketchJob, data: TrainingData | None = None) -> Bundle:
    """Keep of a reference what there is room for, calibrate and write a bundle.

    Parameters
    ----------
    job
        What to sketch.
    data
        What `genood.reference.loading.load_data` gives for the job, or a part of it; None loads it.

    Returns
    -------
    bundle
        As written.

    Raises
    ------
    GenoodError
        The input, the options or the output directory are unfit; nothing that was there is changed.
    """
    output, config = Path(job.output), job.config
    (training, validation), lengths = begin(job, data)
    room = config.max_size - _OTHER_FILES - _A_FILE * len(training.files)
    sketched = training
    if config.half:
        sketched = random_half(training, read_length=config.read_length, seed=config.seed)
    bundle = Bundle(
        foreground=SketchModel.from_sketch(condense(sketched, room)),
        metadata={
            "background": SKETCH_BACKGROUNDS[0],
            "classes": list(training.classes),
            "training": asdict(config),
            "seed": config.seed,
            "command": job.command,
            "data": provenance(training, validation),
        },
        calibration={},
    )
    _calibrate(bundle, validation, lengths, config)
    return save_at_once(bundle, output, replace=job.replace)


def _calibrate(
    bundle: Bundle, validation: Validation, lengths: Mapping[int, float], config: SketchingConfig
) -> None:
    """Fill in what validation reads tell, and the model card."""
    score_null = null_scores(bundle, validation, config.seed)
    calibration = calibrate(bundle, score_null, lengths, config.num_calibration_reads, validation.source)
    bundle.calibration = calibration.to_json()
    losses = losses_of(score_null(*usual_null(lengths, config.read_length, config.num_calibration_reads)))
    bundle.metadata["metrics"] = losses
    rows = [f"{role}\t{values['val_nats_per_base']:.6g}" for role, values in losses.items()]
    bundle.training_table = "\n".join(["model\tval_nats_per_base", *rows]) + "\n"
    about_models = (_ABOUT_HALF if config.half else "") + _ABOUT_MODELS
    bundle.card = model_card(bundle, calibration, about_models, about_nulls(validation))


_ABOUT_MODELS = """The model is a sketch: of windows of nine codons, third bases left out, those of one class
alone, as large a sample as there was room for, and tables of the composition of each class. The background
is the composition without the windows, that of all classes together weighing 0.15 in it."""
_ABOUT_HALF = """A random half of the reference was sketched, for an ensemble. """
