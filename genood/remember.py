"""From sequence files to a bundle of the memory-based model: `genood train --model context`."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from genood.bundle import Bundle
from genood.bundling import calibrate, check_output, model_card, null_lengths
from genood.context.genes import reference_codes
from genood.context.learn import learn
from genood.context.plan import DEFAULT_MEMORY, Plan
from genood.context.tables import Tables
from genood.detectors.base import ScoreBatch
from genood.engine import forward
from genood.errors import BundleError, ConfigError
from genood.genomes import DatasetPart, GenomeFile, Genomes, ReadSampler, merge
from genood.models.context import ContextModel
from genood.recipes import CONTEXT_BACKGROUNDS, MUTATED, Stream
from genood.reference import Validation, load_reference, load_validation, provenance
from genood.sequence import mutate
from genood.threads import num_threads

logger = logging.getLogger(__name__)

STRAIN_DIVERGENCE = 0.02
"""Substitutions per base that stand in for another strain, where a class has one file: two strains
of one bacterial species differ by up to about 5 %, most by less."""
_BATCH_BASES = 65_536


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
    seed
        Of everything random.
    """

    background: str | None = None
    mutation_rate: float = 0.1
    read_length: int = 250
    memory: int = DEFAULT_MEMORY
    num_calibration_reads: int = 2000
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
class RememberJob:
    """What to remember, and where to put it.

    Attributes
    ----------
    inputs
        FASTA files of the reference, in order, or datasets, whose `train_in` is meant.
    output
        Directory of the bundle.
    config
        How.
    add
        A context bundle whose reference comes before the inputs.
    classes
        Table of classes by file; None takes them from the file names.
    validation
        In-distribution FASTA files to calibrate on, or datasets, whose `val_in` is meant; none takes the
        `val_in` of the inputs, or held-out files of the reference where they are FASTA files.
    command
        What the user typed, for the record.
    """

    inputs: Sequence[str]
    output: str
    config: RememberConfig
    add: str | None = None
    classes: str | None = None
    validation: Sequence[str] = field(default=())
    command: str = ""


def remember_bundle(job: RememberJob) -> Bundle:
    """Make the tables of a reference, calibrate and write a bundle.

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
    check_output(output)
    genomes = _load(job)
    background = config.background
    if background is None:
        background = CONTEXT_BACKGROUNDS[0 if len(genomes.classes) > 1 else 1]
    if background == "other-classes" and len(genomes.classes) < 2:
        raise ConfigError(
            "the background other-classes needs two classes or more; give --background low-order"
        )
    logger.info(
        "reference: %d classes, %d files, %s bases",
        len(genomes.classes),
        len(genomes.files),
        f"{genomes.lengths.sum():,}",
    )
    null = _null(job, genomes)
    lengths = null_lengths(null.genomes, config.read_length, null.source)
    tables, plan = _learn(genomes, config)
    mutated = _learn(_mutated(genomes, config), config)[0] if background == MUTATED else None
    bundle = Bundle(
        foreground=ContextModel.from_tables(tables),
        background=None if mutated is None else ContextModel.from_tables(mutated),
        metadata={"background": background},
        calibration={},
    )

    def score_null(length: int, num_reads: int) -> list[ScoreBatch]:
        return null.score(bundle, length, num_reads, config.seed)

    calibration = calibrate(bundle, score_null, lengths, config.num_calibration_reads, null.source)
    bundle.calibration = calibration.to_json()
    losses = _losses(score_null(*_usual(lengths, config)))
    bundle.metadata |= {
        "classes": list(genomes.classes),
        "seed": config.seed,
        "command": job.command,
        "training": {**asdict(config), "background": background, "plan": asdict(plan)},
        "data": provenance(genomes, Validation(null.genomes, null.source, apart=not null.mutate)),
        "metrics": losses,
    }
    bundle.training_table = _table(losses)
    about_nulls = _ABOUT_NULLS if null.mutate else _ABOUT_VALIDATION
    bundle.card = model_card(bundle, calibration, _ABOUT_BACKGROUND[background], about_nulls)
    return bundle.save(output)


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


def _mutated(genomes: Genomes, config: RememberConfig) -> Genomes:
    generator = np.random.default_rng([config.seed, Stream.MUTATION])
    return replace(genomes, codes=mutate(genomes.codes, config.mutation_rate, generator))


@dataclass(frozen=True, kw_only=True)
class _Null:
    """In-distribution reads that the experts have not seen.

    `leave_out` holds the files whose reads are judged without their own file; other reads are mutated
    at `STRAIN_DIVERGENCE`, unless they come from validation files. The dense tables know all files: of
    the hundreds of bases behind a count of theirs, one or two are the read's own.
    """

    genomes: Genomes
    source: str
    leave_out: frozenset[int]
    mutate: bool

    def score(self, bundle: Bundle, length: int, num_reads: int, seed: int) -> list[ScoreBatch]:
        sampler = ReadSampler(self.genomes, length, (seed, Stream.CALIBRATION, length))
        reads = sampler.sample(0, num_reads)
        left_out = np.isin(reads.files, list(self.leave_out))
        without = np.where(left_out, reads.files, -1)
        codes = reads.codes
        if self.mutate:
            generator = np.random.default_rng([seed, Stream.VALIDATION_MUTATION, length])
            codes = np.where(left_out[:, None], codes, mutate(codes, STRAIN_DIVERGENCE, generator))
        num_batches = math.ceil(num_reads * length / _BATCH_BASES)
        return [
            forward(bundle, part, np.full(len(part), length, dtype=np.int64), files)
            for part, files in zip(
                np.array_split(codes, num_batches), np.array_split(without, num_batches), strict=True
            )
            if len(part)
        ]


def _null(job: RememberJob, genomes: Genomes) -> _Null:
    validation = load_validation(
        job.validation, job.inputs, min_length=job.config.read_length, classes=job.classes
    )
    if validation is not None:
        return _Null(
            genomes=validation.genomes, source=validation.source, leave_out=frozenset(), mutate=False
        )
    numbers = Counter(file.class_name for file in genomes.files if file.usable_bases)
    several = frozenset(i for i, file in enumerate(genomes.files) if numbers[file.class_name] > 1)
    parts = []
    if several:
        parts.append("the reference, each read judged without the file that it is from")
    if min(numbers.values()) == 1:
        parts.append(f"classes of one file, with {STRAIN_DIVERGENCE:.0%} of the bases substituted")
    return _Null(genomes=genomes, source="; ".join(parts), leave_out=several, mutate=True)


def _usual(lengths: Mapping[int, float], config: RememberConfig) -> tuple[int, int]:
    """Length and number of the reads behind the losses."""
    length = max(n for n in lengths if n <= config.read_length)
    return length, min(config.num_calibration_reads, math.ceil(lengths[length]))


def _losses(batches: Sequence[ScoreBatch]) -> dict[str, Any]:
    num_scored = sum(int(batch.num_scored.sum()) for batch in batches)
    nats = {
        "foreground": -sum(float(batch.log_likelihood.sum()) for batch in batches) / num_scored,
        "background": -sum(float(batch.background_log_likelihood.sum()) for batch in batches) / num_scored,
    }
    return {
        role: {"val_nats_per_base": value, "val_bits_per_base": value / math.log(2)}
        for role, value in nats.items()
    }


def _table(losses: Mapping[str, Any]) -> str:
    rows = [f"{role}\t{values['val_nats_per_base']:.6g}" for role, values in losses.items()]
    return "\n".join(["model\tval_nats_per_base", *rows]) + "\n"


_ABOUT_BACKGROUND = {
    "other-classes": """The background is what other classes than the read's best remember of it, and the
composition of all classes together, flattened: what the read shares with other classes does not count for
its being in-distribution.""",
    "low-order": "The background is the foreground's dense table of order 2: mere composition.",
    "read-chain": """The background is a Markov chain fitted to each read itself, its order of 0 to 3
chosen by the Bayesian information criterion.""",
    MUTATED: """The background is a context model of the same genomes with substitutions, as many as
`training.mutation_rate` in `genood.json` says.""",
}
_ABOUT_NULLS = """These reads are as far from the reference as its genomes are from each other: where reads to
be scored are of closer genomes, p-values are too large; where of more distant species, too small.
`genood train --val` calibrates on genomes of your own choice."""
_ABOUT_VALIDATION = """Where reads to be scored are closer to the reference than these, p-values are
too large; where they are further from it, too small."""
