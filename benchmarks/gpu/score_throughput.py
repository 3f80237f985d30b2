"""Reads a second of scoring with foreground and background LSTM, beside a matrix product in the same run.

From reads in memory, by reads at a time and precision; and by `genood score`, from a FASTQ.gz to a table,
with a bundle of the same size. Ratios are of the model's operations a second over those of a matrix product
in the same precision. Beside them what `step_model.py` says is the least time on an H100.
"""

from __future__ import annotations

import argparse
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import (
    ROOT,
    block_of,
    device_of,
    files_of,
    genood,
    in_memory_of,
    matrix_rates,
    parser_of,
    precisions_of,
    seconds_of,
    uniform_reads,
    with_units,
    written,
)
from step_model import DEVICES, Step

from genood.models.lstm import LSTM, LSTMConfig
from genood.sequence import decode


def main() -> None:
    arguments = parse_arguments()
    device = device_of(arguments)
    rates = matrix_rates(device)
    report: dict[str, Any] = {"matrix product FLOP/s": rates, "in memory": {}, "command": {}}
    for units in arguments.hidden_size:
        models = [LSTM(LSTMConfig(hidden_size=units)).to(device).eval() for _ in range(2)]
        for reads in arguments.batch_sizes:
            report["in memory"][f"{units} units, {reads} reads at a time"] = {
                precision: of_memory(models, units, reads, precision, rates[precision], arguments)
                for precision in precisions_of(device)
            }
        if not arguments.no_command:
            report["command"][f"{units} units"] = {
                precision: of_command(units, precision, arguments) for precision in ("fp32", "bf16")
            }
        print(units, json.dumps(report["in memory"], indent=2), flush=True)
    path = written("score-throughput", report, arguments)
    print(path)


def parse_arguments() -> argparse.Namespace:
    parser = with_units(parser_of(__doc__))
    parser.add_argument("--reads", type=int, default=100_000, help="of the FASTQ.gz")
    parser.add_argument("--no-command", action="store_true", help="only reads in memory")
    return parser.parse_args()


def of_memory(
    models: list[LSTM], units: int, reads: int, precision: str, rate: float, arguments: argparse.Namespace
) -> dict[str, float] | None:
    """Both models on codes that are on the device; results stay there."""
    device = device_of(arguments)
    codes = torch.from_numpy(uniform_reads(reads, arguments.read_length)).to(device)
    lengths = torch.full((reads,), arguments.read_length, device=device)

    def score() -> None:
        with torch.inference_mode(), block_of(device, precision):
            for model in models:
                model(codes, lengths)

    seconds = in_memory_of(device, lambda: seconds_of(score, device, arguments.seconds))
    if seconds is None:
        return None
    step = Step(units=units, reads=reads, length=arguments.read_length, training=False)
    return {
        "seconds": seconds,
        "reads a second": reads / seconds,
        "bases a second": step.bases / seconds,
        "over the matrix product": step.flops / seconds / rate,
        "least seconds, H100, bf16": step.seconds(DEVICES[0]),
    }


def of_command(units: int, precision: str, arguments: argparse.Namespace) -> dict[str, float | None]:
    """`genood score` from a file, and from one of a single read, which is its start."""
    folder = ROOT / "bench-out" / "gpu"
    folder.mkdir(parents=True, exist_ok=True)
    bundle = folder / f"score-{units}-{arguments.read_length}"
    if not (bundle / "genood.json").is_file():
        shape = ["--hidden-size", units, "--read-length", arguments.read_length, "--steps", 2]
        how = ["--preset", "demo", "--device", arguments.device, "-q"]
        genood("train", *files_of(arguments)[:1], "-o", bundle, "--model", "lstm", *shape, *how)
    seconds = {}
    for name, number in (("start", 1), ("all", arguments.reads)):
        reads = fastq(folder / f"reads-{number}-{arguments.read_length}.fastq.gz", number, arguments)
        table = folder / "scores.tsv"
        options = ["--device", arguments.device, "--precision", precision, "-q", "-o", table]
        seconds[name] = genood("score", "-m", bundle, reads, *options)
    scoring = seconds["all"] - seconds["start"]
    rate = arguments.reads / scoring if scoring > 0 else None  # with too few reads to tell
    return {
        "reads": arguments.reads,
        "seconds": seconds["all"],
        "seconds to start": seconds["start"],
        "reads a second": rate,
        "bases a second": rate and rate * arguments.read_length,
    }


def fastq(path: Path, number: int, arguments: argparse.Namespace) -> Path:
    """A file of so many reads of random bases; what they are does not matter to the time."""
    if not path.is_file():
        codes = uniform_reads(number, arguments.read_length)
        quality = "I" * arguments.read_length
        with gzip.open(path, "wt", compresslevel=1) as stream:
            for i, read in enumerate(np.ascontiguousarray(codes)):
                stream.write(f"@r{i}\n{decode(read)}\n+\n{quality}\n")
    return path


if __name__ == "__main__":
    main()
