"""A model of a step of the LSTM on a GPU: operations, bytes, launches, and what time they leave.

Of foreground and background side by side, one layer each, in bfloat16 with float32 master weights. Peaks
are the vendor's, so that all times are bounds: no step is faster, and how much slower it is, is to be
measured. Prints the tables; with `--update`, writes those of `docs/gpu.md` anew. `--count` runs a small
step on the CPU and counts its operations, and what is launched beside the LSTM.

An LSTM is a chain: the product of a position waits for that of the position before. Of each position the
slowest of three is taken: its operations at the peak rate; its bytes at the memory's, among them the
recurrent weights unless the cache holds those of both models; and a least time for two kernels that wait
for each other. What needs no chain, products over all positions at once and Adam, is the slower of
operations and bytes.
"""

from __future__ import annotations

import argparse
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "docs" / "gpu.md"
NUM_BASES = 4
GATES = 4
MODELS = 2
LENGTH = 250
UNITS = (256, 1024, 2000)
BATCHES = (100, 400, 1000)
WIDTH, MASTER_WIDTH = 2, 4
"""Bytes of a value in bfloat16, and of a master weight."""
POSITION_SECONDS = 5e-6
"""Assumed: the least time of a position, a product and what is done to the gates after it."""
KERNELS_A_POSITION = 2


@dataclass(frozen=True, kw_only=True)
class Device:
    """What a vendor publishes: dense bfloat16 products a second, bytes a second of memory, bytes of cache."""

    name: str
    flops: float
    bytes_per_second: float
    cache_bytes: float


DEVICES = (
    Device(name="H100 SXM", flops=989.4e12, bytes_per_second=3.35e12, cache_bytes=50e6),
    Device(name="H200 SXM", flops=989.4e12, bytes_per_second=4.8e12, cache_bytes=50e6),
)


@dataclass(frozen=True, kw_only=True)
class Work:
    """Operations (products and sums apart) and bytes to and from memory."""

    flops: float
    bytes: float

    def seconds(self, device: Device) -> float:
        """The slower of the two."""
        return max(self.flops / device.flops, self.bytes / device.bytes_per_second)


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of both models: `reads` of `length` bases, through `units` hidden units, trained or scored."""

    units: int
    reads: int
    length: int = LENGTH
    training: bool = True
    models: int = MODELS

    @property
    def bases(self) -> int:
        """Of the reads, not counted once a model."""
        return self.reads * self.length

    @property
    def num_weights(self) -> int:
        """Of one model, in products."""
        return GATES * self.units * (self.units + NUM_BASES) + NUM_BASES * self.units

    @property
    def forward_flops(self) -> int:
        """Of all models: two for each weight and base."""
        return 2 * self.models * self.bases * self.num_weights

    @property
    def flops(self) -> int:
        """Backwards it is twice as many, but for the bases, which have no gradient."""
        if not self.training:
            return self.forward_flops
        of_inputs = 2 * self.models * self.bases * GATES * self.units * NUM_BASES
        return 3 * self.forward_flops - of_inputs

    @property
    def recurrent_bytes(self) -> int:
        """The recurrent weights of all models."""
        return self.models * GATES * self.units**2 * WIDTH

    def positions(self, device: Device, *, kept: bool = False) -> list[Work]:
        """What each position takes, forwards and, in training, backwards.

        Forwards it reads the gates' inputs, the output and the cell before; it writes both, and in
        training the gates. Backwards it reads the gates, both cells, and three gradients that arrive; it
        writes those of the gates, and two for the position before.

        `kept`: as if the recurrent weights never left the chip.
        """
        flops = 2 * self.models * self.reads * GATES * self.units**2
        held = kept or self.recurrent_bytes <= device.cache_bytes
        weights = 0 if held else self.recurrent_bytes
        values = [GATES + 2 + 2 + GATES, GATES + 2 + 3 + GATES + 2] if self.training else [GATES + 2 + 2]
        per_unit = self.models * self.reads * self.units * WIDTH
        return [Work(flops=flops, bytes=weights + number * per_unit) for number in values]

    @property
    def at_once(self) -> Work:
        """Products over all positions, and Adam.

        Forwards, the gates' inputs are written and the outputs read by the dense layer. Backwards, the
        gates' gradients are read twice and the outputs twice, for the gradients of three matrices, and
        the outputs' gradients written. Adam reads four values of a weight and writes three, and the
        bfloat16 weights are made of them.
        """
        chain = len(self.positions(DEVICES[0])) * self.length
        flops = self.flops - chain * self.positions(DEVICES[0])[0].flops
        values = GATES + 1 + (2 * GATES + 2 + 1 if self.training else 0)
        activations = values * self.models * self.bases * self.units * WIDTH
        per_weight = 7 * MASTER_WIDTH + MASTER_WIDTH + WIDTH if self.training else WIDTH
        return Work(flops=flops, bytes=activations + per_weight * self.models * self.num_weights)

    @property
    def launches(self) -> int:
        """Kernels of the chain."""
        return (2 if self.training else 1) * self.length * KERNELS_A_POSITION * self.models

    def bytes(self, device: Device) -> float:
        """To and from memory."""
        return self.at_once.bytes + self.length * sum(work.bytes for work in self.positions(device))

    def seconds(self, device: Device, *, kept: bool = False, least: float = POSITION_SECONDS) -> float:
        """The bound."""
        chain = sum(max(work.seconds(device), least) for work in self.positions(device, kept=kept))
        return self.length * chain + self.at_once.seconds(device)

    def ratio(self, device: Device, *, kept: bool = False) -> float:
        """Operations a second over the device's peak."""
        return self.flops / self.seconds(device, kept=kept) / device.flops


def number(value: float) -> str:
    """Three digits, without an exponent."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def share(value: float) -> str:
    """In percent."""
    return f"{value:.0%}".replace("%", " %")


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def steps(*, training: bool) -> str:
    """What a step takes, by units and reads."""
    first, second = DEVICES
    rows = []
    for units in UNITS:
        for reads in BATCHES:
            step = Step(units=units, reads=reads, training=training)
            rows.append(
                [
                    str(units),
                    str(reads),
                    number(step.flops / 1e12),
                    number(step.bytes(first) / 1e9),
                    number(step.flops / step.bytes(first)),
                    f"{step.launches:,}",
                    number(step.seconds(first) * 1e3),
                    number(step.models * step.bases / step.seconds(first) / 1e6),
                    share(step.ratio(first)),
                    share(step.ratio(second)),
                    share(step.ratio(first, kept=True)),
                ]
            )
    header = ["units", "reads", "TFLOP", "GB", "FLOP/byte", "launches", "ms", "10⁶ bases/s"]
    return table(
        [*header, f"of the peak, {first.name}", second.name, f"{first.name}, weights on the chip"], rows
    )


def devices() -> str:
    """What is known of the devices."""
    rows = [
        [
            device.name,
            number(device.flops / 1e12),
            number(device.bytes_per_second / 1e12),
            number(device.cache_bytes / 1e6),
            number(device.flops / device.bytes_per_second),
        ]
        for device in DEVICES
    ]
    return table(["", "bf16 TFLOP/s", "TB/s", "cache, MB", "FLOP/byte at which both are busy"], rows)


SECTIONS: dict[str, Callable[[], str]] = {
    "devices": devices,
    "training": lambda: steps(training=True),
    "scoring": lambda: steps(training=False),
}


def updated(page: str) -> str:
    """The page with its tables as they are now: each between `<!-- step: NAME -->` and `<!-- end -->`."""

    def section(match: re.Match[str]) -> str:
        return f"{match[1]}\n{SECTIONS[match[2]]()}\n{match[3]}"

    return re.sub(r"(<!-- step: (\w+) -->).*?(<!-- end -->)", section, page, flags=re.DOTALL)


def counted_flops(units: int, reads: int, length: int) -> tuple[int, int]:
    """Operations that torch counts in one model on the CPU: scored, and trained."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from genood.models.lstm import LSTM, LSTMConfig

    model = LSTM(LSTMConfig(hidden_size=units)).train()
    codes = torch.randint(0, NUM_BASES, (reads, length), dtype=torch.uint8)
    # oneDNN's LSTM is one operation, which is not counted.
    torch._C._set_mkldnn_enabled(False)
    try:
        with FlopCounterMode(display=False) as forward:
            loss = -model(codes, torch.full((reads,), length)).mean()
        with FlopCounterMode(display=False) as backward:
            torch.autograd.grad(loss, list(model.parameters()))
    finally:
        torch._C._set_mkldnn_enabled(True)
    return forward.get_total_flops(), forward.get_total_flops() + backward.get_total_flops()


def counted_launches(units: int, reads: int, length: int) -> Counter[str]:
    """Operations of a training step of both models that a GPU would launch, the LSTM's own apart, by name.

    Of the second step, as the first one makes Adam's state. Reads are drawn by torch. Views are none; what
    cuDNN does is not seen on a CPU.
    """
    import numpy as np
    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    from genood.recipes import Stream, TrainConfig
    from genood.reference.genomes import GenomeFile, Genomes
    from genood.reference.sampling import ReadSampler
    from genood.training.distributed import ALONE
    from genood.training.feeding import feed_of
    from genood.training.learners import density_learners
    from genood.training.stepping import Stepper

    codes = np.random.default_rng(0).integers(0, NUM_BASES, 10 * length, dtype=np.uint8)
    file = GenomeFile(
        name="", class_name="", num_records=1, num_bases=len(codes), usable_bases=len(codes), sha256=""
    )
    zero = np.zeros(1, dtype=np.int64)
    ends = zero + len(codes)
    genomes = Genomes(
        codes=codes, starts=zero, lengths=ends, labels=zero, classes=("",), file_ends=ends, files=(file,)
    )
    config = TrainConfig(steps=1, batch_size=reads, learning_rate=1e-3, read_length=length)
    cpu = torch.device("cpu")
    shape = {"hidden_size": units, "dropout": 0.1}  # with dropout, all is done in this thread
    learners = density_learners("lstm", shape, config, cpu)
    for learner in learners.values():
        learner.optimizer = torch.optim.Adam(learner.parameters.values(), fused=True)  # as on a GPU
    sampler = ReadSampler(genomes, length, (0, Stream.READS))
    feed = feed_of(sampler, learners, reads, cpu, ALONE, "torch-held")
    found: Counter[str] = Counter()

    class Counting(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            name = func.overloadpacket.__name__
            if not func.is_view and not re.search("rnn|lstm|^empty|^detach|^_record_function", name):
                found[name] += 1
            return func(*args, **(kwargs or {}))

    stepper = Stepper(learners, feed, 0, cpu, ALONE)
    stepper.update(stepper.launch(1, ()), 1e-3)
    with Counting():
        stepper.update(stepper.launch(2, ()), 1e-3)
    return found


def main() -> None:
    arguments = parse_arguments()
    if arguments.update:
        PAGE.write_text(updated(PAGE.read_text()))
    elif arguments.count:
        scored, trained = counted_flops(64, 8, 20)
        expected = [
            Step(units=64, reads=8, length=20, models=1, training=training) for training in (False, True)
        ]
        print("counted over predicted operations, scored and trained:", end=" ")
        print(scored / expected[0].flops, trained / expected[1].flops)
        beside = counted_launches(64, 8, 20)
        print(f"launched beside the LSTM in a training step: {beside.total()}")
        print(", ".join(f"{name} {times}" for name, times in beside.most_common()))
    else:
        print("\n\n".join(f"{name}\n\n{section()}" for name, section in SECTIONS.items()))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--update", action="store_true", help="write the tables of docs/gpu.md anew")
    parser.add_argument("--count", action="store_true", help="count what a small step does on the CPU")
    return parser.parse_args()


if __name__ == "__main__":
    main()
