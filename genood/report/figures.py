"""The charts of a report in words and numbers: title, how to read it, and its table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from genood.calibration import P_VALUE_BINS
from genood.engine import CALLS
from genood.report import charts
from genood.report.charts import Spec
from genood.report.run import Run
from genood.report.traces import WINDOW_LEVEL, WindowCounts

_IN, _OOD = CALLS.index("in"), CALLS.index("ood")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A chart with all that stands beside it.

    Attributes
    ----------
    title
        Its heading.
    caption
        How to read it.
    description
        What it shows, for those who do not see it.
    spec
        See `genood.report.charts`.
    header, rows
        The same as a table.
    """

    title: str
    caption: str
    description: str
    spec: Spec
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def figures_of(run: Run) -> list[Figure]:
    """The charts of a run, as far as it has anything to draw."""
    figures = [_scores(run), _p_values(run), _small_p_values(run), _gc(run), _lengths(run)]
    if run.windows is not None:
        figures.append(_windows(run.windows))
    return [figure for figure in figures if figure is not None]


def overview_of(runs: Sequence[Run]) -> list[Figure]:
    """The charts that compare runs."""
    figures = []
    fraction = charts.fraction_chart(runs)
    if fraction is not None:
        figures.append(
            Figure(
                title="OOD fraction",
                caption="Point: estimate. Bar: 95 % interval.",
                description=f"OOD fractions of {len(runs)} runs with their intervals.",
                spec=fraction,
                header=("run", "estimate", "low", "high"),
                rows=[
                    (run.name, *(number(value) for value in run.fraction[:3]))
                    for run in runs
                    if run.fraction is not None
                ],
            )
        )
    spread = charts.spread_chart(runs)
    if spread is not None:
        quantiles = [
            (run.name, [run.counts.score_quantile(level) for level in charts.SPREAD]) for run in runs
        ]
        figures.append(
            Figure(
                title="OOD scores",
                caption="Mark: median. Bar: half of the reads. Line: 90 % of them. Higher is more foreign.",
                description=f"Quantiles of the OOD scores of {len(runs)} runs.",
                spec=spread,
                header=("run", *(f"{100 * level:g} %" for level in charts.SPREAD)),
                rows=[(name, *(number(value) for value in values)) for name, values in quantiles],
            )
        )
    return figures


def _scores(run: Run) -> Figure | None:
    bins = run.counts.score_bins(charts.SCORE_BINS, charts.TAIL)
    spec = charts.score_chart(run)
    if bins is None or spec is None:
        return None
    expected = charts.expected_in(run, bins)
    by_call = bins.counts.sum(axis=1)
    rows = [
        (
            number(low),
            number(high),
            f"{counts[_IN]:,}",
            f"{counts[_OOD]:,}",
            *(() if expected is None else (f"{max(0.0, expected[place]):,.1f}",)),
        )
        for place, (low, high, counts) in enumerate(
            zip(bins.edges[:-1], bins.edges[1:], by_call.tolist(), strict=True)
        )
    ]
    median = run.counts.score_quantile(0.5)
    caption = f"Higher is more foreign; of the detector {run.detector}, nats per base."
    if run.detector not in ("llr", "likelihood"):
        caption = f"Higher is more foreign; of the detector {run.detector}."
    if expected is not None:
        caption += (
            " Dashed: what the bundle's null expects of in-distribution reads of these lengths, as many as"
            " the run is estimated to have. Bars that rise above it on the right are foreign reads; a whole"
            " distribution beside it speaks for a null that does not fit the run."
        )
    if bins.below or bins.above:
        caption += f" The outermost bars take in {bins.below + bins.above:,} reads beyond them."
    return Figure(
        title="OOD scores",
        caption=caption,
        description=(
            f"Histogram of the OOD scores of {int(by_call.sum()):,} reads by call; median {number(median)}."
        ),
        spec=spec,
        header=("from", "to", "in", "ood", *(() if expected is None else ("in-distribution, by the null",))),
        rows=rows,
    )


def _p_values(run: Run) -> Figure | None:
    spec = charts.p_value_chart(run.counts, run.fraction)
    if spec is None:
        return None
    counts = run.counts.p_value_counts.tolist()
    return Figure(
        title="P-values",
        caption=(
            "In-distribution p-values are uniform: bars should be level, as high as the dashed line, which "
            "is the in-distribution share of the run; what stands above it on the left is foreign. Bars that "
            "fall or rise on the right say that null and run differ."
        ),
        description=(
            f"Histogram of {run.counts.num_p_values:,} p-values; {counts[0]:,} are at most "
            f"{1 / P_VALUE_BINS:g}."
        ),
        spec=spec,
        header=("above", "to", "reads"),
        rows=_level_rows(counts),
    )


def _small_p_values(run: Run) -> Figure | None:
    rows = charts.small_p_values(run.counts)
    spec = charts.small_p_chart(run.counts)
    if spec is None:
        return None
    return Figure(
        title="Small p-values",
        caption=(
            "Share of the reads with a p-value at most as large as the level. Dashed: of in-distribution "
            "reads alone. The line begins at the smallest p-value of the run; the null's size sets a limit."
        ),
        description=f"Cumulative share of p-values from {rows[0]['p']:g} to 1, on logarithmic axes.",
        spec=spec,
        header=("level", "reads at most", "share"),
        rows=[(number(row["p"]), f"{row['n']:,}", number(row["share"])) for row in rows],
    )


def _gc(run: Run) -> Figure | None:
    spec = charts.gc_chart(run.counts)
    if spec is None:
        return None
    rows = charts.gc_rows(run.counts)
    return Figure(
        title="GC and score",
        caption=(
            "Number of reads by GC content and OOD score; line: median score. A median that follows GC over "
            "the whole range means that composition alone decides; clouds of their own are organisms."
        ),
        description=f"Numbers of reads by GC and OOD score; median scores of {len(rows)} bins of GC.",
        spec=spec,
        header=("GC, middle", "reads", "median score"),
        rows=[(f"{100 * row['gc']:.0f} %", f"{row['n']:,}", number(row["median"])) for row in rows],
    )


def _lengths(run: Run) -> Figure | None:
    found = charts.length_bins(run.counts)
    spec = charts.length_chart(run.counts)
    if found is None or spec is None:
        return None
    edges, numbers, _ = found
    rows = [
        (
            number(low),
            number(high),
            *(f"{count:,}" for count in counts[: _OOD + 1]),
            share(counts[_OOD], sum(counts)),
        )
        for low, high, counts in zip(edges[:-1], edges[1:], numbers.tolist(), strict=True)
        if any(counts)
    ]
    return Figure(
        title="Read length",
        caption="Short reads carry less evidence: of those that are foreign, fewer are called.",
        description=f"Histogram of read lengths by call, {number(edges[0])} to {number(edges[-1])} bases.",
        spec=spec,
        header=("from", "below", "in", "ood", "called ood"),
        rows=rows,
    )


def _windows(windows: WindowCounts) -> Figure | None:
    spec = charts.window_chart(windows.p_value_counts)
    if spec is None:
        return None
    return Figure(
        title="Windows",
        caption=(
            f"P-values of {windows.num_windows:,} windows that tile the reads; {windows.num_small:,} "
            f"({share(windows.num_small, windows.num_windows)}) are at most {WINDOW_LEVEL:g}. "
            "In-distribution windows give level bars."
        ),
        description=f"Histogram of the p-values of {windows.num_windows:,} windows.",
        spec=spec,
        header=("above", "to", "windows"),
        rows=_level_rows(windows.p_value_counts.tolist()),
    )


def _level_rows(counts: Sequence[int]) -> list[tuple[str, str, str]]:
    return [
        (f"{place / P_VALUE_BINS:g}", f"{(place + 1) / P_VALUE_BINS:g}", f"{count:,}")
        for place, count in enumerate(counts)
    ]


def number(value: float | None) -> str:
    """A number as tables show it: four digits; a dash where there is none."""
    if value is None or math.isnan(value):
        return "–"
    text = f"{value:,.0f}" if abs(value) >= 10_000 else f"{value + 0.0:.4g}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def share(part: int, whole: int) -> str:
    """A share in percent; a dash of nothing."""
    return f"{100 * part / whole:.3g} %" if whole else "–"
