"""Try all backgrounds, choose one, write its bundle: all of `genood tune` but the command line."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from genood import __version__
from genood.bundle import Bundle, read_metadata
from genood.bundles.files import METADATA_FILE
from genood.files import appear_together, write_json, write_text
from genood.files.directories import check_directory_name
from genood.making.cards import with_section
from genood.making.counting import CountConfig
from genood.making.remember import RememberConfig
from genood.metrics import Separation
from genood.training.following import Stopping, never_stopping
from genood.tune.grid import AGAINST, Against, Candidate, Cell, best_cell
from genood.tune.job import Progress, TuneJob
from genood.tune.made import ContextTuner, MarkovTuner
from genood.tune.reads import ValidationReads
from genood.tune.store import Store, check_new
from genood.tune.tables import TITLES, markdown_table, tsv

logger = logging.getLogger(__name__)

BUNDLE = "bundle"
_FORMAT_VERSION = 1


class Tuner(Protocol):
    """How a kind of model is tuned."""

    candidates: tuple[Candidate, ...]
    reads: ValidationReads

    @property
    def options(self) -> dict[str, Any]:
        """All that decides a cell, but its candidate, its seed and the reads; JSON types."""

    def is_random(self, candidate: Candidate) -> bool:
        """Whether what separates by it is another one for each seed."""

    def separations(
        self, candidate: Candidate, seed: int, store: Store, should_stop: Callable[[], bool]
    ) -> dict[Against, Separation] | None:
        """How well the ratio to a background separates; None if told to stop before that is known."""

    def bundle(self, candidate: Candidate, seed: int, store: Store) -> Bundle:
        """The models of a cell that is done, not calibrated."""

    def finished_bundle(self, candidate: Candidate, seed: int, store: Store) -> Bundle:
        """The same, calibrated and described."""


@dataclass(frozen=True, kw_only=True)
class TuneResult:
    """What a tuning found.

    Attributes
    ----------
    job
        What was tuned.
    cells
        All backgrounds that were tried.
    chosen_by
        The OOD reads that decided about the bundle.
    reads
        What was scored.
    """

    job: TuneJob
    cells: tuple[Cell, ...]
    chosen_by: Against
    reads: ValidationReads
    _tuner: Tuner = field(repr=False)
    _store: Store = field(repr=False)

    @property
    def chosen(self) -> Cell:
        """What is in the bundle."""
        return self.best(self.chosen_by)

    @property
    def bundle_directory(self) -> Path:
        """Where the bundle is."""
        return Path(self.job.output) / BUNDLE

    def best(self, against: Against | None = None, *, l2: float | None = None) -> Cell:
        """The best background by some OOD reads, else by those that decided; see `best_cell`."""
        return best_cell(self.cells, self.chosen_by if against is None else against, l2=l2)

    def bundle(self, candidate: Candidate, seed: int) -> Bundle:
        """The models of a background that was tried, of one of the seeds; not calibrated."""
        return self._tuner.bundle(candidate, seed, self._store)

    def choices(self) -> dict[Against, Cell]:
        """The best background by each kind of OOD reads."""
        return {against: self.best(against) for against in AGAINST if against in self.reads.ood}

    def to_json(self) -> dict[str, Any]:
        """Content of ``tuning.json``."""
        return {
            "format_version": _FORMAT_VERSION,
            "genood_version": __version__,
            "command": self.job.command,
            "model": self.job.model,
            "options": self._tuner.options,
            "seeds": list(self.job.seeds),
            "simulated_rate": self.job.simulated_rate,
            "reads": {
                name: {"source": reads.source, "num_reads": len(reads.codes), "sha256": reads.fingerprint}
                for name, reads in self.reads.by_name().items()
            },
            "cells": [cell.to_json() for cell in self.cells],
            "choices": {against: cell.to_json() for against, cell in self.choices().items()},
            "chosen_by": self.chosen_by,
        }

    def markdown(self) -> str:
        """Content of ``tuning.md``."""
        job, choices = self.job, self.choices()
        several = any(cell.standard_error(self.chosen_by) is not None for cell in self.cells)
        seeds = f"seeds {job.seeds[0]} to {job.seeds[-1]}" if several else f"seed {job.seeds[0]}"
        parts = [
            "# Backgrounds of the likelihood ratio\n",
            f"AUROC of the ratio of {job.model} models, {seeds}"
            + ("; mean and standard error.\n" if several else ".\n"),
            self.tables("##"),
            f"In the bundle is that chosen by {self.chosen_by} OOD reads: {self.chosen.candidate}.\n",
        ]
        if "real" in choices:
            simulated = choices["simulated"]
            parts.append(
                f"The choice of the simulated reads has an AUROC of {simulated.mean('real'):.4f} against the "
                "real ones.\n"
            )
        return "\n".join(parts)

    def tables(self, heading: str) -> str:
        """The table of each kind of OOD reads, with its choice, as Markdown."""
        inside = self.reads.inside
        parts = []
        for against, best in self.choices().items():
            reads = self.reads.ood[against]
            parts += [
                f"{heading} {TITLES[against]}\n",
                f"{len(inside.codes):,} reads of {inside.source} against {len(reads.codes):,}: "
                f"{reads.source}.\n",
                markdown_table(self.cells, against, best),
                f"Choice: {best.candidate}, AUROC {best.mean(against):.4f}.\n",
            ]
        return "\n".join(parts)


def tune(
    job: TuneJob,
    *,
    device: str = "cpu",
    progress: Progress | None = None,
    stopping: Stopping = never_stopping,
) -> TuneResult | None:
    """Compare the foreground with all backgrounds, and write tables and the bundle of the best.

    Nothing but validation reads is looked at. What is in the output directory already is not made again.

    Parameters
    ----------
    job
        What to tune.
    device
        Where to train.
    progress
        Told before each cell, after each step and each validation.
    stopping
        Entered while cells are made; gives the function that says whether to stop before a step.

    Returns
    -------
    result
        None if told to stop; the same job goes on.

    Raises
    ------
    GenoodError
        The input, the options or the output directory are unfit; nothing that was there is changed.

    Notes
    -----
    Source: Ren et al. 2019, section 4 and Table S4.

    Differs from the paper: there is one foreground a seed, without L2 penalty, and means are over seeds of
    foreground and background.
    """
    check_directory_name(job.output, "a tuning")
    root = Path(job.output)
    check_new(root)
    tuner = _tuner_of(job, device, progress)
    store = Store(root, _options_of(job, tuner))
    with stopping() as should_stop:
        cells = _cells(job, tuner, store, progress, should_stop)
    if cells is None:
        return None
    chosen_by = job.choose if job.choose is not None else next(iter(tuner.reads.ood))
    result = TuneResult(
        job=job, cells=cells, chosen_by=chosen_by, reads=tuner.reads, _tuner=tuner, _store=store
    )
    _write_bundle(result)
    with appear_together():
        write_text(root / "tuning.tsv", tsv(cells))
        write_text(root / "tuning.md", result.markdown())
        write_json(root / "tuning.json", result.to_json())
    return result


def _tuner_of(job: TuneJob, device: str, progress: Progress | None) -> Tuner:
    if isinstance(job.config, RememberConfig):
        return ContextTuner(job)
    if isinstance(job.config, CountConfig):
        return MarkovTuner(job)
    # It needs torch, which takes seconds to import.
    from genood.tune.stepwise import StepwiseTuner

    return StepwiseTuner(job, device, progress)


def _options_of(job: TuneJob, tuner: Tuner) -> dict[str, Any]:
    reads = {name: reads.fingerprint for name, reads in tuner.reads.by_name().items()}
    return {
        **tuner.options,
        "simulated_rate": job.simulated_rate,
        "max_reads": job.max_reads,
        "validation_reads": reads,
    }


def _cells(
    job: TuneJob, tuner: Tuner, store: Store, progress: Progress | None, should_stop: Callable[[], bool]
) -> tuple[Cell, ...] | None:
    """All cells, seed by seed, those that are missing made; None if told to stop."""
    found: dict[Candidate, list[dict[Against, Separation]]] = {each: [] for each in tuner.candidates}
    cells = [
        (seed, each) for seed in job.seeds for each in found if seed == job.seeds[0] or tuner.is_random(each)
    ]
    for number, (seed, candidate) in enumerate(cells, 1):
        separations = store.result(candidate, seed)
        if separations is None:
            if progress is not None:
                progress.begin(f"{candidate}, seed {seed}", number, len(cells))
            separations = tuner.separations(candidate, seed, store, should_stop)
            if separations is None:
                return None
            store.put(candidate, seed, separations)
        shown = ", ".join(f"{against} {each.auroc:.4f}" for against, each in separations.items())
        logger.info("%d of %d: %s, seed %d: AUROC %s", number, len(cells), candidate, seed, shown)
        found[candidate].append(separations)
    return tuple(_cell(candidate, by_seed) for candidate, by_seed in found.items())


def _cell(candidate: Candidate, by_seed: Sequence[dict[Against, Separation]]) -> Cell:
    names = by_seed[0]
    return Cell(
        candidate=candidate,
        separations={against: tuple(each[against] for each in by_seed) for against in names},
    )


def _write_bundle(result: TuneResult) -> None:
    """Write the bundle, unless it is there."""
    folder = result.bundle_directory
    about = {
        "chosen_by": result.chosen_by,
        "chosen": result.chosen.to_json(),
        "num_backgrounds": len(result.cells),
        "simulated_rate": result.job.simulated_rate,
        "seeds": list(result.job.seeds),
        "validation_reads": {name: len(reads.codes) for name, reads in result.reads.by_name().items()},
    }
    if (folder / METADATA_FILE).is_file() and read_metadata(folder).get("tuning") == about:
        return
    seed = result.job.seeds[0]
    bundle = result._tuner.finished_bundle(result.chosen.candidate, seed, result._store)
    bundle.metadata["tuning"] = about
    section = (
        f"## Choice of the background\n\nOf {len(result.cells)}, by {result.chosen_by} OOD reads. "
        f"All reads are of validation.\n\n{result.tables('###')}"
    )
    bundle.card = with_section(bundle.card, section)
    bundle.save(folder, replace=True)
    if bundle.background is None:
        (folder / "background.safetensors").unlink(missing_ok=True)
