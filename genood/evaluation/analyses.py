"""What the figures of the papers show, as tables: scores by side, GC content, class and distance.

In all of them a method's *score* is −ood_score, as in the papers: higher means more in-distribution. For
likelihood and ratio that is the log-likelihood and the log-likelihood ratio, in nats per base.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from genood.errors import ConfigError, InputError
from genood.evaluation.tables import read_names, read_scores
from genood.metrics import roc_points, separation
from genood.readers import check_readable
from genood.reference.labels import class_of

Floats = npt.NDArray[np.float64]
Names = npt.NDArray[np.object_]
Bools = npt.NDArray[np.bool_]

SIDES = ("in", "ood")
NUM_GC_BINS = 50
_NUM_BINS = 60
_TAIL = 0.001
"""Share of the reads beyond either end of a histogram; they count in its first and last bin."""
_FEWEST_FOR_R = 3
"""Two points always lie on a line."""
_DISTANCE_COLUMNS = ("split", "class", "d2s", "nearest_class")


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadScores:
    """N reads of both sides and what methods say of them.

    Attributes
    ----------
    is_ood
        bool, shape (N,).
    classes
        Name of the class of each read, shape (N,).
    gc
        G and C among the known bases of each, float64, shape (N,), 0 to 1; NaN where there are none.
    ood_scores
        By method, under the name that figures show: float64, shape (N,); NaN where nothing was scored.
    predicted
        Name of the class that a classifier gives each in-distribution read, shape (N,), if there is one;
        what it says of OOD reads does not matter.

    Raises
    ------
    ConfigError
        The shapes differ, there is no method, or there are no reads of a side.
    """

    is_ood: Bools
    classes: Names
    gc: Floats
    ood_scores: Mapping[str, Floats]
    predicted: Names | None = None

    def __post_init__(self) -> None:
        columns = [self.classes, self.gc, *self.ood_scores.values()]
        if self.predicted is not None:
            columns.append(self.predicted)
        if any(column.shape != self.is_ood.shape for column in columns):
            raise ConfigError("classes, GC content and scores must be of the same reads")
        if not self.ood_scores or self.is_ood.all() or not self.is_ood.any():
            raise ConfigError("a figure needs a method, and reads of both sides")

    @classmethod
    def of_sides(
        cls,
        *,
        classes: tuple[Sequence[str], Sequence[str]],
        gc: tuple[npt.ArrayLike, npt.ArrayLike],
        ood_scores: Mapping[str, tuple[npt.ArrayLike, npt.ArrayLike]],
        predicted: tuple[Sequence[str], Sequence[str]] | None = None,
    ) -> Self:
        """Reads that are given as pairs, what is of in-distribution reads before what is of OOD ones."""
        return cls(
            is_ood=np.repeat([False, True], [len(names) for names in classes]),
            classes=_joined_names(classes),
            predicted=None if predicted is None else _joined_names(predicted),
            gc=_joined(gc),
            ood_scores={method: _joined(scores) for method, scores in ood_scores.items()},
        )

    @classmethod
    def of_tables(cls, in_table: str, ood_table: str, columns: Mapping[str, str]) -> Self:
        """Reads of score tables, text or Parquet; the class of a read is its name up to the first ``__``.

        Parameters
        ----------
        in_table, ood_table
            Score tables.
        columns
            By method, under the name that figures show, the column with its OOD scores.

        Raises
        ------
        GenoodError
            A table cannot be read, or lacks a column.
        """
        tables = (in_table, ood_table)
        in_classes, ood_classes = ([class_of(name) for name in read_names(table)] for table in tables)
        return cls.of_sides(
            classes=(in_classes, ood_classes),
            gc=(read_scores(in_table, "gc"), read_scores(ood_table, "gc")),
            ood_scores={
                method: (read_scores(in_table, column), read_scores(ood_table, column))
                for method, column in columns.items()
            },
        )

    @property
    def methods(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self.ood_scores)

    def score(self, method: str) -> Floats:
        """−ood_score of a method, shape (N,).

        Raises
        ------
        ConfigError
            There is no such method.
        """
        if method not in self.ood_scores:
            raise ConfigError(f"no method is called {method!r}; there are {', '.join(self.methods)}")
        return -self.ood_scores[method]

    def of_side(self, side: str) -> Bools:
        """Which reads are of a side, ``in`` or ``ood``."""
        return self.is_ood if side == "ood" else ~self.is_ood

    def placements(self, method: str) -> Floats:
        """Share of the other side's reads that each read is on the right side of, shape (N,).

        Ties count half; NaN where nothing was scored. The mean over the reads of a side, or over some
        of them, is the AUROC of these reads against the other side.
        """
        values = self.score(method)
        known = ~np.isnan(values)
        found = np.full(len(values), np.nan)
        for ours, sign in ((~self.is_ood & known, 1), (self.is_ood & known, -1)):
            others = np.sort(sign * values[known & ~ours])
            mine = sign * values[ours]
            below = [np.searchsorted(others, mine, side=side) for side in ("left", "right")]
            found[ours] = np.divide(
                below[0] + below[1], 2 * len(others), out=np.full(len(mine), np.nan), where=len(others) > 0
            )
        return found


def reads_table(scores: ReadScores) -> pd.DataFrame:
    """All reads: side, class, gc, and the score of each method."""
    table = pd.DataFrame(
        {"side": np.where(scores.is_ood, *reversed(SIDES)), "class": scores.classes, "gc": scores.gc}
    )
    return table.assign(**{method: scores.score(method) for method in scores.methods})


def histogram(scores: ReadScores, method: str, num_bins: int = _NUM_BINS) -> pd.DataFrame:
    """How the scores of a method are distributed on each side (Figure 1a of Ren et al. 2019).

    Returns
    -------
    table
        side, low and high of a bin, num_reads, and density: their share, divided by the bin's width.
    """
    values = scores.score(method)
    known = values[~np.isnan(values)]
    if not len(known):
        raise ConfigError(f"{method}: no read has a score")
    low, high = np.quantile(known, [_TAIL, 1 - _TAIL])
    edges = np.linspace(low, high if high > low else low + 1, num_bins + 1)
    parts = []
    for side in SIDES:
        inside = np.clip(values[scores.of_side(side) & ~np.isnan(values)], edges[0], edges[-1])
        counts, _ = np.histogram(inside, edges)
        width = edges[1] - edges[0]
        parts.append(
            pd.DataFrame(
                {
                    "side": side,
                    "low": edges[:-1],
                    "high": edges[1:],
                    "num_reads": counts,
                    "density": counts / (max(len(inside), 1) * width),
                }
            )
        )
    return pd.concat(parts, ignore_index=True)


def against_gc(scores: ReadScores, method: str) -> pd.DataFrame:
    """Mean score of a method in bins of GC content (Figures 1b and 5a of Ren et al. 2019).

    Returns
    -------
    table
        side, low and high of a bin, num_reads, and mean and sd of their scores; bins without reads are
        left out.
    """
    values, known = _with_gc(scores, method)
    # What lies on an edge but for rounding is above it.
    bins = np.minimum(np.floor(scores.gc[known] * NUM_GC_BINS + 1e-6), NUM_GC_BINS - 1).astype(np.int64)
    table = pd.DataFrame({"side": _sides(scores)[known], "bin": bins, "score": values[known]})
    grouped = table.groupby(["side", "bin"], observed=True)["score"]
    found = grouped.agg(num_reads="size", mean="mean", sd="std").reset_index()
    found.insert(1, "low", found["bin"] / NUM_GC_BINS)
    found.insert(2, "high", (found.pop("bin") + 1) / NUM_GC_BINS)
    return found


def gc_correlations(scores: ReadScores, methods: Sequence[str] | None = None) -> pd.DataFrame:
    """Pearson's r of score and GC content: method, side (``both`` too), num_reads, pearson_r."""
    rows = []
    for method in scores.methods if methods is None else methods:
        values, known = _with_gc(scores, method)
        for side in (*SIDES, "both"):
            chosen = known if side == "both" else known & scores.of_side(side)
            r = pearson(scores.gc[chosen], values[chosen])
            rows.append((method, side, int(chosen.sum()), r))
    return pd.DataFrame(rows, columns=["method", "side", "num_reads", "pearson_r"])


def roc_table(scores: ReadScores, methods: Sequence[str] | None = None) -> pd.DataFrame:
    """ROC curves (Figure 5b of Ren et al. 2019): method, fpr, tpr; in-distribution is positive."""
    parts = []
    for method in scores.methods if methods is None else methods:
        values = -scores.score(method)
        fpr, tpr = roc_points(values[~scores.is_ood], values[scores.is_ood])
        parts.append(pd.DataFrame({"method": method, "fpr": fpr, "tpr": tpr}))
    return pd.concat(parts, ignore_index=True)


def separation_table(scores: ReadScores, methods: Sequence[str] | None = None) -> pd.DataFrame:
    """How well methods separate the sides: method, auroc, auprc, fpr80; the best first."""
    rows = []
    for method in scores.methods if methods is None else methods:
        values = -scores.score(method)
        rows.append((method, *separation(values[~scores.is_ood], values[scores.is_ood])))
    table = pd.DataFrame(rows, columns=["method", "auroc", "auprc", "fpr80"])
    return table.sort_values("auroc", ascending=False, kind="stable", ignore_index=True)


def class_table(scores: ReadScores, methods: Sequence[str] | None = None) -> pd.DataFrame:
    """How well the reads of each class are told from the other side.

    Returns
    -------
    table
        side, class, num_reads; accuracy where a classifier has predicted classes; then AUROC by method,
        of the reads of an in-distribution class against all OOD reads, or of all in-distribution reads
        against those of an OOD class. In-distribution classes first, each side by name.
    """
    methods = scores.methods if methods is None else methods
    reads = pd.DataFrame({"side": _sides(scores), "class": scores.classes, "num_reads": 1})
    if scores.predicted is not None:
        right = (scores.predicted == scores.classes).astype(np.float64)
        reads["accuracy"] = np.where(scores.is_ood, np.nan, right)
    by_class = pd.concat(
        [reads, pd.DataFrame({method: scores.placements(method) for method in methods})], axis=1
    ).groupby(["side", "class"])
    means = by_class.mean()
    return means.assign(num_reads=by_class.size()).reset_index()


@dataclass(frozen=True, kw_only=True, eq=False)
class DistanceTable:
    """How well OOD classes are told apart, beside how far they are (Figure 5c, Table S5 of Ren et al. 2019).

    Attributes
    ----------
    classes
        class, num_reads, d2s, nearest_class, then AUROC by method; the nearest first.
    correlations
        Pearson's r of d2S and AUROC over the classes, by method; NaN of fewer than three.
    without_distance
        OOD classes that have none, which are left out.
    """

    classes: pd.DataFrame
    correlations: Mapping[str, float]
    without_distance: tuple[str, ...] = field(default=())


def against_distance(
    scores: ReadScores, distances: pd.DataFrame, methods: Sequence[str] | None = None
) -> DistanceTable:
    """AUROC of all in-distribution reads against those of each OOD class, by d2S distance.

    Parameters
    ----------
    scores
        The reads.
    distances
        As `read_distances` gives them.
    methods
        Their names; None is all.

    Raises
    ------
    ConfigError
        No OOD class has a distance.
    """
    methods = scores.methods if methods is None else tuple(methods)
    table = class_table(scores, methods)
    table = table[table["side"] == "ood"].drop(columns=["side", "accuracy"], errors="ignore")
    missing = tuple(sorted(set(table["class"]) - set(distances["class"])))
    joined = table.merge(distances, on="class").sort_values(["d2s", "class"], ignore_index=True)
    if joined.empty:
        raise ConfigError(f"none of the OOD classes has a distance: {', '.join(missing)}")
    return DistanceTable(
        classes=joined[["class", "num_reads", "d2s", "nearest_class", *methods]],
        correlations={method: pearson(joined["d2s"], joined[method]) for method in methods},
        without_distance=missing,
    )


def read_distances(path: str, split: str | None = None) -> pd.DataFrame:
    """Distances of OOD classes, as ``genood-prep distance --classes-out`` writes them.

    Parameters
    ----------
    path
        TSV.
    split
        Only those of this split; needed where a class is in several.

    Returns
    -------
    table
        class, d2s, nearest_class; a row a class.

    Raises
    ------
    InputError
        It cannot be read, is another table, or has a class twice.
    """
    check_readable([path])
    try:
        table = pd.read_csv(path, sep="\t", dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read as a table ({' '.join(str(error).split())})") from error
    missing = [column for column in _DISTANCE_COLUMNS if column not in table]
    if missing:
        raise InputError(
            path, f"has no column {missing[0]!r}; give what genood-prep distance --classes-out writes"
        )
    if split is not None:
        table = table[table["split"] == split]
    values = pd.to_numeric(table["d2s"], errors="coerce")
    if values.isna().any():
        raise InputError(
            path, f"column 'd2s' holds {table['d2s'][values.isna()].iloc[0]!r}, which is no number"
        )
    twice = table["class"][table["class"].duplicated()]
    if len(twice):
        raise InputError(path, f"names the class {twice.iloc[0]!r} twice; say of which split")
    return table.assign(d2s=values)[["class", "d2s", "nearest_class"]].reset_index(drop=True)


def pearson(first: npt.ArrayLike, second: npt.ArrayLike) -> float:
    """Pearson's r; NaN of fewer than three points, or where one of the two does not vary."""
    pairs = np.array([first, second], dtype=np.float64)
    pairs = pairs[:, ~np.isnan(pairs).any(axis=0)]
    if pairs.shape[1] < _FEWEST_FOR_R or (np.ptp(pairs, axis=1) == 0).any():
        return np.nan
    return float(np.corrcoef(*pairs)[0, 1])


def _with_gc(scores: ReadScores, method: str) -> tuple[Floats, Bools]:
    values = scores.score(method)
    return values, ~np.isnan(values) & ~np.isnan(scores.gc)


def _sides(scores: ReadScores) -> Names:
    return np.where(scores.is_ood, *reversed(SIDES)).astype(object)


def _joined(pair: tuple[npt.ArrayLike, npt.ArrayLike]) -> Floats:
    return np.concatenate([np.asarray(values, dtype=np.float64) for values in pair])


def _joined_names(pair: tuple[Sequence[str], Sequence[str]]) -> Names:
    return np.concatenate([np.asarray(names, dtype=object) for names in pair])
