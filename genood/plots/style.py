"""What all figures look like, and how they are saved."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from genood.errors import ConfigError
from genood.files import atomic_path

try:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
except ImportError as error:
    raise ConfigError(
        "figures need matplotlib: pip install matplotlib, or genood with its extra figures"
    ) from error

SIDE_COLOURS: Mapping[str, str] = {"in": "#0072B2", "ood": "#D55E00"}
"""Blue for what is in distribution and vermilion for what is OOD, of Okabe and Ito's palette."""
SIDE_NAMES: Mapping[str, str] = {"in": "in-distribution", "ood": "OOD"}
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
GREY = "0.6"
FORMATS = ("svg", "png")
_STYLE: Any = {
    "svg.hashsalt": "genood",
    "svg.fonttype": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "legend.frameon": False,
    "font.size": 9.0,
    "text.parse_math": False,  # a name with dollar signs is no formula
}

_METADATA: Mapping[str, Any] = {"svg": {"Date": None}, "png": {}}
"""By format, what leaves the time of drawing out."""


@contextmanager
def drawn(stem: Path, width: float, height: float) -> Iterator[Figure]:
    """An empty figure of a size in inches; what is drawn on it is written in all formats at the end.

    Parameters
    ----------
    stem
        Name of the files but for their endings.
    width, height
        Of the figure.
    """
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)  # in no need of a display
        yield figure
        for kind in FORMATS:
            with atomic_path(file_of(stem, kind)) as temporary:
                figure.savefig(temporary, format=kind, dpi=200, metadata=_METADATA[kind])


def file_of(stem: Path, ending: str) -> Path:
    """The file of a stem, whose name may have dots."""
    return stem.with_name(f"{stem.name}.{ending}")


def number(value: float) -> str:
    """Two decimals, as figures show them; a dash for NaN."""
    return "–" if np.isnan(value) else f"{value:.2f}".replace("-", "−")
