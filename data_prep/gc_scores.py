"""GC content against likelihood, from score tables: what Figure 1b of Ren et al. 2019 shows.

There the likelihood of reads follows their GC content, in distribution and out of it, and their
likelihood ratio does so less. Both are divided by the number of bases scored, so that reads of
different lengths can be compared.
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from data_prep.cells import number_cell
from data_prep.tsv import check_path, write_table
from genood.errors import ConfigError, InputError
from genood.files import check_distinct, check_writable
from genood.files.parquet import is_parquet, parquet_for
from genood.readers import STDIN, check_readable
from genood.readers.rows import whole_rows
from genood.readers.streams import DECOMPRESSION_ERRORS, decompressed, opened

logger = logging.getLogger("genood.prep.gc")

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

NUM_BINS = 20
"""Bins of GC content from 0 to 1, for means."""

ALL_TABLES = "all"
_UNREADABLE: tuple[type[Exception], ...] = (
    *(ValueError, TypeError, NotImplementedError, OSError),
    *DECOMPRESSION_ERRORS,
)
_SCORE_COLUMNS = ("gc", "num_scored", "log_likelihood", "llr_per_base")
_COLUMNS = ("table", "statistic", "gc_from", "gc_to", "num", "log_likelihood_per_base", "llr_per_base")


class GcBins(NamedTuple):
    """Means of reads whose GC content is much the same.

    Attributes
    ----------
    edges
        float64, shape (`NUM_BINS` + 1,): of the bins; a bin holds its lower edge, the last also 1.
    counts
        int64, shape (`NUM_BINS`,): reads.
    log_likelihood, llr
        float64, shape (`NUM_BINS`,): means in nats per base, NaN where there are none.
    """

    edges: Floats
    counts: Ints
    log_likelihood: Floats
    llr: Floats


class ScoredReads(NamedTuple):
    """What a score table says of the N reads that have scores.

    Attributes
    ----------
    name
        Of the table.
    gc
        float64, shape (N,).
    log_likelihood, llr
        float64, shape (N,), nats per base; a ratio may be NaN.
    """

    name: str
    gc: Floats
    log_likelihood: Floats
    llr: Floats

    def in_bins(self) -> GcBins:
        """Means in bins of GC content of equal width."""
        edges = np.arange(NUM_BINS + 1) / NUM_BINS
        bins = np.digitize(self.gc, edges[1:-1])
        means = []
        for values in (self.log_likelihood, self.llr):
            known = ~np.isnan(values)
            numbers = np.bincount(bins[known], minlength=NUM_BINS)
            sums = np.bincount(bins[known], weights=values[known], minlength=NUM_BINS)
            means.append(np.divide(sums, numbers, out=np.full(NUM_BINS, np.nan), where=numbers > 0))
        return GcBins(edges, np.bincount(bins, minlength=NUM_BINS), *means)


def read_score_tables(paths: Sequence[str], *, figure: str | None = None) -> list[ScoredReads]:
    """The reads of score tables, in their order.

    Parameters
    ----------
    paths
        Score tables; ``-`` is not taken.
    figure
        That `write_scores_gc` is to draw of them.

    Raises
    ------
    GenoodError
        A table cannot be read (see `read_scored`) or is named twice, or the figure cannot show so many.
    """
    if len(set(paths)) < len(paths):
        raise ConfigError("a score table is named twice")
    if figure is not None:
        # matplotlib is not needed, nor perhaps installed, without a figure.
        from data_prep.figures import check_figures

        check_figures(figure, num_tables=len(paths))
    return [read_scored(path) for path in paths]


def write_scores_gc(tables: Sequence[ScoredReads], output: str, *, figure: str | None = None) -> None:
    """Write how likelihood and ratio go with GC content, for each score table and for all together.

    The rows of a table: ``pearson`` and ``spearman``, the correlations of both with GC content over its
    reads; then ``mean``, those of the reads in each bin of GC content that has any.

    Parameters
    ----------
    tables
        See `read_score_tables`.
    output
        TSV; ``-`` is standard output.
    figure
        SVG, PDF or PNG: both against GC content, the tables in colours of their own, in their order.

    Raises
    ------
    GenoodError
        An output is a score table too, or cannot be written.
    """
    check_distinct([table.name for table in tables], [output, figure])
    check_writable([output, figure])
    everything = list(tables)
    if len(tables) > 1:
        columns = zip(*(table[1:] for table in tables), strict=True)
        everything = [*tables, ScoredReads(ALL_TABLES, *map(np.concatenate, columns))]
    write_table(output, _COLUMNS, (row for table in everything for row in _rows(table)))
    if figure is not None:
        from data_prep.figures import draw_likelihood_against_gc

        draw_likelihood_against_gc(figure, tables)


def read_scored(path: str) -> ScoredReads:
    """The reads of a score table, text or Parquet, that have a likelihood; how many have none is logged.

    Raises
    ------
    InputError
        No such file or column, a cell that is no number, a row without its last cells, or no read with a
        likelihood.
    ConfigError
        Another table cannot hold its name; or it is Parquet, and pyarrow is not installed.
    """
    if path == STDIN:
        raise InputError(path, "is not taken as a score table; name a file")
    check_readable([path])
    check_path(path)
    try:
        table = _of_parquet(path) if is_parquet(path) else _of_text(path)
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise InputError(path, f"cannot be read as a score table ({reason})") from error
    missing = [column for column in _SCORE_COLUMNS if column not in table.columns]
    if missing:
        raise InputError(path, f"is no score table: it has no column {', '.join(missing)}")
    if np.isinf(table.to_numpy()).any():
        raise InputError(path, "holds infinite values; make them finite or empty")
    scored = table[(table["num_scored"] > 0) & table["log_likelihood"].notna() & table["gc"].notna()]
    if scored.empty:
        raise InputError(path, "has no read with both a log-likelihood and a GC content")
    if len(scored) < len(table):
        logger.warning("%s: %d reads have no likelihood and are left out", path, len(table) - len(scored))
    per_base = scored["log_likelihood"] / scored["num_scored"]
    return ScoredReads(path, scored["gc"].to_numpy(), per_base.to_numpy(), scored["llr_per_base"].to_numpy())


def _of_parquet(path: str) -> pd.DataFrame:
    with parquet_for(path).ParquetFile(path) as file:
        there = [column for column in file.schema_arrow.names if column in _SCORE_COLUMNS]
        if len(set(there)) < len(there):
            raise ValueError("a column is there twice")
        # What pandas noted of the columns is of no use here, and may be damaged.
        return file.read(there).to_pandas(ignore_metadata=True).astype(np.float64)


def _of_text(path: str) -> pd.DataFrame:
    with opened(path) as source, decompressed(path, source) as stream:
        return pd.read_csv(
            whole_rows(path, stream),
            sep="\t",
            usecols=lambda column: column in _SCORE_COLUMNS,
            dtype=dict.fromkeys(_SCORE_COLUMNS, np.float64),
            index_col=False,  # else a row longer than the header shifts the columns
            quoting=csv.QUOTE_NONE,
        )


def correlation(x: Floats, y: Floats) -> float:
    """Pearson's correlation over the pairs without a NaN; NaN where it has no value."""
    both = ~(np.isnan(x) | np.isnan(y))
    x, y = x[both], y[both]
    if len(x) < 2 or x.min() == x.max() or y.min() == y.max():
        return np.nan
    return float(np.corrcoef(x, y)[0, 1])


def rank_correlation(x: Floats, y: Floats) -> float:
    """Spearman's correlation over the pairs without a NaN, ties having the mean of their ranks."""
    both = ~(np.isnan(x) | np.isnan(y))
    return correlation(_ranks(x[both]), _ranks(y[both]))


def _ranks(values: Floats) -> Floats:
    return np.asarray(pd.Series(values).rank(), dtype=np.float64)


def _rows(table: ScoredReads) -> Iterator[tuple[str, ...]]:
    num = str(len(table.gc))
    for statistic, function in (("pearson", correlation), ("spearman", rank_correlation)):
        numbers = (function(table.gc, table.log_likelihood), function(table.gc, table.llr))
        yield (table.name, statistic, "", "", num, *map(number_cell, numbers))
    bins = table.in_bins()
    for place in np.flatnonzero(bins.counts).tolist():
        limits = (f"{edge:g}" for edge in bins.edges[place : place + 2])
        means = (number_cell(bins.log_likelihood[place]), number_cell(bins.llr[place]))
        yield (table.name, "mean", *limits, str(bins.counts[place]), *means)
