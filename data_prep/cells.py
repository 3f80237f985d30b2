"""Numbers in the cells of tables."""

from __future__ import annotations

import math


def number_cell(value: float) -> str:
    """Six significant digits; nothing for NaN."""
    return "" if math.isnan(value) else f"{value:.6g}"
