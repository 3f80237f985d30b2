"""What scoring takes for a read, to plan runs of any size: time, disk, and what a job costs beside its reads.

Reads of 150 and of 250 bases of the same places are scored with one context bundle, in turns with one
thread; and split and gathered as the workflow does. Of the times, ratios are kept: of CPU time, for
machines that have other work too. Names have 40 characters, and qualities are drawn as they follow each
other in a real run. Then the CPU time that a job of Snakemake takes of a node where it does nothing,
and that of planning a run.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from machine import describe
from real import genomes_by_split
from speed import GENOOD, timed, write_reads

from genood.files import write_json

ROOT = Path(__file__).resolve().parents[1]
SNAKEMAKE = str(Path(sys.executable).with_name("snakemake"))
LENGTHS = (150, 250)
NAME = "A00001:123:HABCDEFGX1:1:1101:{:05}:{:05}"
"""As Illumina's, of 40 characters: the last numbers are a place, in rows from top to bottom."""
QUALITIES = "Escherichia__miseq__ecoli_serotyping.fastq.gz"
NUM_PARTS = 4
TABLES = ("tsv", "tsv.gz", "tsv.zst", "parquet")
CLUSTER = ROOT / "workflows" / ".test" / "cluster"
EMPTY_JOBS = """
rule all:
    input: expand("done/{job}", job=range(%d))
    localrule: True
rule nothing:
    output: touch("done/{job}")
    shell: "true"
"""


def main() -> None:
    arguments = parse_arguments()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    splits = genomes_by_split(arguments.data)
    bundle = out / "bundle"
    if not (bundle / "genood.json").is_file():
        timed([GENOOD, "train", *splits["train_in"], "-o", bundle, "-q", "-t", "2"])
    whole = out / f"reads-{arguments.reads}.fastq.gz"
    if not whole.is_file():
        write_reads([*splits["val_in"], *splits["val_ood"]], arguments.reads, whole)
    real = arguments.data / "reads" / QUALITIES
    reads = {length: cut(whole, length, out / f"cut-{length}.fastq.gz", real) for length in LENGTHS}
    report: dict[str, Any] = {
        **describe(),
        "reads": arguments.reads,
        "name_characters": len(NAME.format(0, 0)),
        "table_bytes_per_read": tables(bundle, reads, out),
        "cpu_time": cpu_time(bundle, reads, arguments.repeats, out),
        "file_bytes_per_read": files(reads, arguments.reads, out),
        "cpu_seconds_of_an_empty_job": empty_job(out),
        "cpu_seconds_to_plan": planning(out),
    }
    write_json(out / "footprint.json", report)
    print(json.dumps({key: value for key, value in report.items() if key not in describe()}, indent=2))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=ROOT / "bench-out")
    parser.add_argument("--reads", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def cut(reads: Path, length: int, output: Path, real: Path) -> Path:
    """The first bases of all reads, with names and qualities such as sequencers give."""
    generator = np.random.default_rng(0)
    with gzip.open(reads, "rt") as stream:
        sequences = [bases[:length] for _, bases, _, _ in records(stream)]
    columns = generator.integers(1000, 33_000, len(sequences))
    qualities = drawn_qualities(real, len(sequences), length, generator)
    with gzip.open(output, "wt", compresslevel=6) as stream:
        for number, (bases, column) in enumerate(zip(sequences, columns, strict=True)):
            name = NAME.format(column, 1000 + number // 6)
            stream.write(f"@{name}\n{bases}\n+\n{qualities[number].tobytes().decode()}\n")
    return output


def drawn_qualities(
    real: Path, num_reads: int, length: int, generator: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """Qualities that follow each other as those of a real run do, so that they compress as these do."""
    with gzip.open(real, "rt") as stream:
        known = [np.frombuffer(quality.encode(), np.uint8) for _, _, _, quality in records(stream)]
    counts = np.zeros((128, 128))
    for quality in known:
        np.add.at(counts, (quality[:-1], quality[1:]), 1)
    ends = np.cumsum(counts, axis=1)
    drawn = np.empty((num_reads, length), np.uint8)
    drawn[:, 0] = generator.choice([quality[0] for quality in known], num_reads)
    for place in range(1, length):
        before = ends[drawn[:, place - 1]]
        # Where a quality ends all reads that have it, nothing follows: it is repeated.
        at = generator.random(num_reads) * before[:, -1]
        following = (before <= at[:, None]).sum(axis=1)
        drawn[:, place] = np.where(before[:, -1] > 0, following, drawn[:, place - 1])
    return drawn


def records(lines: Iterator[str]) -> Iterator[tuple[str, ...]]:
    """The four lines of each FASTQ record, without their ends."""
    while record := tuple(line.rstrip("\n") for line in islice(lines, 4)):
        yield record


def tables(bundle: Path, reads: Mapping[int, Path], out: Path) -> dict[str, dict[str, float]]:
    """Bytes of a row of each kind of table, by length of the reads."""
    found: dict[str, dict[str, float]] = {}
    for length, path in reads.items():
        found[str(length)] = {}
        for ending in TABLES:
            table = out / f"scores.{ending}"
            timed([GENOOD, "score", "-q", "-m", bundle, path, "-o", table])
            with gzip.open(path, "rt") as stream:
                found[str(length)][ending] = table.stat().st_size / sum(1 for _ in records(stream))
    return found


def cpu_time(bundle: Path, reads: Mapping[int, Path], repeats: int, out: Path) -> dict[str, Any]:
    """CPU time of what is done to a read, over that of scoring 250 bases.

    Each command is run on one read too, and what that takes, its start, is not counted. Of so many turns
    the least counts: what else the machine does can only add to it.
    """
    one = out / "one.fastq.gz"
    with gzip.open(one, "wt") as stream:
        stream.write(f"@read\n{'ACGTTGCA' * 32}\n+\n{'I' * 256}\n")
    commands: dict[str, list[object]] = {}
    score = [GENOOD, "score", "-q", "-t", "1", "-m", bundle]
    for length, path in {**reads, "start": one}.items():
        commands[f"score {length}"] = [*score, path, "-o", out / "scores.tsv"]
        parts = out / f"parts-{length}"
        commands[f"score to .zst {length}"] = [*score, path, "-o", out / "scores.tsv.zst"]
        commands[f"split {length}"] = split(path, parts)
        timed(commands[f"split {length}"])
        commands[f"gather {length}"] = gather(bundle, parts, out)
    runs: dict[str, list[float]] = {}
    for _ in range(repeats):
        for name, command in commands.items():
            runs.setdefault(name, []).append(timed(command).cpu_seconds)
    seconds = {name: min(times) for name, times in runs.items()}
    whole = seconds["score 250"] - seconds["score start"]
    over = {
        name: (taken - seconds[f"{name.rpartition(' ')[0]} start"]) / whole
        for name, taken in seconds.items()
        if not name.endswith("start")
    }
    return {"seconds": seconds, "over scoring 250": over}


def split(reads: Path, parts: Path) -> list[object]:
    """The command that splits reads into a new directory, as the workflow does."""
    shutil.rmtree(parts, ignore_errors=True)
    parts.mkdir()
    output = ["-o", parts / "%.fastq.zst", "--manifest", parts / "manifest.json"]
    return [GENOOD, "split", "-q", reads, "-n", NUM_PARTS, *output]


def files(reads: Mapping[int, Path], num_reads: int, out: Path) -> dict[str, dict[str, float]]:
    """Bytes of a read in the file that is split, and in its parts."""
    parts = {length: (out / f"parts-{length}").glob("*.fastq.zst") for length in reads}
    return {
        str(length): {
            "input, .gz": path.stat().st_size / num_reads,
            "parts, .zst": sum(part.stat().st_size for part in parts[length]) / num_reads,
        }
        for length, path in reads.items()
    }


def gather(bundle: Path, parts: Path, out: Path) -> list[object]:
    """The command that gathers parts, once they are scored."""
    tables = []
    for reads in sorted(parts.glob("*.fastq.zst")):
        table, summary = (
            reads.with_name(reads.name.replace("fastq.zst", new)) for new in ("tsv.zst", "summary.json")
        )
        timed([GENOOD, "score", "-q", "-m", bundle, reads, "-o", table, "--summary", summary])
        tables.append(table)
    manifest = ["--manifest", parts / "manifest.json"]
    return [GENOOD, "gather", "-q", *tables, *manifest, "-o", out / "gathered.tsv.gz"]


def empty_job(out: Path, num_jobs: int = 6) -> float:
    """CPU seconds of a node for a job that does nothing: the median on a small cluster."""
    with tempfile.TemporaryDirectory(dir=out) as folder:
        (Path(folder) / "Snakefile").write_text(EMPTY_JOBS % num_jobs)
        commands = {name: str(CLUSTER / name) for name in ("submit", "status", "cancel")}
        subprocess.run(
            [SNAKEMAKE, "--jobs", str(num_jobs), "--executor", "cluster-generic"]
            + [word for name in commands for word in (f"--cluster-generic-{name}-cmd", commands[name])]
            + ["--seconds-between-status-checks", "1", "--quiet", "all"],
            cwd=folder,
            check=True,
            env={**os.environ, "CLUSTER_NODES": "1"},
        )
        events = (Path(folder) / ".cluster" / "events.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in events]
    return statistics.median(float(row[5]) for row in rows if row[3] == "ended")


def planning(out: Path) -> dict[str, float]:
    """CPU seconds of Snakemake before the first job, by samples and parts of each."""
    found = {}
    for num_samples, num_parts in ((100, 4), (1, 400), (1, 2000)):
        with tempfile.TemporaryDirectory(dir=out) as folder:
            rows = [f"sample-{number}\treads.fastq" for number in range(num_samples)]
            (Path(folder) / "samples.tsv").write_text("\n".join(["sample\treads", *rows]) + "\n")
            config = {"samples": "samples.tsv", "bundle": "bundle", "score": {"parts": num_parts}}
            (Path(folder) / "config.json").write_text(json.dumps({**config, "check_files": False}))
            (Path(folder) / "reads.fastq").touch()
            (Path(folder) / "bundle").mkdir()
            command = [SNAKEMAKE, "--dry-run", "--snakefile", str(CLUSTER.parents[1] / "Snakefile")]
            command += ["--directory", folder, "--configfile", f"{folder}/config.json"]
            quietly = ["sh", "-c", f"{shlex.join(command)} > {os.devnull}"]
            found[f"{num_samples} x {num_parts}"] = timed(quietly).cpu_seconds
    return found


if __name__ == "__main__":
    main()
