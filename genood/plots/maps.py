"""Maps in colours: of classes by methods, and of positions of reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from genood.evaluation.analyses import Floats
from genood.evaluation.position_maps import PositionMap
from genood.plots.style import SIDE_COLOURS, drawn, number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_NOTHING = "0.85"
_DARK = 0.6
"""Of the colours of a map, as a share of their range, where letters are white."""


def draw_classes(stem: Path, table: pd.DataFrame, methods: Sequence[str]) -> None:
    """Draw the AUROC of each class by each method as a map; OOD classes with the worst first.

    Parameters
    ----------
    stem
        See `genood.plots.curves.draw_histogram`.
    table
        See `genood.evaluation.analyses.class_table`.
    methods
        Those of it to draw.
    """
    means = table[list(methods)].mean(axis=1)
    ordered = table.assign(mean=means).sort_values(["side", "mean", "class"], kind="stable")
    num_in = int((ordered["side"] == "in").sum())
    values = np.insert(ordered[list(methods)].to_numpy(dtype=np.float64), num_in, np.nan, axis=0)
    rows = [row for row in range(len(values)) if row != num_in]
    low = min(0.5, np.nanmin(values))
    with drawn(stem, 2.0 + 0.45 * len(methods), 1.2 + 0.155 * len(values)) as figure:
        axes = figure.subplots()
        axes.imshow(values, cmap="cividis", vmin=low, vmax=1, aspect="auto")
        names = axes.set_yticks(rows, ordered["class"], fontsize=7, fontstyle="italic")
        for tick, side in zip(names, ordered["side"], strict=True):
            tick.label1.set_color(SIDE_COLOURS[side])
        axes.set_xticks(range(len(methods)), methods, rotation=45, ha="left", rotation_mode="anchor")
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
        for row, column in product(rows, range(len(methods))):
            value = values[row, column]
            colour = "white" if value < low + _DARK * (1 - low) else "black"
            axes.text(column, row, number(value), ha="center", va="center", fontsize=6, color=colour)


def draw_positions(stem: Path, chosen: PositionMap) -> None:
    """Draw log-likelihood and ratio of each position of chosen reads, a panel for each.

    Colours end where a hundredth of the positions lies beyond.

    Parameters
    ----------
    stem
        See `genood.plots.curves.draw_histogram`.
    chosen
        The reads.
    """
    low = np.nanquantile(chosen.log_p, 0.01)
    most = np.nanquantile(np.abs(chosen.llr), 0.99)
    of_log_p = {"cmap": "cividis", "vmin": low, "vmax": 0}
    of_llr = {"cmap": "RdBu", "vmin": -most, "vmax": most}
    with drawn(stem, 7.0, 1.2 + 0.28 * len(chosen.names)) as figure:
        above, below = figure.subplots(2, 1, sharex=True)
        image = _draw_map(above, chosen, chosen.log_p, of_log_p)
        figure.colorbar(image, ax=above, label="log-likelihood (nats)", pad=0.01, extend="min")
        image = _draw_map(below, chosen, chosen.llr, of_llr)
        figure.colorbar(image, ax=below, label="log-likelihood ratio (nats)", pad=0.01, extend="both")
        below.set_xlabel("position")


def _draw_map(axes: Axes, chosen: PositionMap, values: Floats, colours: Mapping[str, Any]) -> AxesImage:
    """Draw values of each position, (R, L), a row a read; grey where there is none."""
    num_reads, length = values.shape
    image = axes.imshow(
        values,
        aspect="auto",
        interpolation="nearest",
        extent=(0.5, length + 0.5, num_reads - 0.5, -0.5),
        **colours,
    )
    ticks = axes.set_yticks(range(num_reads), chosen.classes, fontsize=7, fontstyle="italic")
    for tick, is_ood in zip(ticks, chosen.is_ood, strict=True):
        tick.label1.set_color(SIDE_COLOURS["ood" if is_ood else "in"])
    for row in np.flatnonzero(np.diff(chosen.is_ood)):
        axes.axhline(row + 0.5, color="white", linewidth=3)
    axes.tick_params(axis="y", length=0)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.set_facecolor(_NOTHING)
    return image
