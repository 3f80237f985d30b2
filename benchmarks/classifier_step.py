"""What a step of the classifier costs, in training and in scoring, on a CPU.

The one product that cannot be left out, of all windows of all reads with all filters, over the time of each
way to do a step: genood's, and two that compute the same by autograd alone, from a convolution and from that
product. All take turns; what is printed is the median of the ratios. Of 1 there is no more to gain.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from machine import describe
from torch import Tensor
from torch.nn import functional as F

from genood.files import write_json
from genood.models.cnn import CNN, CNNConfig

READS, READ_LENGTH, NUM_CLASSES = 100, 250, 10
FILTERS = (128, 500, 1000)


def main() -> None:
    arguments = parse_arguments()
    report: dict[str, Any] = {**describe(), "the product over a step": {}}
    for threads in arguments.threads:
        torch.set_num_threads(threads)
        for filters in FILTERS:
            key = f"{filters} filters, {threads} thread{'s' if threads > 1 else ''}"
            found = Bench(filters).ratios(arguments.rounds)
            report["the product over a step"][key] = found
            print(key, *(f"{name}: {ratio:.2f}" for name, ratio in found.items()), sep="\n  ", flush=True)
    if arguments.output is not None:
        write_json(arguments.output, report)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--output", type=Path)
    return parser.parse_args()


class Bench:
    """A classifier and the reads of a step."""

    def __init__(self, filters: int) -> None:
        torch.manual_seed(1)
        self.model = CNN(
            CNNConfig(num_classes=NUM_CLASSES, num_filters=filters, hidden_size=filters, dropout=0.0)
        )
        self.codes = torch.randint(0, 4, (READS, READ_LENGTH), dtype=torch.uint8)
        self.lengths = torch.full((READS,), READ_LENGTH)
        self.labels = torch.randint(0, NUM_CLASSES, (READS,))
        width = self.model.filters.in_features // 4
        self.windows = self._one_hot().flatten(1).unfold(1, 4 * width, 4).reshape(-1, 4 * width)

    def ratios(self, rounds: int) -> dict[str, float]:
        """The product's time over that of each way, by name."""
        ways = {"genood": self._genood, "autograd of a convolution": self._convolution}
        ways["autograd of the product"] = self._product
        steps: dict[str, Callable[[], object]] = {}
        for name, logits in ways.items():
            steps[f"training, {name}"] = lambda logits=logits: self._gradients(logits)
            steps[f"scoring, {name}"] = torch.inference_mode()(logits)
        self._check(ways)
        found: dict[str, list[float]] = defaultdict(list)
        for _ in range(rounds):
            product = seconds(lambda: self.windows @ self.model.filters.weight.detach().T)
            for name, step in steps.items():
                found[name].append(product / seconds(step))
        return {name: round(statistics.median(ratios), 3) for name, ratios in found.items()}

    def _one_hot(self) -> Tensor:
        return self.model.one_hot(self.codes)

    def _genood(self) -> Tensor:
        logits: Tensor = self.model(self.codes, self.lengths)
        return logits

    def _convolution(self) -> Tensor:
        filters = self.model.filters
        kernels = filters.weight.view(filters.out_features, -1, 4).transpose(1, 2)
        return self._logits(F.conv1d(self._one_hot().transpose(1, 2), kernels, filters.bias).amax(dim=2))

    def _product(self) -> Tensor:
        windows = self._one_hot().flatten(1).unfold(1, self.windows.shape[1], 4)
        return self._logits(self.model.filters(windows).max(dim=1).values)

    def _logits(self, pooled: Tensor) -> Tensor:
        logits: Tensor = self.model.output(torch.relu(self.model.dense(torch.relu(pooled))))
        return logits

    def _gradients(self, logits: Callable[[], Tensor]) -> tuple[Tensor, ...]:
        return torch.autograd.grad(F.cross_entropy(logits(), self.labels), list(self.model.parameters()))

    def _check(self, ways: Mapping[str, Callable[[], Tensor]]) -> None:
        """All ways compute the same."""
        first, *others = (self._gradients(logits) for logits in ways.values())
        for gradients in others:
            for one, other in zip(first, gradients, strict=True):
                torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-6)


def seconds(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
