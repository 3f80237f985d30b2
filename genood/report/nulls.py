"""The charts of a calibration: what in-distribution reads score, by length, and what p-values that gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from genood.calibration import NullDistribution
from genood.report.charts import Rows, Spec, short, tooltip
from genood.report.figures import Figure, number

LEVEL = 0.05
"""Of the calls that the charts show: that of `genood score` unless it is told another."""
_SPREAD = (0.05, 0.25, 0.5, 0.75, 0.95)
_SHORTEST = 50
"""Scored bases from which on a null is drawn by score: shorter reads have few different scores."""
_MOST_LENGTHS = 4
_LEAST_DIFFERENCE = 1e-9
_POWERS = [10.0**power for power in range(-6, 1)]
_LENGTH: Spec = {
    "field": "length",
    "type": "quantitative",
    "title": "scored bases",
    "scale": {"type": "log", "nice": False},
    "axis": {"format": "~s", "tickCount": 6},
}
_STYLES = (("@in", [1, 0]), ("@ood", [7, 3]), ("@ink", [2, 2]), ("@label", [8, 3, 2, 3]))
"""Colours and dashes: what is told apart by one is by the other, too."""


def null_figures(null: NullDistribution, detector: str) -> list[Figure]:
    """The charts of one detector's null."""
    return [_by_length(null, detector), _by_score(null, detector), _smallest(null)]


def threshold(null: NullDistribution, place: int, level: float = LEVEL) -> float | None:
    """The score from which on a read of a bin's length is called; None where no p-value is so small."""
    n = null.num_independent[place]
    tail = (level * (n + 1.0) - 1.0) / n
    if tail < 0.0:
        return None
    return float(np.interp(1.0 - tail, null.levels, null.quantiles[place]))


def _by_length(null: NullDistribution, detector: str) -> Figure:
    quantiles = np.array([np.interp(_SPREAD, null.levels, row) for row in null.quantiles])
    called = [threshold(null, place) for place in range(len(null.lengths))]
    names = dict(zip("abcde", (f"{100 * level:g} %" for level in _SPREAD), strict=True))
    rows: Rows = [
        {"length": length, **dict(zip(names, map(short, values), strict=True))}
        for length, values in zip(null.lengths, quantiles.tolist(), strict=True)
    ]
    calls: Rows = [
        {"length": length, "score": short(score)}
        for length, score in zip(null.lengths, called, strict=True)
        if score is not None
    ]
    return Figure(
        title=f"Scores of in-distribution reads: {detector}",
        caption=(
            "Line: median; inner band: half of the reads; outer band: 90 % of them. Dashed: reads that score"
            f" at least so high are called ood at a level of {LEVEL:g}."
        ),
        description=f"Quantiles of the null of {detector} at {len(rows)} lengths.",
        spec=_bands(rows, calls, names),
        header=("scored bases", *names.values(), f"called from, at {LEVEL:g}"),
        rows=[
            (f"{length:,}", *map(number, values), number(score))
            for length, values, score in zip(null.lengths, quantiles.tolist(), called, strict=True)
        ],
    )


def _bands(rows: Rows, calls: Rows, names: Mapping[str, str]) -> Spec:
    """Quantiles by length, and where reads are called, which may be nowhere."""
    y: Spec = {"type": "quantitative", "title": "OOD score", "scale": {"zero": False}}

    def band(low: str, high: str, opacity: float) -> Spec:
        mark = {"type": "area", "color": "@in", "opacity": opacity}
        return {"mark": mark, "encoding": {"x": _LENGTH, "y": {"field": low, **y}, "y2": {"field": high}}}

    def line(mark: Spec, colour: str, field: str, told: list[Spec]) -> Spec:
        encoding = {"x": _LENGTH, "y": {"field": field, **y}, "tooltip": told}
        shared = {"type": "line", "color": colour, "point": {"color": colour, "size": 26}}
        return {"mark": shared | mark, "encoding": encoding}

    layers = [band("a", "e", 0.22), band("b", "d", 0.35)]
    layers.append(line({"strokeWidth": 2}, "@in", "c", tooltip(length="bases", **names)))
    if calls:
        told = tooltip(length="bases", score=f"called from, at {LEVEL:g}")
        layers.append(line({"strokeWidth": 2.5, "strokeDash": [6, 3]}, "@ood", "score", told))
        layers[-1]["data"] = {"values": calls}
    return {"height": 260, "data": {"values": rows}, "layer": layers}


def chosen_lengths(lengths: Sequence[int]) -> list[int]:
    """Places of a few lengths, the longest among them."""
    places = [place for place, length in enumerate(lengths) if length >= _SHORTEST]
    if not places:
        places = [len(lengths) - 1]
    steps = np.linspace(0, len(places) - 1, min(_MOST_LENGTHS, len(places)))
    return [places[int(step)] for step in np.unique(steps.round()).tolist()]


def _by_score(null: NullDistribution, detector: str) -> Figure:
    places = chosen_lengths(null.lengths)
    rows: Rows = []
    for place in places:
        scores = null.quantiles[place]
        distinct = np.concatenate([[True], np.diff(scores) > _LEAST_DIFFERENCE])
        kept = scores[distinct]
        # What a score at least so high has; of ties the whole, as p-values have it.
        p_values = null.p_values(kept, np.full(len(kept), null.lengths[place]))
        rows += [
            {"score": short(score), "p": short(p), "bases": f"{null.lengths[place]:,}"}
            for score, p in zip(kept.tolist(), p_values.tolist(), strict=True)
        ]
    domain = [f"{null.lengths[place]:,}" for place in places]
    levels = [0.5, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005, 0.001]
    return Figure(
        title=f"From score to p-value: {detector}",
        caption=(
            f"The p-value of each score, for reads of some lengths; horizontal: {LEVEL:g}. Where a line ends"
            " below, the null ends: no p-value is smaller."
        ),
        description=f"P-values by score for reads of {', '.join(domain)} bases, on a logarithmic axis.",
        spec=_lines_by_score(rows, domain),
        header=("p-value at most", *(f"score, {bases} bases" for bases in domain)),
        rows=[
            (f"{level:g}", *(number(threshold(null, place, level)) for place in places)) for level in levels
        ],
    )


def _lines_by_score(rows: Rows, lengths: Sequence[str]) -> Spec:
    """P-values by score, a line for each length."""
    colours, dashes = zip(*_STYLES[: len(lengths)], strict=True)
    p_axis: Spec = {
        "type": "quantitative",
        "scale": {"type": "log", "nice": False},
        "axis": {"values": _POWERS, "format": "~g"},
    }

    def by_length(shown: Sequence[object]) -> Spec:
        scale = {"domain": list(lengths), "range": list(shown)}
        legend = {"orient": "top", "title": "scored bases"}
        return {"field": "bases", "type": "nominal", "scale": scale, "legend": legend}

    encoding: Spec = {
        "x": {"field": "score", "type": "quantitative", "title": "OOD score", "scale": {"zero": False}},
        "y": {"field": "p", "title": "p-value", **p_axis},
        "color": by_length(colours),
        "strokeDash": by_length(dashes),
        "tooltip": tooltip(bases="scored bases", score="OOD score", p="p-value"),
    }
    level = {"mark": {"type": "rule", "strokeDash": [5, 3], "color": "@label"}, "data": {"values": [{}]}}
    return {
        "height": 260,
        "layer": [
            {"data": {"values": rows}, "mark": {"type": "line", "strokeWidth": 2}, "encoding": encoding},
            level | {"encoding": {"y": {"datum": LEVEL, **p_axis}}},
        ],
    }


def _smallest(null: NullDistribution) -> Figure:
    rows: Rows = [
        {"length": length, "n": round(n), "p": short(1.0 / (n + 1.0))}
        for length, n in zip(null.lengths, null.num_independent, strict=True)
    ]
    spec: Spec = {
        "height": 220,
        "data": {"values": rows},
        "mark": {"type": "line", "color": "@in", "strokeWidth": 2, "point": {"color": "@in", "size": 30}},
        "encoding": {
            "x": _LENGTH,
            "y": {
                "field": "n",
                "type": "quantitative",
                "title": "independent reads",
                "scale": {"type": "log"},
                "axis": {"values": [10.0**power for power in range(8)], "format": "~s"},
            },
            "tooltip": tooltip(length="bases", n="independent reads", p="smallest p-value"),
        },
    }
    return Figure(
        title="Size of the null",
        caption=(
            "In-distribution reads that do not overlap, by length: n give no p-value below 1 / (n + 1)."
            " Longer reads than the last are judged by its null, which makes their p-values too large."
        ),
        description=f"Independent reads of the null at {len(rows)} lengths.",
        spec=spec,
        header=("scored bases", "independent reads", "smallest p-value"),
        rows=[(f"{row['length']:,}", f"{row['n']:,}", number(row["p"])) for row in rows],
    )
