"""Every method of `genood benchmark` on reads of real genomes: its table and figures.

The dataset has reads of the training genomes to train on; of the other genomes of their classes, those of
the first half of each sequence to validate on, and those of the second half to test on; and of the OOD
genera, one half of the genera for each. Reads are cut uniformly, from both strands, without unknown bases,
the same number from each genome of a split, with a fixed seed.
"""

from __future__ import annotations

import argparse
import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
from machine import describe
from real import READ_LENGTH, check_data

from genood.dataset import Origins, create_dataset, is_dataset
from genood.files import write_json
from genood.readers import read_file
from genood.sequence import UNKNOWN, Codes, reverse_complement

SEED = 7
READS = {"train_in": 15_000, "val_in": 220, "test_in": 440, "val_ood": 72, "test_ood": 144}
"""Of each genome."""


def main() -> None:
    arguments = parse_arguments()
    data, out = arguments.data, arguments.out
    check_data(data)
    out.mkdir(parents=True, exist_ok=True)
    dataset = out / "methods_dataset"
    if not is_dataset(dataset):
        write_dataset(data, dataset)
    directory = out / "methods"
    command = [Path(sys.executable).with_name("genood"), "benchmark", dataset, "-o", directory, "--figures"]
    subprocess.run([*map(str, command), *arguments.options], check=True)
    table = json.loads((directory / "table.json").read_text())
    write_json(out / "methods.json", {**describe(), **table})


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=root / "bench-out")
    parser.add_argument("options", nargs="*", help="options of genood benchmark, after --")
    return parser.parse_args()


def write_dataset(data: Path, directory: Path) -> None:
    """The dataset of the genomes that the manifest names."""
    with (data / "manifest.tsv").open(newline="") as stream:
        genomes = list(csv.DictReader(stream, delimiter="\t"))
    generator = np.random.default_rng(SEED)
    genera = generator.permutation(sorted({row["class"] for row in genomes if row["split"] == "val_ood"}))
    validated = set(genera[: len(genera) // 2])
    with create_dataset(directory, read_length=READ_LENGTH, seed=SEED, sources=[]) as writer:
        for row in genomes:
            sequences = [read.codes for read in read_file(data / row["file"])]
            halves = [np.array_split(codes, 2) for codes in sequences]
            parts: dict[str, list[Codes]] = {}
            if row["split"] == "train_in":
                parts = {"train_in": sequences}
            elif row["split"] == "val_in":
                parts = {name: [half[i] for half in halves] for i, name in enumerate(("val_in", "test_in"))}
            elif row["split"] == "val_ood":
                parts = {"val_ood" if row["class"] in validated else "test_ood": sequences}
            for split, pieces in parts.items():
                number = READS[split]
                codes = cut(pieces, number, generator)
                names = [row["class"]] * number, [row["accession"]] * number
                origins = Origins(*names, starts=np.full(number, -1), strands=[""] * number)
                writer.add(split, codes, origins)


def cut(sequences: list[Codes], num_reads: int, generator: np.random.Generator) -> Codes:
    """Reads of sequences, uint8 of shape (N, L)."""
    sequences = [codes for codes in sequences if len(codes) >= READ_LENGTH]
    places = np.array([len(codes) - READ_LENGTH + 1 for codes in sequences], dtype=np.float64)
    reads: list[Codes] = []
    while len(reads) < num_reads:
        codes = sequences[generator.choice(len(sequences), p=places / places.sum())]
        start = generator.integers(len(codes) - READ_LENGTH + 1)
        read = codes[start : start + READ_LENGTH]
        if read.max() < UNKNOWN:
            reads.append(read if generator.random() < 0.5 else reverse_complement(read))
    return np.stack(reads)


if __name__ == "__main__":
    main()
