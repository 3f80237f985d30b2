"""The charts of a run by class and by further detectors."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from genood.calibration import P_VALUE_BINS
from genood.engine import CALLS
from genood.report import charts
from genood.report.agreement import AGREEMENT_LEVEL, DetectorCounts
from genood.report.by_class import ClassCounts
from genood.report.charts import Rows, Spec, short, tooltip
from genood.report.figures import Figure, number, share
from genood.report.run import Run
from genood.report.shell import shown_name

MOST_DRAWN = 40
"""Classes that charts have room for."""
MOST_ROWS = 500
"""Classes that are in the tables."""
Floats = npt.NDArray[np.float64]

_GRID_BINS = 48
_IN, _OOD = CALLS.index("in"), CALLS.index("ood")
_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
_ROW_HEIGHT = 22


def view_figures(run: Run) -> list[Figure]:
    """The charts of classes and further detectors, as far as the run has any."""
    found = [_detector_scores(run, name, counts) for name, counts in run.counts.detectors.items()]
    found += [_agreement(run, name, counts) for name, counts in run.counts.detectors.items()]
    if len(run.counts.classes):
        found += [_classes(run.counts.classes), _class_p_values(run.counts.classes)]
    return [figure for figure in found if figure is not None]


def _detector_scores(run: Run, name: str, counts: DetectorCounts) -> Figure | None:
    bins = counts.score_bins(charts.SCORE_BINS, charts.TAIL)
    if bins is None:
        return None
    rows = [
        (number(low), number(high), f"{n[_IN]:,}", f"{n[_OOD]:,}")
        for low, high, n in zip(
            bins.edges[:-1].tolist(), bins.edges[1:].tolist(), bins.counts.tolist(), strict=True
        )
    ]
    caption = f"Higher is more foreign; of the detector {name}. Calls are those of {run.detector}."
    if bins.below or bins.above:
        caption += f" The outermost bars take in {bins.below + bins.above:,} reads beyond them."
    median = number(counts.score_quantile(0.5))
    return Figure(
        title=f"OOD scores of {name}",
        caption=caption,
        description=f"Histogram of the scores of {name} by call of {run.detector}; median {median}.",
        spec={"height": 260, "layer": [charts.bars_by_call(bins.edges, bins.counts, "OOD score")]},
        header=("from", "to", "in", "ood"),
        rows=rows,
    )


def _agreement(run: Run, name: str, counts: DetectorCounts) -> Figure | None:
    found = counts.grid(_GRID_BINS, charts.TAIL)
    if found is None:
        return None
    correlation = counts.rank_correlation()
    caption = "Number of reads by both scores; those that lie along one line are judged alike."
    if not math.isnan(correlation):
        caption += f" Rank correlation {number(correlation)}."
    neither, only_other, only_first, both = counts.both.ravel().tolist()
    rows = [("rank correlation", number(correlation))]
    total = int(counts.both.sum())
    if total:
        level = f"p ≤ {AGREEMENT_LEVEL:g}"
        either = both + only_first + only_other
        caption += (
            f" At {level}, both find {both:,} reads foreign, {run.detector} alone {only_first:,}, {name}"
            f" alone {only_other:,}."
        )
        rows += [
            (f"{level} by both", f"{both:,}"),
            (f"{level} by {run.detector} alone", f"{only_first:,}"),
            (f"{level} by {name} alone", f"{only_other:,}"),
            (f"{level} by neither", f"{neither:,}"),
            ("both, of those by either", share(both, either)),
        ]
    else:
        caption += " With -m BUNDLE there is how many reads both call."
    return Figure(
        title=f"{run.detector} and {name}",
        caption=caption,
        description=f"Numbers of reads by the scores of {run.detector} and {name}; how far these agree.",
        spec=_score_grid(run.detector, name, *found),
        header=("of both", "reads"),
        rows=rows,
    )


def _score_grid(
    first: str, name: str, first_edges: Floats, edges: Floats, numbers: npt.NDArray[np.int64]
) -> Spec:
    """Numbers of reads by both scores, as `DetectorCounts.grid` has them."""
    cells = [{"x": x, "y": y, "n": int(numbers[x, y])} for x, y in np.argwhere(numbers).tolist()]
    where = []
    for field, axis in (("x", first_edges), ("y", edges)):
        start, width = float(axis[0]), float(axis[1] - axis[0])
        for end in (0, 1):
            place = f"{start!r} + (datum.{field} + {end}) * {width!r}"
            where.append({"calculate": place, "as": f"{field}{end}"})
    axis_of: Spec = {"type": "quantitative", "scale": {"zero": False}}
    return {
        "height": 260,
        "data": {"values": cells},
        "transform": where,
        "mark": {"type": "rect", "aria": False},
        "encoding": {
            "x": {"field": "x0", "title": f"score of {first}", **axis_of},
            "x2": {"field": "x1"},
            "y": {"field": "y0", "title": f"score of {name}", **axis_of},
            "y2": {"field": "y1"},
            "color": charts.heat_of("n", "reads"),
            "tooltip": tooltip(x0=f"{first} from", y0=f"{name} from", n="reads"),
        },
    }


def _classes(counts: ClassCounts) -> Figure:
    names = counts.names
    rows: Rows = [
        {"class": shown_name(name), "n": int(counts.calls(name)[place]), "call": CALLS[place]}
        for name in names[:MOST_DRAWN]
        for place in (_IN, _OOD)
    ]
    total = sum(int(counts.calls(name).sum()) for name in names)
    spec = {
        "height": _height(len(names)),
        "data": {"values": rows},
        "mark": {"type": "bar", "opacity": 0.8},
        "encoding": {
            "y": _class_axis(),
            "x": {"field": "n", "type": "quantitative", "title": "reads"},
            "color": dict(charts.CALL_COLOUR),
            "tooltip": tooltip(**{"class": "class", "call": "call", "n": "reads"}),
        },
    }
    return Figure(
        title="Classes",
        caption=(
            "The class of the reference that explains a read best. For reads called ood it is only the"
            f" nearest that there is, not what they are.{_left_out(len(names))}"
        ),
        description=f"Reads by class and call: {total:,} reads of {len(names)} classes.",
        spec=spec,
        header=("class", "reads", "share", "in", "ood", "called ood"),
        rows=[
            (
                shown_name(name),
                f"{int(calls.sum()):,}",
                share(int(calls.sum()), total),
                f"{calls[_IN]:,}",
                f"{calls[_OOD]:,}",
                share(int(calls[_OOD]), int(calls[_IN] + calls[_OOD])),
            )
            for name in names[:MOST_ROWS]
            for calls in (counts.calls(name),)
        ],
    )


def _class_p_values(counts: ClassCounts) -> Figure | None:
    rows: Rows = []
    table = []
    for name in counts.names[:MOST_ROWS]:
        values = [counts.p_value_quantile(name, level) for level in _LEVELS]
        known = [value for value in values if value is not None]
        if known:
            rows.append({"class": shown_name(name), **dict(zip("abcde", map(short, known), strict=True))})
            table.append((shown_name(name), *map(number, known)))
    if not rows:
        return None
    names = dict(zip("abcde", (f"{100 * level:g} %" for level in _LEVELS), strict=True))
    shared: Spec = {"y": _class_axis(), "tooltip": tooltip(**{"class": "class"}, **names)}
    x: Spec = {"type": "quantitative", "title": "p-value", "scale": {"domain": [0, 1]}}

    def span(mark: Spec, start: str, end: str) -> Spec:
        return {"mark": mark, "encoding": {**shared, "x": {"field": start, **x}, "x2": {"field": end}}}

    spec: Spec = {
        "height": _height(len(rows)),
        "data": {"values": rows[:MOST_DRAWN]},
        "layer": [
            span({"type": "rule", "color": "@in", "strokeWidth": 1.5}, "a", "e"),
            span({"type": "bar", "color": "@in", "height": 11, "opacity": 0.8}, "b", "d"),
            {
                "mark": {"type": "tick", "color": "@ood", "thickness": 3, "height": 15},
                "encoding": {**shared, "x": {"field": "c", **x}},
            },
            {
                "data": {"values": [{}]},
                "mark": {"type": "rule", "strokeDash": [5, 3], "color": "@ink"},
                "encoding": {"x": {"datum": 0.5, **x}},
            },
        ],
    }
    return Figure(
        title="P-values by class",
        caption=(
            "Mark: median; bar: half of the reads; line: 90 % of them. Over all classes, in-distribution"
            " reads have a median near one half. A class that lies far to the left draws foreign reads, or"
            " its strains here are unlike those of the reference. All are rounded up to a multiple of"
            f" {1 / P_VALUE_BINS:g}.{_left_out(len(rows))}"
        ),
        description=f"Quantiles of the p-values of {len(rows)} classes.",
        spec=spec,
        header=("class", *names.values()),
        rows=table,
    )


def _left_out(num_classes: int) -> str:
    return f" {num_classes - MOST_DRAWN:,} more are not drawn." if num_classes > MOST_DRAWN else ""


def _height(num_classes: int) -> int:
    return max(80, _ROW_HEIGHT * min(num_classes, MOST_DRAWN))


def _class_axis() -> Spec:
    return {"field": "class", "type": "nominal", "sort": None, "title": None, "axis": {"labelLimit": 170}}
