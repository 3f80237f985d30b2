"""What data cost a training: reading genomes from FASTA or an index, and drawing reads as they grow.

Real genomes are read from FASTA and from an index of them, each in a process of its own. Indexes of
growing size, as many classes and files as the paper had, are made of random bases; reads are drawn from
each. Last, steps of an LSTM with reads drawn for each, and with the same reads again and again. Prints
ratios, and peak memory.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import describe
from real import genomes_by_split
from speed import GENOOD, timed

from genood import __version__
from genood.files import sha256_of, write_json
from genood.recipes import PRESETS
from genood.reference.genomes import GenomeFile, Genomes, load_genomes
from genood.reference.index import FORMAT_VERSION, INDEX_FILE, READABLE_FROM
from genood.reference.sampling import ReadSampler
from genood.threads import set_num_threads
from genood.training.learners import density_learners

NUM_CLASSES, NUM_FILES = 130, 11_672
"""Those of Ren et al. 2019."""
READ_LENGTH = 250
BATCH_SIZE = 100
STEPS = 30
UNITS = (64, 256)

DRAW = """
import json, resource, sys, time
from genood.reference.index import load_index
from genood.reference.genomes import load_genomes
from genood.reference.sampling import ReadSampler

index, read_length, batch_size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
began = time.perf_counter()
fasta = sys.argv[4:]
genomes = load_genomes(fasta, min_length=read_length) if fasta else load_index(index, min_length=read_length)
loaded = time.perf_counter()
sampler = ReadSampler(genomes, read_length, (0,))
for step in range(200):
    sampler.sample(step, batch_size)
warm = time.perf_counter()
for step in range(200):
    sampler.sample(step, batch_size)
drawn = time.perf_counter()
anonymous = next(line for line in open("/proc/self/status") if line.startswith("RssAnon"))
print(json.dumps({
    "seconds to load": loaded - began,
    "microseconds a read, first": (warm - loaded) / 200 / batch_size * 1e6,
    "microseconds a read, again": (drawn - warm) / 200 / batch_size * 1e6,
    "bytes of its own": int(anonymous.split()[1]) * 1024,
}))
"""
"""Loads genomes and draws reads; pages of a mapped file, which the system may drop, are not its own."""


def main() -> None:
    arguments = parse_arguments()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    fasta = genomes_by_split(arguments.data)["train_in"]
    report: dict[str, Any] = {**describe(), "real genomes": of_real_genomes(fasta, out)}
    print(json.dumps(report["real genomes"], indent=2), flush=True)
    report["random genomes"] = {}
    for num_bases in arguments.bases:
        found = of_random_genomes(num_bases, out)
        report["random genomes"][f"{num_bases:,} bases"] = found
        print(num_bases, json.dumps(found, indent=2), flush=True)
    set_num_threads(arguments.threads)
    torch.set_num_threads(arguments.threads)
    genomes = load_genomes(fasta[:5], min_length=READ_LENGTH)
    report["share of a step that data take"] = {f"{n} units": share_of_data(genomes, n) for n in UNITS}
    print(json.dumps(report["share of a step that data take"], indent=2))
    write_json(out / "loading.json", report)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=root / "bench-out" / "loading")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--bases", type=int, nargs="+", default=[10**8, 10**9, 4 * 10**9], help="of random genomes"
    )
    return parser.parse_args()


def of_real_genomes(fasta: Sequence[Path], out: Path) -> dict[str, Any]:
    """What an index costs, and saves."""
    index = out / "real"
    shutil.rmtree(index, ignore_errors=True)
    made = timed([GENOOD, "index", *fasta, "-o", index, "-q"]).seconds
    from_index, from_fasta = drawn(index), drawn(index, fasta)
    return {
        "bases": (index / "codes.bin").stat().st_size,
        "from an index": from_index,
        "from FASTA": from_fasta,
        "loading from FASTA over from an index": from_fasta["seconds to load"]
        / from_index["seconds to load"],
        "making the index over loading from FASTA": made / from_fasta["seconds to load"],
    }


def of_random_genomes(num_bases: int, out: Path) -> dict[str, float]:
    """Reads drawn from an index of that size."""
    index = out / "random"
    shutil.rmtree(index, ignore_errors=True)
    write_random_index(index, num_bases)
    try:
        return drawn(index)
    finally:
        shutil.rmtree(index)


def write_random_index(index: Path, num_bases: int) -> None:
    """As `genood index` would write it, of files of equal size, each one run."""
    index.mkdir()
    length = num_bases // NUM_FILES
    generator = np.random.default_rng(0)
    with (index / "codes.bin").open("wb") as codes:
        for _ in range(NUM_FILES):
            codes.write(generator.integers(0, 4, length, dtype=np.uint8).data)
    np.full(NUM_FILES, length, dtype="<i8").tofile(index / "runs.bin")
    files = [
        GenomeFile(
            name=f"{number}.fna",
            class_name=f"class{number % NUM_CLASSES}",
            num_records=1,
            num_bases=length,
            usable_bases=length,
            sha256=str(number),
        )
        for number in range(NUM_FILES)
    ]
    metadata = {
        "format_version": FORMAT_VERSION,
        "readable_from": READABLE_FROM,
        "genood_version": __version__,
        "files": [asdict(file) | {"num_runs": 1} for file in files],
        "sha256": {name: sha256_of(index / name) for name in ("codes.bin", "runs.bin")},
    }
    write_json(index / INDEX_FILE, metadata)


def drawn(index: Path, fasta: Sequence[Path] = ()) -> dict[str, float]:
    """What `DRAW` prints."""
    numbers = [str(READ_LENGTH), str(BATCH_SIZE)]
    command = [sys.executable, "-c", DRAW, str(index), *numbers, *map(str, fasta)]
    result: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result


def share_of_data(genomes: Genomes, num_units: int) -> float:
    """What part of a step's time goes into drawing reads and mutating them."""
    preset = PRESETS["small"]
    config = preset.train_config("lstm")
    shape = {**preset.models["lstm"], "hidden_size": num_units}
    learners = density_learners("lstm", shape, config, torch.device("cpu"))
    sampler = ReadSampler(genomes, READ_LENGTH, (0,))
    shares = []
    for step in range(1, STEPS + 1):
        began = time.perf_counter()
        reads = sampler.sample(step, BATCH_SIZE)
        seen = {role: learner.seen(reads, 0, step) for role, learner in learners.items()}
        ready = time.perf_counter()
        for role, learner in learners.items():
            learner.step(seen[role], step)
        shares.append((ready - began) / (time.perf_counter() - began))
    return statistics.median(shares)


if __name__ == "__main__":
    main()
