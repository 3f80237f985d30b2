"""What a run of any size takes: jobs, time, memory and disk, from what was measured.

Prints a table for so many reads; with `--update`, writes those of `docs/scaling.md` anew, where all
numbers are from `throughput.json`, `speed.json` and `footprint.json` beside this script. A rate of your own,
of a short run on the machine that is to be used, stands in for the measured one.
"""

from __future__ import annotations

import argparse
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "scaling.md"
READS = 10**10
PART = 25 * 10**6
LENGTHS = (250, 150)


def measured(name: str) -> dict[str, Any]:
    """What a benchmark of this folder found."""
    loaded: dict[str, Any] = json.loads((HERE / f"{name}.json").read_text())
    return loaded


THROUGHPUT, SPEED, FOOTPRINT = (measured(name) for name in ("throughput", "speed", "footprint"))
TABLES = FOOTPRINT["table_bytes_per_read"]
OVER = FOOTPRINT["cpu_time"]["over scoring 250"]


@dataclass(frozen=True, kw_only=True)
class Job:
    """A job that scores one part.

    Attributes
    ----------
    reads_per_second
        While it scores, with all its threads.
    threads
        CPU cores that it holds.
    start_seconds
        Before the first read: Snakemake in the job, Python, the bundle.
    """

    reads_per_second: float
    threads: int
    start_seconds: float

    def seconds(self, reads: float) -> float:
        """How long so many reads take."""
        return self.start_seconds + reads / self.reads_per_second


def measured_job(model: str, length: int, threads: int) -> Job:
    """The job of `throughput.json`; reads that are not of 250 bases by the ratio of CPU times."""
    found = THROUGHPUT["models"][model]
    plural = "1 thread" if threads == 1 else f"{threads} threads"
    start = found["seconds"][f"start, {plural}"]
    rate = found["reads"] / (found["seconds"][f"command, {plural}"] - start)
    return Job(
        reads_per_second=rate / OVER[f"score {length}"],
        threads=threads,
        start_seconds=start + FOOTPRINT["cpu_seconds_of_an_empty_job"],
    )


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run in parts.

    Attributes
    ----------
    reads, part
        Reads in all, and of a part.
    job
        What a part takes.
    slots
        Jobs at a time.
    """

    reads: float
    part: float
    job: Job
    slots: int

    @property
    def num_jobs(self) -> int:
        """Parts that are scored."""
        return math.ceil(self.reads / self.part)

    @property
    def job_seconds(self) -> float:
        """Of one part."""
        return self.job.seconds(min(self.part, self.reads))

    @property
    def wall_seconds(self) -> float:
        """Of all parts, waves of as many as run at a time; what jobs wait in the queue is not in it."""
        return math.ceil(self.num_jobs / self.slots) * self.job_seconds

    @property
    def core_hours(self) -> float:
        """Cores held times hours, of all parts."""
        return self.num_jobs * self.job_seconds * self.job.threads / 3600

    @property
    def start_share(self) -> float:
        """Of the time of a job, what is gone before its first read."""
        return self.job.start_seconds / self.job_seconds


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def number(value: float) -> str:
    """With two significant digits, or all of an integer's thousands."""
    if value == 0:
        return "0"
    digits = max(0, 1 - math.floor(math.log10(abs(value))))
    return f"{value:,.{digits}f}" if value < 100 else f"{float(f'{value:.2g}'):,.0f}"


def duration(seconds: float) -> str:
    """In the unit in which it is read."""
    if seconds < 120:
        return f"{number(seconds)} s"
    if seconds < 2 * 3600:
        return f"{number(seconds / 60)} min"
    return f"{number(seconds / 3600)} h" if seconds < 4 * 86400 else f"{number(seconds / 86400)} d"


def share(value: float) -> str:
    """In per cent, to a hundredth."""
    return "< 0.01 %" if 0 < value < 0.0001 else f"{value:.2%}".replace("%", " %")


def short() -> str:
    """The plan in one sentence."""
    plan = Plan(reads=READS, part=PART, job=measured_job("context", 250, 2), slots=100)
    one = measured_job("context", 250, 1).reads_per_second
    around = sum(OVER[f"{step} 250"] for step in ("split", "gather")) * READS / one / 3600
    jobs = f"{plan.num_jobs:,} jobs of {plan.job.threads} cores and {duration(plan.job_seconds)} each"
    return (
        f"Ten billion reads of 250 bases in parts of {PART:,} are {jobs}, or {number(plan.core_hours)} core "
        f"hours; splitting and gathering take {number(around)} more. With {plan.slots} jobs at a time the "
        f"scoring is done in {duration(plan.wall_seconds)}, beside what jobs wait in the queue. The tables "
        f"take {number(TABLES['250']['tsv.gz'] * READS / 1e12)} TB as `.tsv.gz`."
    )


def basis() -> str:
    """What the plan stands on."""
    rows = []
    for model, name in (("context", "context model"), ("lstm", "LSTM of 128 units")):
        for threads in (1, 2):
            rate = number(measured_job(model, 250, threads).reads_per_second)
            what = f"{name}, reads of 250 bases a second, {threads} thread{'s' * (threads > 1)}"
            rows.append([what, rate, "throughput"])
    start = THROUGHPUT["models"]["context"]["seconds"]["start, 2 threads"]
    peaks, planning = THROUGHPUT["peak_bytes"], FOOTPRINT["cpu_seconds_to_plan"]
    peak = max(SPEED["peak_bytes"]["score"], peaks["10,000,000 reads of 250 bases"])
    snakemake = "CPU seconds of Snakemake"
    numbers = [
        ("CPU time of a read of 150 bases, over one of 250", OVER["score 150"], "footprint"),
        ("seconds of `genood score` before the first read", start, "throughput"),
        (f"{snakemake} for a job that does nothing", FOOTPRINT["cpu_seconds_of_an_empty_job"], "footprint"),
        (f"{snakemake} before the first job, 100 samples in 4 parts", planning["100 x 4"], "footprint"),
        ("the same, one sample in 400 parts", planning["1 x 400"], "footprint"),
        ("the same, one sample in 2,000 parts", planning["1 x 2000"], "footprint"),
        ("bundle of 27 genomes (113 Mb), GB", SPEED["bundle_bytes"] / 1e9, "speed"),
        ("peak memory of scoring with it, up to 10⁷ reads, GB", peak / 1e9, "speed"),
        ("the same, a contig of 300 Mb, GB", peaks["a contig of 300,000,000 bases"] / 1e9, "throughput"),
    ]
    rows += [[what, number(value), file] for what, value, file in numbers]
    cells = [[what, value, f"[`{file}.json`](../benchmarks/{file}.json)"] for what, value, file in rows]
    return table(["", "measured", "in"], cells)


def parts() -> str:
    """Plans for parts of several sizes."""
    rows = []
    for part in (10**6, 5 * 10**6, 25 * 10**6, 10**8):
        for length in LENGTHS:
            plan = Plan(reads=READS, part=part, job=measured_job("context", length, 2), slots=100)
            walls = [replace(plan, slots=slots).wall_seconds for slots in (25, 100, 500)]
            rows.append(
                [
                    f"{part:,}",
                    str(length),
                    f"{plan.num_jobs:,}",
                    duration(plan.job_seconds),
                    share(plan.start_share),
                    number(plan.core_hours),
                    *map(duration, walls),
                ]
            )
    header = ["reads a part", "bases a read", "jobs", "a job", "of it start", "core hours"]
    return table([*header, "wall, 25 at a time", "100", "500"], rows)


def disk() -> str:
    """Bytes of the tables."""
    rows = []
    for ending, bytes_per_read in TABLES["250"].items():
        high = max(bytes_per_read, TABLES["150"][ending])
        rows.append(
            [f"table as `.{ending}`", number(high), number(high * READS / 1e12), number(high * 1e8 / 1e9)]
        )
    for what in ("input, .gz", "parts, .zst"):
        sizes = [FOOTPRINT["file_bytes_per_read"][str(length)][what] for length in LENGTHS]
        name = what.replace(", .", " as `.") + "`"
        rows += [
            [f"{name}, {length} bases", number(size), number(size * READS / 1e12), number(size * 1e8 / 1e9)]
            for size, length in zip(sizes, LENGTHS, strict=True)
        ]
    return table(["", "bytes a read", "TB in all", "GB for a sample of 10⁸ reads"], rows)


def around() -> str:
    """Splitting and gathering, which one core does for a sample."""
    one = measured_job("context", 250, 1)
    rows = []
    for step in ("split", "gather"):
        for length in LENGTHS:
            rate = one.reads_per_second / OVER[f"{step} {length}"]
            rows.append(
                [
                    f"`genood {step}`",
                    str(length),
                    number(rate),
                    duration(1e8 / rate),
                    number(READS / rate / 3600),
                ]
            )
    return table(["", "bases a read", "reads a second", "a sample of 10⁸ reads", "core hours in all"], rows)


def rates() -> str:
    """Hours by rate of one device, for what was measured on none."""
    rows = []
    for rate in (10**3, 10**4, 10**5):
        job = Job(reads_per_second=rate, threads=1, start_seconds=0)
        part = rate * 1800
        times = [Plan(reads=READS, part=part, job=job, slots=slots).wall_seconds for slots in (1, 8, 64)]
        rows.append([f"{rate:,}", number(READS / rate / 3600), f"{part:,}", *map(duration, times)])
    header = ["reads a second of one GPU", "GPU hours", "reads a part of half an hour", "1 GPU", "8", "64"]
    return table(header, rows)


def lost() -> str:
    """What lost jobs cost, at 25 million reads a part."""
    plan = Plan(reads=READS, part=PART, job=measured_job("context", 250, 2), slots=100)
    rows = []
    for rate in (0.001, 0.01, 0.1):
        again = plan.num_jobs * rate / (1 - rate)
        ends = [1 - (1 - rate ** (retries + 1)) ** plan.num_jobs for retries in (0, 3)]
        rows.append(
            [
                f"{rate:.1%}".replace("%", " %"),
                number(again),
                number(again * plan.job_seconds * plan.job.threads / 3600),
                *map(share, ends),
            ]
        )
    header = ["of jobs lost", "jobs again", "core hours again", "chance that the run ends early, no retries"]
    return table([*header, "`retries: 3`"], rows)


SECTIONS: dict[str, Callable[[], str]] = {
    "short": short,
    "basis": basis,
    "parts": parts,
    "around": around,
    "disk": disk,
    "rates": rates,
    "lost": lost,
}


def updated(page: str) -> str:
    """The page with its tables as they are now: each between `<!-- plan: NAME -->` and `<!-- end -->`."""

    def section(match: re.Match[str]) -> str:
        return f"{match[1]}\n{SECTIONS[match[2]]()}\n{match[3]}"

    return re.sub(r"(<!-- plan: (\w+) -->).*?(<!-- end -->)", section, page, flags=re.DOTALL)


def main() -> None:
    arguments = parse_arguments()
    if arguments.update:
        PAGE.write_text(updated(PAGE.read_text()))
        return
    job = measured_job("context", arguments.length, 2)
    if arguments.reads_per_second is not None:
        job = replace(job, reads_per_second=arguments.reads_per_second, threads=arguments.threads)
    plan = Plan(reads=arguments.reads, part=arguments.part, job=job, slots=arguments.jobs)
    rows = [
        ["jobs", f"{plan.num_jobs:,}"],
        ["a job", duration(plan.job_seconds)],
        ["all, with so many at a time", duration(plan.wall_seconds)],
        ["core hours", number(plan.core_hours)],
        ["before the first read", share(plan.start_share)],
    ]
    for ending, bytes_per_read in TABLES["150" if arguments.length < 200 else "250"].items():
        rows.append([f"tables as .{ending}, GB", number(bytes_per_read * arguments.reads / 1e9)])
    print(table(["", ""], rows))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reads", type=float, default=READS)
    parser.add_argument("--length", type=int, choices=LENGTHS, default=250, help="bases of a read")
    parser.add_argument("--part", type=float, default=25e6, help="reads of a part")
    parser.add_argument("--jobs", type=int, default=100, help="that run at a time")
    parser.add_argument("--reads-per-second", type=float, help="of a job, as its summary says")
    parser.add_argument("--threads", type=int, default=2, help="of a job with that rate")
    parser.add_argument("--update", action="store_true", help="write the tables of docs/scaling.md anew")
    return parser.parse_args()


if __name__ == "__main__":
    main()
