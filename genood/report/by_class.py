"""What a report counts of the classes that reads are given, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from genood.calibration import P_VALUE_BINS, p_value_places
from genood.engine import CALLS
from genood.report.binning import quantile_place

MOST_CLASSES = 10_000
"""Classes that are counted apart: no reference has so many, but a table may hold anything."""
OTHERS = "(others)"

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


class ClassCounts:
    """Calls and p-values of reads by class; reads without a class are left out."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self._calls: Ints = np.zeros((0, len(CALLS)), dtype=np.int64)
        self._p_values: Ints = np.zeros((0, P_VALUE_BINS), dtype=np.int64)

    def add(self, classes: Sequence[str], calls: Ints, p_values: Floats) -> None:
        """Count N reads: their classes, empty where there is none, places in `CALLS` and p-values."""
        numbers, names = pd.factorize(np.asarray(classes, dtype=object))
        places = self._places_of(names.tolist())[numbers]
        given = places >= 0
        self._calls += _counts(places[given], calls[given], self._calls)
        known = given & ~np.isnan(p_values)
        self._p_values += _counts(places[known], p_value_places(p_values[known]), self._p_values)

    def merge(self, other: ClassCounts) -> None:
        """Add other counts."""
        places = self._places_of(list(other._places))
        np.add.at(self._calls, places, other._calls)
        np.add.at(self._p_values, places, other._p_values)

    def _places_of(self, names: Sequence[str]) -> Ints:
        """Rows of classes, shape (len(names),), of which new ones are made; -1 for an empty name."""
        places = []
        for name in names:
            known = name in self._places or len(self._places) < MOST_CLASSES
            row = name if known else OTHERS
            places.append(self._places.setdefault(row, len(self._places)) if name else -1)
        num_new = len(self._places) - len(self._calls)
        self._calls = np.pad(self._calls, [(0, num_new), (0, 0)])
        self._p_values = np.pad(self._p_values, [(0, num_new), (0, 0)])
        return np.array(places, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._places)

    @property
    def names(self) -> list[str]:
        """The classes, that of most reads first; of equals by name."""
        return sorted(self._places, key=lambda name: (-int(self.calls(name).sum()), name))

    def calls(self, name: str) -> Ints:
        """Reads of a class by call."""
        return self._calls[self._places[name]]

    def p_value_quantile(self, name: str, level: float) -> float | None:
        """The upper edge of the bin in which a quantile of a class's p-values lies; None without any."""
        place = quantile_place(self._p_values[self._places[name]], level)
        return None if place is None else (place + 1) / P_VALUE_BINS


def _counts(rows: Ints, columns: Ints, like: Ints) -> Ints:
    """How often each row and column comes, in the shape of another array."""
    flat = np.bincount(rows * like.shape[1] + columns, minlength=like.size)
    return flat.reshape(like.shape).astype(np.int64)
