"""Backgrounds of the context model: those that it derives from itself, and models of mutated genomes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from genood.bundle import Bundle
from genood.detectors.llr import LikelihoodRatio
from genood.engine import forward
from genood.errors import ConfigError
from genood.metrics import Separation, separation
from genood.recipes import CONTEXT_BACKGROUNDS, MUTATED, Stream
from genood.remember import RememberConfig, RememberJob, compare, finish, remember
from genood.tune.grid import Against, Candidate, candidates
from genood.tune.job import TuneJob
from genood.tune.reads import DRAWN, ReadSet, in_reads_of_datasets, validation_reads
from genood.tune.store import Store


class RememberedTuner:
    """Makes the context models of a tuning, and scores the validation reads with them.

    Of FASTA files without validation sequences, the reads are those that a bundle is calibrated on: of the
    reference, each judged without the file that it is from, or with some substitutions.

    Parameters
    ----------
    job
        What to tune, with a `RememberConfig`.

    Raises
    ------
    GenoodError
        The inputs or the options are unfit.
    """

    def __init__(self, job: TuneJob) -> None:
        if not isinstance(job.config, RememberConfig):
            raise ConfigError(f"a model of kind {job.model} is made as a RememberConfig says")
        self._job = job
        self._config = replace(job.config, background=None)
        self._remember_job = RememberJob(
            inputs=job.inputs,
            output=job.output,
            config=self._config,
            classes=job.classes,
            validation=job.validation,
            command=job.command,
        )
        self._remembered = remember(self._remember_job)
        derived = [name for name in CONTEXT_BACKGROUNDS if name != MUTATED]
        if len(self._remembered.genomes.classes) < 2:
            derived.remove("other-classes")
        self.candidates = candidates(job.mutation_rates, [None], derived)
        self.reads = validation_reads(job, self._in_reads())

    @property
    def options(self) -> dict[str, Any]:
        """All that decides a cell, but its candidate and its seed; JSON types."""
        config = asdict(self._config)
        for name in ("background", "mutation_rate"):
            del config[name]
        data = f"{self._remembered.genomes.fingerprint}/{self._remembered.null.genomes.fingerprint}"
        return {"model": self._job.model, **config, "data": data}

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
        """The models of a cell, not calibrated; made anew, which takes less than to read them."""
        return compare(self._remembered, self._config_of(candidate, seed))

    def finished_bundle(self, candidate: Candidate, seed: int, store: Store) -> Bundle:
        """The same, calibrated and described."""
        job = replace(self._remember_job, config=self._config_of(candidate, seed))
        return finish(job, self._remembered, compare(self._remembered, job.config))

    def _in_reads(self) -> ReadSet:
        job, config, null = self._job, self._config, self._remembered.null
        reads = in_reads_of_datasets(job.inputs, job.validation, job.max_reads, config.seed)
        if reads is not None:
            return reads
        length = config.read_length
        num_reads = min(job.max_reads, math.ceil(DRAWN * null.genomes.independent_reads(length)))
        codes, without_files = null.draw(length, num_reads, config.seed, Stream.TUNING)
        return ReadSet(codes=codes, source=null.source, without_files=without_files)

    def _config_of(self, candidate: Candidate, seed: int) -> RememberConfig:
        config = replace(self._config, background=candidate.background, seed=seed)
        if candidate.mutation_rate is None:
            return config
        return replace(config, mutation_rate=candidate.mutation_rate)
