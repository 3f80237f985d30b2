"""The parts of MultiQC's page that show runs and evaluations."""

from __future__ import annotations

import os
from collections.abc import Mapping
from html import escape
from typing import Any

from multiqc.plots import bargraph, box, linegraph, table

from genood.multiqc.content import OOD_HELP
from genood.multiqc.runs import Evaluation, Run

Runs = Mapping[str, Run]
Section = dict[str, Any]

_IN_COLOUR, _OOD_COLOUR = "#0072b2", "#d55e00"
_GREYS = ("#bbbbbb", "#999999", "#777777", "#555555")
_MOST_DENSITY = 3
"""Up to which densities of p-values are drawn, as what tells of the fraction lies around 1."""
_QUANTILES = {"min": "0.05", "q1": "0.25", "median": "0.5", "q3": "0.75", "max": "0.95"}


def calls(runs: Runs) -> Section | None:
    """Reads by call, and why others have none; pairs by call, where there are any."""
    reads = {name: _read_counts(run) for name, run in runs.items()}
    pairs = {name: dict(run.pair_calls) for name, run in runs.items() if run.pair_calls}
    if not any(sum(counts.values()) for counts in reads.values()):
        return None
    reasons = sorted({reason for run in runs.values() for reason in run.skipped})
    named = {"in": {"name": "in", "color": _IN_COLOUR}, "ood": {"name": "ood", "color": _OOD_COLOUR}}
    skipped = {
        _skip_key(reason): {"name": reason, "color": _GREYS[place % len(_GREYS)]}
        for place, reason in enumerate(reasons)
    }
    unknown = {"na": {"name": "na", "color": _GREYS[0]}}
    config: dict[str, Any] = {"id": "genood_calls_plot", "title": "genood: calls", "ylab": "Reads"}
    data, categories = [reads], [named | skipped]
    if pairs:
        config["data_labels"] = [{"name": "Reads", "ylab": "Reads"}, {"name": "Pairs", "ylab": "Pairs"}]
        data, categories = [reads, pairs], [named | skipped, named | unknown]
    return {
        "name": "Calls",
        "anchor": "genood-calls",
        "description": "Reads by their call, from the reference (`in`) or from outside of it (`ood`), and "
        "those without one.",
        "helptext": OOD_HELP,
        "plot": bargraph.plot(data, categories, config),
    }


def _read_counts(run: Run) -> dict[str, int]:
    counts = {"in": run.calls["in"], "ood": run.calls["ood"]}
    return counts | {_skip_key(reason): number for reason, number in run.skipped.items()}


def _skip_key(reason: str) -> str:
    return f"skipped_{reason}"


def p_values(runs: Runs) -> Section | None:
    """How p-values are distributed."""
    lines = {}
    for name, run in runs.items():
        total, bins = sum(run.p_value_counts), len(run.p_value_counts)
        if total:
            densities = (number * bins / total for number in run.p_value_counts)
            lines[name] = {(place + 0.5) / bins: density for place, density in enumerate(densities)}
    if not lines:
        return None
    misfits = [name for name, run in runs.items() if run.fraction and not run.fraction.null_fits]
    warning = (
        '<div class="alert alert-warning">P-values pile up near 1, so that the OOD fraction is too low, in '
        f"{', '.join(f'<code>{escape(name)}</code>' for name in misfits)}: calibrate with known "
        "in-distribution reads (<code>genood calibrate</code>).</div>"
    )
    config = {
        "id": "genood_p_values_plot",
        "title": "genood: p-values",
        "xlab": "p-value",
        "ylab": "Density",
        "xmin": 0,
        "xmax": 1,
        "ymin": 0,
        "y_clipmax": _MOST_DENSITY,
        "tt_decimals": 3,
        "y_lines": [{"value": 1, "color": "#888888", "width": 2, "dash": "dash"}],
    }
    return {
        "name": "P-values",
        "anchor": "genood-p-values",
        "description": "In-distribution reads have all p-values alike: density 1 (dashed). OOD reads have "
        "small ones, whose density reaches beyond the plot.",
        "helptext": "The OOD fraction is read off the right half: where the density is 0.5, half of the "
        "reads are OOD. A line that *rises* to the right means that the run's in-distribution reads are "
        "closer to the reference than those of the calibration.",
        "content_before_plot": warning if misfits else "",
        "plot": linegraph.plot(lines, config),
    }


def scores(runs: Runs) -> Section | None:
    """Quantiles of the OOD scores, by detector."""
    detectors = list(dict.fromkeys(name for run in runs.values() for name in run.score_quantiles))
    if not detectors:
        return None
    data = [
        {
            name: {part: run.score_quantiles[detector][level] for part, level in _QUANTILES.items()}
            for name, run in runs.items()
            if detector in run.score_quantiles
        }
        for detector in detectors
    ]
    config: dict[str, Any] = {
        "id": "genood_scores_plot",
        "title": f"genood: OOD scores, {detectors[0]}",
        "xlab": "OOD score",
        "ylab": "OOD score",
        # They are sorted; MultiQC, sorting them, would take all detectors to have the samples of the first.
        "sort_samples": False,
    }
    if len(detectors) > 1:
        config["data_labels"] = [
            {"name": detector, "title": f"genood: OOD scores, {detector}"} for detector in detectors
        ]
    return {
        "name": "Scores",
        "anchor": "genood-scores",
        "description": "OOD scores; higher means more out of distribution. Boxes hold the middle half of the "
        "reads, whiskers reach from 5 to 95 %.",
        "plot": box.plot(data, config),
    }


def run_cells(run: Run) -> dict[str, Any]:
    """What ran on what, how, and what was called."""
    fits = None if run.fraction is None else "fits" if run.fraction.null_fits else "does not fit"
    values = {
        "bundle": None if run.bundle is None else os.path.basename(os.path.normpath(run.bundle)),
        "fingerprint": None if run.fingerprint is None else run.fingerprint[:12],
        "detectors": "; ".join(run.detectors) or None,
        "level": run.level,
        "null": fits,
        "reads_per_second": run.reads_per_second,
        **{f"called_{call}_reads": number for call, number in run.calls.items()},
    }
    return {name: value for name, value in values.items() if value is not None}


def details(runs: Runs) -> Section:
    """A table of what ran on what."""
    headers: dict[str, dict[str, Any]] = {
        "bundle": {"title": "Bundle", "description": "What the reads were scored with"},
        "fingerprint": {
            "title": "Fingerprint",
            "description": "Of the bundle; its first digits",
        },
        "detectors": {"title": "Detectors", "description": "The first one calls"},
        "level": {"title": "Level", "description": "Of the calls"},
        "null": {
            "title": "Null",
            "description": "Whether p-values are distributed as some in-distribution and OOD reads have them",
        },
        "reads_per_second": {
            "title": "Reads/s",
            "description": "Reads scored in a second",
            "format": "{:,.0f}",
            "min": 0,
            "scale": "Greens",
        },
    }
    headers = {name: {"scale": False} | header for name, header in headers.items()}
    bundles = {run.fingerprint for run in runs.values()}
    note = (
        f'<div class="alert alert-info">Scored with {len(bundles)} bundles: scores of different ones '
        "cannot be compared.</div>"
    )
    rows = {name: _as_text(run_cells(run)) for name, run in runs.items()}
    return {
        "name": "Runs",
        "anchor": "genood-runs",
        "description": "What the reads were scored with.",
        "content_before_plot": note if len(bundles) > 1 else "",
        "plot": table.plot(rows, headers, {"id": "genood_runs_table", "title": "genood: runs"}),
    }


def _as_text(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row whose words are text, which MultiQC would take for HTML."""
    return {name: escape(cell) if isinstance(cell, str) else cell for name, cell in row.items()}


def evaluation_cells(evaluation: Evaluation) -> dict[str, Any]:
    """A row of the table of evaluations."""
    return {
        **evaluation.metrics,
        "column": evaluation.column,
        "num_in": evaluation.num_in,
        "num_ood": evaluation.num_ood,
    }


def separation(rows: Mapping[str, Mapping[str, Any]]) -> Section:
    """A table of how well scores separate reads whose side is known."""
    headers: dict[str, dict[str, Any]] = {}
    metrics = (("auroc", "AUROC", "RdYlGn"), ("auprc", "AUPRC", "RdYlGn"), ("fpr80", "FPR80", "RdYlGn-rev"))
    for metric, title, scale in metrics:
        shared = {"min": 0, "max": 1, "format": "{:,.3f}", "scale": scale}
        headers[metric] = {
            "title": title,
            "description": f"{title}, in-distribution positive",
            **shared,
        }
        for part, sign, limit in (("low", "≥", "Lower"), ("high", "≤", "Upper")):
            headers[f"{metric}_{part}"] = {
                "title": f"{title} {sign}",
                "description": f"{limit} limit of the 95 % interval of {title}",
                "hidden": metric != "auroc",
                **shared,
            }
    headers["column"] = {"title": "Scores", "description": "Column of the score tables", "scale": False}
    for side, title in (("num_in", "In"), ("num_ood", "OOD")):
        headers[side] = {
            "title": f"{title} reads",
            "description": f"{title} reads with a score",
            "format": "{:,.0f}",
            "min": 0,
            "scale": "Blues",
        }
    config = {"id": "genood_separation_table", "title": "genood: separation", "col1_header": "Evaluation"}
    return {
        "name": "Separation",
        "anchor": "genood-separation",
        "description": "How well scores tell reads known to be in-distribution from those known to be OOD "
        "(`genood evaluate`).",
        "plot": table.plot({name: _as_text(row) for name, row in rows.items()}, headers, config),
    }
