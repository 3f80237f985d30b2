"""How fast the context model trains and scores, beside kraken2 on the same genomes and reads.

Trains on the training genomes, scores 250 bp reads from FASTQ.gz to a table with two threads, and has
kraken2 classify the same file with a database of the same genomes, one command after the other, several
times; the ratios are of the medians, that of CPU time for machines that have other work too. Then memory
and the time to a first score.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from machine import describe
from peers import kraken_version, make_kraken_database
from real import READ_LENGTH, genomes_by_split

from genood.files import write_json
from genood.reference.genomes import load_genomes
from genood.reference.sampling import ReadSampler
from genood.sequence import decode

GENOOD = Path(sys.executable).with_name("genood")


def main() -> None:
    arguments = parse_arguments()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    splits = genomes_by_split(arguments.data)
    reads = out / f"reads-{arguments.reads}.fastq.gz"
    if not reads.is_file():
        write_reads([*splits["val_in"], *splits["val_ood"]], arguments.reads, reads)
    first = out / "one.fasta"
    first.write_text(">read\n" + "ACGTTGCA" * 32 + "\n")
    bundle = out / "bundle"
    training = []
    for _ in range(arguments.repeats):
        shutil.rmtree(bundle, ignore_errors=True)
        training.append(timed([GENOOD, "train", *splits["train_in"], "-o", bundle, "-q", "-t", "2"]))
    score = [GENOOD, "score", "-q", "-t", "2", "-m", bundle]
    scoring, starting, classifying = [], [], []
    database = out / "kraken" if kraken_version() is not None else None
    if database is not None:
        make_kraken_database(splits["train_in"], database, 2)
    for _ in range(arguments.repeats):
        starting.append(timed([*score, first, "-o", out / "one.tsv"]))
        scoring.append(timed([*score, reads, "-o", out / "scores.tsv"]))
        if database is not None:
            kraken = ["kraken2", "--db", database, "--threads", "2", "--output", out / "kraken.tsv"]
            classifying.append(timed([*kraken, "--gzip-compressed", reads]))
    files = json.loads((bundle / "genood.json").read_text())["data"]["files"]
    megabases = sum(file["usable_bases"] for file in files) / 1e6
    runs = {"train": training, "first score": starting, "score": scoring, "kraken2": classifying}
    seconds = {name: median(run.seconds for run in mine) for name, mine in runs.items()}
    cpu_seconds = {name: median(run.cpu_seconds for run in mine) for name, mine in runs.items()}
    report = {
        **describe(),
        "reads": arguments.reads,
        "megabases": megabases,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "megabases_per_second": megabases / seconds["train"],
        "peak_bytes": {name: max(run.peak_bytes for run in runs[name]) for name in ("train", "score")},
        "bundle_bytes": sum(path.stat().st_size for path in bundle.iterdir()),
    }
    if classifying:
        report["reads_per_second_over_kraken2"] = {
            "whole command": seconds["kraken2"] / seconds["score"],
            "without the start": seconds["kraken2"] / (seconds["score"] - seconds["first score"]),
            "by CPU time": cpu_seconds["kraken2"] / cpu_seconds["score"],
        }
    write_json(out / "speed.json", report)
    print(json.dumps({key: value for key, value in report.items() if key not in describe()}, indent=2))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=root / "bench-out")
    parser.add_argument("--reads", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


class Run(NamedTuple):
    """What a command took: wall and CPU seconds, and bytes of memory at its peak."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def timed(command: Sequence[object]) -> Run:
    """Run a command."""
    started = time.perf_counter()
    process = subprocess.Popen([str(word) for word in command], stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(map(str, command))} failed")
    seconds = time.perf_counter() - started
    return Run(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def median(seconds: Iterable[float]) -> float | None:
    """The median, or None where nothing ran."""
    values = list(seconds)
    return statistics.median(values) if values else None


def write_reads(genomes: Sequence[Path], num_reads: int, output: Path) -> None:
    """Reads of all genomes in random order, as FASTQ."""
    each = num_reads // len(genomes) + 1
    codes = np.concatenate(
        [
            ReadSampler(load_genomes([path], min_length=READ_LENGTH), READ_LENGTH, (1, i))
            .sample(0, each)
            .codes
            for i, path in enumerate(genomes)
        ]
    )
    order = np.random.default_rng(0).permutation(len(codes))[:num_reads]
    quality = "I" * READ_LENGTH
    with gzip.open(output, "wt", compresslevel=6) as stream:
        for number, row in enumerate(order):
            stream.write(f"@read{number}\n{decode(codes[row])}\n+\n{quality}\n")


if __name__ == "__main__":
    main()
