"""Train on real genomes, score reads of other genomes and of the published benchmark, and say how well.

Runs the commands as a user would; a bundle that is there already is not trained again. Reads are cut
uniformly, from both strands, without unknown bases, the same number from each genome, with a fixed seed.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pandas as pd
from machine import describe

from genood.dataset import Dataset
from genood.evaluation.tables import evaluate_tables, read_scores
from genood.files import write_json
from genood.metrics import separation
from genood.reference.genomes import load_genomes
from genood.reference.sampling import ReadSampler
from genood.sequence import decode

UNTRAINED_CLASS = "Burkholderia"
"""An in-distribution class of the published benchmark without a training genome here."""
COLUMNS = {"llr": "ood_score", "likelihood": "ood_score_likelihood"}
READ_LENGTH = 250


def main() -> None:
    arguments = parse_arguments()
    data, out = arguments.data, arguments.out
    check_data(data)
    out.mkdir(parents=True, exist_ok=True)
    genomes = genomes_by_split(data)
    bundle = out / "bundle"
    if not (bundle / "genood.json").is_file():
        resume = ["--resume"] if (bundle / "checkpoint.safetensors").is_file() else []
        training = ["train", *genomes["train_in"], "-o", bundle, *arguments.train_options, *resume]
        command("genood", *training)
    write_reads(data, genomes, out, arguments.reads_per_genome)
    results = {}
    for name, sides in {
        "validation": ("val_in", "val_ood"),
        "published": ("published_in", "published_ood"),
    }.items():
        for side in sides:
            table = out / f"{side}.tsv"
            detectors = ["--detector", "llr", "--detector", "likelihood"]
            command("genood", "score", "-m", bundle, out / f"{side}.fasta", "-o", table, *detectors)
        results[name] = evaluate(*(str(out / f"{side}.tsv") for side in sides))
    metadata = json.loads((bundle / "genood.json").read_text())
    report = {
        **describe(),
        "bundle": {key: metadata[key] for key in ("classes", "model", "training", "metrics")},
        "reads_per_genome": arguments.reads_per_genome,
        "results": results,
        "llr_auroc_by_ood_genome": auroc_by_genome(out / "val_in.tsv", out / "val_ood.tsv"),
    }
    write_json(out / "real.json", report)
    print_table(results)


def check_data(data: Path) -> None:
    """End the program unless there are the genomes."""
    if not (data / "manifest.tsv").is_file():
        sys.exit(f"{data}: holds no manifest.tsv; this benchmark needs the project's real genomes (--data)")


def write_reads(data: Path, genomes: Mapping[str, Sequence[Path]], out: Path, reads_per_genome: int) -> None:
    """Write reads of the validation genomes, and those of the published benchmark."""
    for split in ("val_in", "val_ood"):
        cut_reads(genomes[split], out / f"{split}.fasta", reads_per_genome)
    published_reads(data / "published", out)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=root / "bench-out")
    parser.add_argument("--reads-per-genome", type=int, default=100)
    parser.add_argument(
        "train_options",
        nargs="*",
        default=["--preset", "demo"],
        help="options of genood train, after --  [default: --preset demo]",
    )
    return parser.parse_args()


def command(program: str, *arguments: object, cwd: Path | None = None) -> None:
    """Run one of the two commands of this environment, in a directory if that is given."""
    subprocess.run([Path(sys.executable).with_name(program), *map(str, arguments)], check=True, cwd=cwd)


def genomes_by_split(data: Path) -> dict[str, list[Path]]:
    """Genome files by split, from the manifest."""
    genomes: dict[str, list[Path]] = {}
    with (data / "manifest.tsv").open(newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            genomes.setdefault(row["split"], []).append(data / row["file"])
    return genomes


def cut_reads(genomes: Sequence[Path], output: Path, reads_per_genome: int) -> None:
    """Write the same number of reads of each genome as FASTA."""
    with output.open("w") as stream:
        for number, path in enumerate(genomes):
            sampler = ReadSampler(load_genomes([path], min_length=READ_LENGTH), READ_LENGTH, (0, number))
            for i, codes in enumerate(sampler.sample(0, reads_per_genome).codes):
                stream.write(f">{path.name.partition('.')[0]}_{i}\n{decode(codes)}\n")


def published_reads(published: Path, out: Path) -> None:
    """Write the validation reads of the released benchmark as FASTA."""
    with TemporaryDirectory(dir=out) as scratch:
        directory = Path(scratch) / "published"
        command("genood-prep", "published", published, "-q", "-o", directory, "--exclude", UNTRAINED_CLASS)
        dataset = Dataset.load(directory)
        for side, name in {"published_in": "val_in", "published_ood": "val_ood"}.items():
            split = dataset.splits[name]
            with (out / f"{side}.fasta").open("w") as stream:
                for origin, codes in zip(split.origins().itertuples(), split.codes, strict=True):
                    end = origin.start + len(codes) - 1
                    stream.write(f">{origin.accession}:{origin.start}-{end}\n{decode(codes)}\n")


def evaluate(in_table: str, ood_table: str) -> dict[str, Any]:
    """Separation by detector."""
    return {name: evaluate_tables(in_table, ood_table, column=column) for name, column in COLUMNS.items()}


def auroc_by_genome(in_table: Path, ood_table: Path) -> dict[str, float]:
    """AUROC of the ratio for the reads of each OOD genome, hardest first."""
    in_scores = read_scores(str(in_table), "ood_score")
    ood = pd.read_csv(ood_table, sep="\t", usecols=["read_id", "ood_score"])
    genomes = ood["read_id"].str.rpartition("_")[0]
    by_genome = {
        str(name): separation(in_scores, rows["ood_score"].to_numpy()).auroc
        for name, rows in ood.groupby(genomes)
    }
    return dict(sorted(by_genome.items(), key=lambda item: item[1]))


def print_table(results: dict[str, Any]) -> None:
    """AUROC, AUPRC and FPR80 with 95 % intervals."""
    print("reads\tdetector\tin\tood\tAUROC\tAUPRC\tFPR80")
    for name, detectors in results.items():
        for detector, result in detectors.items():
            cells = [
                "{value:.3f} [{low:.3f}, {high:.3f}]".format(**result["metrics"][metric])
                for metric in ("auroc", "auprc", "fpr80")
            ]
            counts = [str(result["reads"][side]) for side in ("in", "ood")]
            print("\t".join([name, detector, *counts, *cells]))


if __name__ == "__main__":
    main()
