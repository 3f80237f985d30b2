"""Compute the cells of a benchmark, those that are not there yet, and gather what they say."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from genood.benchmark.cells import (
    Candidate,
    ScoringCell,
    TrainingCell,
    digest,
    scoring_cells,
    training_cells,
)
from genood.benchmark.fitting import Fitted, fit
from genood.benchmark.methods import METHODS, SOURCES, chosen_methods
from genood.benchmark.reads import Phase, Side, drawn_reads, fingerprint, open_benchmark
from genood.benchmark.scales import SCALES, Scale
from genood.benchmark.scoring import Options, Scores, grid_of, scored
from genood.benchmark.training import Costs, Place, accuracy_of, costs_of, load_trained, run_training
from genood.bundle import Bundle
from genood.bundles.files import METADATA_FILE
from genood.dataset import DATASET_FILE, Dataset
from genood.detectors import DETECTORS
from genood.ensemble import AnyBundle, EnsembleBundle
from genood.errors import ConfigError
from genood.files.directories import check_directory_name
from genood.metrics import Separation, separation
from genood.reference.loading import TRAINING_SPLIT, VALIDATION_SPLIT
from genood.training.following import Stopping, never_stopping

logger = logging.getLogger(__name__)

Progress = Callable[[str], None]
"""Told what is computed, when that begins."""


@dataclass(frozen=True, kw_only=True)
class BenchmarkJob:
    """What to compare, on what.

    Attributes
    ----------
    dataset
        Directory of the reads, with all splits.
    output
        Directory of the benchmark; what is there already is not computed again.
    methods
        Names of `METHODS`; none is all.
    scale
        Name of `SCALES`.
    num_seeds
        Models of each kind, and draws of reads; None is the scale's.
    first_seed
        The seeds count from it.
    """

    dataset: str
    output: str
    methods: Sequence[str] = field(default=())
    scale: str = "demo"
    num_seeds: int | None = None
    first_seed: int = 0

    def __post_init__(self) -> None:
        if self.scale not in SCALES:
            raise ConfigError(f"scale must be of {', '.join(SCALES)}, not {self.scale!r}")
        if self.num_seeds is not None and self.num_seeds < 1:
            raise ConfigError(f"the number of seeds must be at least 1, not {self.num_seeds}")


@dataclass(frozen=True, kw_only=True, eq=False)
class Result:
    """One method with the models of one seed.

    Attributes
    ----------
    method, seed
        Name in `METHODS`, and of the models and the draw of test reads.
    candidate, options
        What the validation reads chose.
    val_auroc
        By which they did.
    candidate_aurocs
        The best of each candidate.
    separation
        On the test reads.
    inside, ood
        The test reads.
    scores
        Of them; of one choice of options.
    training_seconds
        Of the chosen models and the detector; None where that is not known.
    tuning_seconds
        Of all models that were tried.
    num_bytes
        Of the chosen models, and of what the detector has learned.
    accuracy
        Of the classifier on reads of val_in, where there is a single one.
    """

    method: str
    seed: int
    candidate: str
    options: Options
    val_auroc: float
    candidate_aurocs: Mapping[str, float]
    separation: Separation
    inside: Side
    ood: Side
    scores: Scores
    training_seconds: float | None
    tuning_seconds: float | None
    num_bytes: int
    accuracy: float | None


class Benchmark:
    """The cells of a job.

    Parameters
    ----------
    job
        What to compare.
    device
        Where to train and score.
    progress
        See `Progress`.
    stopping
        See `genood.making.build.train_bundle`.

    Raises
    ------
    GenoodError
        The dataset or a name is unfit, or the dataset has not the classes that one of the methods needs.
    """

    def __init__(
        self,
        job: BenchmarkJob,
        *,
        device: str = "auto",
        progress: Progress = lambda name: None,
        stopping: Stopping = never_stopping,
    ) -> None:
        check_directory_name(job.output, "a benchmark")
        _check_output(Path(job.output))
        self.job = job
        self.device = device
        self.progress = progress
        self.scale: Scale = SCALES[job.scale]
        self.dataset: Dataset = open_benchmark(job.dataset)
        number = self.scale.num_seeds if job.num_seeds is None else job.num_seeds
        self.seeds = range(job.first_seed, job.first_seed + number)
        self.methods = chosen_methods(job.methods, self.scale.left_out)
        _check_classes(self.dataset, self.methods)
        self.scorings = scoring_cells(self.methods, self.seeds, self.scale, self.dataset.read_length)
        self.trainings = training_cells(self.scorings)
        self._cells = Path(job.output) / "cells"
        self._place = Place(
            directory=self._cells / "trained",
            dataset=job.dataset,
            data=fingerprint(self.dataset, ("train_in", "val_in")),
            read_length=self.dataset.read_length,
            device=device,
            stopping=stopping,
        )
        self._data: Mapping[Phase, str] = {
            "val": fingerprint(self.dataset, ("val_in", "val_ood")),
            "test": fingerprint(self.dataset, ("test_in", "test_ood")),
        }

    def run(self, names: Iterable[str] = ()) -> bool:
        """Compute the cells of these names, all if there are none; those that are done cost nothing.

        What a cell needs is computed before it.

        Returns
        -------
        finished
            False if told to stop in between.

        Raises
        ------
        ConfigError
            There is no such cell.
        GenoodError
            A cell cannot be computed; what others gave stays.
        """
        cells: dict[str, TrainingCell | ScoringCell] = {cell.name: cell for cell in self.trainings}
        cells |= {cell.name: cell for cell in self.scorings}
        wanted = tuple(names) or tuple(cells)
        for name in wanted:
            if name not in cells:
                raise ConfigError(f"no cell is called {name!r}; --list-cells shows them")
        for cell in (cells[name] for name in wanted):
            needs = (cell,) if isinstance(cell, TrainingCell) else cell.needs
            if not all(map(self._train, needs)):
                return False
            if isinstance(cell, ScoringCell):
                self._score(cell)
        return True

    def cell_table(self) -> list[tuple[str, list[str], bool]]:
        """Each cell's name, the names of those that it needs, and whether it is done."""
        rows = [(cell.name, list[str](), costs_of(cell, self._place) is not None) for cell in self.trainings]
        for cell in self.scorings:
            rows.append((cell.name, [need.name for need in cell.needs], self._is_scored(cell)))
        return rows

    def results(self) -> list[Result]:
        """What the cells say, by method and then by seed; all of them are done."""
        found = [self._result(cell, name) for cell in self.scorings for name in cell.methods]
        return sorted(found, key=lambda result: self.methods.index(result.method))

    @property
    def classes(self) -> Sequence[str]:
        """The classes that the models know, in the order of a classifier's outputs."""
        return self._place.training.classes

    def chosen_bundle(self, method: str, seed: int) -> AnyBundle:
        """The models that the validation reads chose for a method; its cell is done."""
        cell = next(cell for cell in self.scorings if cell.seed == seed and method in cell.methods)
        _, candidate, _ = self._choice(cell, method)
        return self._bundle(candidate)

    def _train(self, cell: TrainingCell) -> bool:
        if costs_of(cell, self._place) is not None:
            return True
        self.progress(cell.name)
        return run_training(cell, self._place)

    def _score(self, cell: ScoringCell) -> None:
        """Score the validation reads, choose, and score the test reads once."""
        names = {METHODS[method].detector for method in cell.methods}
        for candidate in cell.candidates:
            self._compute("val", cell, candidate, {name: grid_of(name) for name in sorted(names)})
        for candidate in cell.candidates:
            wanted = {
                METHODS[method].detector: (options,)
                for method in cell.methods
                for _, chosen, options in [self._choice(cell, method)]
                if chosen is candidate
            }
            self._compute("test", cell, candidate, wanted)

    def _compute(
        self, phase: Phase, cell: ScoringCell, candidate: Candidate, wanted: Mapping[str, Sequence[Options]]
    ) -> None:
        """Score the reads of a phase, unless that was done."""
        paths = {name: self._path(phase, cell, candidate, name, wanted[name]) for name in wanted}
        missing = {
            name: wanted[name]
            for name, path in paths.items()
            if not (path.is_file() and self._is_fitted(candidate, name, cell.seed))
        }
        if not missing:
            return
        self.progress(f"{cell.name}: {phase}: {', '.join(filter(None, [candidate.name, *missing]))}")
        inside, ood = self._reads(phase, cell.seed)
        bundle = self._bundle(candidate)
        self._fit(bundle, candidate, missing, cell.seed)
        for name, scores in scored(bundle, missing, inside, ood).items():
            scores.save(paths[name])

    def _tried(self, cell: ScoringCell, method: str) -> list[tuple[float, Candidate, Options]]:
        """The AUROC on validation reads by each candidate and choice of options."""
        detector = METHODS[method].detector
        grid = grid_of(detector)
        tried = []
        for candidate in cell.candidates:
            scores = Scores.load(self._path("val", cell, candidate, detector, grid))
            for point, options in enumerate(grid):
                auroc = separation(scores.inside[point], scores.ood[point]).auroc
                tried.append((auroc, candidate, options))
        return tried

    def _choice(self, cell: ScoringCell, method: str) -> tuple[float, Candidate, Options]:
        """What has the highest AUROC on validation reads, the first of equals."""
        return max(self._tried(cell, method), key=lambda found: found[0])

    def _result(self, cell: ScoringCell, method: str) -> Result:
        auroc, candidate, options = self._choice(cell, method)
        tried = self._tried(cell, method)
        scores = Scores.load(self._path("test", cell, candidate, METHODS[method].detector, (options,)))
        inside, ood = self._reads("test", cell.seed)
        costs = [self._costs(each) for each in candidate.cells]
        fitted = self._fitted(cell, candidate, METHODS[method].detector)
        return Result(
            method=method,
            seed=cell.seed,
            candidate=candidate.name,
            options=options,
            val_auroc=auroc,
            candidate_aurocs={
                each.name: max(found for found, other, _ in tried if other is each)
                for each in cell.candidates
            },
            separation=separation(scores.inside[0], scores.ood[0]),
            inside=inside,
            ood=ood,
            scores=scores,
            training_seconds=_sum([*(cost.seconds for cost in costs), fitted.seconds]),
            tuning_seconds=_sum(self._costs(need).seconds for need in cell.needs),
            num_bytes=sum(cost.num_bytes for cost in costs) + fitted.num_bytes,
            accuracy=accuracy_of(candidate.cells[0], self._place) if len(candidate.cells) == 1 else None,
        )

    def _fitted(self, cell: ScoringCell, candidate: Candidate, detector: str) -> Fitted:
        """What a detector has learned, which may be nothing."""
        if not DETECTORS[detector].requires_fit:
            return Fitted({}, 0.0)
        return Fitted.load(self._fitted_path(candidate, detector, cell.seed))

    def _is_scored(self, cell: ScoringCell) -> bool:
        """Whether all is there that `_score` computes."""
        for method in cell.methods:
            detector = METHODS[method].detector
            paths = [self._path("val", cell, c, detector, grid_of(detector)) for c in cell.candidates]
            if not all(path.is_file() for path in paths):
                return False
            if not all(self._is_fitted(each, detector, cell.seed) for each in cell.candidates):
                return False
            _, candidate, options = self._choice(cell, method)
            if not self._path("test", cell, candidate, detector, (options,)).is_file():
                return False
        return True

    def _path(
        self, phase: Phase, cell: ScoringCell, candidate: Candidate, name: str, options: Sequence[Options]
    ) -> Path:
        """Where the scores of a detector lie, by a hash of all that decides them."""
        key = digest(
            {
                "detector": name,
                "options": [dict(point) for point in options],
                "models": self._keys(candidate),
                "reads": [self._data[phase], self._max_reads(phase), cell.seed],
            }
        )
        return self._cells / phase / f"{name}-seed{cell.seed}-{key}.npz"

    def _max_reads(self, phase: Phase) -> int | None:
        return self.scale.max_val_reads if phase == "val" else self.scale.max_test_reads

    def _reads(self, phase: Phase, seed: int) -> tuple[Side, Side]:
        return drawn_reads(self.dataset, phase, seed, self._max_reads(phase))

    def _costs(self, cell: TrainingCell) -> Costs:
        found = costs_of(cell, self._place)
        assert found is not None
        return found

    def _bundle(self, candidate: Candidate) -> AnyBundle:
        """The models of a candidate; several of them are an ensemble."""
        bundles = [load_trained(cells, self._place) for cells in candidate.members]
        if len(bundles) == 1:
            return bundles[0]
        members = tuple(bundle for bundle in bundles if isinstance(bundle, Bundle))
        return EnsembleBundle(members=members, by="seed", metadata={}, calibration={})

    def _fit(self, bundle: AnyBundle, candidate: Candidate, names: Iterable[str], seed: int) -> None:
        """Let the bundle hold what its detectors have learned, which they learn unless they did."""
        for name in names:
            if not DETECTORS[name].requires_fit:
                continue
            path = self._fitted_path(candidate, name, seed)
            if not path.is_file():
                self.progress(f"fit-{name}-seed{seed}")
                length = self.dataset.read_length
                fit(name, bundle, self._place.training, read_length=length, seed=seed).save(path)
            bundle.detectors |= {f"{name}/{key}": value for key, value in Fitted.load(path).state.items()}

    def _is_fitted(self, candidate: Candidate, name: str, seed: int) -> bool:
        """Whether it is there what a detector has learned, of those that learn."""
        return not DETECTORS[name].requires_fit or self._fitted_path(candidate, name, seed).is_file()

    def _fitted_path(self, candidate: Candidate, name: str, seed: int) -> Path:
        key = digest({"detector": name, "models": self._keys(candidate), "seed": seed})
        return self._cells / "fitted" / f"{name}-seed{seed}-{key}.npz"

    def _keys(self, candidate: Candidate) -> list[list[str]]:
        return [[cell.key(self._place.data) for cell in member] for member in candidate.members]


def _check_output(root: Path) -> None:
    """Raise ConfigError for a file, and for a directory that is a bundle or a dataset."""
    there = next(path for path in (root, *root.parents) if path.exists())
    if not there.is_dir():
        raise ConfigError(f"{there}: is a file; name a directory for the benchmark")
    for name in (METADATA_FILE, DATASET_FILE):
        if (root / name).exists():
            raise ConfigError(f"{root}: holds a {name}; name another directory for the benchmark")


def _check_classes(dataset: Dataset, methods: Sequence[str]) -> None:
    """Raise ConfigError for methods that the dataset has too few classes for, before anything is trained."""
    sources = {name: SOURCES[METHODS[name].source] for name in methods}
    classes = dataset.splits[TRAINING_SPLIT].counts
    unfit = [name for name, source in sources.items() if source.tells_classes_apart]
    if len(classes) < 2 and unfit:
        raise ConfigError(
            f"{dataset.directory}: its {TRAINING_SPLIT} has one class; leave out of --methods what needs "
            f"two: {', '.join(unfit)}"
        )
    foreign = sorted(set(dataset.splits[VALIDATION_SPLIT].counts) - set(classes))
    unfit = [name for name, source in sources.items() if source.names_classes]
    if foreign and unfit:
        raise ConfigError(
            f"{dataset.directory}: its {VALIDATION_SPLIT} has reads of class {foreign[0]!r}, which "
            f"{TRAINING_SPLIT} lacks; leave out of --methods what is to name it: {', '.join(unfit)}"
        )
    # A model for each class is calibrated on reads of that class.
    missing = sorted(set(classes) - set(dataset.splits[VALIDATION_SPLIT].counts))
    unfit = [name for name, source in sources.items() if source.by_class]
    if missing and unfit:
        raise ConfigError(
            f"{dataset.directory}: its {VALIDATION_SPLIT} has no reads of class {missing[0]!r}; leave out of "
            f"--methods what needs some of each class: {', '.join(unfit)}"
        )


def _sum(values: Iterable[float | None]) -> float | None:
    """The sum, None if a value is."""
    found = list(values)
    return None if None in found else sum(value for value in found if value is not None)
