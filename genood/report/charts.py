"""Charts as Vega-Lite specifications; colours are names, ``@ood``, which the page makes those of its theme.

``@count`` is the type of scale for numbers of reads, which the page's reader chooses.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from genood.calibration import P_VALUE_BINS, Fraction
from genood.report.accumulate import GC_BINS, SMALL_P_VALUES, RunAccumulator
from genood.report.binning import LENGTH_STARTS, Bins
from genood.report.run import Run

Spec = dict[str, Any]
Rows = list[dict[str, Any]]

SCORE_BINS = 60
TAIL = 0.0005
"""Share of the scores at either end that the outermost bins take in."""
_LENGTH_BINS = 48
_LONGEST_LINEAR = 1024
_PER_OCTAVE = (32, 16, 8, 4, 2, 1)
_ROUNDED = 1e-3
"""More than the logarithm of a bin's first length may be too low, as it is a whole number."""
_DIGITS = 5
_CALLED = ("in", "ood")
_POWERS = [10.0**power for power in range(-9, 1)]
_FEWEST_FOR_MEDIAN = 20
_ROW_HEIGHT = 26

CALL_COLOUR: Spec = {
    "field": "call",
    "type": "nominal",
    "scale": {"domain": ["in", "ood", "null"], "range": ["@in", "@ood", "@ink"]},
    "legend": {
        "orient": "top",
        "title": None,
        "values": ["in", "ood"],
        "labelExpr": "datum.label == 'null' ? 'in-distribution, by the null' : 'called ' + datum.label",
        "labelLimit": 200,
    },
}
_COUNT_AXIS: Spec = {"type": "quantitative", "title": "reads", "scale": {"type": "@count"}, "stack": None}


def short(value: float) -> float:
    """A number with as many digits as a chart shows."""
    return float(f"{value:.{_DIGITS}g}")


def score_chart(run: Run) -> Spec | None:
    """OOD scores of the reads by call, and those that in-distribution reads would have."""
    bins = run.counts.score_bins(SCORE_BINS, TAIL)
    if bins is None:
        return None
    layers: list[Spec] = [bars_by_call(bins.edges, bins.counts.sum(axis=1), "OOD score")]
    expected = expected_in(run, bins)
    if expected is not None:
        points = [*expected.tolist(), float(expected[-1])]
        rows = [
            {"a": short(a), "n": round(n, 2), "call": "null"}
            for a, n in zip(bins.edges.tolist(), points, strict=True)
        ]
        colour = CALL_COLOUR | {"legend": CALL_COLOUR["legend"] | {"values": [*_CALLED, "null"]}}
        layers[0]["encoding"]["color"] = colour
        mark = {"type": "line", "interpolate": "step-after", "strokeDash": [5, 3], "strokeWidth": 2}
        encoding = {
            "x": {"field": "a", "type": "quantitative"},
            "y": {"field": "n", **_COUNT_AXIS},
            "color": colour,
        }
        layers.append({"data": {"values": rows}, "mark": mark, "encoding": encoding})
    return {"height": 260, "layer": layers}


def expected_in(run: Run, bins: Bins) -> npt.NDArray[np.float64] | None:
    """In-distribution reads to be expected in each bin of scores: the null's, as many as are not OOD."""
    expected = run.counts.null_counts(bins.edges)
    if expected is None or run.fraction is None:
        return None
    return expected * (1.0 - run.fraction.estimate)


def p_value_chart(counts: RunAccumulator, fraction: Fraction | None) -> Spec | None:
    """P-values, with what in-distribution reads give, which is the same everywhere."""
    if not counts.num_p_values:
        return None
    return _p_values(counts.p_value_counts, "reads", None if fraction is None else fraction.estimate)


def window_chart(p_value_counts: npt.NDArray[np.int64]) -> Spec | None:
    """P-values of windows."""
    return _p_values(p_value_counts, "windows", None) if p_value_counts.sum() else None


def _p_values(numbers: npt.NDArray[np.int64], unit: str, estimate: float | None) -> Spec:
    axis = _COUNT_AXIS | {"title": unit}
    rows = [
        {"a": place / P_VALUE_BINS, "b": (place + 1) / P_VALUE_BINS, "n": number}
        for place, number in enumerate(numbers.tolist())
    ]
    layers: list[Spec] = [
        {
            "data": {"values": rows},
            "mark": {"type": "bar", "color": "@in", "opacity": 0.75},
            "encoding": {
                "x": {"field": "a", "bin": "binned", "type": "quantitative", "title": "p-value"},
                "x2": {"field": "b"},
                "y": {"field": "n", **axis},
                "tooltip": tooltip(a="p-value above", b="to", n=unit),
            },
        }
    ]
    if estimate is not None:
        level = float(numbers.sum()) * (1.0 - estimate) / P_VALUE_BINS
        rule = {"type": "rule", "strokeDash": [5, 3], "strokeWidth": 2, "color": "@ink"}
        encoding = {"y": {"datum": round(level, 2), **axis}}
        layers.append({"data": {"values": [{}]}, "mark": rule, "encoding": encoding})
    return {"height": 220, "layer": layers}


def small_p_values(counts: RunAccumulator) -> Rows:
    """Share of the reads whose p-value is at most a level, from the first level that any reaches."""
    shares = counts.num_at_most / max(counts.num_p_values, 1)
    return [
        {"p": short(p), "n": number, "share": short(share)}
        for p, number, share in zip(
            SMALL_P_VALUES.tolist(), counts.num_at_most.tolist(), shares.tolist(), strict=True
        )
        if number
    ]


def small_p_chart(counts: RunAccumulator) -> Spec | None:
    """Share of the reads whose p-value is at most a level, against the level; both logarithmic."""
    rows = small_p_values(counts)
    if not rows:
        return None
    encoding = {
        "x": {
            "field": "p",
            "type": "quantitative",
            "scale": {"type": "log"},
            "title": "level",
            "axis": {"values": _POWERS, "format": "~g"},
        },
        "y": {
            "field": "share",
            "type": "quantitative",
            "scale": {"type": "log"},
            "title": "share of reads with p ≤ level",
            "axis": {"values": _POWERS, "format": "~g"},
        },
    }
    diagonal = [{"p": row["p"], "share": row["p"]} for row in (rows[0], rows[-1])]
    return {
        "height": 220,
        "encoding": encoding,
        "layer": [
            {
                "data": {"values": diagonal},
                "mark": {"type": "line", "strokeDash": [5, 3], "strokeWidth": 2, "color": "@ink"},
            },
            {
                "data": {"values": rows},
                "mark": {"type": "line", "point": {"color": "@ood", "size": 26}, "color": "@ood"},
                "encoding": {"tooltip": tooltip(p="level", n="reads at most", share="share")},
            },
        ],
    }


def gc_chart(counts: RunAccumulator) -> Spec | None:
    """Numbers of reads by GC and score, and the median score for each GC."""
    bins = counts.score_bins(SCORE_BINS, TAIL)
    if bins is None:
        return None
    numbers = bins.counts.sum(axis=2)[:, :GC_BINS]
    width = float(bins.edges[1] - bins.edges[0])
    # Places rather than edges, for the sake of the page's size.
    cells = [{"g": int(g), "s": int(s), "n": int(numbers[s, g])} for s, g in np.argwhere(numbers).tolist()]
    if not cells:
        return None
    first = float(bins.edges[0])
    where = [
        {"calculate": f"datum.g / {GC_BINS}", "as": "g0"},
        {"calculate": f"(datum.g + 1) / {GC_BINS}", "as": "g1"},
        {"calculate": f"{first!r} + datum.s * {width!r}", "as": "s0"},
        {"calculate": f"{first!r} + (datum.s + 1) * {width!r}", "as": "s1"},
    ]
    medians = [row for row in gc_rows(counts) if row["n"] >= _FEWEST_FOR_MEDIAN]
    gc_axis = {"type": "quantitative", "title": "GC", "scale": {"zero": False}, "axis": {"format": ".0%"}}
    score_axis = {"type": "quantitative", "title": "OOD score", "scale": {"zero": False}}
    return {
        "height": 280,
        "layer": [
            {
                "data": {"values": cells},
                "transform": where,
                "mark": {"type": "rect", "aria": False},
                "encoding": {
                    "x": {"field": "g0", **gc_axis},
                    "x2": {"field": "g1"},
                    "y": {"field": "s0", **score_axis},
                    "y2": {"field": "s1"},
                    "color": heat_of("n", "reads"),
                    "tooltip": tooltip(g0="GC from", s0="score from", n="reads"),
                },
            },
            *([_median_line(medians, gc_axis, score_axis)] if medians else []),
        ],
    }


def heat_of(field: str, title: str) -> Spec:
    """Colours for numbers, on a logarithmic scale."""
    legend = {"orient": "top", "title": title, "gradientLength": 160, "format": "~s", "tickCount": 4}
    return {
        "field": field,
        "type": "quantitative",
        "scale": {"type": "log", "range": "heatmap"},
        "legend": legend,
    }


def _median_line(medians: Rows, gc_axis: Spec, score_axis: Spec) -> Spec:
    return {
        "data": {"values": medians},
        "mark": {"type": "line", "color": "@ood", "strokeWidth": 2.5, "point": {"color": "@ood", "size": 22}},
        "encoding": {
            "x": {"field": "gc", **gc_axis},
            "y": {"field": "median", **score_axis},
            "tooltip": tooltip(gc="GC", median="median score", n="reads"),
        },
    }


def gc_rows(counts: RunAccumulator) -> Rows:
    """Reads and median score for each bin of GC that has any."""
    bins = counts.score_bins(SCORE_BINS, TAIL)
    if bins is None:
        return []
    rows = []
    for place, total in enumerate(bins.counts.sum(axis=(0, 2))[:GC_BINS].tolist()):
        median = counts.gc_quantile(place, 0.5)
        if median is not None:
            rows.append({"gc": (place + 0.5) / GC_BINS, "n": total, "median": short(median)})
    return rows


def length_bins(counts: RunAccumulator) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], bool] | None:
    """Lengths of reads in bins: edges, numbers by call, and whether the axis is logarithmic.

    None where there are no two lengths.
    """
    total = counts.length_counts.sum(axis=1)
    places = np.flatnonzero(total)
    if len(places) < 2:
        return None
    low, high = int(places[0]), int(places[-1])
    if LENGTH_STARTS[high] <= _LONGEST_LINEAR:
        step = -(-(high - low + 1) // _LENGTH_BINS)
        bins = (np.arange(low, high + 1) - low) // step
        edges = low + step * np.arange(int(bins[-1]) + 2, dtype=np.float64)
        return edges, _gathered(counts.length_counts[low : high + 1], bins), False
    starts = LENGTH_STARTS[low : high + 1]
    logs = np.log2(np.maximum(starts, 1)) + np.where(starts > _LONGEST_LINEAR, _ROUNDED, 0.0)
    per_octave = next(n for n in _PER_OCTAVE if (logs[-1] - logs[0]) * n < _LENGTH_BINS - 1)
    bins = np.floor(logs * per_octave).astype(np.int64)
    edges = 2.0 ** (np.arange(int(bins[0]), int(bins[-1]) + 2) / per_octave)
    edges = np.where(edges > _LONGEST_LINEAR, np.rint(edges), np.ceil(edges))
    return edges, _gathered(counts.length_counts[low : high + 1], bins - bins[0]), True


def _gathered(numbers: npt.NDArray[np.int64], bins: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    gathered = np.zeros((int(bins[-1]) + 1, numbers.shape[1]), dtype=np.int64)
    np.add.at(gathered, bins, numbers)
    return gathered


def length_chart(counts: RunAccumulator) -> Spec | None:
    """Lengths of reads by call."""
    found = length_bins(counts)
    if found is None:
        return None
    edges, numbers, is_log = found
    spec = _bars(_by_call(edges, numbers), "read length, bases")
    spec["encoding"]["x"]["scale"] = {"type": "log", "nice": False} if is_log else {"zero": False}
    if is_log:
        spec["encoding"]["x"]["axis"] = {"format": "~s", "tickCount": 6}
        del spec["encoding"]["x"]["bin"]  # bars are only drawn from edge to edge where an axis is linear
        spec["mark"]["type"] = "rect"
        spec["encoding"]["y2"] = {"datum": 0}
    return {"height": 220, "layer": [spec]}


def bars_by_call(edges: npt.NDArray[np.float64], numbers: npt.NDArray[np.int64], title: str) -> Spec:
    """Bars of reads by call; numbers have the shape (K, calls)."""
    return _bars(_by_call(edges, numbers), title)


def _by_call(edges: npt.NDArray[np.float64], numbers: npt.NDArray[np.int64]) -> Rows:
    """Rows for bars: bins with reads, by call; numbers have the shape (K, calls)."""
    return [
        {"a": short(a), "b": short(b), "n": int(numbers[place, column]), "call": call}
        for column, call in enumerate(_CALLED)
        for place, (a, b) in enumerate(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
        if numbers[place, column]
    ]


def _bars(rows: Rows, title: str) -> Spec:
    return {
        "data": {"values": rows},
        "mark": {"type": "bar", "opacity": 0.7},
        "encoding": {
            "x": {"field": "a", "bin": "binned", "type": "quantitative", "title": title},
            "x2": {"field": "b"},
            "y": {"field": "n", **_COUNT_AXIS},
            "color": dict(CALL_COLOUR),
            "tooltip": tooltip(call="call", a="from", b="to", n="reads"),
        },
    }


def fraction_chart(runs: Sequence[Run]) -> Spec | None:
    """The OOD fractions of runs with their intervals."""
    rows = [
        {"run": run.name, **{key: short(getattr(found, key)) for key in ("estimate", "low", "high")}}
        for run in runs
        if (found := run.fraction) is not None
    ]
    if not rows:
        return None
    x = {"type": "quantitative", "title": "OOD fraction", "axis": {"format": "~%"}}
    y = {"field": "run", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 170}}
    return {
        "height": _ROW_HEIGHT * len(rows),
        "data": {"values": rows},
        "encoding": {"y": y, "tooltip": tooltip(run="run", estimate="estimate", low="low", high="high")},
        "layer": [
            {
                "mark": {"type": "rule", "strokeWidth": 3, "color": "@in"},
                "encoding": {"x": {"field": "low", **x}, "x2": {"field": "high"}},
            },
            {
                "mark": {"type": "point", "filled": True, "size": 90, "color": "@ood"},
                "encoding": {"x": {"field": "estimate", **x}},
            },
        ],
    }


SPREAD = (0.05, 0.25, 0.5, 0.75, 0.95)


def spread_chart(runs: Sequence[Run]) -> Spec | None:
    """Quantiles of the scores of runs, as boxes."""
    rows = []
    for run in runs:
        quantiles = [run.counts.score_quantile(level) for level in SPREAD]
        values = [short(value) for value in quantiles if value is not None]
        if values:
            rows.append({"run": run.name, **dict(zip("abcde", values, strict=True))})
    if not rows:
        return None
    x = {"type": "quantitative", "title": "OOD score", "scale": {"zero": False}}
    names = dict(zip("abcde", (f"{100 * level:g} %" for level in SPREAD), strict=True))

    def span(mark: Spec, start: str, end: str) -> Spec:
        return {"mark": mark, "encoding": {"x": {"field": start, **x}, "x2": {"field": end}}}

    y = {"field": "run", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 170}}
    return {
        "height": _ROW_HEIGHT * len(rows),
        "data": {"values": rows},
        "encoding": {"y": y, "tooltip": tooltip(run="run", **names)},
        "layer": [
            span({"type": "rule", "color": "@in", "strokeWidth": 1.5}, "a", "e"),
            span({"type": "bar", "color": "@in", "height": 12, "opacity": 0.8}, "b", "d"),
            {
                "mark": {"type": "tick", "color": "@ood", "thickness": 3, "height": 16},
                "encoding": {"x": {"field": "c", **x}},
            },
        ],
    }


def tooltip(**titles: str) -> list[Spec]:
    """Fields that are shown of what is pointed at, with their titles."""
    return [{"field": field, "title": title} for field, title in titles.items()]
