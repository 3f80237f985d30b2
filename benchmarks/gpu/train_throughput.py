"""Bases a second of training foreground and background LSTM, beside a matrix product in the same run.

Whole steps as `genood train` takes them, by units, reads a step and precision; ratios are of the models'
operations a second over those of a matrix product in the same precision. Beside them a plain loop of
`nn.LSTM` in float32, one model after the other, with reads from NumPy and the loss read at each step; what
data cost, whoever draws them; and what `step_model.py` says is the least time on an H100.
"""

from __future__ import annotations

import argparse
import json
from typing import Any, get_args
from unittest.mock import patch

import torch
from measuring import (
    block_of,
    device_of,
    genomes_of,
    in_memory_of,
    matrix_rates,
    parser_of,
    precisions_of,
    seconds_of,
    with_units,
    written,
)
from step_model import DEVICES, Step
from torch import nn
from torch.nn import functional as F

from genood.recipes import Stream, TrainConfig
from genood.reference.genomes import Genomes
from genood.reference.sampling import ReadSampler
from genood.training.distributed import ALONE
from genood.training.feeding import Drawing, Feed, Seen, feed_of
from genood.training.learners import density_learners
from genood.training.stepping import Launched, Stepper


def main() -> None:
    arguments = parse_arguments()
    device = device_of(arguments)
    rates = matrix_rates(device)
    genomes = genomes_of(arguments)
    report: dict[str, Any] = {"matrix product FLOP/s": rates, "steps": {}, "data": {}}
    for units in arguments.hidden_size:
        for reads in arguments.batch_sizes:
            found: dict[str, Any] = {}
            for precision in precisions_of(device):
                seconds = in_memory_of(
                    device, lambda u=units, r=reads, p=precision: step_seconds(u, r, p, genomes, arguments)
                )
                found[precision] = seconds and told(seconds, units, reads, rates[precision], arguments)
            plain = in_memory_of(device, lambda u=units, r=reads: plain_seconds(u, r, genomes, arguments))
            found["plain fp32 loop"] = plain and told(plain, units, reads, rates["fp32"], arguments)
            report["steps"][f"{units} units, {reads} reads"] = found
            print(units, reads, json.dumps(found, indent=2), flush=True)
    units, reads = arguments.hidden_size[0], arguments.batch_sizes[0]
    report["data"] = {
        "units": units,
        "reads": reads,
        "seconds a step": {
            drawing or "the same reads again": step_seconds(units, reads, "bf16", genomes, arguments, drawing)
            for drawing in (*get_args(Drawing)[1:], None)
        },
    }
    print(json.dumps(report["data"], indent=2))
    print(written("train-throughput", report, arguments))


def parse_arguments() -> argparse.Namespace:
    return with_units(parser_of(__doc__)).parse_args()


def told(
    seconds: float, units: int, reads: int, rate: float, arguments: argparse.Namespace
) -> dict[str, float]:
    """What a step's seconds mean."""
    step = Step(units=units, reads=reads, length=arguments.read_length)
    return {
        "seconds a step": seconds,
        "bases a second, of both models": step.models * step.bases / seconds,
        "over the matrix product": step.flops / seconds / rate,
        "least seconds, H100, bf16": step.seconds(DEVICES[0]),
    }


class Repeated:
    """A feed that gives the same examples at each step, drawn once."""

    def __init__(self, feed: Feed, roles: Any) -> None:
        seen = feed.step(1, ())
        self._examples = {role: seen(role) for role in roles}

    def step(self, step: int, again: tuple[int, ...]) -> Seen:
        """See `Feed.step`."""
        return self._examples.__getitem__

    def close(self) -> None:
        """See `Feed.close`."""


def step_seconds(
    units: int,
    reads: int,
    precision: str,
    genomes: Genomes,
    arguments: argparse.Namespace,
    drawing: Drawing | None = "auto",
) -> float:
    """Of a step as `genood train` takes it, losses read a step late; without `drawing`, of the same reads."""
    device = device_of(arguments)
    config = TrainConfig(
        steps=10**6,
        batch_size=reads,
        learning_rate=5e-4,
        read_length=arguments.read_length,
        precision="bf16" if precision == "bf16" else "fp32",
    )
    learners = density_learners("lstm", {"hidden_size": units, "dropout": 0.1}, config, device)
    sampler = ReadSampler(genomes, arguments.read_length, (0, Stream.READS))
    feed = feed_of(sampler, learners, reads, device, ALONE, drawing or "auto")
    if drawing is None:
        feed = Repeated(feed, learners)
    stepper = Stepper(learners, feed, 0, device, ALONE)
    unread: list[Launched] = []
    number = 0

    def step() -> None:
        nonlocal number
        number += 1
        unread.append(stepper.launch(number, ()))
        if len(unread) > 1:
            unread.pop(0).read()
        stepper.update(unread[-1], 5e-4)

    def in_block(at: torch.device, _: str) -> Any:
        return block_of(at, precision)

    try:
        with patch("genood.training.learners.computing", in_block):
            return seconds_of(step, device, arguments.seconds)
    finally:
        stepper.close()


def plain_seconds(units: int, reads: int, genomes: Genomes, arguments: argparse.Namespace) -> float:
    """Of a step as it is often written."""
    device = device_of(arguments)
    sampler = ReadSampler(genomes, arguments.read_length, (0, Stream.READS))
    layers = [nn.LSTM(4, units, batch_first=True).to(device) for _ in range(2)]
    outputs = [nn.Linear(units, 4).to(device) for _ in range(2)]
    pairs = [
        (layer, output, torch.optim.Adam([*layer.parameters(), *output.parameters()], lr=5e-4))
        for layer, output in zip(layers, outputs, strict=True)
    ]
    number = 0

    def step() -> None:
        nonlocal number
        number += 1
        codes = torch.from_numpy(sampler.sample(number, reads).codes).to(device).long()
        for layer, output, optimizer in pairs:
            states, _ = layer(F.one_hot(codes[:, :-1], 4).float())
            loss = F.cross_entropy(output(states).flatten(0, 1), codes[:, 1:].flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()

    with block_of(device, "fp32"):
        return seconds_of(step, device, arguments.seconds)


if __name__ == "__main__":
    main()
