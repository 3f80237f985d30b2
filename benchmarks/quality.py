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
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from machine import describe
from peers import (
    Floats,
    Reads,
    Scores,
    containment_scores,
    kraken_scores,
    kraken_version,
    make_kraken_database,
)
from real import COLUMNS, check_data, command, genomes_by_split, write_reads

from genood.bundle import Bundle
from genood.evaluation.tables import read_scores
from genood.files import write_json
from genood.metrics import separation, separation_intervals
from genood.readers import read_file
from genood.reference.labels import class_of
from genood.sequence import UNKNOWN, pad
from genood.threads import set_num_threads

SIDES = ("val_in", "val_ood", "published_in", "published_ood")
OWN_BACKGROUNDS = ("other-classes", "low-order", "read-chain")
"""Backgrounds that one bundle gives."""
KMER_SIZES = (16, 21, 31)
GENOOD = "genood llr other-classes"
KMERS = "21-mer containment"
COMPARED = (GENOOD, KMERS)
"""The methods of the detailed tables."""
MISSED_BY = "16-mer containment"
PASSED = 0.05
NUM_HARDEST = 12
METRICS = ("auroc", "fpr80")
_BATCH_READS = 256

Bools = npt.NDArray[np.bool_]


class Table(NamedTuple):
    """Rows of cells under a header and a title."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def main() -> None:
    arguments = parse_arguments()
    data, out = arguments.data, arguments.out
    check_data(data)
    out.mkdir(parents=True, exist_ok=True)
    set_num_threads(arguments.threads)
    genomes = genomes_by_split(data)
    with stdout_to_stderr():
        write_reads(data, genomes, out, arguments.reads_per_genome)
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
        "missed": missed(scores),
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
    parser.add_argument("--reads-per-genome", type=int, default=500)
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
    scores |= containment_scores(reference, reads, KMER_SIZES)
    if kraken_version() is None:
        skipped["kraken2"] = "kraken2 and kraken2-build are not both on PATH"
    else:
        make_kraken_database(reference, out / "kraken", threads)
        scores["kraken2 k-mers found"] = {
            side: kraken_scores(out / "kraken", out / f"{side}.fasta", out / f"kraken-{side}.tsv", threads)
            for side in SIDES
        }
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


def missed(scores: Scores) -> dict[str, dict[str, int]]:
    """Validation reads on the wrong side where `PASSED` of the OOD reads pass, by what the reference holds.

    The groups are by the share of a read's `MISSED_BY` that occurs in the reference.
    """
    ins, oods = scores[GENOOD]["val_in"], scores[GENOOD]["val_ood"]
    threshold = np.quantile(oods, 1 - PASSED)
    in_share, ood_share = scores[MISSED_BY]["val_in"], scores[MISSED_BY]["val_ood"]
    bounds = (0.0, 0.0, 0.1, 0.5, 1.0)
    groups = ("none", "up to a tenth", "up to a half", "more than half")
    rows = {}
    for group, low, high in zip(groups, bounds[:-1], bounds[1:], strict=True):
        ours, theirs = ((s <= high) & ((s > low) | (group == "none")) for s in (in_share, ood_share))
        rows[group] = {
            "in": int(ours.sum()),
            "in, missed": int((ours & (ins <= threshold)).sum()),
            "ood": int(theirs.sum()),
            "ood, passed": int((theirs & (oods > threshold)).sum()),
        }
    return rows


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
    rows = report["missed"]
    yield Table(
        f"validation reads by share of their {MISSED_BY.partition('-')[0]}-mers in the reference; "
        f"missed and passed where {PASSED:.0%} of the OOD reads pass",
        ["found", *next(iter(rows.values()))],
        [[group, *map(str, row.values())] for group, row in rows.items()],
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
