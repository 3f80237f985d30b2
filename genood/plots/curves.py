"""Histograms, scores against GC content, ROC curves, and AUROC against distance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from genood.evaluation.analyses import SIDES, DistanceTable, Floats, ReadScores
from genood.plots.style import COLOURS, GREY, SIDE_COLOURS, SIDE_NAMES, drawn, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINES = ("-", "--", ":", "-.")
_MARKERS = "os^Dv"
_MAX_POINTS = 3000
"""Of a side in a scatter plot: more only cover each other."""
_MIN_READS_OF_MEAN = 10
_MOST_INSIDE = 8
"""Methods that a legend within the axes has room for."""
_NUM_NAMED = 6
"""Classes that are named in the figure of distances: those that are told apart worst."""
_NAME_POINTS = 7
_AXES_POINTS = np.array([320.0, 200.0])
"""Width and height of the axes of that figure, roughly, to see which names would run into each other."""
_TPR = 0.8


def draw_histogram(stem: Path, table: pd.DataFrame, label: str) -> None:
    """Draw how scores are distributed on each side.

    Parameters
    ----------
    stem
        Name of the files but for their endings, as for all figures.
    table
        See `genood.evaluation.analyses.histogram`.
    label
        What the scores are, with the unit.
    """
    with drawn(stem, 4.5, 3.2) as figure:
        axes = figure.subplots()
        for side, part in table.groupby("side", sort=False):
            colour = SIDE_COLOURS[str(side)]
            edges = [*part["low"], part["high"].iloc[-1]]
            name = f"{SIDE_NAMES[str(side)]} (n = {part['num_reads'].sum():,})"
            axes.stairs(part["density"], edges, fill=True, color=colour, alpha=0.3, linewidth=0)
            axes.stairs(part["density"], edges, color=colour, linewidth=1.2, label=name)
        axes.set(ylim=(0, None), xlabel=label, ylabel="density of reads")
        figure.legend(loc="outside upper center", ncols=2)


def draw_against_gc(
    stem: Path, scores: ReadScores, method: str, bins: pd.DataFrame, correlations: pd.DataFrame, label: str
) -> None:
    """Draw scores against GC content: some of the reads, evenly chosen, and means of bins.

    Parameters
    ----------
    stem, label
        See `draw_histogram`.
    scores, method
        The reads, and what to draw of them.
    bins, correlations
        See `genood.evaluation.analyses.against_gc` and `gc_correlations`.
    """
    r_of_side = correlations[correlations["method"] == method].set_index("side")["pearson_r"]
    values = scores.score(method)
    with drawn(stem, 4.5, 3.5) as figure:
        axes = figure.subplots()
        for side in reversed(SIDES):
            rows = np.flatnonzero(scores.of_side(side) & ~np.isnan(values) & ~np.isnan(scores.gc))
            shown = rows[:: max(1, -(-len(rows) // _MAX_POINTS))]
            axes.scatter(
                scores.gc[shown],
                values[shown],
                s=4,
                color=SIDE_COLOURS[side],
                alpha=0.3,
                linewidths=0,
                rasterized=True,
            )
        for side in SIDES:
            means = bins[(bins["side"] == side) & (bins["num_reads"] >= _MIN_READS_OF_MEAN)]
            centres = (means["low"] + means["high"]) / 2
            # White beneath, so that a line is seen on points of its own colour.
            axes.plot(centres, means["mean"], color="white", linewidth=4)
            axes.plot(
                centres,
                means["mean"],
                color=SIDE_COLOURS[side],
                linewidth=1.8,
                marker="o",
                markersize=3.5,
                markeredgecolor="white",
                markeredgewidth=0.5,
                label=f"{SIDE_NAMES[side]} (r = {number(r_of_side[side])})",
            )
        axes.set(xlabel="GC content of a read", ylabel=label)
        figure.legend(loc="outside upper center", ncols=2)


def draw_roc(stem: Path, curves: pd.DataFrame, separations: pd.DataFrame) -> None:
    """Draw ROC curves, the best method first in the legend; in-distribution is positive.

    Parameters
    ----------
    stem
        See `draw_histogram`.
    curves, separations
        See `genood.evaluation.analyses.roc_table` and `separation_table`.
    """
    by_method = dict(iter(curves.groupby("method", sort=False)))
    order = [str(method) for method in by_method]
    inside = len(order) <= _MOST_INSIDE
    size = (4.2, 4.0) if inside else (7.0, max(4.0, 0.19 * len(order) + 0.6))
    with drawn(stem, *size) as figure:
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.8)
        axes.axhline(_TPR, color=GREY, linewidth=0.8, linestyle=":")
        for method, auroc in zip(separations["method"], separations["auroc"], strict=True):
            place = order.index(method)
            axes.plot(
                by_method[method]["fpr"],
                by_method[method]["tpr"],
                color=COLOURS[place % len(COLOURS)],
                linestyle=_LINES[place // len(COLOURS) % len(_LINES)],
                linewidth=1.4,
                label=f"{auroc:.3f}  {method}",
            )
        axes.set(
            xlim=(-0.01, 1.01),
            ylim=(-0.01, 1.01),
            aspect="equal",
            anchor="NW",
            xlabel="OOD reads taken for in-distribution",
            ylabel="in-distribution reads recognised",
        )
        if inside:
            axes.legend(loc="lower right", title="AUROC", alignment="left")
        else:
            figure.legend(loc="outside right upper", title="AUROC", alignment="left")


def draw_against_distance(stem: Path, table: DistanceTable, methods: Sequence[str]) -> None:
    """Draw the AUROC of each OOD class against its distance from the in-distribution classes.

    Parameters
    ----------
    stem
        See `draw_histogram`.
    table
        See `genood.evaluation.analyses.against_distance`.
    methods
        Those of it to draw; of the last, the classes that are told apart worst are named.
    """
    classes = table.classes
    with drawn(stem, 5.2, 3.6) as figure:
        axes = figure.subplots()
        axes.axhline(0.5, color=GREY, linewidth=0.8, linestyle=":")
        for method in methods:
            place = list(table.correlations).index(method)
            axes.scatter(
                classes["d2s"],
                classes[method],
                s=22,
                color=COLOURS[place % len(COLOURS)],
                marker=_MARKERS[place % len(_MARKERS)],
                alpha=0.8,
                linewidths=0,
                label=f"{method} (r = {number(table.correlations[method])})",
            )
        _name_worst(axes, classes, methods[-1])
        axes.set(
            xlabel=f"least d2S distance from an in-distribution genome ({len(classes)} OOD classes)",
            ylabel="AUROC",
        )
        figure.legend(loc="outside upper center", ncols=min(len(methods), 3))


def _name_worst(axes: Axes, classes: pd.DataFrame, method: str) -> None:
    """Write the names of the classes that are told apart worst beside their points, where there is room."""
    lows, highs = (np.array(limits) for limits in zip(axes.get_xlim(), axes.get_ylim(), strict=True))
    taken: list[Floats] = []
    for row in classes.nsmallest(_NUM_NAMED, method).to_dict("records"):
        place = (np.array([row["d2s"], row[method]]) - lows) / (highs - lows) * _AXES_POINTS
        size = np.array([0.6 * len(row["class"]) * _NAME_POINTS, 1.1 * _NAME_POINTS])
        for right, above in ((True, False), (True, True), (False, False), (False, True)):
            away = np.where([right, above], 4.0, -4.0)
            corner = place + away - np.where([right, above], 0, size)
            box = np.concatenate([corner, corner + size])
            inside = (corner >= 0).all() and (corner + size <= _AXES_POINTS).all()
            if inside and not any(
                (box[:2] < other[2:]).all() and (other[:2] < box[2:]).all() for other in taken
            ):
                taken.append(box)
                axes.annotate(
                    row["class"],
                    (row["d2s"], row[method]),
                    xytext=tuple(away),
                    textcoords="offset points",
                    fontsize=_NAME_POINTS,
                    fontstyle="italic",
                    ha="left" if right else "right",
                    va="bottom" if above else "top",
                )
                break
