"""How near the LSTM comes to the machine's matrix rate, in scoring and in training, on a CPU.

Each way of computing takes turns with a product of two square matrices, and what is printed is the median of
the ratios of floating-point operations a second; so what else the machine does weighs on both. Operations are
those of the recurrent, input and dense products; activations count as nothing. A training step is taken as
three times a scoring of the same reads, and recomputing as nothing.
"""

from __future__ import annotations

import argparse
import multiprocessing
import re
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from machine import describe
from torch import nn
from torch.utils.mkldnn import to_mkldnn

from genood.engine import Scorer
from genood.ensemble import load_bundle
from genood.files import write_json
from genood.metrics import separation
from genood.models import lstm
from genood.readers import ReadBlock, read_blocks
from genood.recipes import Stream, TrainConfig
from genood.reference.sampling import SampledReads
from genood.training.learners import density_learners

READ_LENGTH = 250
MATRIX = 2048
BATCHES = (32, 64, 128, 256)
STRETCHES = (8, 16, 32, 64, READ_LENGTH)


def main() -> None:
    arguments = parse_arguments()
    report: dict[str, Any] = {**describe(), "ratio to the fp32 matrix rate": {}}
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for units in arguments.units:
            bench = Bench(threads, units, arguments.rounds)
            key = f"{units} units, {threads} thread{'s' if threads > 1 else ''}"
            report["ratio to the fp32 matrix rate"][key] = found = {}
            for name, function, operations in bench.ways():
                if not re.search(arguments.only, name):
                    continue
                ratio = bench.ratio(function, operations)
                found[name] = round(ratio, 3)
                print(f"{key}: {name}: {ratio:.3f}", flush=True)
    if arguments.bundle is not None:
        report["precision"] = compare_precisions(arguments.bundle, arguments.inside, arguments.ood)
        print(report["precision"])
    arguments.out.mkdir(parents=True, exist_ok=True)
    write_json(arguments.out / "lstm_rate.json", report)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--out", type=Path, default=root / "bench-out")
    parser.add_argument("--units", type=int, nargs="+", default=[256])
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--bundle", type=Path, help="an LSTM's, to score with in fp32 and bf16")
    parser.add_argument("--inside", type=Path, help="reads to score with it, in-distribution")
    parser.add_argument("--ood", type=Path, help="others")
    parser.add_argument("--only", default="", help="a regular expression that names of ways match")
    return parser.parse_args()


def compare_precisions(directory: Path, inside: Path, ood: Path) -> dict[str, Any]:
    """AUROC of the ratio in fp32 and bf16, and how far the ratios are apart, nats per base."""
    bundle = load_bundle(directory, "cpu")
    blocks = [ReadBlock.joined(list(read_blocks([path]))) for path in (inside, ood)]
    scores = {}
    for precision in ("fp32", "bf16"):
        bundle.compute_in(precision)  # type: ignore[arg-type]
        scorer = Scorer(bundle, detectors=["llr"])
        sides = [[window.ood_scores["llr"] for window in scorer.score_blocks([block])] for block in blocks]
        scores[precision] = [np.concatenate(windows) for windows in sides]
    apart = np.abs(np.concatenate(scores["fp32"]) - np.concatenate(scores["bf16"]))
    return {
        "reads": [len(block.names) for block in blocks],
        "auroc": {precision: float(separation(*of_sides).auroc) for precision, of_sides in scores.items()},
        "largest difference": float(apart.max()),
        "mean difference": float(apart.mean()),
    }


class Bench:
    """The ways of computing at one size, with one number of threads."""

    def __init__(self, threads: int, units: int, rounds: int) -> None:
        self.threads = threads
        self.units = units
        self.rounds = rounds
        self.matrices = torch.randn(2, MATRIX, MATRIX)
        self.num_reads = 512 * threads if units <= 256 else 128 * threads
        self.codes = np.random.default_rng(0).integers(0, 4, (self.num_reads, READ_LENGTH), dtype=np.uint8)
        self.lengths = np.full(self.num_reads, READ_LENGTH)
        self.models = [lstm.LSTM(lstm.LSTMConfig(hidden_size=units)).eval() for _ in range(2)]

    def ways(self) -> Iterator[tuple[str, Callable[[], object], int]]:
        """Names of the ways, what to do, and the operations that it takes."""
        yield "bf16 matrix product", self.multiply(torch.bfloat16), 2 * MATRIX**3
        operations = self.operations(self.num_reads)
        plain = [nn.LSTM(4, self.units, batch_first=True) for _ in self.models]
        yield "scoring: plain nn.LSTM, whole batch", lambda: self.plain(plain), operations
        yield "scoring: genood", self.score, operations
        for batch in BATCHES:
            for stretch in STRETCHES:
                with sizes(batch, stretch):
                    yield f"scoring: {batch} reads, {stretch} bases", self.score, operations
        yield "scoring: bf16", lambda: self.score("bf16"), operations
        quantised = [torch.ao.quantization.quantize_dynamic(nn.Sequential(one), {nn.LSTM}) for one in plain]
        yield "scoring: int8", lambda: self.plain([one[0] for one in quantised]), operations
        if self.threads > 1:
            context = multiprocessing.get_context("spawn")
            with ProcessPoolExecutor(self.threads, context, start_process, (self.units,)) as pool:
                yield "scoring: processes", lambda: self.in_processes(pool), operations
        for precision in ("fp32", "bf16"):
            for batch in BATCHES:
                step = self.training(batch, precision)
                yield f"training: {precision}, {batch} reads", step, 3 * self.operations(batch)

    def operations(self, num_reads: int) -> int:
        """Of both models."""
        return (
            len(self.models)
            * num_reads
            * READ_LENGTH
            * 2
            * (4 * self.units * (self.units + 4) + 4 * self.units)
        )

    def multiply(self, dtype: torch.dtype) -> Callable[[], object]:
        """A product of two square matrices; in fp32 by torch's own library or by oneDNN, whichever is faster.

        The first takes vectors of half the width on some processors, which would be no ceiling.
        """
        first, second = self.matrices.to(dtype)
        if dtype != torch.float32:
            return lambda: first @ second
        layer = to_mkldnn(nn.Linear(MATRIX, MATRIX, bias=False).eval())
        given = first.to_mkldnn()

        def by_onednn() -> object:
            with torch.inference_mode():
                return layer(given)

        ways: tuple[Callable[[], object], ...] = (lambda: first @ second, by_onednn)
        return min(ways, key=lambda way: min(seconds(way) for _ in range(4)))

    def ratio(self, function: Callable[[], object], operations: int) -> float:
        """Median over rounds of operations a second, over those of the matrix product beside it."""
        multiply = self.multiply(torch.float32)
        function()
        took = seconds(function)
        products = max(1, round(took / seconds(multiply) / 2))
        found = []
        for _ in range(self.rounds):
            before = [seconds(multiply) for _ in range(products)]
            mine = seconds(function)
            after = [seconds(multiply) for _ in range(products)]
            rate = 2 * MATRIX**3 / statistics.mean(before + after)
            found.append(operations / mine / rate)
        return statistics.median(found)

    def plain(self, layers: list[nn.Module]) -> None:
        """The recurrent layers alone, all reads at once."""
        with torch.inference_mode():
            for layer in layers:
                layer(torch.zeros(self.num_reads, READ_LENGTH, 4))

    def score(self, precision: str = "fp32") -> None:
        """Both models, as `genood score` asks them."""
        for model in self.models:
            model.precision = precision
            model.log_probs(self.codes, self.lengths)

    def in_processes(self, pool: Executor) -> None:
        """The same in processes of one thread each."""
        list(pool.map(score_in_process, np.array_split(self.codes, self.threads)))

    def training(self, batch: int, precision: str) -> Callable[[], object]:
        """A step of both models; their reads are there already."""
        config = TrainConfig(
            steps=10**6, batch_size=batch, learning_rate=1e-4, read_length=READ_LENGTH, precision=precision
        )
        learners = density_learners("lstm", {"hidden_size": self.units}, config, torch.device("cpu"))
        reads = SampledReads(self.codes[:batch], np.zeros(batch, np.int64), np.zeros(batch, np.int64))

        def step() -> None:
            for learner in learners.values():
                learner.step(learner.seen(reads, Stream.MUTATION), 1)

        return step


@contextmanager
def sizes(num_reads: int, num_bases: int) -> Iterator[None]:
    """Let the LSTM take so many reads at a time, in stretches of so many bases."""
    with (
        mock.patch.object(lstm.LSTM, "reads_per_core", num_reads),
        mock.patch.object(lstm, "_MIN_STRETCH", num_bases),
        mock.patch.object(lstm, "_BASES_AT_ONCE", num_bases * num_reads),
    ):
        yield


def seconds(function: Callable[[], object]) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def start_process(units: int) -> None:
    torch.set_num_threads(1)
    globals()["MODELS"] = [lstm.LSTM(lstm.LSTMConfig(hidden_size=units)).eval() for _ in range(2)]


def score_in_process(codes: np.ndarray) -> None:
    for model in globals()["MODELS"]:
        model.log_probs(codes, np.full(len(codes), READ_LENGTH))


if __name__ == "__main__":
    main()
