"""The page of a big run is no bigger than that of a small one."""

from __future__ import annotations

import numpy as np

from genood.report.accumulate import RunAccumulator, ScoreColumns
from genood.report.page import MOST_TRACE_BASES, render
from genood.report.run import Run
from genood.report.traces import Trace

MOST_BYTES = 5_000_000


def columns_of(num_reads: int, seed: int) -> ScoreColumns:
    """Reads that fill as many bins as they can: of all GC contents, scores and lengths."""
    generator = np.random.default_rng(seed)
    lengths = np.exp(generator.uniform(np.log(50), np.log(300_000), num_reads)).astype(np.int64)
    scores = generator.uniform(-2, 1, num_reads)
    p_values = generator.uniform(0, 1, num_reads)
    return ScoreColumns(
        names=["x" * 300] * num_reads,
        mates=np.zeros(num_reads, dtype=np.int64),
        lengths=lengths,
        num_scored=lengths,
        gc=generator.uniform(0, 1, num_reads),
        llr_per_base=-scores,
        ood_scores=scores,
        p_values=p_values,
        calls=(p_values <= 0.05).astype(np.int64),
        others={f"detector{i}": generator.normal(scores, 1) for i in range(2)},
        classes=[f"class {i % 5000}" for i in range(num_reads)],
    )


def page_size(num_parts: int) -> int:
    counts = RunAccumulator()
    for seed in range(num_parts):
        counts.add(columns_of(100_000, seed))
    return len(render([Run(name="run", table="run.tsv", counts=counts)], "run").encode())


def test_size_does_not_grow_with_reads() -> None:
    """All bins are full at 100,000 reads; of ten times as many only the numbers are longer."""
    small, big = page_size(1), page_size(10)
    assert small < big < 1.05 * small
    assert big < MOST_BYTES // 3


def test_traces_have_a_bound() -> None:
    counts = RunAccumulator(num_top=100)
    counts.add(columns_of(1000, 1))
    values = np.random.default_rng(2).normal(0, 1, 30_000)
    trace = Trace(bases="A" * 30_000, log_p=values, llr=values)
    traces = {read.row: trace for read in counts.top_reads}
    run = Run(name="run", table="run.tsv", counts=counts, traces=traces)
    page = render([run] * 2, "run")
    assert page.count('"bases"') == 2 * (MOST_TRACE_BASES // 2 // 30_000)
    assert len(page.encode()) < MOST_BYTES
