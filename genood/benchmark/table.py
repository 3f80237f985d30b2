"""The table of a benchmark: means and standard errors over seeds, costs, and the published numbers."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from genood import __version__
from genood.benchmark.methods import METHODS
from genood.benchmark.published import ACCURACY, PUBLISHED
from genood.benchmark.running import Benchmark, Result
from genood.files import atomic_path, write_json, write_text
from genood.metrics import Separation

SCORES_FILE = "scores.npz"


@dataclass(frozen=True, kw_only=True)
class Mean:
    """A mean over seeds, and its standard error, None of one seed."""

    mean: float
    standard_error: float | None
    values: tuple[float, ...]

    @classmethod
    def of(cls, values: Iterable[float]) -> Mean:
        """That of values."""
        found = tuple(values)
        error = float(np.std(found, ddof=1)) / math.sqrt(len(found)) if len(found) > 1 else None
        return cls(mean=float(np.mean(found)), standard_error=error, values=found)

    def __str__(self) -> str:
        """As tables show it: 0.755 (0.005)."""
        error = "" if self.standard_error is None else f" ({self.standard_error:.3f})"
        return f"{self.mean:.3f}{error}"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One method.

    Attributes
    ----------
    name, title, detector
        See `Method`.
    metrics
        By the name of the metric in `Separation`.
    training_seconds, tuning_seconds, num_bytes, reads_per_second
        Means over seeds, None where not known: of the chosen models, and of all that were tried.
    chosen
        What the validation reads chose, by seed.
    """

    name: str
    title: str
    detector: str
    metrics: Mapping[str, Mean]
    training_seconds: float | None
    tuning_seconds: float | None
    num_bytes: float
    reads_per_second: float
    chosen: tuple[str, ...]

    @classmethod
    def of(cls, results: Sequence[Result]) -> Row:
        """That of one method's results."""
        method = METHODS[results[0].method]
        return cls(
            name=results[0].method,
            title=method.title,
            detector=method.detector,
            metrics={
                name: Mean.of(getattr(result.separation, name) for result in results)
                for name in Separation._fields
            },
            training_seconds=_mean(result.training_seconds for result in results),
            tuning_seconds=_mean(result.tuning_seconds for result in results),
            num_bytes=float(np.mean([result.num_bytes for result in results])),
            reads_per_second=float(np.mean([result.scores.reads_per_second(0) for result in results])),
            chosen=tuple(_chosen(result) for result in results),
        )


def rows_of(results: Sequence[Result]) -> list[Row]:
    """The rows of the table, in the order of the results."""
    by_method: dict[str, list[Result]] = {}
    for result in results:
        by_method.setdefault(result.method, []).append(result)
    return [Row.of(found) for found in by_method.values()]


def write_tables(benchmark: Benchmark) -> str:
    """Write the tables and the scores of a benchmark whose cells are done; returns the Markdown."""
    output = Path(benchmark.job.output)
    results = benchmark.results()
    rows = rows_of(results)
    markdown = _markdown(benchmark, rows, results[0].inside.num_reads) + _accuracy(results)
    write_text(output / "table.tsv", _tsv(rows))
    write_json(output / "table.json", _json(benchmark, rows, results))
    with atomic_path(output / SCORES_FILE) as path, open(path, "wb") as stream:
        np.savez_compressed(stream, **_scores(results))  # type: ignore[arg-type]
    write_text(output / "table.md", markdown)
    return markdown


def _markdown(benchmark: Benchmark, rows: Sequence[Row], num_reads: int) -> str:
    lines = [
        "| method | AUROC | AUPRC | FPR80 | published AUROC | published AUPRC | published FPR80 "
        "| training, s | reads/s | MB | chosen |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        printed = PUBLISHED.get(row.name)
        cells = [
            row.title,
            *(str(row.metrics[name]) for name in Separation._fields),
            *("" if printed is None else _number(getattr(printed, name)) for name in Separation._fields),
            _rounded(row.training_seconds),
            _rounded(row.reads_per_second),
            f"{row.num_bytes / 1e6:.3g}",
            "; ".join(dict.fromkeys(filter(None, row.chosen))),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    seeds = len(benchmark.seeds)
    sources = sorted({PUBLISHED[row.name].source for row in rows if row.name in PUBLISHED})
    published = f"; published: {', '.join(sources)}, on that paper's dataset" if sources else ""
    return "\n".join(
        [
            f"{num_reads:,} in-distribution and as many OOD reads of {benchmark.dataset.read_length} bases; "
            f"{f'mean and (standard error) over {seeds} seeds' if seeds > 1 else 'one seed'}; "
            f"scale {benchmark.job.scale}{published}.",
            "",
            *lines,
            "",
        ]
    )


def _accuracy(results: Sequence[Result]) -> str:
    """A line on the classifier, where there is one."""
    of_plain = [result for result in results if METHODS[result.method].source == "cnn"]
    by_seed = {result.seed: result.accuracy for result in of_plain if result.accuracy is not None}
    if not by_seed:
        return ""
    return f"\nAccuracy of the classifier on val_in: {Mean.of(by_seed.values())}; published: {ACCURACY}.\n"


_COLUMNS = (
    "method",
    "detector",
    *(f"{name}{end}" for name in Separation._fields for end in ("", "_standard_error", "_published")),
    "training_seconds",
    "tuning_seconds",
    "reads_per_second",
    "num_bytes",
    "chosen",
)


def _tsv(rows: Sequence[Row]) -> str:
    lines = ["\t".join(_COLUMNS)]
    for row in rows:
        printed = PUBLISHED.get(row.name)
        cells = [row.name, row.detector]
        for name in Separation._fields:
            mean = row.metrics[name]
            cells += [
                _number(mean.mean, 6),
                _number(mean.standard_error, 6),
                "" if printed is None else _number(getattr(printed, name)),
            ]
        cells += [
            _number(row.training_seconds, 3),
            _number(row.tuning_seconds, 3),
            _number(row.reads_per_second, 1),
            f"{row.num_bytes:.0f}",
            "; ".join(row.chosen),
        ]
        lines.append("\t".join(cells))
    return "\n".join(lines) + "\n"


def _json(benchmark: Benchmark, rows: Sequence[Row], results: Sequence[Result]) -> dict[str, Any]:
    return {
        "genood_version": __version__,
        "dataset": benchmark.dataset.directory.resolve().name,
        "read_length": benchmark.dataset.read_length,
        "reads_of_each_side": results[0].inside.num_reads,
        "scale": benchmark.job.scale,
        "seeds": list(benchmark.seeds),
        "methods": [
            {
                **asdict(row),
                "published": PUBLISHED[row.name]._asdict() if row.name in PUBLISHED else None,
                "seeds": [
                    {
                        "seed": result.seed,
                        "models": result.candidate,
                        "options": dict(result.options),
                        "val_auroc": result.val_auroc,
                        "val_accuracy": result.accuracy,
                        **result.separation._asdict(),
                    }
                    for result in results
                    if result.method == row.name
                ],
            }
            for row in rows
        ],
    }


def _scores(results: Sequence[Result]) -> dict[str, np.ndarray[Any, Any]]:
    """By name: OOD scores of each method and seed, and the rows of the splits that they are of."""
    arrays: dict[str, np.ndarray[Any, Any]] = {}
    for result in results:
        for side, scores in ((result.inside, result.scores.inside), (result.ood, result.scores.ood)):
            arrays[f"{result.method}/seed{result.seed}/{side.split}"] = scores[0]
            arrays[f"rows/seed{result.seed}/{side.split}"] = side.rows
    return arrays


def _chosen(result: Result) -> str:
    options = [f"{name} {value:g}" for name, value in result.options.items()]
    return ", ".join(filter(None, [result.candidate, *options]))


def _mean(values: Iterable[float | None]) -> float | None:
    found = list(values)
    return None if None in found else float(np.mean([value for value in found if value is not None]))


def _number(value: float | None, digits: int = 3) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _rounded(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def read_table(output: str) -> dict[str, Any]:
    """What ``table.json`` of a benchmark holds."""
    content: dict[str, Any] = json.loads((Path(output) / "table.json").read_text(encoding="utf-8"))
    return content
