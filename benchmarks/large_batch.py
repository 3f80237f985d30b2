"""The paper's recipe beside a tenth of its steps with larger batches: validation loss by steps and time.

The paper's recipe has a constant learning rate of 5e-4 and 100 reads a step. The others take a tenth of
its steps, with larger batches, a warm-up, half a cosine and clipped gradients; one of them with batches
no larger, to tell what the schedule does from what the batch does. All train the foreground model of the
same shape, from the same weights, and are validated on the same held-out reads. Prints the losses, and
what share of the paper's fall of the loss each reaches; with `--update`, writes the table of
`docs/long_training.md` anew, of `large_batch.json` beside this script.
"""

from __future__ import annotations

import argparse
import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from machine import describe
from real import genomes_by_split

from genood.bundle import ROLES
from genood.files import write_json
from genood.models.device import resolve_device
from genood.recipes import PRESETS, Stream, TrainConfig
from genood.reference.genomes import Genomes, load_genomes, split_held_out
from genood.reference.sampling import ReadSampler
from genood.threads import set_num_threads
from genood.training.learners import density_learners

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "long_training.md"
VALIDATIONS = 20
"""Of each training."""


def recipes(paper: TrainConfig, batches: Sequence[int], rates: Sequence[float]) -> dict[str, TrainConfig]:
    """The paper's recipe and those of a tenth of its steps, by what they are."""
    steps = paper.steps // 10
    fewer = replace(paper, steps=steps, schedule="cosine", warmup_steps=steps // 10, max_gradient_norm=1.0)
    found = {f"paper: {paper.batch_size} reads a step, {paper.learning_rate:g}": paper}
    for batch_size in batches:
        for rate in rates:
            name = f"a tenth: {batch_size} reads a step, {rate:g}"
            found[name] = replace(fewer, batch_size=batch_size, learning_rate=rate)
    return found


def train(
    config: TrainConfig, hidden_size: int, genomes: tuple[Genomes, Genomes], device: torch.device
) -> list[dict[str, float]]:
    """The curve of one training: a row a validation."""
    shape = {**PRESETS["paper"].models["lstm"], "hidden_size": hidden_size}
    learner = density_learners("lstm", shape, config, device, ROLES[:1])[ROLES[0]]
    training, validation = (
        ReadSampler(part, config.read_length, (config.seed, stream))
        for part, stream in zip(genomes, (Stream.READS, Stream.VALIDATION), strict=True)
    )
    held_out = learner.seen(validation.sample(0, config.num_validation_reads))
    torch.manual_seed(config.seed)
    curve, seconds, processor = [], 0.0, 0.0
    for step in range(config.steps + 1):
        if step:
            began, began_processor = time.perf_counter(), time.process_time()
            learner.step(learner.seen(training.sample(step, config.batch_size)), step)
            seconds += time.perf_counter() - began
            processor += time.process_time() - began_processor
        if step % max(config.steps // VALIDATIONS, 1) == 0 or step == config.steps:
            loss = learner.measured(held_out)["loss"]
            curve.append(
                {
                    "step": step,
                    "reads": step * config.batch_size,
                    "seconds": seconds,
                    "processor seconds": processor,
                    "validation loss": loss,
                }
            )
    return curve


def compared(curves: Mapping[str, Sequence[Mapping[str, float]]]) -> dict[str, Any]:
    """The end of each training beside the paper's, the first of them; losses are nats per base."""
    first, *_ = curves.values()
    goal, began = first[-1]["validation loss"], first[0]["validation loss"]
    found = {}
    for name, curve in curves.items():
        end = curve[-1]
        there = [row for row in curve if row["validation loss"] <= goal]
        found[name] = {
            "last loss": end["validation loss"],
            "above the paper's": end["validation loss"] - goal,
            "part of the paper's fall": (began - end["validation loss"]) / (began - goal),
            "steps over the paper's": end["step"] / first[-1]["step"],
            "reads over the paper's": end["reads"] / first[-1]["reads"],
            "processor time over the paper's": end["processor seconds"] / first[-1]["processor seconds"],
            "steps until the paper's last loss": there[0]["step"] if there else None,
        }
    return found


def table(report: Mapping[str, Any]) -> str:
    """What came of each training, as Markdown."""
    lines = [
        "| | validation loss, nats per base | less the paper's | reads | processor time | paper's at step |",
        "|---|---|---|---|---|---|",
    ]
    for name, found in report["compared"].items():
        there = found["steps until the paper's last loss"]
        cells = [
            f"{found['last loss']:.4f}",
            "{:+.4f}".format(found["above the paper's"]),
            "{:.2f}".format(found["reads over the paper's"]),
            "{:.2f}".format(found["processor time over the paper's"]),
        ]
        lines.append(f"| {' | '.join([name, *cells, '' if there is None else f'{there:,}'])} |")
    return "\n".join(lines)


def updated(page: str) -> str:
    """The page with its table as it is now."""
    report = json.loads((HERE / "large_batch.json").read_text())
    marks = r"(<!-- large batches -->).*?(<!-- end -->)"
    return re.sub(marks, lambda match: f"{match[1]}\n{table(report)}\n{match[2]}", page, flags=re.DOTALL)


def main() -> None:
    arguments = parse_arguments()
    if arguments.update:
        PAGE.write_text(updated(PAGE.read_text()))
        return
    set_num_threads(arguments.threads)
    torch.set_num_threads(arguments.threads)
    device = resolve_device(arguments.device)
    files = arguments.genomes or genomes_by_split(arguments.data)["train_in"]
    genomes = load_genomes(files, min_length=arguments.read_length)
    paper = replace(
        PRESETS["paper"].train,
        steps=arguments.steps,
        read_length=arguments.read_length,
        num_validation_reads=arguments.validation_reads,
        seed=arguments.seed,
    )
    split = split_held_out(
        genomes, fraction=paper.held_out_fraction, read_length=paper.read_length, seed=paper.seed
    )
    chosen = recipes(paper, arguments.batch_sizes, arguments.learning_rates)
    curves: dict[str, list[dict[str, float]]] = {}
    about = describe()
    if arguments.add:
        before = json.loads(arguments.out.read_text())
        curves = before["curves"]
        about["command"] = f"{before['command']}; {about['command']}"
    for name, config in chosen.items():
        if name in curves:
            continue
        curves[name] = train(config, arguments.hidden_size, split, device)
        report = {
            **about,
            "device": str(device),
            "hidden_size": arguments.hidden_size,
            "read_length": paper.read_length,
            "genomes": len(genomes.files),
            "classes": len(genomes.classes),
            "validation loss before training": curves[name][0]["validation loss"],
            "compared": compared(curves),
            "curves": curves,
        }
        write_json(arguments.out, report)
        print(name, json.dumps(report["compared"][name], indent=2), flush=True)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--genomes", type=Path, nargs="+", help="FASTA files, in place of those of the data")
    parser.add_argument("--out", type=Path, default=root / "bench-out" / "large_batch.json")
    parser.add_argument(
        "--add", action="store_true", help="further batches and rates to a result of the same"
    )
    parser.add_argument("--hidden-size", type=int, default=64)
    parser.add_argument("--read-length", type=int, default=100)
    parser.add_argument("--steps", type=int, default=3000, help="of the paper's recipe")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[400, 100])
    parser.add_argument("--learning-rates", type=float, nargs="+", default=[4e-3, 1e-2])
    parser.add_argument("--validation-reads", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--update", action="store_true", help="write the table of docs/long_training.md anew")
    return parser.parse_args()


if __name__ == "__main__":
    main()
