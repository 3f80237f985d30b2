"""What `genood-prep distance` costs, as a multiple of reading the same genomes, and how that grows.

Processor time of one thread, for several numbers of genomes and lengths of words; the number of pairs
grows with the square of the genomes, a profile by 4 with each base of a word.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from machine import describe

from data_prep.distance import Genome, d2s, find_genomes
from data_prep.words import WordModel, profile_of
from genood.files import write_json
from genood.readers import read_file

NUM_GENOMES = (24, 48, 0)
"""The last stands for all."""
WORDS = (6, 8, 10)
COLUMNS = ("genomes", "k", "bases", "reading_s", "reading_and_counting", "comparing", "total")


def main() -> None:
    arguments = parse_arguments()
    genomes = find_genomes([str(arguments.data / "manifest.tsv")])
    # Compiling, or opening what is compiled, is not part of it.
    tiny = profile_of([np.zeros(20, dtype=np.uint8)], WordModel())
    d2s(np.stack([tiny, tiny]))
    print("\t".join(COLUMNS))
    rows = []
    for number in NUM_GENOMES:
        some = genomes[:: len(genomes) // number][:number] if number else genomes
        for k in WORDS:
            row = dict(zip(COLUMNS, measure(some, WordModel(k=k)), strict=True))
            print(
                "\t".join(
                    f"{value:.3g}" if isinstance(value, float) else str(value) for value in row.values()
                )
            )
            rows.append(row)
    write_json(arguments.out / "prep_distance.json", {**describe(), "cost": rows})


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    here = Path(__file__).resolve().parent
    parser.add_argument("--data", type=Path, default=here.parents[1] / "shared" / "data")
    parser.add_argument("--out", type=Path, default=here)
    return parser.parse_args()


def measure(genomes: list[Genome], model: WordModel) -> tuple[int, int, int, float, float, float, float]:
    """Values of `COLUMNS`: the last three are multiples of reading."""
    num_bases = 0

    def read() -> None:
        nonlocal num_bases
        num_bases = sum(len(record.codes) for genome in genomes for record in read_file(genome.path))

    profiles = np.empty((len(genomes), model.profile_size), dtype=np.float32)

    def count() -> None:
        for row, genome in zip(profiles, genomes, strict=True):
            row[:] = profile_of((record.codes for record in read_file(genome.path)), model)

    reading = seconds(read)
    counting = seconds(count) / reading
    comparing = seconds(lambda: d2s(profiles)) / reading
    return len(genomes), model.k, num_bases, reading, counting, comparing, counting + comparing


def seconds(work: Callable[[], object]) -> float:
    """Processor time of a call, the least of two."""
    times = []
    for _ in range(2):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()
