"""Reads and bundles to curves and files: all of `genood attack` but the command line."""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from dnaio import SequenceRecord

from genood import __version__
from genood.attack.config import AttackConfig, Draw, SearchName, budget
from genood.attack.curves import attacked_reads, curve_of, match_point
from genood.attack.gradients import GradientRanking, has_gradients
from genood.attack.objectives import (
    FeatureObjective,
    Floats,
    LikelihoodObjective,
    Objective,
    ScoreObjective,
    check_served,
    spread,
)
from genood.attack.reads import AttackRead, random_reads, sampled_reads
from genood.attack.result import Attacked, edits_text
from genood.attack.search import Attempt, RandomRanking, Ranking, Search, Trajectory
from genood.attack.serving import gives, kind_of, served_detectors
from genood.attack.victim import Victim
from genood.detectors.serving import default_detector
from genood.ensemble import AnyBundle, load_bundle
from genood.errors import ConfigError
from genood.files import appear_together, check_distinct, check_outside
from genood.readers import ReaderConfig, check_readable
from genood.sequence import BASES, pad
from genood.writers import STDOUT, ReadsWriter, check_ending, format_by_name, open_output

logger = logging.getLogger(__name__)

_FILLED_QUALITY = "I"
"""Of reads that have none, where FASTQ is wanted: Phred 40."""


@dataclass(frozen=True, kw_only=True)
class AttackJob:
    """What to attack with what, and where to write.

    Attributes
    ----------
    bundles
        Directories of bundles; the first is attacked, the others score what comes of it.
    inputs, targets
        Files of OOD reads, and of the in-distribution reads that they are to be taken for.
    num_random
        Random reads that are attacked, beside those of `inputs`.
    read_length
        Bases of random reads; longer sequences are cut into reads of so many.
    max_reads
        So many reads of `inputs`, and so many of `targets`, at most.
    reader
        How files are read.
    attack
        How reads are attacked.
    output
        The table, a row for each epsilon, bundle and detector; ``-`` is standard output.
    summary
        All of the result as JSON, where wanted.
    reads_out
        The attacked reads of the largest epsilon, FASTQ or FASTA, where wanted.
    command
        The command line, for the record.
    """

    bundles: Sequence[str]
    inputs: Sequence[str]
    targets: Sequence[str]
    num_random: int = 0
    read_length: int = 250
    max_reads: int = 100
    reader: ReaderConfig = field(default_factory=ReaderConfig)
    attack: AttackConfig = field(default_factory=AttackConfig)
    output: str = STDOUT
    summary: str | None = None
    reads_out: str | None = None
    command: str = ""

    def __post_init__(self) -> None:
        if not self.bundles or not self.targets:
            raise ConfigError("an attack needs a bundle and in-distribution reads as targets")
        if not self.inputs and not self.num_random:
            raise ConfigError("there are no reads to attack; give files of OOD reads, or --random N")
        if len({os.path.realpath(bundle) for bundle in self.bundles}) < len(self.bundles):
            raise ConfigError("a bundle is named twice; name each once")
        outputs = [path for path in (self.output, self.summary, self.reads_out) if path is not None]
        references = [] if self.reader.reference is None else [self.reader.reference]
        check_distinct([*self.inputs, *self.targets, *references], outputs)
        for bundle in self.bundles:
            check_outside(bundle, outputs)
        check_ending("-o", self.output)
        if self.summary is not None:
            check_ending("--summary", self.summary)
        if self.reads_out is not None:
            check_ending("--reads-out", self.reads_out)


def attack_files(
    job: AttackJob, *, device: str = "cpu", progress: Callable[[int, int], None] | None = None
) -> Attacked:
    """Attack reads and write what was asked for; on failure no output appears.

    Parameters
    ----------
    job
        What to attack.
    device
        Where, see `Model.on`.
    progress
        Told how many reads of how many are done.

    Returns
    -------
    attacked
        As written.

    Raises
    ------
    GenoodError
        A bundle, the input or an output is unfit.
    """
    started = time.perf_counter()
    check_readable([*job.inputs, *job.targets])
    bundles = [load_bundle(path, device) for path in job.bundles]
    objective = _objective(job.attack, bundles[0])
    ranking = _ranking(job.attack, Victim(bundles[0], objective))
    with appear_together(), ExitStack() as stack:
        outputs = {
            target: stack.enter_context(open_output(target))
            for target in (job.reads_out, job.output, job.summary)
            if target is not None
        }
        reads, targets = _ood_reads(job), _target_reads(job)
        attacked = _attack(job, bundles, objective, ranking, reads, targets, progress)
        attacked.about["wall_seconds"] = time.perf_counter() - started
        if job.reads_out is not None:
            _write_reads(job.reads_out, outputs[job.reads_out], attacked)
        outputs[job.output].write(attacked.table().encode())
        if job.summary is not None:
            text = json.dumps(attacked.to_json(), indent=2, allow_nan=False)
            outputs[job.summary].write((text + "\n").encode())
    return attacked


def _objective(config: AttackConfig, bundle: AnyBundle) -> Objective:
    objective: Objective
    if config.objective == "features":
        objective = FeatureObjective()
    elif config.objective == "likelihood":
        objective = LikelihoodObjective()
    else:
        detectors = served_detectors(bundle)
        name = default_detector(bundle.gives) if config.detector is None else config.detector
        if name not in detectors:
            raise ConfigError(
                f"the bundle that is attacked has no detector {name!r}; it has {', '.join(detectors)}"
            )
        objective = ScoreObjective(detectors[name])
    check_served(objective, gives(bundle))
    return objective


def _ranking(config: AttackConfig, victim: Victim) -> Ranking:
    can = has_gradients(victim.bundle, victim.objective)
    if config.search == "gradient" and not can:
        raise ConfigError(
            f"there are no gradients of this objective ({victim.objective.name}) with this kind of bundle "
            f"({kind_of(victim.bundle)}); use --search greedy"
        )
    if config.search == "greedy" or not can:
        return RandomRanking(config.seed)
    return GradientRanking(victim)


def _ood_reads(job: AttackJob) -> list[AttackRead]:
    seed = job.attack.seed
    reads = []
    if job.inputs:
        reads += sampled_reads(
            job.inputs,
            length=job.read_length,
            max_reads=job.max_reads,
            seed=(seed, Draw.OOD_READS),
            reader=job.reader,
        )
    return reads + random_reads(job.num_random, job.read_length, (seed, Draw.RANDOM_READS))


def _target_reads(job: AttackJob) -> list[AttackRead]:
    return sampled_reads(
        job.targets,
        length=job.read_length,
        max_reads=job.max_reads,
        seed=(job.attack.seed, Draw.TARGET_READS),
        reader=job.reader,
    )


def _attack(
    job: AttackJob,
    bundles: Sequence[AnyBundle],
    objective: Objective,
    ranking: Ranking,
    reads: Sequence[AttackRead],
    targets: Sequence[AttackRead],
    progress: Callable[[int, int], None] | None,
) -> Attacked:
    """Attack the reads; read i is to be taken for target i, from the first again where there are too few."""
    config = job.attack
    victim = Victim(bundles[0], objective)
    to_reach = victim.values(*pad([target.codes for target in targets]))
    wide = spread(to_reach)
    near = config.tolerance * wide
    search = Search(victim, ranking, candidates=config.candidates, tries=config.tries, near=near)
    logger.debug("%s, %d reads, %d targets", type(ranking).__name__, len(reads), len(targets))
    trajectories = _trajectories(search, _attempts(config, reads, to_reach), config, progress)
    budgets = {epsilon: [budget(epsilon, len(read.codes)) for read in reads] for epsilon in config.levels}
    changed = {
        epsilon: attacked_reads([read.codes for read in reads], trajectories, numbers)
        for epsilon, numbers in budgets.items()
    }
    target_codes = [target.codes for target in targets]
    curve = [
        point
        for number, bundle in enumerate(bundles)
        for point in curve_of(bundle, number, served_detectors(bundle), target_codes, changed)
    ]
    return Attacked(
        about=_about(job, bundles, ranking, wide),
        labels=_labels(job.bundles),
        kinds=[kind_of(bundle) for bundle in bundles],
        objective=_described(objective),
        reads=reads,
        targets=[targets[number % len(targets)].name for number in range(len(reads))],
        trajectories=trajectories,
        curve=curve,
        matches=[
            match_point(epsilon, trajectories, numbers, spread=wide, near=near)
            for epsilon, numbers in budgets.items()
        ],
    )


def _attempts(config: AttackConfig, reads: Sequence[AttackRead], to_reach: Floats) -> list[Attempt]:
    return [
        Attempt(
            number=number,
            codes=read.codes,
            target=to_reach[number % len(to_reach)],
            budget=budget(max(config.levels), len(read.codes)),
        )
        for number, read in enumerate(reads)
    ]


def _trajectories(
    search: Search,
    attempts: Sequence[Attempt],
    config: AttackConfig,
    progress: Callable[[int, int], None] | None,
) -> list[Trajectory]:
    """Attack the reads, so many at a time."""
    num_done = 0

    def advance(number: int) -> None:
        nonlocal num_done
        num_done += number
        if progress is not None:
            progress(num_done, len(attempts))

    trajectories: list[Trajectory] = []
    for start in range(0, len(attempts), config.reads_at_once):
        trajectories += search.run(attempts[start : start + config.reads_at_once], advance)
    return trajectories


def _write_reads(target: str, stream: IO[bytes], attacked: Attacked) -> None:
    """The reads with all their substitutions, which the comment names."""
    is_fastq = format_by_name(target) != "FASTA"
    records = []
    for read, aim, trajectory in zip(attacked.reads, attacked.targets, attacked.trajectories, strict=True):
        letters = list(read.letters)
        for edit in trajectory.edits:
            letters[edit.position] = BASES[edit.base]
        edits = ",".join(edits_text(read.letters, trajectory.edits)) or "none"
        name = f"{read.name} edits={edits} distance={trajectory.distances[-1]:g} target={aim}"
        qualities = read.qualities or _FILLED_QUALITY * len(letters)
        records.append(SequenceRecord(name, "".join(letters), qualities if is_fastq else None))
    ReadsWriter(target, stream).write(records)


def _about(job: AttackJob, bundles: Sequence[AnyBundle], ranking: Ranking, wide: float) -> dict[str, Any]:
    """What the result says about what ran on what."""
    search: SearchName = "gradient" if isinstance(ranking, GradientRanking) else "greedy"
    return {
        "tool": "genood",
        "version": __version__,
        "command": job.command,
        "bundles": [
            {"path": path, "kind": kind_of(bundle), "fingerprint": bundle.fingerprint}
            for path, bundle in zip(job.bundles, bundles, strict=True)
        ],
        "inputs": list(job.inputs),
        "targets": list(job.targets),
        "num_random": job.num_random,
        "read_length": job.read_length,
        "max_reads": job.max_reads,
        "attack": asdict(job.attack) | {"search": search},
        "target_spread": wide,
    }


def _described(objective: Objective) -> str:
    if isinstance(objective, ScoreObjective):
        return f"the OOD score ({objective.detector.name})"
    return "the features" if isinstance(objective, FeatureObjective) else "the likelihood"


def _labels(paths: Sequence[str]) -> list[str]:
    """What bundles are called: their directories' names, or their paths where two have one name."""
    names = [os.path.basename(os.path.abspath(path)) for path in paths]
    return names if len(set(names)) == len(names) else list(paths)
