"""From sequence files to a bundle of the memory-based model: `genood train --model context`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genood.bundle import Bundle
from genood.context.genes import reference_codes
from genood.context.learn import learn
from genood.context.plan import DEFAULT_MEMORY, Plan
from genood.context.tables import Tables
from genood.detectors.base import ScoreBatch
from genood.errors import BundleError, ConfigError
from genood.making.bundling import calibrate, check_output, losses_of, null_lengths, save_at_once, usual_null
from genood.making.cards import model_card
from genood.making.null_reads import Null, null_of
from genood.models.context import ContextModel
from genood.recipes import CONTEXT_BACKGROUNDS, LOW_ORDER, MUTATED, READ_CHAIN, Stream
from genood.reference.genomes import DatasetPart, GenomeFile, Genomes, merge
from genood.reference.halves import random_half
from genood.reference.loading import ReferenceJob, check_untrained, load_reference, load_validation
from genood.sequence import mutate
from genood.threads import num_threads

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class RememberConfig:
    """How to make a context model.

    Attributes
    ----------
    background
        Of `CONTEXT_BACKGROUNDS`; None takes ``other-classes``, or ``low-order`` where there is one class.
    mutation_rate
        μ: substitutions per base of the genomes behind a mutated background.
    read_length
        Runs of known bases shorter than this are left out.
    memory
        Bytes that training may take.
    num_calibration_reads
        In-distribution reads behind the p-values of a length, at most.
    half
        Whether a half of the reference is learned, drawn by the seed, see
        `genood.reference.halves.random_half`: that tells members of an ensemble apart, as nothing else here
        is random. All is calibrated on.
    seed
        Of everything random.
    """

    background: str | None = None
    mutation_rate: float = 0.1
    read_length: int = 250
    memory: int = DEFAULT_MEMORY
    num_calibration_reads: int = 2000
    half: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        if self.background is not None and self.background not in CONTEXT_BACKGROUNDS:
            raise ConfigError(
                f"background must be of {', '.join(CONTEXT_BACKGROUNDS)}, not {self.background!r}"
            )
        if not 0 <= self.mutation_rate <= 1:
            raise ConfigError(f"mutation rate must lie between 0 and 1, not {self.mutation_rate}")
        if self.read_length < 1:
            raise ConfigError(f"read length must be at least 1, not {self.read_length}")
        if self.seed < 0:
            raise ConfigError(f"seed must not be negative, but is {self.seed}")


@dataclass(frozen=True, kw_only=True)
class RememberJob(ReferenceJob):
    """What to remember, and where to put the bundle.

    Without `validation`, and with FASTA files, files of the reference are held out of the null, not
    stretches.

    Attributes
    ----------
    add
        A context bundle whose reference comes before the inputs.
    replace
        Take the place of what an interrupted run has left of the bundle.
    """

    config: RememberConfig
    add: str | None = None
    replace: bool = False


def remember_bundle(job: RememberJob, data: Memory | None = None) -> Bundle:
    """Make the tables of a reference, calibrate and write a bundle.

    Parameters
    ----------
    job
        What to remember.
    data
        What `load_memory` gives for the job, or a part of it; None loads it.

    Returns
    -------
    bundle
        As written.

    Raises
    ------
    GenoodError
        The input, the options or the output directory are unfit; nothing that was there is changed.
    """
    output = Path(job.output)
    config = job.config
    if not job.replace:
        check_output(output)
    genomes, null = load_memory(job) if data is None else data
    background_of(config, genomes)  # refused before anything is learned
    logger.info(
        "reference: %d classes, %d files, %s bases",
        len(genomes.classes),
        len(genomes.files_of_classes()),
        f"{genomes.lengths.sum():,}",
    )
    lengths = null_lengths(null.genomes, config.read_length, null.source, warns=job.wants_p_values)
    bundle = compare(learn_memory(genomes, config), genomes, config)
    finish(job, bundle, Memory(genomes, null), lengths)
    return save_at_once(bundle, output, replace=job.replace)


class Learned(NamedTuple):
    """What a reference has become, whatever it is compared with; and what of it is kept."""

    foreground: ContextModel
    plan: Plan


def learn_memory(genomes: Genomes, config: RememberConfig) -> Learned:
    """The foreground model; of the configuration, the background does not count."""
    tables, plan = _learn(_to_learn(genomes, config), config)
    return Learned(ContextModel.from_tables(tables), plan)


def compare(learned: Learned, genomes: Genomes, config: RememberConfig) -> Bundle:
    """A bundle of the foreground and the background that is asked for, to be given to `finish`.

    Parameters
    ----------
    learned
        Of the same genomes; seed and half of the configuration that it was learned with count here, too.
    genomes
        The reference.
    config
        With the background and its mutation rate.
    """
    background = background_of(config, genomes)
    model = None
    if background == MUTATED:
        tables, _ = _learn(_mutated(_to_learn(genomes, config), config), config)
        model = ContextModel.from_tables(tables)
    training = {**asdict(config), "background": background, "plan": asdict(learned.plan)}
    return Bundle(
        foreground=learned.foreground,
        background=model,
        metadata={"background": background, "training": training},
        calibration={},
    )


def finish(job: RememberJob, bundle: Bundle, data: Memory, lengths: Mapping[int, float]) -> None:
    """Calibrate a bundle of `compare` at these lengths, and say what it is."""
    config, (genomes, null) = job.config, data

    def score_null(length: int, num_reads: int) -> list[ScoreBatch]:
        return null.score(bundle, length, num_reads, config.seed)

    calibration = calibrate(bundle, score_null, lengths, config.num_calibration_reads, null.source)
    bundle.calibration = calibration.to_json()
    losses = losses_of(score_null(*usual_null(lengths, config.read_length, config.num_calibration_reads)))
    bundle.metadata |= {
        "classes": list(genomes.classes),
        "seed": config.seed,
        "command": job.command,
        "data": null.provenance(genomes),
        "metrics": losses,
    }
    bundle.training_table = _table(losses)
    about_models = (_ABOUT_HALF if config.half else "") + _ABOUT_BACKGROUND[bundle.metadata["background"]]
    bundle.card = model_card(bundle, calibration, about_models, null.about)


def background_of(config: RememberConfig, genomes: Genomes) -> str:
    """The background's name, where none is given that which suits the reference."""
    background = config.background
    if background is None:
        background = CONTEXT_BACKGROUNDS[0 if len(genomes.classes) > 1 else 1]
    if background == "other-classes" and len(genomes.classes) < 2:
        raise ConfigError(
            "the background other-classes needs two classes or more; give --background low-order"
        )
    return background


def genomes_of(bundle: Bundle) -> Genomes:
    """The reference that a context bundle remembers, as it was loaded.

    Raises
    ------
    BundleError
        Not a bundle of a context model.
    """
    model = bundle.model
    if not isinstance(model, ContextModel):
        raise BundleError(
            f"a bundle of kind {model.kind} does not hold its reference; --add takes context bundles"
        )
    if bundle.metadata.get("training", {}).get("half", False):
        raise BundleError("a member of an ensemble remembers a half of its reference; --add takes others")
    tables = model.tables()
    codes, starts, lengths = reference_codes(tables.reference, tables.offsets)
    try:
        data = bundle.metadata["data"]
        files = tuple(GenomeFile(**file) for file in data["files"])
        datasets = tuple(DatasetPart(**part) for part in data.get("datasets", ()))
        usable = sum(file.usable_bases for file in files)
    except (KeyError, TypeError) as error:
        raise BundleError(f"the metadata do not list the files of the reference ({error})") from error
    if usable != len(codes) or len(bundle.metadata["classes"]) != tables.num_classes:
        raise BundleError("the metadata list other files or classes than the model remembers")
    return Genomes(
        codes=codes,
        starts=starts,
        lengths=lengths,
        labels=tables.labels.copy(),
        classes=tuple(bundle.metadata["classes"]),
        file_ends=np.cumsum([file.usable_bases for file in files]),
        files=files,
        datasets=datasets,
    )


class Memory(NamedTuple):
    """What a context model is to remember, and the reads to calibrate it on."""

    genomes: Genomes
    null: Null

    def of_class(self, name: str) -> Memory:
        """Those of one class; the errors are those of `Validation.of_class`."""
        return Memory(self.genomes.of_class(name), self.null.of_class(name))


def load_memory(job: RememberJob) -> Memory:
    """Read all that a job names; the errors are those of `remember_bundle`."""
    genomes = _load(job)
    validation = load_validation(
        job.validation, job.inputs, min_length=job.config.read_length, classes=job.classes
    )
    if validation is not None:
        check_untrained(validation.genomes.files, genomes.files)
    return Memory(genomes, null_of(genomes, validation))


def _load(job: RememberJob) -> Genomes:
    length = job.config.read_length
    new = load_reference(job.inputs, min_length=length, classes=job.classes, validation=job.validation)
    if job.add is None:
        return new
    bundle = Bundle.load(job.add)
    first = genomes_of(bundle)
    there = bundle.metadata.get("training", {}).get("read_length")
    if there != length:
        raise ConfigError(f"{job.add} was made with --read-length {there}; give the same")
    genomes = merge(first, new)
    if genomes.datasets and not job.validation:
        raise ConfigError("--add of or to a dataset needs sequences to calibrate on; give --val")
    return genomes


def _learn(genomes: Genomes, config: RememberConfig) -> tuple[Tables, Plan]:
    return learn(
        genomes,
        memory=config.memory,
        num_threads=num_threads(),
    )


def _to_learn(genomes: Genomes, config: RememberConfig) -> Genomes:
    if not config.half:
        return genomes
    return random_half(genomes, read_length=config.read_length, seed=config.seed)


def _mutated(genomes: Genomes, config: RememberConfig) -> Genomes:
    generator = np.random.default_rng([config.seed, Stream.MUTATION])
    return replace(genomes, codes=mutate(genomes.codes, config.mutation_rate, generator))


def _table(losses: Mapping[str, Any]) -> str:
    rows = [f"{role}\t{values['val_nats_per_base']:.6g}" for role, values in losses.items()]
    return "\n".join(["model\tval_nats_per_base", *rows]) + "\n"


_ABOUT_BACKGROUND = {
    "other-classes": """The background is what other classes than the read's best remember of it, and the
composition of all classes together, flattened: what the read shares with other classes does not count for
its being in-distribution.""",
    LOW_ORDER: "The background is the foreground's dense table of order 2: mere composition.",
    READ_CHAIN: """The background is a Markov chain fitted to each read itself, its order of 0 to 3
chosen by the Bayesian information criterion.""",
    MUTATED: """The background is a context model of the same genomes with substitutions, as many as
`training.mutation_rate` in `genood.json` says.""",
}
_ABOUT_HALF = """A random half of the reference was learned, for an ensemble. """
