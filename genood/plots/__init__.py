"""The figures of the papers: the same data give the same bytes, and colours differ for the colour-blind too.

Each is drawn as SVG, with its text as text, and as PNG, beside the table that it shows, which
`genood.evaluation.analyses` makes. Without matplotlib, importing this raises ConfigError.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from genood.evaluation.analyses import (
    DistanceTable,
    ReadScores,
    against_distance,
    against_gc,
    class_table,
    gc_correlations,
    histogram,
    reads_table,
    roc_table,
    separation_table,
)
from genood.evaluation.position_maps import PositionMap
from genood.files import appear_together, atomic_path
from genood.plots.curves import draw_against_distance, draw_against_gc, draw_histogram, draw_roc
from genood.plots.maps import draw_classes, draw_positions
from genood.plots.style import FORMATS, file_of

logger = logging.getLogger(__name__)

_QUANTITIES = {"likelihood": "log-likelihood", "ratio": "log-likelihood ratio"}
_NOT_ALWAYS = (
    *(f"{what}-{figure}" for what in _QUANTITIES for figure in ("histogram", "gc")),
    "distance",
    "positions",
)
"""Figures that not all data give."""


def draw_all(
    directory: Path,
    scores: ReadScores,
    *,
    likelihood: str | None = None,
    ratio: str | None = None,
    distances: pd.DataFrame | None = None,
    positions: PositionMap | None = None,
) -> list[Path]:
    """Draw all figures that there are data for, each as SVG, PNG and the table it shows as TSV; or none.

    Those of other data, drawn there before, that these do not give are removed.

    ``roc`` and ``classes`` are of all methods. Of likelihood and ratio are ``likelihood-histogram``,
    ``likelihood-gc``, ``ratio-histogram`` and ``ratio-gc``, and ``distance``, which without them is of the
    two best methods, and whose table has all; ``positions`` is of chosen reads. Tables alone are ``reads``,
    what the points of the figures are, ``separation`` and ``correlations``, with Pearson's r of each method
    and GC content or distance.

    Parameters
    ----------
    directory
        Made if it is not there.
    scores
        The reads.
    likelihood, ratio
        Which methods are the foreground's log-likelihood and the ratio, in nats per base.
    distances
        See `genood.evaluation.analyses.read_distances`.
    positions
        Chosen reads.

    Returns
    -------
    files
        All that were written, in their order.

    Raises
    ------
    GenoodError
        A method has no scores, or a file cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with appear_together():
        written = _draw_all(directory, scores, likelihood, ratio, distances, positions)
    for name in _NOT_ALWAYS:
        for ending in (*FORMATS, "tsv"):
            path = file_of(directory / name, ending)
            if path not in written:
                path.unlink(missing_ok=True)
    return written


def _draw_all(
    directory: Path,
    scores: ReadScores,
    likelihood: str | None,
    ratio: str | None,
    distances: pd.DataFrame | None,
    positions: PositionMap | None,
) -> list[Path]:
    methods = {method: what for method, what in ((likelihood, "likelihood"), (ratio, "ratio")) if method}
    written = [_write(directory / "reads", reads_table(scores))]
    correlations = gc_correlations(scores).assign(quantity="GC content")
    for method, what in methods.items():
        label = f"{_QUANTITIES[what]} (nats per base)"
        bars, bins = histogram(scores, method), against_gc(scores, method)
        written += _drawn(directory / f"{what}-histogram", bars, draw_histogram, bars, label)
        written += _drawn(
            directory / f"{what}-gc", bins, draw_against_gc, scores, method, bins, correlations, label
        )
    curves, separations = roc_table(scores), separation_table(scores)
    written += _drawn(directory / "roc", curves, draw_roc, curves, separations)
    written.append(_write(directory / "separation", separations))
    by_class = class_table(scores)
    written += _drawn(directory / "classes", by_class, draw_classes, by_class, scores.methods)
    if distances is not None:
        found = against_distance(scores, distances)
        if found.without_distance:
            logger.warning("OOD classes without a distance: %s", ", ".join(found.without_distance))
        shown = tuple(methods) or tuple(separations["method"].iloc[1::-1])
        written += _drawn(directory / "distance", found.classes, draw_against_distance, found, shown)
        correlations = pd.concat([correlations, _of_distances(found)])
    if positions is not None:
        written += _drawn(directory / "positions", positions.table(), draw_positions, positions)
    return [*written, _write(directory / "correlations", correlations)]


def _of_distances(found: DistanceTable) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "method": list(found.correlations),
            "side": "ood",
            "num_reads": int(found.classes["num_reads"].sum()),
            "pearson_r": list(found.correlations.values()),
            "quantity": "AUROC and d2S by class",
        }
    )


def _drawn(stem: Path, table: pd.DataFrame, draw: Callable[..., None], *arguments: Any) -> list[Path]:
    """Draw a figure and write its table; the files."""
    draw(stem, *arguments)
    return [*(file_of(stem, kind) for kind in FORMATS), _write(stem, table)]


def _write(stem: Path, table: pd.DataFrame) -> Path:
    target = file_of(stem, "tsv")
    with atomic_path(target) as temporary:
        table.to_csv(temporary, sep="\t", index=False, float_format="%.6g")
    return target
