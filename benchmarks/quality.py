"""Compare genood's scores with each other and with k-mer methods, on reads of real genomes.

Trains the context model on the training genomes, cuts reads of the validation genomes, imports the
published reads and prints how well each method separates them. A bundle or a Kraken 2 database that is
there already is not made again. All scores here are higher for reads that look more in-distribution.

The tables go to stdout as TSV, what the commands say to stderr, and all of it to quality.json.
"""

from __future__ import annotations

import argparse
import math
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numba
import numpy as np
import numpy.typing as npt
import torch
from machine import describe
from real import COLUMNS, READ_LENGTH, command, cut_reads, genomes_by_split, published_reads

from genood.bundle import Bundle
from genood.evaluation import read_scores
from genood.files import write_json
from genood.genomes import class_of, load_genomes
from genood.metrics import separation, separation_intervals
from genood.readers import read_file
from genood.sequence import UNKNOWN, Codes, decode, known_runs, pad

SIDES = ("val_in", "val_ood", "published_in", "published_ood")
OWN_BACKGROUNDS = ("other-classes", "low-order", "read-chain")
"""Backgrounds that one bundle gives."""
KMER_SIZES = (16, 21, 31)
GENOOD = "genood llr other-classes"
KMERS = "21-mer containment"
COMPARED = (GENOOD, KMERS)
"""The methods of the detailed tables."""
NUM_HARDEST = 12
METRICS = ("auroc", "fpr80")
_BATCH_READS = 256
_KRAKEN_TAXON = 2
_KRAKEN_NODES = "1\t|\t1\t|\tno rank\t|\t-\t|\n2\t|\t1\t|\tspecies\t|\t-\t|\n"
_KRAKEN_NAMES = "1\t|\troot\t|\t-\t|\tscientific name\t|\n2\t|\treference\t|\t-\t|\tscientific name\t|\n"

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Keys = npt.NDArray[np.uint64]
Scores = dict[str, dict[str, Floats]]
"""By method, then by side."""


class Reads(NamedTuple):
    """Reads of one side: names, codes uint8 (N, L) and lengths int64 (N,)."""

    names: list[str]
    codes: Codes
    lengths: npt.NDArray[np.int64]

    @property
    def genomes(self) -> npt.NDArray[np.str_]:
        """The genome of each read that `cut_reads` named."""
        return np.array([name.rpartition("_")[0] for name in self.names])

    @property
    def gc(self) -> Floats:
        """Share of G and C among the known bases of each read."""
        strong = (self.codes == 1) | (self.codes == 2)
        return strong.sum(axis=1) / (self.codes < UNKNOWN).sum(axis=1)


class Table(NamedTuple):
    """Rows of cells under a header and a title."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def main() -> None:
    arguments = parse_arguments()
    data, out = arguments.data, arguments.out
    if not (data / "manifest.tsv").is_file():
        sys.exit(f"{data}: holds no manifest.tsv; this benchmark needs the project's real genomes (--data)")
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(arguments.threads)
    genomes = genomes_by_split(data)
    with stdout_to_stderr():
        for split in ("val_in", "val_ood"):
            cut_reads(genomes[split], out / f"{split}.fasta", arguments.reads_per_genome)
        published_reads(data / "published", out)
        reads = {side: load_reads(out / f"{side}.fasta") for side in SIDES}
        scores, skipped = score_all(arguments, genomes["train_in"], reads)
    new = of_new_species(reads["val_in"], genomes["train_in"])
    results = separate_all(scores, new)
    report = {
        **describe(),
        "kraken2": kraken_version(),
        "reads_per_genome": arguments.reads_per_genome,
        "reads": {side: len(reads[side].names) for side in SIDES},
        "skipped": skipped,
        "results": results,
        "by_representation": by_representation(scores, new, reads["val_in"], results),
        "auroc_by_val_in_genome": by_in_genome(scores, reads["val_in"], new),
        "auroc_by_ood_genome": by_ood_genome(scores, reads["val_ood"]),
        "correlation_with_gc": correlation_with_gc(scores, reads),
    }
    write_json(out / "quality.json", report)
    for table in tables_of(report):
        print_table(table)
    for method, reason in skipped.items():
        print(f"# {method}: skipped, {reason}")


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=root / "bench-out")
    parser.add_argument("--reads-per-genome", type=int, default=100)
    parser.add_argument("-t", "--threads", type=int, default=1)
    parser.add_argument("--no-mutated", action="store_true", help="leave the mutated background out")
    parser.add_argument("--lstm", type=Path, metavar="BUNDLE", help="a bundle of an lstm to score with too")
    return parser.parse_args()


@contextmanager
def stdout_to_stderr() -> Iterator[None]:
    """Send what commands print to stderr, so that stdout holds the tables alone."""
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        yield
    finally:
        os.dup2(saved, 1)
        os.close(saved)


def load_reads(fasta: Path) -> Reads:
    """Reads of a FASTA file."""
    names, sequences = [], []
    for record in read_file(str(fasta)):
        names.append(record.name)
        sequences.append(record.codes)
    return Reads(names, *pad(sequences))


def score_all(
    arguments: argparse.Namespace, reference: Sequence[Path], reads: Mapping[str, Reads]
) -> tuple[Scores, dict[str, str]]:
    """Scores by method and side, and the reasons of methods left out."""
    out, threads = arguments.out, arguments.threads
    skipped = {}
    train(reference, out / "bundle", threads)
    scores = context_scores(Bundle.load(out / "bundle"), reads)
    if arguments.no_mutated:
        skipped["genood llr mutated"] = "--no-mutated was given"
    else:
        train(reference, out / "bundle-mutated", threads, "--background", "mutated")
        scores["genood llr mutated"] = command_scores(out / "bundle-mutated", out, "mutated", threads)["llr"]
    if arguments.lstm is None:
        skipped["genood lstm"] = "no --lstm was given"
    else:
        by_detector = command_scores(arguments.lstm, out, "lstm", threads)
        scores |= {f"genood lstm {detector}": sides for detector, sides in by_detector.items()}
    scores |= containment_scores(reference, reads)
    if kraken_version() is None:
        skipped["kraken2"] = "kraken2 and kraken2-build are not both on PATH"
    else:
        make_kraken_database(reference, out / "kraken", threads)
        scores["kraken2 k-mers found"] = {side: kraken_scores(out, side, threads) for side in SIDES}
    return scores, skipped


def train(reference: Sequence[Path], bundle: Path, threads: int, *options: str) -> None:
    """Train a context model, unless the bundle is there."""
    if not (bundle / "genood.json").is_file():
        command("genood", "train", *reference, "--model", "context", "-t", threads, "-o", bundle, *options)


def context_scores(bundle: Bundle, reads: Mapping[str, Reads]) -> Scores:
    """Likelihood and likelihood ratios, per base, of the backgrounds that one bundle gives."""
    scores: Scores = {"genood likelihood": {}}
    for background in OWN_BACKGROUNDS:
        ratios = scores[f"genood llr {background}"] = {}
        for side, of_side in reads.items():
            likelihood, background_likelihood = nats_per_base(bundle, of_side, background)
            scores["genood likelihood"][side] = likelihood
            ratios[side] = likelihood - background_likelihood
    return scores


def nats_per_base(bundle: Bundle, reads: Reads, background: str) -> Floats:
    """Log-likelihoods per base of the foreground and of a background, shape (2, N)."""
    parts = []
    for rows in np.array_split(np.arange(len(reads.names)), math.ceil(len(reads.names) / _BATCH_READS)):
        pair = bundle.foreground.log_probs_with_background(reads.codes[rows], reads.lengths[rows], background)
        parts.append([nats.sum(axis=1, dtype=np.float64) for nats in pair])
    return np.concatenate(parts, axis=1) / (reads.codes < UNKNOWN).sum(axis=1)


def command_scores(bundle: Path, out: Path, label: str, threads: int) -> Scores:
    """Scores of both detectors, by detector and side, as `genood score` gives them."""
    scores: Scores = {detector: {} for detector in COLUMNS}
    detectors = [word for detector in COLUMNS for word in ("--detector", detector)]
    for side in SIDES:
        table = out / f"{label}-{side}.tsv"
        fasta = out / f"{side}.fasta"
        command("genood", "score", "-m", bundle, fasta, "-o", table, "-t", threads, *detectors)
        for detector, column in COLUMNS.items():
            scores[detector][side] = -read_scores(str(table), column)
    return scores


_compiled = numba.njit(nogil=True)


@_compiled
def _canonical_keys(codes: Codes, k: int) -> Keys:
    """The lesser of each k-mer and its reverse complement as a number; k is at most 31."""
    keys = np.empty(len(codes) - k + 1, np.uint64)
    mask = (np.uint64(1) << np.uint64(2 * k)) - np.uint64(1)
    top = np.uint64(2 * (k - 1))
    forward, reverse = np.uint64(0), np.uint64(0)
    for i in range(len(codes)):
        code = np.uint64(codes[i])
        forward = ((forward << np.uint64(2)) | code) & mask
        reverse = (reverse >> np.uint64(2)) | ((np.uint64(3) - code) << top)
        if i >= k - 1:
            keys[i - k + 1] = min(forward, reverse)
    return keys


def kmers_of(codes: Codes, k: int) -> Keys:
    """Canonical k-mers of a sequence, those with an unknown base left out."""
    runs = [_canonical_keys(codes[start:stop], k) for start, stop in known_runs(codes, k)]
    return np.concatenate(runs) if runs else np.empty(0, dtype=np.uint64)


def containment_scores(reference: Sequence[Path], reads: Mapping[str, Reads]) -> Scores:
    """Share of each read's k-mers that occur in the reference, exactly, on either strand."""
    genomes = load_genomes(reference, min_length=READ_LENGTH)
    segments = [
        genomes.codes[start : start + length]
        for start, length in zip(genomes.starts, genomes.lengths, strict=True)
    ]
    scores: Scores = {}
    for k in KMER_SIZES:
        known = np.concatenate([_canonical_keys(segment, k) for segment in segments])
        known.sort()
        scores[f"{k}-mer containment"] = {
            side: containment(known, of_side, k) for side, of_side in reads.items()
        }
    return scores


def containment(known: Keys, reads: Reads, k: int) -> Floats:
    """Share of each read's k-mers among sorted ones; NaN for a read without a k-mer."""
    kmers = [kmers_of(codes[:length], k) for codes, length in zip(reads.codes, reads.lengths, strict=True)]
    numbers = np.array([len(keys) for keys in kmers])
    keys = np.concatenate(kmers)
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    owners = np.repeat(np.arange(len(kmers)), numbers)
    found = np.bincount(owners, weights=known[places] == keys, minlength=len(kmers))
    return np.divide(found, numbers, out=np.full(len(kmers), np.nan), where=numbers > 0)


def kraken_version() -> str | None:
    """Version of Kraken 2, or None where it is not installed."""
    if shutil.which("kraken2") is None or shutil.which("kraken2-build") is None:
        return None
    version = subprocess.run(["kraken2", "--version"], check=True, capture_output=True, text=True).stdout
    return version.splitlines()[0].split()[-1]


def make_kraken_database(reference: Sequence[Path], database: Path, threads: int) -> None:
    """Build a Kraken 2 database of the reference as one taxon, unless it is there.

    The sizes are Kraken 2's defaults; nothing is masked, as genood and the k-mers mask nothing either.
    """
    if (database / "hash.k2d").is_file():
        return
    shutil.rmtree(database, ignore_errors=True)
    (database / "taxonomy").mkdir(parents=True)
    (database / "taxonomy" / "nodes.dmp").write_text(_KRAKEN_NODES)
    (database / "taxonomy" / "names.dmp").write_text(_KRAKEN_NAMES)
    fasta = database / "reference.fasta"
    write_kraken_reference(reference, fasta)
    build = ["kraken2-build", "--db", str(database)]
    subprocess.run([*build, "--no-masking", "--add-to-library", str(fasta)], check=True)
    fasta.unlink()
    subprocess.run([*build, "--build", "--threads", str(threads)], check=True)


def write_kraken_reference(reference: Sequence[Path], fasta: Path) -> None:
    """Write all records under headers that name the taxon."""
    records = (record for path in reference for record in read_file(str(path)))
    with fasta.open("w") as stream:
        for number, record in enumerate(records):
            stream.write(f">seq{number}|kraken:taxid|{_KRAKEN_TAXON}\n{decode(record.codes)}\n")


def kraken_scores(out: Path, side: str, threads: int) -> Floats:
    """Share of each read's k-mers that Kraken 2 finds; NaN for a read without a k-mer."""
    output = out / f"kraken-{side}.tsv"
    program = ["kraken2", "--db", str(out / "kraken"), "--threads", str(threads), "--output", str(output)]
    subprocess.run([*program, str(out / f"{side}.fasta")], check=True)
    lines = output.read_text().splitlines()
    return np.array([kraken_share(line.split("\t")[4]) for line in lines])


def kraken_share(hits: str) -> float:
    """Share of k-mers with a taxon in the fifth column of Kraken 2's output; A stands for unknown bases."""
    numbers = {"0": 0, str(_KRAKEN_TAXON): 0, "A": 0}
    for hit in hits.split():
        taxon, _, number = hit.partition(":")
        numbers[taxon] += int(number)
    found, missing = numbers[str(_KRAKEN_TAXON)], numbers["0"]
    return found / (found + missing) if found + missing else math.nan


def of_new_species(val_in: Reads, reference: Sequence[Path]) -> Bools:
    """Which reads are of a species without a training genome."""
    trained = {species_of(path.name) for path in reference}
    return np.array([species_of(genome) not in trained for genome in val_in.genomes])


def species_of(file_name: str) -> str:
    """Class and species epithet of a file named class__epithet_and_more."""
    class_name, _, rest = file_name.partition("__")
    return f"{class_name} {rest.partition('_')[0]}"


def separate_all(scores: Scores, new: Bools) -> dict[str, Any]:
    """Metrics with intervals, by method and set of reads."""
    return {method: separate(sides, new) for method, sides in scores.items()}


def separate(sides: Mapping[str, Floats], new: Bools) -> dict[str, Any]:
    """Metrics with intervals of one method, by set of reads; known and new are parts of validation."""
    val_in, val_ood = sides["val_in"], sides["val_ood"]
    sets = {
        "validation": (val_in, val_ood),
        "published": (sides["published_in"], sides["published_ood"]),
        "known": (val_in[~new], val_ood),
        "new": (val_in[new], val_ood),
    }
    return {
        name: {metric: interval._asdict() for metric, interval in separation_intervals(-ins, -oods).items()}
        for name, (ins, oods) in sets.items()
    }


def by_representation(
    scores: Scores, new: Bools, val_in: Reads, results: Mapping[str, Any]
) -> dict[str, Any]:
    """How near the reference the reads of known and of new species are, and how they separate."""
    kmers = [f"{k}-mer containment" for k in KMER_SIZES]
    return {
        name: {
            "genomes": len(set(val_in.genomes[chosen])),
            "reads": int(chosen.sum()),
            "mean_containment": {method: float(scores[method]["val_in"][chosen].mean()) for method in kmers},
            "metrics": {method: results[method][name] for method in COMPARED},
        }
        for name, chosen in (("known", ~new), ("new", new))
    }


def by_in_genome(scores: Scores, val_in: Reads, new: Bools) -> dict[str, Any]:
    """AUROC of the reads of each in-distribution genome against all OOD reads; one genome a class."""
    rows = {}
    for genome in np.unique(val_in.genomes):
        chosen = val_in.genomes == genome
        rows[str(genome)] = {
            "class": class_of(genome),
            "species": "new" if new[chosen].all() else "known",
            "mean_containment": float(scores[KMERS]["val_in"][chosen].mean()),
            **{method: auroc(scores[method], of=chosen) for method in COMPARED},
        }
    return rows


def by_ood_genome(scores: Scores, val_ood: Reads) -> dict[str, dict[str, float]]:
    """AUROC of all in-distribution reads against those of each OOD genome, hardest for genood first."""
    rows = {}
    for genome in np.unique(val_ood.genomes):
        chosen = val_ood.genomes == genome
        rows[str(genome)] = {method: auroc(scores[method], against=chosen) for method in COMPARED}
    return dict(sorted(rows.items(), key=lambda item: item[1][GENOOD]))


def auroc(sides: Mapping[str, Floats], of: Bools | None = None, against: Bools | None = None) -> float:
    """AUROC on the validation reads, or on a part of those of a side."""
    val_in, val_ood = sides["val_in"], sides["val_ood"]
    ins = val_in if of is None else val_in[of]
    oods = val_ood if against is None else val_ood[against]
    return separation(-ins, -oods).auroc


def correlation_with_gc(scores: Scores, reads: Mapping[str, Reads]) -> dict[str, float]:
    """Pearson correlation of genood's scores with GC over the validation reads of both sides."""
    sides = ("val_in", "val_ood")
    gc = np.concatenate([reads[side].gc for side in sides])
    return {
        method: float(np.corrcoef(gc, np.concatenate([by_side[side] for side in sides]))[0, 1])
        for method, by_side in scores.items()
        if method.startswith("genood")
    }


def tables_of(report: Mapping[str, Any]) -> Iterable[Table]:
    """The report as tables."""
    yield separation_table(report["results"])
    yield representation_table(report["by_representation"])
    yield Table(
        "val_in by class: AUROC against all val_ood reads",
        ["class", "genome", "species", "21-mers found", *COMPARED],
        [
            [row["class"], genome, row["species"], f"{row['mean_containment']:.3f}", *aurocs(row)]
            for genome, row in report["auroc_by_val_in_genome"].items()
        ],
    )
    yield Table(
        f"val_ood by genome, the {NUM_HARDEST} hardest for {GENOOD}: AUROC of all val_in reads against it",
        ["genome", *COMPARED],
        [[genome, *aurocs(row)] for genome, row in list(report["auroc_by_ood_genome"].items())[:NUM_HARDEST]],
    )
    yield Table(
        "Pearson correlation of the score per base with GC, val_in and val_ood reads",
        ["method", "r"],
        [[method, f"{r:.3f}"] for method, r in report["correlation_with_gc"].items()],
    )


def separation_table(results: Mapping[str, Any]) -> Table:
    """AUROC and FPR80 by method."""
    columns = [(name, metric) for name in ("validation", "published") for metric in METRICS]
    columns += [("known", "auroc"), ("new", "auroc")]
    return Table(
        "separation of in-distribution from OOD reads, with 95 % intervals",
        ["method", *(f"{name} {metric.upper()}" for name, metric in columns)],
        [
            [method, *(interval(sets[name][metric]) for name, metric in columns)]
            for method, sets in results.items()
        ],
    )


def representation_table(by_species: Mapping[str, Any]) -> Table:
    """How near the reference known and new species are, and how they separate from val_ood."""
    return Table(
        "val_in by whether the species has a training genome; mean share of a read's k-mers in the reference",
        [
            *("species", "genomes", "reads"),
            *(f"{k}-mers found" for k in KMER_SIZES),
            *(f"{method} {metric.upper()}" for method in COMPARED for metric in METRICS),
        ],
        [
            [
                *(name, str(row["genomes"]), str(row["reads"])),
                *(f"{share:.3f}" for share in row["mean_containment"].values()),
                *(interval(row["metrics"][method][metric]) for method in COMPARED for metric in METRICS),
            ]
            for name, row in by_species.items()
        ],
    )


def aurocs(row: Mapping[str, Any]) -> list[str]:
    """Cells of the compared methods."""
    return [f"{row[method]:.3f}" for method in COMPARED]


def interval(value: Mapping[str, float]) -> str:
    """A value with its interval as a cell."""
    return "{value:.3f} [{low:.3f}, {high:.3f}]".format(**value)


def print_table(table: Table) -> None:
    """One table as TSV under its title."""
    print(f"# {table.title}")
    for row in (table.header, *table.rows):
        print("\t".join(row))
    print()


if __name__ == "__main__":
    main()
