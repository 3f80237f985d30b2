"""What `genood score` costs beside its model: reads a second of the command and of the bare model.

For each density model: the whole command, from FASTQ.gz to a table, beside both models on the same reads in
memory: their log-probabilities of each base, and their log-likelihoods of each read, which is what the
command asks for. With one and with two threads. On the same file `seqkit stats`, which only
reads, and kraken2, which classifies. All take turns, several times. Then the
peak memory of scoring files of growing size, and of one long contig.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import describe
from peers import kraken_version, make_kraken_database
from real import READ_LENGTH, genomes_by_split
from speed import GENOOD, timed, write_reads

from genood.files import write_json
from genood.sequence import decode

THREADS = {1: "1 thread", 2: "2 threads"}
LSTM_UNITS = 128
LSTM_SHARE = 20
"""An LSTM scores a read in one of so many: it is that much slower than the context model."""

BARE = """
import sys, time
import numpy as np
from genood.bundle import Bundle
from genood.cli.memory import keep_freed_memory
from genood.overlap import apply_ahead
from genood.readers import read_blocks, ReadBlock
from genood.threads import on_one_thread, set_num_threads

directory, reads, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
set_num_threads(threads)
keep_freed_memory()
bundle = Bundle.load(directory)
whole = ReadBlock.joined(list(read_blocks([reads])))
codes = whole.codes.reshape(len(whole.names), -1)
lengths = whole.lengths
size = bundle.foreground.batch_bases // codes.shape[1]

def seconds(ask):
    def one_by_one(start):
        ask(codes[start:start + size], lengths[start:start + size])

    def beside_others(start):
        with on_one_thread():
            one_by_one(start)

    one_by_one(0)
    ways = [(one_by_one, 1)]
    if threads > 1 and bundle.foreground.side_by_side:
        ways.append((beside_others, threads))
    taken = []
    for way, at_once in ways:
        began = time.perf_counter()
        for _ in apply_ahead(way, range(0, len(codes), size), at_once):
            pass
        taken.append(time.perf_counter() - began)
    return min(taken)

print(seconds(bundle.log_probs), seconds(bundle.log_likelihoods))
"""
"""Prints the seconds of the bare model by base and by read, with several threads the better of batches one by
one and side by side."""
BARE_MODELS = ("bare model by base", "bare model by read")


def main() -> None:
    arguments = parse_arguments()
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    splits = genomes_by_split(arguments.data)
    genomes = [*splits["val_in"], *splits["val_ood"]]
    bundles = train(splits["train_in"], out)
    database = out / "kraken" if kraken_version() is not None else None
    if database is not None:
        make_kraken_database(splits["train_in"], database, 2)
    report: dict[str, Any] = {**describe(), "models": {}}
    for name, bundle in bundles.items():
        num_reads = arguments.reads // (LSTM_SHARE if name == "lstm" else 1)
        reads = fastq(genomes, num_reads, out)
        report["models"][name] = compare(bundle, reads, database, arguments.repeats, out)
        print(name, json.dumps(report["models"][name], indent=2), flush=True)
    report["peak_bytes"] = memory(bundles["context"], genomes, arguments.most_reads, arguments.contig, out)
    print(json.dumps(report["peak_bytes"], indent=2))
    write_json(out / "throughput.json", report)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=root / "bench-out")
    parser.add_argument("--reads", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--most-reads", type=int, default=10_000_000, help="of the memory curve")
    parser.add_argument("--contig", type=int, default=300_000_000, help="bases of the long contig")
    return parser.parse_args()


def train(genomes: Sequence[Path], out: Path) -> dict[str, Path]:
    """A bundle of each density model; how good it is does not matter here."""
    steps = ["--hidden-size", LSTM_UNITS, "--steps", 2]
    options_of: dict[str, list[object]] = {"context": [], "sketch": [], "markov": [], "lstm": steps}
    bundles = {name: out / name for name in options_of}
    for name, options in options_of.items():
        if not (bundles[name] / "genood.json").is_file():
            shutil.rmtree(bundles[name], ignore_errors=True)
            chosen = genomes[:1] if name == "lstm" else genomes
            timed([GENOOD, "train", "--model", name, *chosen, "-o", bundles[name], "-q", "-t", 2, *options])
    return bundles


def fastq(genomes: Sequence[Path], num_reads: int, out: Path) -> Path:
    """A file of so many reads of these genomes."""
    path = out / f"reads-{num_reads}.fastq.gz"
    if not path.is_file():
        write_reads(genomes, num_reads, path)
    return path


def compare(bundle: Path, reads: Path, database: Path | None, repeats: int, out: Path) -> Mapping[str, Any]:
    """Seconds of all that take turns, and what they are beside each other."""
    first = out / "one.fasta"
    first.write_text(">read\n" + "ACGTTGCA" * 32 + "\n")
    score = [GENOOD, "score", "-q", "-m", bundle, "-o", out / "scores.tsv"]
    peers: dict[str, list[object]] = {}
    if shutil.which("seqkit") is not None:
        peers["seqkit stats"] = ["seqkit", "stats", "-j", 2, "-o", out / "stats.tsv", reads]
    if database is not None:
        kraken = ["kraken2", "--db", database, "--threads", 2, "--output", out / "kraken.tsv"]
        peers["kraken2"] = [*kraken, "--gzip-compressed", reads]
    runs: dict[str, list[float]] = defaultdict(list)
    for _ in range(repeats):
        for threads, ending in THREADS.items():
            bare = subprocess.run(
                [sys.executable, "-c", BARE, str(bundle), str(reads), str(threads)],
                check=True,
                capture_output=True,
                text=True,
            )
            for name, seconds_taken in zip(BARE_MODELS, bare.stdout.split(), strict=True):
                runs[f"{name}, {ending}"].append(float(seconds_taken))
            for what, file in (("command", reads), ("start", first)):
                runs[f"{what}, {ending}"].append(timed([*score, "-t", threads, file]).seconds)
        for name, command in peers.items():
            runs[name].append(timed(command).seconds)
    seconds = {name: statistics.median(times) for name, times in runs.items()}
    return {"reads": int(reads.name.split("-")[1].split(".")[0]), "seconds": seconds, **ratios(runs)}


def ratios(runs: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Reads a second of the command over those of others: medians of the ratios of runs of one turn.

    From turn to turn a machine that is shared changes its pace by more than what is to be told apart.
    """

    def median(of: str, over: str, without: str | None = None) -> float:
        taken = runs[over] if without is None else np.subtract(runs[over], runs[without])
        return float(np.median(np.divide(runs[of], taken)))

    found = {}
    for ending in THREADS.values():
        command, start = f"command, {ending}", f"start, {ending}"
        for name in BARE_MODELS:
            found[f"command over {name}, {ending}"] = median(f"{name}, {ending}", command)
            found[f"command without its start over {name}, {ending}"] = median(
                f"{name}, {ending}", command, start
            )
    for what in ("command", *BARE_MODELS):
        found[f"2 threads over 1, {what}"] = median(f"{what}, 1 thread", f"{what}, 2 threads")
    for peer in ("seqkit stats", "kraken2"):
        if peer in runs:
            found[f"command, 2 threads, over {peer}"] = median(peer, "command, 2 threads")
    return found


def memory(bundle: Path, genomes: Sequence[Path], most: int, contig: int, out: Path) -> dict[str, int]:
    """Peak bytes of scoring files of tenfold reads up to `most`, and a contig of so many bases."""
    score = [GENOOD, "score", "-q", "-t", 2, "-m", bundle, "-o", out / "scores.tsv"]
    peaks = {}
    part = fastq(genomes, min(most, 100_000), out)
    number = min(most, 100_000)
    while number <= most:
        whole = out / f"grown-{number}.fastq.gz"
        with whole.open("wb") as stream:  # gzip files one after the other are one
            for _ in range(number // min(most, 100_000)):
                stream.write(part.read_bytes())
        peaks[f"{number:,} reads of {READ_LENGTH} bases"] = timed([*score, whole]).peak_bytes
        whole.unlink()
        number *= 10
    long = out / "contig.fasta"
    write_contig(contig, long)
    peaks[f"a contig of {contig:,} bases"] = timed([*score, long]).peak_bytes
    long.unlink()
    return peaks


def write_contig(num_bases: int, output: Path) -> None:
    """One random sequence."""
    generator = np.random.default_rng(0)
    with output.open("w") as stream:
        stream.write(">contig\n")
        for start in range(0, num_bases, 1_000_000):
            size = min(1_000_000, num_bases - start)
            stream.write(decode(generator.integers(0, 4, size, dtype=np.uint8)) + "\n")


if __name__ == "__main__":
    main()
