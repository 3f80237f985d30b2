"""The figures of a benchmark, of the test reads of its first seed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from genood.benchmark.methods import METHODS
from genood.benchmark.reads import Side
from genood.benchmark.running import Benchmark, Result
from genood.ensemble import AnyBundle
from genood.evaluation.analyses import ReadScores, read_distances
from genood.evaluation.position_maps import PositionMap, spread_reads
from genood.forward import forward
from genood.plots import draw_all

_PAIRS = (
    ("likelihood", "llr"),
    ("context-likelihood", "context-llr"),
    ("sketch-likelihood", "sketch-llr"),
    ("markov-likelihood", "markov-llr"),
)
"""Methods that are a log-likelihood and a ratio of one kind of model; the first that is there is drawn."""
_SPLITS = ("test_in", "test_ood")
_CLASSIFIER = "cnn"
"""The source whose classes the table of classes counts."""


def draw_benchmark(benchmark: Benchmark, distances: str | None = None) -> list[Path]:
    """Draw all figures of a benchmark whose cells are done into its folder ``figures``.

    Parameters
    ----------
    benchmark
        Those of its first seed are drawn.
    distances
        Table of OOD classes that ``genood-prep distance --classes-out`` writes.

    Returns
    -------
    files
        What was written.

    Raises
    ------
    GenoodError
        The table cannot be read, or has none of the classes.
    """
    found = {result.method: result for result in benchmark.results() if result.seed == benchmark.seeds[0]}
    # Read before the work that follows.
    table = None if distances is None else read_distances(distances, "test_ood")
    likelihood, ratio = next((pair for pair in _PAIRS if set(pair) <= set(found)), (None, None))
    scores = read_scores_of(benchmark, found.values())
    positions = None
    if ratio is not None:
        positions = _positions(benchmark, found[ratio], scores)
    return draw_all(
        Path(benchmark.job.output) / "figures",
        scores,
        likelihood=None if likelihood is None else METHODS[likelihood].title,
        ratio=None if ratio is None else METHODS[ratio].title,
        distances=table,
        positions=positions,
    )


def read_scores_of(benchmark: Benchmark, results: Iterable[Result]) -> ReadScores:
    """The test reads of one seed, what methods, under their titles, say, and a classifier's classes."""
    by_title = {METHODS[result.method].title: result for result in results}
    first = next(iter(by_title.values()))
    plain = next((one for one in by_title.values() if METHODS[one.method].source == _CLASSIFIER), None)
    origins = _origins(benchmark, first)
    in_origins, ood_origins = (origins[split] for split in _SPLITS)
    return ReadScores.of_sides(
        classes=(in_origins["class"].tolist(), ood_origins["class"].tolist()),
        gc=(in_origins["gc"], ood_origins["gc"]),
        ood_scores={
            title: (result.scores.inside[0], result.scores.ood[0]) for title, result in by_title.items()
        },
        predicted=None if plain is None else _predicted(benchmark, plain),
    )


def _predicted(benchmark: Benchmark, result: Result) -> tuple[list[str], list[str]]:
    """The class that the classifier gives each test read, of either side."""
    bundle = benchmark.chosen_bundle(result.method, result.seed)
    classes = benchmark.classes
    inside, ood = ([classes[k] for k in _leading(bundle, side)] for side in (result.inside, result.ood))
    return inside, ood


def _leading(bundle: AnyBundle, side: Side) -> Iterator[int]:
    for codes, lengths in side.batches(bundle.model.batch_bases // side.read_length):
        leading = forward(bundle, codes, lengths, names=True).leading
        assert leading is not None
        yield from leading.tolist()


def _origins(benchmark: Benchmark, result: Result) -> Mapping[str, pd.DataFrame]:
    """Class and GC content of the test reads, by split."""
    return {
        side.split: benchmark.dataset.splits[side.split].origins().iloc[side.rows]
        for side in (result.inside, result.ood)
    }


def _positions(benchmark: Benchmark, result: Result, scores: ReadScores) -> PositionMap:
    """What the models of a ratio say of each position of some test reads, which are spread by score."""
    rows = spread_reads(scores, METHODS[result.method].title)
    is_ood = scores.is_ood[rows]
    codes = np.concatenate(
        [result.inside.codes(rows[~is_ood]), result.ood.codes(rows[is_ood] - result.inside.num_reads)]
    )
    lengths = np.full(len(codes), codes.shape[1], dtype=np.int64)
    batch = forward(benchmark.chosen_bundle(result.method, result.seed), codes, lengths)
    log_p, background = (
        np.where(batch.mask, values, np.nan).astype(np.float64)
        for values in (batch.log_p, batch.background_log_p)
    )
    places = np.concatenate([result.inside.rows, result.ood.rows])[rows]
    return PositionMap(
        names=[f"{_SPLITS[ood]}:{place}" for ood, place in zip(is_ood.astype(int), places, strict=True)],
        classes=scores.classes[rows].tolist(),
        is_ood=is_ood,
        codes=codes,
        log_p=log_p,
        background_log_p=background,
    )
