"""The page of scored runs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from genood.engine import CALLS
from genood.intake.stream import IntakeConfig
from genood.report.facts import BundleFacts
from genood.report.figures import figures_of, number, overview_of, share
from genood.report.run import Run
from genood.report.shell import card_html, filled, keyed, share_of_one, shown_name
from genood.report.top import TopRead
from genood.report.traces import Trace
from genood.report.views import view_figures

MOST_TRACE_BASES = 90_000
"""Bases whose values a page holds, of all its runs together."""
_SPARKS = 60
_SPARK_HEIGHT = 22


def render(runs: Sequence[Run], title: str) -> str:
    """The page for some runs, at least one."""
    specs: dict[str, Any] = {}
    budget = MOST_TRACE_BASES // max(len(runs), 1)
    bundles = {run.bundle.fingerprint: run.bundle for run in runs if run.bundle is not None}
    return filled(
        "page.html",
        specs,
        title=title,
        overview=keyed(overview_of(runs) if len(runs) > 1 else [], "overview", specs),
        runs=[_run(run, f"run{place}", specs, budget) for place, run in enumerate(runs, 1)],
        bundles=[_bundle(bundle) for bundle in bundles.values()],
    )


def _run(run: Run, key: str, specs: dict[str, Any], budget: int) -> dict[str, Any]:
    """What the template shows of a run."""
    counts = run.counts
    calls = dict(zip(CALLS, counts.call_counts.tolist(), strict=True))
    fraction = run.fraction
    reads = counts.top_reads
    traces = _traces(run, reads, budget)
    specs[f"{key}-traces"] = {"reads": traces}
    return {
        "key": key,
        "name": shown_name(run.name),
        "table": run.table,
        "notes": run.notes,
        "fraction": None if fraction is None else [share_of_one(value) for value in fraction[:3]],
        "calls": calls,
        "num_reads": counts.num_reads,
        "called": share(calls["ood"], calls["in"] + calls["ood"]),
        "num_bases": counts.num_bases,
        "mean_length": number(counts.num_bases / counts.num_reads if counts.num_reads else math.nan),
        "gc": "–" if math.isnan(counts.gc) else share_of_one(counts.gc),
        "figures": keyed([*figures_of(run), *view_figures(run)], key, specs),
        "top": [_top_read(run, read, {entry["row"] for entry in traces}) for read in reads],
        "has_traces": bool(traces),
        "no_traces": _why_no_traces(run, len(reads), len(traces)),
        "has_windows": run.windows is not None,
        "parameters": _parameters(run),
    }


def _top_read(run: Run, read: TopRead, drawn: set[int]) -> dict[str, Any]:
    trace = None if run.traces is None else run.traces.get(read.row)
    return {
        "row": read.row,
        "is_drawn": read.row in drawn,
        "name": shown_name(read.name) + (f" /{read.mate}" if read.mate else ""),
        "cells": [
            (read.length, f"{read.length:,}"),
            (_sortable(read.gc), "–" if math.isnan(read.gc) else f"{100 * read.gc:.1f} %"),
            (_sortable(read.llr_per_base), number(read.llr_per_base)),
            (read.ood_score, number(read.ood_score)),
            (read.p_value, number(read.p_value)),
        ],
        "call": read.call,
        "sparks": None if trace is None else sparks(trace),
    }


def _sortable(value: float) -> float | None:
    return None if math.isnan(value) else value


def sparks(trace: Trace) -> list[str]:
    """A small picture of a trace, as two SVG paths: where the reference explains it better, and worse."""
    parts = np.array_split(np.nan_to_num(trace.llr), min(_SPARKS, max(len(trace.llr), 1)))
    means = np.array([part.mean() if len(part) else 0.0 for part in parts])
    largest = max(float(np.abs(means).max()), 1e-9)
    half = _SPARK_HEIGHT / 2
    heights = np.rint(means / largest * (half - 1) * 10) / 10
    paths = []
    for chosen in (heights > 0, heights < 0):
        paths.append(
            "".join(
                f"M{2 * place + 1} {half:g}v{-heights[place]:g}" for place in np.flatnonzero(chosen).tolist()
            )
        )
    return paths


def _traces(run: Run, reads: Sequence[TopRead], budget: int) -> list[dict[str, Any]]:
    """Traces for the page's script, of as many of the reads as there is room for; rounded to 3 places."""
    shown = []
    for rank, read in enumerate(reads, 1):
        trace = None if run.traces is None else run.traces.get(read.row)
        windows = None if run.windows is None else run.windows.rows.get(read.row)
        entry: dict[str, Any] = {
            "row": read.row,
            "label": f"{rank}. {shown_name(read.name)}" + (f" /{read.mate}" if read.mate else ""),
            "length": read.length,
        }
        if trace is not None and len(trace.bases) <= budget:
            budget -= len(trace.bases)
            entry |= {"bases": trace.bases, "llr": _rounded(trace.llr), "logP": _rounded(trace.log_p)}
        if windows is not None and 3 * len(windows) <= budget:
            budget -= 3 * len(windows)
            entry["windows"] = [[start, end, _short(ratio), _short(p)] for start, end, ratio, p in windows]
        if len(entry) > 3:
            shown.append(entry)
    return shown


def _rounded(values: npt.NDArray[np.float64]) -> list[float | None]:
    return [None if math.isnan(value) else round(value, 3) + 0.0 for value in values.tolist()]


def _short(value: float) -> float | None:
    return None if math.isnan(value) else float(f"{value:.4g}")


def _why_no_traces(run: Run, num_reads: int, num_traces: int) -> str | None:
    if not num_reads or num_traces == num_reads:
        return None
    if all(math.isnan(read.llr_per_base) for read in run.counts.top_reads):
        return None  # a classifier says nothing of single bases
    if run.traces is None and run.windows is None:
        return "Traces are drawn where the per-position table is given: --per-position."
    return (
        f"{num_reads - num_traces} of {num_reads} reads have no trace: they are not in the tables given, or "
        "too long for the page."
    )


def _taken(options: Mapping[str, Any]) -> str:
    """Which reads and bases a run was told to score."""
    usual = IntakeConfig().options()
    named = {name: value for name, value in options.items() if value != usual.get(name)}
    return ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in named.items()) or "all"


def _parameters(run: Run) -> list[tuple[str, str]]:
    """What a run was made with, as far as its summary says."""
    rows = [("score table", run.table)]
    summary = run.summary
    if summary is None:
        if not math.isnan(run.counts.largest_called):
            rows.append(("called ood", f"p-values up to {number(run.counts.largest_called)}"))
        return [*rows, ("summary", "not given: --summary tells how the run was made")]
    level = summary.get("alpha")
    how = f"p-value at most {level}" if level is not None else ""
    if summary.get("fdr") is not None:
        how = f"false discovery rate {summary['fdr']}, p-value at most {summary.get('p_value_threshold')}"
    skipped = {reason: n for reason, n in summary["reads"]["skipped"].items() if n}
    rows += [
        ("scored by", f"genood {summary['version']}"),
        ("inputs", ", ".join(map(str, summary["inputs"]))),
        ("bundle", str(summary["bundle"].get("path"))),
        ("bundle's fingerprint", str(summary["bundle"].get("fingerprint"))),
        ("detectors", ", ".join(summary["detectors"])),
        ("called ood", how),
        ("reads taken", _taken(summary["options"])),
        ("skipped", ", ".join(f"{n:,} {reason}" for reason, n in skipped.items()) or "none"),
        ("device", str(summary["device"])),
        ("wall time", f"{number(summary['wall_seconds'])} s"),
    ]
    return rows


def _bundle(bundle: BundleFacts) -> dict[str, Any]:
    """What the template shows of a bundle."""
    metadata: Mapping[str, Any] = bundle.metadata
    return {
        "path": bundle.path,
        "rows": [
            ("fingerprint", bundle.fingerprint),
            ("kind", str(metadata["kind"])),
            ("made by", f"genood {metadata.get('genood_version', '')}"),
            ("command", str(metadata["command"])),
            ("seed", json.dumps(metadata["seed"])),
            ("null of", bundle.source),
        ],
        "card": card_html(bundle.card),
    }
