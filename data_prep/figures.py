"""Figures of GC content: the same data give the same bytes, and colours differ for the colour-blind too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from genood.errors import ConfigError
from genood.files import atomic_path

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from data_prep.gc import GcDistribution
    from data_prep.gc_scores import ScoredReads

IN_COLOUR, OOD_COLOUR = "#0072B2", "#D55E00"
COLOURS = (IN_COLOUR, OOD_COLOUR, "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
"""Okabe and Ito's palette, blue for what is in distribution and vermilion for what is OOD."""

_LINES = {"train": "-", "val": "--", "test": ":"}
_BIN_WIDTH = 0.02
"""Of GC content, roughly: each bin holds as many of the values that a read can have."""
_MAX_POINTS = 3000
"""Of a table in a scatter plot: more only cover each other."""
_MIN_READS_OF_MEAN = 10
_METADATA: Mapping[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}
"""By format, what leaves the time of drawing out."""
_STYLE: Any = {
    "svg.hashsalt": "genood",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "font.size": 9.0,
    "text.parse_math": False,  # a name with dollar signs is no formula
}


def check_figures(target: str, *, num_tables: int = 1) -> None:
    """Raise ConfigError if a figure cannot have this name or show that many tables."""
    if _format_of(target) not in _METADATA:
        raise ConfigError(f"{target}: a figure is named .svg, .pdf or .png")
    if num_tables > len(COLOURS):
        raise ConfigError(f"{target}: a figure can show {len(COLOURS)} score tables, not {num_tables}")


def draw_gc_distributions(
    target: str, distributions: Mapping[str, GcDistribution], *, length: int, unit: str
) -> None:
    """Draw how GC content is distributed in each split.

    Parameters
    ----------
    target
        File to write, named ``.svg``, ``.pdf`` or ``.png``.
    distributions
        By split.
    length
        Bases of a read, which say what values there are.
    unit
        What has a GC content, for the axes.

    Raises
    ------
    ConfigError
        As `check_figures`.
    """
    check_figures(target)
    values_of_bin = max(1, round(_BIN_WIDTH * length))
    with mpl.rc_context(_STYLE):
        figure = _new_figure(1)
        axes = figure.subplots()
        for split, distribution in distributions.items():
            if not distribution.num:
                continue
            shares, edges = _histogram(distribution, length, values_of_bin)
            stage, _, side = split.partition("_")
            axes.stairs(
                shares,
                edges,
                label=f"{split} (n = {distribution.num:,})",
                color=IN_COLOUR if side == "in" else OOD_COLOUR,
                linestyle=_LINES[stage],
                linewidth=1.5,
            )
        axes.set(
            xlim=(0.0, 1.0),
            ylim=(0.0, None),
            xlabel=f"GC content of a {unit}",
            ylabel=f"share of {unit}s in a bin of {values_of_bin / length:.2g}",
        )
        if axes.patches:
            figure.legend(loc="outside upper center", ncols=2)
        _save(figure, target)


def draw_likelihood_against_gc(target: str, tables: Sequence[ScoredReads]) -> None:
    """Draw log-likelihood and log-likelihood ratio per base against GC content, a panel for each.

    Points are some of the reads, evenly chosen; lines are means in bins of GC content with at least
    10 reads. `tables` have the palette's colours in their order.

    Raises
    ------
    ConfigError
        As `check_figures`.
    """
    check_figures(target, num_tables=len(tables))
    panels = (("log_likelihood", "log-likelihood"), ("llr", "log-likelihood ratio"))
    with mpl.rc_context(_STYLE):
        figure = _new_figure(2)
        for axes, (column, label) in zip(figure.subplots(1, 2), panels, strict=True):
            for table, name, colour in zip(tables, _legend_names(tables), COLOURS, strict=False):
                _draw_table(axes, table, column, name, colour)
            axes.set(xlim=(0.0, 1.0), xlabel="GC content of a read", ylabel=f"{label} (nats per base)")
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=min(len(tables), 4))
        _save(figure, target)


def _draw_table(axes: Axes, table: ScoredReads, column: str, name: str, colour: str) -> None:
    shown = np.unique(np.linspace(0, len(table.gc) - 1, _MAX_POINTS).round().astype(np.int64))
    values = getattr(table, column)
    axes.scatter(table.gc[shown], values[shown], s=3, color=colour, alpha=0.25, linewidths=0, rasterized=True)
    bins = table.in_bins()
    enough = bins.counts >= _MIN_READS_OF_MEAN
    centres = ((bins.edges[:-1] + bins.edges[1:]) / 2.0)[enough]
    means = getattr(bins, column)[enough]
    # White beneath, so that a line is seen on points of its own colour.
    axes.plot(centres, means, color="white", linewidth=4)
    axes.plot(
        centres,
        means,
        color=colour,
        linewidth=2,
        marker="o",
        markersize=4,
        markeredgecolor="white",
        label=f"{name} (n = {len(table.gc):,})",
    )


def _histogram(
    distribution: GcDistribution, length: int, values_of_bin: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Shares in bins that each hold as many of the values 0, 1, ... of `length`; and their edges.

    Only the last, which holds all of `length` too, may hold more or fewer.
    """
    num_bins = -(-length // values_of_bin)
    # In integers, as a quotient may fall on either side of an edge.
    places = distribution.strong * length // (distribution.known * values_of_bin)
    places = np.minimum(places, num_bins - 1)
    shares = np.bincount(places, weights=distribution.counts, minlength=num_bins) / distribution.num
    return shares, np.minimum(np.arange(num_bins + 1) * values_of_bin / length, 1.0)


def _legend_names(tables: Sequence[ScoredReads]) -> list[str]:
    """The tables' file names without endings, where those differ."""
    names = [Path(table.name).name.split(".")[0] for table in tables]
    return names if len(set(names)) == len(names) else [table.name for table in tables]


def _new_figure(num_panels: int) -> Figure:
    figure = Figure(figsize=(4.5 * num_panels, 3.5), layout="constrained")
    FigureCanvasAgg(figure)  # in no need of a display
    return figure


def _format_of(target: str) -> str:
    return Path(target).suffix.lower().removeprefix(".")


def _save(figure: Figure, target: str) -> None:
    kind = _format_of(target)
    with atomic_path(target) as temporary:
        figure.savefig(temporary, format=kind, dpi=200, metadata=_METADATA[kind])
