"""Backgrounds of models that are made in one go: those that they derive from themselves, and mutated ones.

Nothing of them is kept but how well they separate: they take seconds to make.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, replace
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import numpy as np

from genood.bundle import Bundle
from genood.detectors.llr import LikelihoodRatio
from genood.forward import forward
from genood.making import counting, remember
from genood.making.bundling import null_lengths
from genood.making.counting import CountConfig, CountJob
from genood.making.remember import RememberConfig, RememberJob
from genood.metrics import Separation, separation
from genood.recipes import CONTEXT_BACKGROUNDS, MARKOV_BACKGROUNDS, MUTATED, Stream
from genood.reference.genomes import Genomes
from genood.reference.loading import load_data
from genood.tune.grid import Against, Candidate, candidates
from genood.tune.job import TuneJob
from genood.tune.reads import DRAWN, ReadSet, drawn_reads, in_reads_of_datasets, validation_reads
from genood.tune.store import Store

C = TypeVar("C", RememberConfig, CountConfig)


class MadeTuner(ABC):
    """Makes the models of a tuning, and scores the validation reads with them.

    A subclass loads what the job names before it calls the constructor.

    Parameters
    ----------
    job
        What to tune.

    Raises
    ------
    GenoodError
        The inputs or the options are unfit.
    """

    backgrounds: ClassVar[tuple[str, ...]]
    """Those that the model can be compared with."""

    def __init__(self, job: TuneJob) -> None:
        self._job = job
        derived = [name for name in self.backgrounds if name != MUTATED]
        if len(self._reference.classes) < 2 and "other-classes" in derived:
            derived.remove("other-classes")
        self.candidates = candidates(job.mutation_rates, [None], derived)
        inside = in_reads_of_datasets(job.inputs, job.validation, job.max_reads, job.config.seed)
        known = [*self._reference.files, *self._apart.files]
        self.reads = validation_reads(job, inside if inside is not None else self._drawn(), known)

    @property
    def options(self) -> dict[str, Any]:
        """All that decides a cell, but its candidate, its seed and the reads; JSON types."""
        config = asdict(self._job.config)
        for name in ("background", "mutation_rate"):
            del config[name]
        data = f"{self._reference.fingerprint}/{self._apart.fingerprint}"
        return {"model": self._job.model, **config, "data": data}

    @abstractmethod
    def is_random(self, candidate: Candidate) -> bool:
        """Whether what separates by it is another one for each seed."""

    def separations(
        self, candidate: Candidate, seed: int, store: Store, should_stop: Callable[[], bool]
    ) -> dict[Against, Separation] | None:
        """How well the ratio to a background separates; None if told to stop before that is known."""
        if should_stop():
            return None
        bundle = self.bundle(candidate, seed, store)
        detector = LikelihoodRatio()
        scores = {
            name: np.concatenate([detector.score(forward(bundle, *batch)) for batch in reads.batches()])
            for name, reads in self.reads.by_name().items()
        }
        inside = scores.pop("in")
        return {against: separation(inside, ood) for against, ood in scores.items()}  # type: ignore[misc]

    def bundle(self, candidate: Candidate, seed: int, store: Store) -> Bundle:
        """The models of a cell, not calibrated; made anew."""
        return self._compare(candidate, seed)

    @abstractmethod
    def finished_bundle(self, candidate: Candidate, seed: int, store: Store) -> Bundle:
        """The same, calibrated and described."""

    @property
    @abstractmethod
    def _reference(self) -> Genomes:
        """What the models learn."""

    @property
    @abstractmethod
    def _apart(self) -> Genomes:
        """What they are calibrated on."""

    @abstractmethod
    def _drawn(self) -> ReadSet:
        """In-distribution reads, where they are not those of a dataset."""

    @abstractmethod
    def _compare(self, candidate: Candidate, seed: int) -> Bundle:
        """The models of a cell."""


class ContextTuner(MadeTuner):
    """Tunes context models.

    Of FASTA files without validation sequences, the reads are those that a bundle is calibrated on: of the
    reference, each judged without the file that it is from, or with some substitutions.
    """

    backgrounds = CONTEXT_BACKGROUNDS

    def __init__(self, job: TuneJob) -> None:
        assert isinstance(job.config, RememberConfig)
        self._config = replace(job.config, background=None)
        self._remember_job = RememberJob(
            inputs=job.inputs,
            output=job.output,
            config=self._config,
            classes=job.classes,
            validation=job.validation,
            command=job.command,
        )
        self._data = remember.load_memory(self._remember_job)
        length, null = self._config.read_length, self._data.null
        self._lengths = null_lengths(null.genomes, length, null.source)
        super().__init__(job)

    @cached_property
    def _learned(self) -> remember.Learned:
        return remember.learn_memory(self._reference, self._config)

    @property
    def _reference(self) -> Genomes:
        return self._data.genomes

    @property
    def _apart(self) -> Genomes:
        return self._data.null.genomes

    def is_random(self, candidate: Candidate) -> bool:
        """See `MadeTuner.is_random`; of one foreground, what is mutated is, and nothing else."""
        return candidate.mutation_rate is not None

    def _drawn(self) -> ReadSet:
        length, null = self._config.read_length, self._data.null
        num_reads = min(self._job.max_reads, math.ceil(DRAWN * null.genomes.independent_reads(length)))
        codes, without_files = null.draw(length, max(1, num_reads), self._config.seed, Stream.TUNING)
        return ReadSet(codes=codes, source=null.source, without_files=without_files)

    def _compare(self, candidate: Candidate, seed: int) -> Bundle:
        return remember.compare(self._learned, self._reference, self._config_of(candidate, seed))

    def finished_bundle(self, candidate: Candidate, seed: int, store: Store) -> Bundle:
        """See `MadeTuner.finished_bundle`."""
        bundle = self._compare(candidate, seed)
        job = replace(self._remember_job, config=self._config_of(candidate, seed))
        remember.finish(job, bundle, self._data, self._lengths)
        return bundle

    def _config_of(self, candidate: Candidate, seed: int) -> RememberConfig:
        return _with_candidate(self._config, candidate, seed)


class MarkovTuner(MadeTuner):
    """Tunes Markov chains."""

    backgrounds = MARKOV_BACKGROUNDS

    def __init__(self, job: TuneJob) -> None:
        assert isinstance(job.config, CountConfig)
        self._config = job.config
        self._count_job = CountJob(
            inputs=job.inputs,
            output=job.output,
            config=self._config,
            classes=job.classes,
            validation=job.validation,
            command=job.command,
        )
        self._data = load_data(self._count_job)
        validation = self._data.validation
        self._lengths = null_lengths(validation.genomes, self._config.read_length, validation.source)
        super().__init__(job)

    @property
    def _reference(self) -> Genomes:
        return self._data.training

    @property
    def _apart(self) -> Genomes:
        return self._data.validation.genomes

    def is_random(self, candidate: Candidate) -> bool:
        """See `MadeTuner.is_random`; a mutated background is not, being one in closed form."""
        return self._config.half

    def _drawn(self) -> ReadSet:
        config, validation = self._config, self._data.validation
        return drawn_reads(
            validation.genomes, config.read_length, self._job.max_reads, config.seed, validation.source
        )

    def _compare(self, candidate: Candidate, seed: int) -> Bundle:
        config = _with_candidate(self._config, candidate, seed)
        return counting.compare(self._data.training, self._data.validation.genomes, config)

    def finished_bundle(self, candidate: Candidate, seed: int, store: Store) -> Bundle:
        """See `MadeTuner.finished_bundle`."""
        bundle = self._compare(candidate, seed)
        job = replace(self._count_job, config=_with_candidate(self._config, candidate, seed))
        counting.finish(job, bundle, self._data, self._lengths)
        return bundle


def _with_candidate(config: C, candidate: Candidate, seed: int) -> C:
    config = replace(config, background=candidate.background, seed=seed)
    if candidate.mutation_rate is None:
        return config
    return replace(config, mutation_rate=candidate.mutation_rate)
