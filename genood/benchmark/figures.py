"""The papers' figures of a benchmark: curves, classes, likelihood and ratio against GC content."""

from __future__ import annotations

from pathlib import Path

from genood.analyses import ReadScores
from genood.benchmark.methods import METHODS
from genood.benchmark.running import Benchmark, Result

FIGURES = "figures"
_LIKELIHOODS = ("likelihood", "context-likelihood", "markov-likelihood")
_RATIOS = ("llr", "llr-mu", "context-llr", "markov-llr")
"""Methods whose scores are shown alone, the first of those that there are."""


def check_drawing() -> None:
    """Raise ConfigError where there is nothing to draw figures with."""
    import genood.plots  # noqa: F401


def draw_figures(benchmark: Benchmark) -> list[Path]:
    """Draw the figures of `genood.plots.draw_all` of the first seed, in a directory beside the tables.

    Parameters
    ----------
    benchmark
        With all its cells done.

    Returns
    -------
    files
        All that were written.

    Raises
    ------
    ConfigError
        See `check_drawing`.
    """
    from genood.plots import draw_all

    results = [result for result in benchmark.results() if result.seed == benchmark.seeds[0]]
    there = {result.method: METHODS[result.method].title for result in results}
    return draw_all(
        Path(benchmark.job.output) / FIGURES,
        read_scores_of(benchmark, results),
        likelihood=next((there[name] for name in _LIKELIHOODS if name in there), None),
        ratio=next((there[name] for name in _RATIOS if name in there), None),
    )


def read_scores_of(benchmark: Benchmark, results: list[Result]) -> ReadScores:
    """The test reads of one seed, and what each method says of them, by its title."""
    sides = (results[0].inside, results[0].ood)
    origins = [benchmark.dataset.splits[side.split].origins().iloc[side.rows] for side in sides]
    inside, ood = origins
    return ReadScores.of_sides(
        classes=(inside["class"].tolist(), ood["class"].tolist()),
        gc=(inside["gc"].to_numpy(), ood["gc"].to_numpy()),
        ood_scores={
            METHODS[result.method].title: (result.scores.inside[0], result.scores.ood[0])
            for result in results
        },
    )
