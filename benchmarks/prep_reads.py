"""Time and memory of `genood-prep reads` as reads, bases and files grow, on real genomes.

Growth in reads: more of each class from the same genomes. Growth in bases: more classes, with as many reads
in all. Growth in files: the same genomes in pieces, each a file and a record. Threads: so few reads that time
goes into reading genomes. Memory is the peak of the largest process.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from machine import describe

from data_prep.table import read_genome_table
from genood.dataset import Dataset
from genood.files import write_json
from genood.readers import read_file
from genood.sequence import decode

Row = tuple[str, str, str]
PROGRAM = Path(sys.executable).with_name("genood-prep")

LAUNCHER = """
import json, os, sys, time
started = time.perf_counter()
to_null = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
_, status, usage = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=to_null), 0)
print(json.dumps({
    "status": os.waitstatus_to_exitcode(status),
    "wall_seconds": time.perf_counter() - started,
    "cpu_seconds": usage.ru_utime + usage.ru_stime,
    "peak_megabytes": usage.ru_maxrss * 1024 / 1e6,
}))
"""
"""Measures a command. A process of its own, as a command's peak counts what its parent held at the start."""


class Run(NamedTuple):
    """What one run was given, and what it took."""

    files: int
    megabases: float
    reads: int
    threads: int
    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float


def main() -> None:
    arguments = parse_arguments()
    rows = [
        (str(row.path.resolve()), row.class_name, row.split)
        for row in read_genome_table(arguments.data / "manifest.tsv")
    ]
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as name:
        scratch = Path(name)
        growth = {
            "reads": [draw(scratch, rows, reads) for reads in arguments.reads],
            "bases": [draw_of_part(scratch, rows, part) for part in (4, 2, 1)],
            "files": [draw_of_pieces(scratch, rows, pieces) for pieces in (1, 8, 64)],
            "threads": [fastest(scratch, rows, 1_000, threads) for threads in (1, 2)],
        }
    report = {
        **describe(),
        "runs": {name: [run._asdict() for run in runs] for name, runs in growth.items()},
        "ratios": {name: ratios(name, runs) for name, runs in growth.items()},
    }
    write_json(arguments.json, report)
    for name, runs in growth.items():
        print(f"\ngrowing {name}")
        print(*Run._fields, sep="\t")
        for run in runs:
            print(*(f"{value:.1f}" if isinstance(value, float) else value for value in run), sep="\t")
        print(json.dumps(ratios(name, runs)))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--scratch", type=Path, help="where to write datasets, which are thrown away")
    parser.add_argument(
        "--reads",
        type=int,
        nargs="+",
        default=[1_000, 10_000, 100_000],
        help="of each class and split; the paper's are 100,000",
    )
    return parser.parse_args()


def draw_of_part(scratch: Path, rows: Sequence[Row], part: int) -> Run:
    """Reads of every fourth, second or single class, as many in all."""
    groups = sorted({(split, class_name) for _, class_name, split in rows})[::part]
    kept = [row for row in rows if (row[2], row[1]) in groups]
    return draw(scratch, kept, 300_000 // len(groups))


def draw_of_pieces(scratch: Path, rows: Sequence[Row], num_pieces: int) -> Run:
    """Reads of the same genomes, each record in so many pieces."""
    folder = scratch / "pieces"
    folder.mkdir()
    pieces = []
    for number, (file, class_name, split) in enumerate(rows):
        for record in read_file(file):
            step = -(-len(record.codes) // num_pieces)
            for start in range(0, len(record.codes), step):
                path = folder / f"{number}_{len(pieces)}.fna"
                path.write_text(f">{record.name}_{start}\n{decode(record.codes[start : start + step])}\n")
                pieces.append((str(path), class_name, split))
    run = draw(scratch, pieces, 4_000)
    shutil.rmtree(folder)
    return run


def fastest(scratch: Path, rows: Sequence[Row], reads_per_class: int, threads: int) -> Run:
    """The fastest of five runs, as other work on the machine takes cores away."""
    runs = [draw(scratch, rows, reads_per_class, threads) for _ in range(5)]
    return min(runs, key=lambda run: run.wall_seconds)


def draw(scratch: Path, rows: Iterable[Row], reads_per_class: int, threads: int = 1) -> Run:
    """Run the command and throw the dataset away."""
    table, output = scratch / "table.tsv", scratch / "dataset"
    table.write_text("".join("\t".join(row) + "\n" for row in [("file", "class", "split"), *rows]))
    command = [
        PROGRAM,
        "reads",
        table,
        "-o",
        output,
        "--reads-per-class",
        reads_per_class,
        "-t",
        threads,
        "-q",
    ]
    launch = [sys.executable, "-I", "-S", "-c", LAUNCHER, *map(str, command)]
    measured = json.loads(subprocess.run(launch, stdout=subprocess.PIPE, check=True).stdout)
    if measured.pop("status"):
        sys.exit(f"{' '.join(map(str, command))} failed")
    dataset = Dataset.load(output)
    run = Run(
        files=len(dataset.sources),
        megabases=sum(source["bases"] for source in dataset.sources) / 1e6,
        reads=sum(split.num_reads for split in dataset.splits.values()),
        threads=threads,
        **measured,
    )
    shutil.rmtree(output)
    return run


def ratios(name: str, runs: Sequence[Run]) -> dict[str, Any]:
    """The last run over the first."""
    first, last = runs[0], runs[-1]
    if name == "threads":
        return {"wall seconds, one thread over two": round(first.wall_seconds / last.wall_seconds, 2)}
    grown = {"reads": "reads", "bases": "megabases", "files": "files"}[name]
    return {
        name: round(getattr(last, grown) / getattr(first, grown), 2),
        "cpu seconds": round(last.cpu_seconds / first.cpu_seconds, 2),
        "peak memory": round(last.peak_megabytes / first.peak_megabytes, 2),
    }


if __name__ == "__main__":
    main()
