"""Score tables of parts as one run's: all of `genood gather` but the command line."""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from genood.bundles.shipped import named
from genood.calibration import NullDistribution
from genood.engine import CALLS, ScoredReads
from genood.errors import ConfigError, InputError
from genood.files import appear_together, check_distinct
from genood.intake.pairs import num_open
from genood.intake.stream import IntakeConfig, intake
from genood.readers import STDIN, ReaderConfig, Records, check_readable
from genood.report.chunks import TableFormat, at_row, chunks_of
from genood.report.facts import BundleFacts, name_of, read_summary, summary_beside
from genood.report.tables import checked_columns
from genood.scoring.fdr import FdrCaller, level_of
from genood.scoring.parts import Manifest, check_apart
from genood.scoring.running import ScoreJob, open_outputs, tell_of_null
from genood.writers import STDOUT, Summary, summary_files
from genood.writers.tables import CLASS_COLUMN, PAIR_COLUMNS, score_columns

logger = logging.getLogger(__name__)

_ROWS = 65_536
_WORDS = ("read_id", "call", "pair_call", CLASS_COLUMN)
_ALL_SAME = ("version", "detectors", "alpha")
_NOT_SCORED = "nothing to score"


@dataclass(frozen=True, kw_only=True)
class GatherJob:
    """What to bring together, and where to write it.

    Attributes
    ----------
    tables
        Score tables of the parts, each with its summary beside it, see `summary_beside`.
    manifest
        Of `genood split`: says which parts there are, and their order. None takes the tables as they come.
    bundle
        What they were scored with; None takes the directory that the summaries name.
    output, summary, multiqc, ood_out, in_out, kraken_report, kraken_output, fdr, seed
        See `ScoreJob`. Reads are taken from the manifest's inputs.
    """

    tables: Sequence[str]
    manifest: str | None = None
    bundle: str | None = None
    output: str = STDOUT
    summary: str | None = None
    multiqc: str | None = None
    ood_out: str | None = None
    in_out: str | None = None
    kraken_report: str | None = None
    kraken_output: str | None = None
    fdr: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.tables:
            raise ConfigError("there is nothing to gather; name score tables")
        if self.wants_reads and self.manifest is None:
            raise ConfigError("--ood-out and --in-out take reads from what was split; give its --manifest")

    @property
    def wants_reads(self) -> bool:
        """Whether reads are written, too."""
        return self.ood_out is not None or self.in_out is not None


def gather_tables(job: GatherJob) -> dict[str, Any]:
    """Write one run's table and what else was asked for, as scoring the whole would; on failure nothing.

    Rows come in the order of the parts. Times are the parts' together.

    Returns
    -------
    summary
        As it would be written to ``job.summary``.

    Raises
    ------
    GenoodError
        A table or summary cannot be read, parts are missing, there twice or of different runs, or an
        output is unfit.
    """
    parts = _Parts.read(job)
    facts = _bundle_of(job, parts)
    run = _as_scoring(job, parts, facts.path)
    null = facts.nulls.get(parts.detectors[0])
    if null is None:
        raise InputError(facts.path, f"has no p-values for {parts.detectors[0]!r}; name the bundle with -m")
    summary = Summary(parts.detectors, job.seed, paired=parts.paired)
    caller = None if job.fdr is None else FdrCaller(job.fdr)
    with appear_together(), ExitStack() as stack:
        outputs = open_outputs(run, facts.fingerprint, stack)
        write_summary = stack.enter_context(summary_files(job.summary, job.multiqc))
        windows: Iterator[ScoredReads] = _windows(parts, null)
        if job.wants_reads:
            windows = _with_records(windows, run, stack)
        for scored in windows if caller is None else caller.call(windows):
            for writer in outputs.called:
                writer.write(scored)
            summary.add(scored)
        report = summary.to_json(
            run=parts.about(facts, run, caller), seconds=parts.seconds, skipped=parts.skipped()
        )
        write_summary(report)
    tell_of_null(report["ood_fraction"])
    calls = report["calls"].values()
    logger.info("%d reads of %d parts: %d in, %d ood, %d na", sum(calls), len(parts.tables), *calls)
    return report


@dataclass(frozen=True, kw_only=True)
class _Parts:
    """The tables in the order of the parts, and what their summaries say."""

    tables: Sequence[str]
    summaries: Sequence[Mapping[str, Any]]
    manifest: Manifest | None

    @classmethod
    def read(cls, job: GatherJob) -> _Parts:
        """Read summaries and manifest, and see that the parts are of one run."""
        check_readable(job.tables)
        summaries = []
        for table in job.tables:
            path = summary_beside(table)
            if path is None:
                name = name_of(table)
                raise InputError(
                    table, f"has no summary beside it; score the part with --summary {name}.summary.json"
                )
            summaries.append(read_summary(path))
        for table, summary in zip(job.tables, summaries, strict=True):
            _check_alike(table, summary, job.tables[0], summaries[0])
        inputs = [summary["inputs"] for summary in summaries]
        check_apart(job.tables, inputs)
        order = list(range(len(summaries)))
        manifest = None
        if job.manifest is not None:
            manifest = Manifest.read(job.manifest)
            order = manifest.order(job.manifest, job.tables, inputs)
            num_records = sum(summary["reads"]["in"] for summary in summaries)
            if num_records != manifest.num_records:
                raise InputError(
                    job.manifest,
                    f"counts {manifest.num_records} records, the parts' summaries {num_records}; score the "
                    "parts again, without --max-reads",
                )
        tables, ordered = [job.tables[place] for place in order], [summaries[place] for place in order]
        return cls(tables=tables, summaries=ordered, manifest=manifest)

    @property
    def detectors(self) -> list[str]:
        """Names of the detectors, the one that calls first."""
        return list(self.summaries[0]["detectors"])

    @property
    def paired(self) -> bool:
        """Whether they are scored as pairs."""
        return "pairs" in self.summaries[0]

    @property
    def predict_classes(self) -> bool:
        """Whether they tell classes."""
        return bool(self.summaries[0].get(CLASS_COLUMN))

    @property
    def inputs(self) -> list[str]:
        """The files of the whole run."""
        if self.manifest is not None:
            return list(self.manifest.inputs)
        return [path for summary in self.summaries for path in summary["inputs"]]

    @property
    def seconds(self) -> float:
        """Of all parts together."""
        return sum(float(summary["wall_seconds"]) for summary in self.summaries)

    def skipped(self) -> Counter[str]:
        """Records that were not scored, by reason, but for reads of which nothing could be."""
        total: Counter[str] = Counter()
        for summary in self.summaries:
            total.update(summary["reads"]["skipped"])
        del total[_NOT_SCORED]
        return total

    def about(self, facts: BundleFacts, run: ScoreJob, caller: FdrCaller | None) -> dict[str, Any]:
        """What the summary says about what ran on what."""
        first = self.summaries[0]
        return {
            "tool": first["tool"],
            "version": first["version"],
            "bundle": named(facts.path, facts.fingerprint),
            "inputs": self.inputs,
            "detectors": self.detectors,
            **({CLASS_COLUMN: True} if self.predict_classes else {}),
            **level_of(run.alpha, caller, paired=self.paired),
            "options": first["options"],
            "device": ", ".join(dict.fromkeys(summary["device"] for summary in self.summaries)),
        }


def _check_alike(table: str, summary: Mapping[str, Any], first: str, other: Mapping[str, Any]) -> None:
    """Raise InputError if two parts cannot be of one run."""
    if not isinstance(summary.get("alpha"), float):
        raise InputError(
            table, "was called with --fdr by itself; score parts without it, and give it to genood gather"
        )
    if summary["bundle"].get("fingerprint") != other["bundle"].get("fingerprint"):
        raise InputError(table, f"was scored with another bundle than {first}; score all parts with one")
    said, other_said = ({name: of[name] for name in _ALL_SAME} | of["options"] for of in (summary, other))
    for name in said:
        if said[name] != other_said.get(name):
            raise InputError(
                table,
                f"was scored with {name.replace('_', ' ')} {_shown(said[name])}, "
                f"{first} with {_shown(other_said.get(name))}",
            )
    for name, what in (("pairs", "scored as pairs"), (CLASS_COLUMN, "scored with --predicted-class")):
        if (name in summary) != (name in other):
            raise InputError(table, f"and {first} are not both {what}; score all parts in one way")


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _bundle_of(job: GatherJob, parts: _Parts) -> BundleFacts:
    """The bundle, without its weights."""
    stated = parts.summaries[0]["bundle"]
    path = job.bundle if job.bundle is not None else str(stated.get("path"))
    if job.bundle is None and not os.path.isdir(path):
        raise InputError(path, "the bundle that the parts were scored with is not there; name it with -m")
    facts = BundleFacts.read(path)
    if facts.fingerprint != stated.get("fingerprint"):
        raise InputError(path, f"is not the bundle that {parts.tables[0]} was scored with; name that with -m")
    return facts


def _as_scoring(job: GatherJob, parts: _Parts, bundle: str) -> ScoreJob:
    """The run that would have given the same."""
    manifest = parts.manifest
    pairs = manifest.pairs if manifest is not None else "interleaved" if parts.paired else None
    run = ScoreJob(
        bundle=bundle,
        inputs=[path for path in parts.inputs if path != STDIN],
        intake=IntakeConfig(
            pairs=pairs, reader=ReaderConfig(reference=None if manifest is None else manifest.reference)
        ),
        output=job.output,
        summary=job.summary,
        multiqc=job.multiqc,
        ood_out=job.ood_out,
        in_out=job.in_out,
        kraken_report=job.kraken_report,
        kraken_output=job.kraken_output,
        detectors=parts.detectors,
        predict_classes=parts.predict_classes,
        alpha=parts.summaries[0]["alpha"],
        fdr=job.fdr,
        seed=job.seed,
    )
    beside = [path for path in map(summary_beside, parts.tables) if path is not None]
    read = [*parts.tables, *beside, *([] if job.manifest is None else [job.manifest])]
    check_distinct(read, run.outputs())
    return run


def _windows(parts: _Parts, null: NullDistribution) -> Iterator[ScoredReads]:
    """The rows of all tables, as they were when they were written; no window cuts a pair."""
    columns = score_columns(parts.detectors, paired=parts.paired, classes=parts.predict_classes)
    words = [name for name in columns if name in _WORDS]
    form = TableFormat(
        kind="score table", words=words, numbers=[name for name in columns if name not in words]
    )
    for table, summary in zip(parts.tables, parts.summaries, strict=True):
        num_rows = 0
        rest: pd.DataFrame | None = None
        for frame in chunks_of(table, form, _ROWS):
            num_rows += len(frame)
            if rest is not None:
                frame = pd.concat([rest, frame])
            whole = len(frame)
            if parts.paired:
                last = frame.iloc[-3:]
                mates = [int(mate) if mate in (1, 2) else 0 for mate in last["mate"]]
                whole -= num_open(list(map(str, last["read_id"])), mates)
            rest = frame.iloc[whole:] if whole < len(frame) else None
            if whole:
                yield _scored(table, frame.iloc[:whole], parts, null)
        if rest is not None:
            yield _scored(table, rest, parts, null)
        stated = sum(summary["calls"].values())
        if num_rows != stated:
            raise InputError(table, f"has {num_rows} rows, its summary counts {stated}; score the part again")


def _scored(table: str, frame: pd.DataFrame, parts: _Parts, null: NullDistribution) -> ScoredReads:
    """Rows of a score table as reads."""
    rows = checked_columns(table, frame)
    first, *others = parts.detectors

    def numbers(name: str) -> npt.NDArray[np.float64]:
        return frame[name].to_numpy(dtype=np.float64)

    pair_p_values = pair_calls = None
    if parts.paired:
        pair_p_values, pair_calls = numbers(PAIR_COLUMNS[0]), frame[PAIR_COLUMNS[1]].tolist()
        wrong = ~frame[PAIR_COLUMNS[1]].isin(CALLS).to_numpy()
        if wrong.any():
            place = int(np.flatnonzero(wrong)[0])
            raise at_row(table, int(frame.index[place]), f"column {PAIR_COLUMNS[1]!r} holds no call")
    return ScoredReads(
        names=list(rows.names),
        mates=rows.mates.tolist(),
        lengths=rows.lengths,
        num_scored=rows.num_scored,
        gc=rows.gc,
        log_likelihood=numbers("log_likelihood"),
        background_log_likelihood=numbers("background_log_likelihood"),
        llr=numbers("llr"),
        llr_per_base=rows.llr_per_base,
        ood_scores={first: rows.ood_scores, **{name: numbers(f"ood_score_{name}") for name in others}},
        p_values=rows.p_values,
        null_reads=null.independent_reads(rows.num_scored),
        calls=[CALLS[call] for call in rows.calls.tolist()],
        positions=None,
        pair_p_values=pair_p_values,
        pair_calls=pair_calls,
        predicted=frame[CLASS_COLUMN].tolist() if parts.predict_classes else None,
    )


def _with_records(windows: Iterable[ScoredReads], run: ScoreJob, stack: ExitStack) -> Iterator[ScoredReads]:
    """The same windows, each read with its record in the input, which may hold others that were not taken."""
    blocks = stack.enter_context(closing(intake(run.inputs, run.kept_records(), Counter())))
    records = (
        record
        for block in blocks
        if block.records is not None
        for record in zip(block.names, block.mates, block.records.reads(), strict=True)
    )
    for scored in windows:
        items = []
        for name, mate in zip(scored.names, scored.mates, strict=True):
            for other, other_mate, record in records:
                if other == name and other_mate == mate:
                    items.append(record)
                    break
            else:
                problem = f"has no read {name!r} where the parts' tables have it; has it changed?"
                raise InputError(run.inputs[0], problem)
        yield replace(scored, records=Records.of_reads(items))
