"""Make the bundle that comes with genood, and say how well it and others of its size separate reads.

Trains sketches of several sizes and Markov chains on the training genomes and scores reads of the validation
genomes and of the published benchmark, as `quality.py` has them. The sketch of 8 MiB gets a model card with
its data and these numbers; with --write it takes the place of the one in the package.

The table goes to stdout as TSV, what the commands say to stderr, and all of it to default_bundle.json. A
bundle that is there already is not made again.
"""

from __future__ import annotations

import argparse
import csv
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from machine import describe
from quality import (
    SIDES,
    command_scores,
    interval,
    load_reads,
    of_new_species,
    separate,
    stdout_to_stderr,
)
from real import check_data, command, genomes_by_split, write_reads

from genood.bundle import Bundle
from genood.bundles.shipped import DEFAULT_BUNDLE
from genood.files import write_json
from genood.making.cards import with_section

CANDIDATES = {
    **{f"sketch-{size}": ("--model", "sketch", "--max-size", size) for size in (1, 2, 4, 8, 32)},
    **{
        f"markov-{order}-{background}": (
            *("--model", "markov", "--order", order),
            *("--background", background),
        )
        for order in (8, 9, 10, 11, 12)
        for background in ("low-order", "mutated")
    },
    "markov-11-mutated-256": ("--model", "markov", "--order", 11, "--prior-count", 256),
}
"""Options of genood train, by name."""
CHOSEN = "sketch-8"
SETS = ("validation", "published", "known", "new")
METRICS = ("auroc", "fpr80")
CARD_FIELDS = ("split", "class", "organism", "accession", "part")


def main() -> None:
    arguments = parse_arguments()
    data, out = arguments.data, arguments.out.absolute()
    check_data(data)
    out.mkdir(parents=True, exist_ok=True)
    genomes = genomes_by_split(data)
    with stdout_to_stderr():
        write_reads(data, genomes, out, arguments.reads_per_genome)
        new = of_new_species(load_reads(out / "val_in.fasta"), genomes["train_in"])
        results = {}
        for name, options in CANDIDATES.items():
            train(data, genomes, out, name, options)
            scores = command_scores(out / name, out, name, arguments.threads)
            results[name] = {
                "bytes": size_of(out / name),
                "options": [str(word) for word in options],
                "detectors": {detector: separate(sides, new) for detector, sides in scores.items()},
            }
    report = {
        **describe(),
        "reads_per_genome": arguments.reads_per_genome,
        "reads": {side: len(load_reads(out / f"{side}.fasta").names) for side in SIDES},
        "chosen": CHOSEN,
        "results": results,
    }
    finish_card(out / CHOSEN, data, report)
    report["fingerprint"] = Bundle.load(out / CHOSEN).fingerprint
    write_json(out / "default_bundle.json", report)
    print_table(results)
    if arguments.write:
        shutil.rmtree(DEFAULT_BUNDLE, ignore_errors=True)
        shutil.copytree(out / CHOSEN, DEFAULT_BUNDLE)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=root / "bench-out" / "default_bundle")
    parser.add_argument("--reads-per-genome", type=int, default=500)
    parser.add_argument("-t", "--threads", type=int, default=1)
    parser.add_argument("--write", action="store_true", help="make it the bundle of the package")
    return parser.parse_args()


def train(
    data: Path, genomes: Mapping[str, Sequence[Path]], out: Path, name: str, options: Sequence[object]
) -> None:
    """Train on the training genomes and calibrate on the validation genomes, unless the bundle is there.

    The command names files as they are called from the data folder, so that it means something elsewhere.
    """
    if (out / name / "genood.json").is_file():
        return
    link = out / "genomes"
    if not link.is_symlink():
        link.symlink_to((data / "genomes").absolute())
    files = {split: [f"genomes/{path.name}" for path in genomes[split]] for split in ("train_in", "val_in")}
    validation = [word for path in files["val_in"] for word in ("--val", path)]
    command("genood", "train", *files["train_in"], *validation, *options, "-o", name, cwd=out)


def size_of(directory: Path) -> int:
    """Bytes of the files of a directory."""
    return sum(path.stat().st_size for path in directory.iterdir())


def finish_card(directory: Path, data: Path, report: Mapping[str, Any]) -> None:
    """Say in the model card what the bundle is for, what it is made of and how well it does."""
    bundle = Bundle.load(directory)
    if _FOR in bundle.card:
        return
    with (data / "manifest.tsv").open(newline="") as stream:
        table = list(csv.DictReader(stream, delimiter="\t"))
    rows = [row for split in ("train_in", "val_in") for row in table if row["split"] == split]
    bundle.card = with_section(bundle.card, card_section(rows, report))
    bundle.save(directory, replace=True)


_FOR = "## What it is for"


def card_section(rows: Sequence[Mapping[str, str]], report: Mapping[str, Any]) -> str:
    """What the model card says beyond those of other bundles."""
    genomes = "\n".join(f"| {' | '.join(row[field] for field in CARD_FIELDS)} |" for row in rows)
    sets = report["results"][CHOSEN]["detectors"]["llr"]
    about = {
        "validation": "reads of the validation genomes against those of 56 other genera",
        "known": "of these, species of which there is a training genome",
        "new": "of these, species of which there is none, though of their genus",
        "published": "reads of Ren et al.'s benchmark, without *Burkholderia*",
    }
    measured = "\n".join(
        f"| {text} | {interval(sets[name]['auroc'])} | {interval(sets[name]['fpr80'])} |"
        for name, text in about.items()
    )
    reads = report["reads"]
    return f"""{_FOR}

It is what `genood score` uses where no bundle is named: to try genood, and to find reads that are of none of
these nine genera. Reads of all other organisms, whatever they are, are out-of-distribution to it. For any
other question train a bundle of your own reference; of the same genomes, `genood train --model context`
makes one that separates better and takes 0.6 GB.

## Data

Trained on the genomes of `train_in`, calibrated on those of `val_in`, on which nothing was trained. They
are public: records of INSDC and RefSeq, but for one assembly that was found without an accession. The bundle
holds counts and hashed windows of them, no sequence, and has the licence of genood, Apache-2.0.

| split | class | organism | accession | part |
|---|---|---|---|---|
{genomes}

## How well it separates

In-distribution is positive; in brackets 95 % intervals. Of each genome {report["reads_per_genome"]} reads of
250 bases; {reads["published_in"]} published reads in distribution, {reads["published_ood"]} out of it. How
long windows are and how they count was chosen by the AUROC on the first of these sets.

| reads | AUROC | FPR80 |
|---|---|---|
{measured}

`benchmarks/default_bundle.py` makes the bundle and prints these numbers.

## Limits

* Relatives of the nine genera look alike: it tells reads of *Citrobacter*, *Kluyvera* and *Cronobacter*,
  close to *Escherichia* and *Salmonella*, worst of the genera that it was measured on.
* A read of a species of these genera that is far from the genomes above may be called `ood`.
* Only genes are remembered, by a sample: of reads that lie between genes it knows little.
* p-values hold for reads that are about as near to the genomes above as those of `val_in`, without errors.
"""


def print_table(results: Mapping[str, Any]) -> None:
    """AUROC and FPR80 of the ratio, by bundle, as TSV."""
    columns = [(name, metric) for name in SETS for metric in METRICS]
    print("\t".join(["bundle", "MiB", *(f"{name} {metric.upper()}" for name, metric in columns)]))
    for name, result in results.items():
        sets = result["detectors"]["llr"]
        cells = [interval(sets[of][metric]) for of, metric in columns]
        print("\t".join([name, f"{result['bytes'] / 2**20:.2f}", *cells]))


if __name__ == "__main__":
    main()
