"""Train LSTMs by several recipes for the same CPU time, and say which tells OOD reads apart best.

The steps of a recipe are what its measured pace leaves of the budget, for foreground and background
together on one thread. Each is trained by `genood train` and scored by `genood score` on validation reads:
reads of other genomes of the training classes against reads of other genera. Higher is better but for FPR80.

A recipe that was evaluated is not trained again, and one that was interrupted goes on from its checkpoint.
The table goes to stdout as Markdown, what the commands say to stderr, and all of it to recipes.json.
"""

from __future__ import annotations

import argparse
import json
import math
import resource
import sys
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from machine import describe
from peers import Floats
from quality import load_reads, of_new_species, stdout_to_stderr
from real import COLUMNS, check_data, command, cut_reads, genomes_by_split

from genood.evaluation.tables import read_scores
from genood.files import write_json
from genood.metrics import separation_intervals
from genood.models.lstm import LSTMConfig
from genood.readers import read_file
from genood.recipes import Stream, TrainConfig
from genood.reference.genomes import Genomes, load_genomes
from genood.reference.sampling import ReadSampler
from genood.sequence import decode, reverse_complement
from genood.threads import set_num_threads
from genood.training.learners import density_learners

NUM_VALIDATIONS = 20
METRICS = ("auroc", "fpr80")
SIDES = ("val_in", "val_ood")
BOTH_STRANDS = "llr, both strands"
_PACE_SECONDS = 10.0
_OVERHEAD_SECONDS = 30.0
"""Reading the genomes, and calibrating: what the command takes beside its steps, about."""
_FLAGS = {"num_layers": "layers"}
"""Options of `genood train` that are called otherwise than what they set."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What of the shape of the model and of its training is not as in `BASE_MODEL` and `BASE_TRAIN`.

    `one_class` takes all genomes for one class: reads are then drawn by bases, not by class.
    """

    about: str
    one_class: bool = False
    model: Mapping[str, Any] = field(default_factory=dict)
    train: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model_config(self) -> dict[str, Any]:
        """All of its shape."""
        return {**BASE_MODEL, **self.model}

    @property
    def train_options(self) -> dict[str, Any]:
        """All of how it is trained, but for the number of steps."""
        return {**BASE_TRAIN, **self.train}


BASE_MODEL: Mapping[str, Any] = {"hidden_size": 192}
BASE_TRAIN: Mapping[str, Any] = {
    "batch_size": 32,
    "read_length": 100,
    "learning_rate": 5e-3,
    "schedule": "cosine",
    "warmup_steps": 500,
    "max_gradient_norm": 1.0,
    "precision": "bf16",
}
RECIPES: Mapping[str, Recipe] = {
    "base": Recipe(about="192 units, 32 reads of 100 bases a step, learning rate 0.005, bf16"),
    "fp32": Recipe(about="fp32", train={"precision": "fp32"}),
    "narrow": Recipe(about="128 units", model={"hidden_size": 128}),
    "wide": Recipe(about="256 units", model={"hidden_size": 256}),
    "large-batch": Recipe(about="128 reads a step", train={"batch_size": 128}),
    "long": Recipe(about="16 reads of 200 bases a step", train={"read_length": 200, "batch_size": 16}),
    "slow": Recipe(about="learning rate 0.001", train={"learning_rate": 1e-3}),
    "fast": Recipe(about="learning rate 0.01", train={"learning_rate": 1e-2}),
    "small": Recipe(
        about="as `--preset small`: 256 units, 128 reads of 250 bases, learning rate 0.001, fp32",
        model={"hidden_size": 256},
        train={
            "batch_size": 128,
            "read_length": 250,
            "learning_rate": 1e-3,
            "warmup_steps": 0,
            "precision": "fp32",
        },
    ),
    "mutated-more": Recipe(about="μ = 0.3", train={"mutation_rate": 0.3}),
    "no-l2": Recipe(about="λ = 0", train={"l2": 0.0}),
    "dropout": Recipe(about="dropout 0.1", model={"dropout": 0.1}),
    "by-bases": Recipe(about="each base of the reference as often, not each class", one_class=True),
}
"""By name."""


def main() -> None:
    arguments = parse_arguments()
    data, out = arguments.data, arguments.out
    check_data(data)
    out.mkdir(parents=True, exist_ok=True)
    set_num_threads(1)
    genomes = genomes_by_split(data)
    with stdout_to_stderr():
        for split in SIDES:
            cut_reads(genomes[split], out / f"{split}.fasta", arguments.reads_per_genome)
        results = {
            f"{name}, {arguments.minutes:g} min": evaluated(name, arguments, genomes["train_in"])
            for name in arguments.recipes or RECIPES
        }
    report = merged(arguments.json, describe(), results)
    write_json(arguments.json, report)
    print(markdown(report["results"]))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument(
        "recipes", nargs="*", metavar="RECIPE", help=f"of {', '.join(RECIPES)}  [default: all]"
    )
    parser.add_argument("--minutes", type=float, default=60.0, help="CPU time of a training  [default: 60]")
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=root / "bench-out" / "recipes")
    parser.add_argument("--json", type=Path, default=root / "benchmarks" / "recipes.json")
    parser.add_argument("--reads-per-genome", type=int, default=500)
    arguments = parser.parse_args()
    unknown = [name for name in arguments.recipes if name not in RECIPES]
    if unknown:
        parser.error(f"no recipe {', '.join(unknown)}; there are {', '.join(RECIPES)}")
    return arguments


def evaluated(name: str, arguments: argparse.Namespace, reference: list[Path]) -> dict[str, Any]:
    """The result of a recipe, from the file that holds it or by training and scoring."""
    recipe = RECIPES[name]
    directory: Path = arguments.out / f"{name}-{arguments.minutes:g}"
    result_file = directory / "result.json"
    asked = {
        "minutes": arguments.minutes,
        "model": recipe.model_config,
        "train": recipe.train_options,
        "reads_per_genome": arguments.reads_per_genome,
        "one_class": recipe.one_class,
    }
    if result_file.is_file():
        result: dict[str, Any] = json.loads(result_file.read_text())
        if {key: result.get(key, False) for key in asked} != asked:
            sys.exit(f"{directory}: holds another recipe of that name; remove it, or give another --out")
        return result
    directory.mkdir(parents=True, exist_ok=True)
    trained = train(recipe, directory, arguments.minutes * 60.0, reference)
    result = {
        "about": recipe.about,
        **asked,
        **trained,
        "metrics": separated(directory, arguments.out, reference),
    }
    write_json(result_file, result)
    return result


def train(recipe: Recipe, directory: Path, budget: float, reference: list[Path]) -> dict[str, Any]:
    """Train a bundle for a budget of CPU seconds; what that took."""
    plan_file, bundle = directory / "plan.json", directory / "bundle"
    if plan_file.is_file():
        plan = json.loads(plan_file.read_text())
    else:
        step, validation = paces(
            recipe, load_genomes(reference, min_length=recipe.train_options["read_length"])
        )
        steps = max(1, int((budget - _OVERHEAD_SECONDS - NUM_VALIDATIONS * validation) / step))
        plan = {"steps": steps, "seconds_per_step": step, "cpu_seconds": 0.0}
        write_json(plan_file, plan)
    if not (bundle / "genood.json").is_file():
        before = children_seconds()
        try:
            more = [*classes(recipe, directory, reference), *resumed(bundle)]
            command("genood", "train", *reference, *options(recipe, plan["steps"]), "-o", bundle, *more)
        finally:
            plan["cpu_seconds"] += children_seconds() - before
            write_json(plan_file, plan)
    metadata = json.loads((bundle / "genood.json").read_text())
    losses = {role: values["val_nats_per_base"] for role, values in metadata["metrics"].items()}
    return {**plan, "bases": plan["steps"] * bases_of_step(recipe), "val_nats_per_base": losses}


def paces(recipe: Recipe, genomes: Genomes) -> tuple[float, float]:
    """CPU seconds of a step of both models, and of a validation, about."""
    config = TrainConfig(steps=10**6, **recipe.train_options)
    shape = asdict(LSTMConfig(**recipe.model_config))
    learners = density_learners("lstm", shape, config, torch.device("cpu")).values()
    sampler = ReadSampler(genomes, config.read_length, (config.seed, Stream.READS))
    begun, step = 0.0, 0
    while step < 3 or time.process_time() - begun < _PACE_SECONDS:
        step += 1
        reads = sampler.sample(step, config.batch_size)
        for learner in learners:
            learner.step(learner.seen(reads, Stream.MUTATION, learner.number, step), step)
        if step == 2:  # the first ones are not like the others
            begun = time.process_time()
    seconds = (time.process_time() - begun) / (step - 2)
    # A step goes forwards and backwards, thrice the work of a validation's going forwards.
    return seconds, seconds * math.ceil(config.num_validation_reads / config.batch_size) / 3.0


def options(recipe: Recipe, steps: int) -> list[str]:
    """What `genood train` is told."""
    values = {
        "model": "lstm",
        "steps": steps,
        "validation_interval": math.ceil(steps / NUM_VALIDATIONS),
        "threads": 1,
        **recipe.model_config,
        **recipe.train_options,
    }
    words = ((f"--{_FLAGS.get(name, name).replace('_', '-')}", str(value)) for name, value in values.items())
    return [word for pair in words for word in pair]


def classes(recipe: Recipe, directory: Path, reference: list[Path]) -> list[str]:
    """The option with which all genomes are of one class, where the recipe has it so."""
    if not recipe.one_class:
        return []
    table = directory / "classes.tsv"
    rows = ["file\tclass", *(f"{path.name}\treference" for path in reference)]
    table.write_text("\n".join(rows) + "\n")
    return ["--classes", str(table)]


def resumed(bundle: Path) -> list[str]:
    """The option to go on, where there is something to go on from."""
    return ["--resume"] if (bundle / "checkpoint.safetensors").is_file() else []


def children_seconds() -> float:
    """CPU time of all commands that have ended, so far."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def bases_of_step(recipe: Recipe) -> int:
    """Bases that either model sees in a step."""
    return int(recipe.train_options["batch_size"] * recipe.train_options["read_length"])


def separated(directory: Path, out: Path, reference: list[Path]) -> dict[str, Any]:
    """Metrics with intervals, by score and by which in-distribution reads there are.

    `BOTH_STRANDS` is the mean of the ratio of a read and of that of its reverse complement.
    """
    scores = {side: side_scores(directory, out / f"{side}.fasta") for side in SIDES}
    new = of_new_species(load_reads(out / f"{SIDES[0]}.fasta"), reference)
    metrics: dict[str, Any] = {}
    for name in (*COLUMNS, BOTH_STRANDS):
        ins, oods = (scores[side][name] for side in SIDES)
        metrics[name] = {
            of: {metric: value._asdict() for metric, value in separation_intervals(chosen, oods).items()}
            for of, chosen in (("validation", ins), ("known", ins[~new]), ("new", ins[new]))
        }
    return metrics


def side_scores(directory: Path, fasta: Path) -> dict[str, Floats]:
    """OOD scores of the reads of a file, by name, as `genood score` gives them."""
    detectors = [word for detector in COLUMNS for word in ("--detector", detector)]
    tables = []
    for reads in (fasta, reverse_complements(fasta)):
        tables.append(directory / f"{reads.stem}.tsv")
        command("genood", "score", "-m", directory / "bundle", reads, "-o", tables[-1], "-t", 1, *detectors)
    forward, reverse = (
        {name: read_scores(str(t), column) for name, column in COLUMNS.items()} for t in tables
    )
    return {**forward, BOTH_STRANDS: (forward["llr"] + reverse["llr"]) / 2.0}


def reverse_complements(fasta: Path) -> Path:
    """A file of the reads' reverse complements, in order, beside that of the reads."""
    output = fasta.with_name(f"{fasta.stem}_reverse.fasta")
    with output.open("w") as stream:
        for record in read_file(str(fasta)):
            stream.write(f">{record.name}\n{decode(reverse_complement(record.codes))}\n")
    return output


def merged(file: Path, about: Mapping[str, Any], results: Mapping[str, Any]) -> dict[str, Any]:
    """A report with what is in the file already."""
    before = json.loads(file.read_text())["results"] if file.is_file() else {}
    return {**about, "results": {**before, **results}}


def markdown(results: Mapping[str, Any]) -> str:
    """The recipes as a table, the best ratio first."""
    header = ["recipe", "CPU min", "steps", "bases", "loss", "background's", "ratio: AUROC", "FPR80"]
    header += ["known", "new", "both strands", "likelihood: AUROC"]
    rows = []
    for result in sorted(
        results.values(), key=lambda row: -row["metrics"]["llr"]["validation"]["auroc"]["value"]
    ):
        ratio = result["metrics"]["llr"]
        rows.append(
            [
                *(result["about"], f"{result['cpu_seconds'] / 60:.1f}", f"{result['steps']:,}"),
                f"{result['bases'] / 1e6:.0f} M",
                *(f"{loss:.4f}" for loss in result["val_nats_per_base"].values()),
                *(f"{ratio['validation'][metric]['value']:.3f}" for metric in METRICS),
                *(f"{ratio[name]['auroc']['value']:.3f}" for name in ("known", "new")),
                *(
                    f"{result['metrics'][name]['validation']['auroc']['value']:.3f}"
                    for name in (BOTH_STRANDS, "likelihood")
                ),
            ]
        )
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


if __name__ == "__main__":
    main()
