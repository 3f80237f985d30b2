"""A small benchmark that several tests share."""

from __future__ import annotations

from pathlib import Path

from genood.benchmark.running import Benchmark, BenchmarkJob

METHODS = ("likelihood", "llr-mu", "llr", "markov-llr")


def run_benchmark(
    dataset: Path, output: Path, *, methods: tuple[str, ...] = METHODS, num_seeds: int = 1
) -> tuple[Benchmark, list[str]]:
    """Compute all cells; also what had to be computed."""
    computed: list[str] = []
    job = BenchmarkJob(
        dataset=str(dataset), output=str(output), methods=methods, scale="smoke", num_seeds=num_seeds
    )
    benchmark = Benchmark(job, device="cpu", progress=computed.append)
    assert benchmark.run()
    return benchmark, computed
