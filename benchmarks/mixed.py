"""Compare bundles of different models with what they say together, on reads of real genomes.

Scores the reads of quality.py with a context model, a Markov chain and, where one is given, an LSTM, joins
their scores by several rules, and prints how well each separates. One rule, the mean of probabilities, is
that of `genood join`. Rules that are fitted to scores of both sides are fitted to reads of one half of the
genera and measured on those of the other.

The tables go to stdout as TSV, what the commands say to stderr, and all of it to mixed.json.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from joint import BASE, Totals, auroc, combinations, fit_all, fpr80
from machine import describe
from peers import Floats, Reads, Scores
from quality import (
    SIDES,
    Bools,
    Table,
    interval,
    load_reads,
    of_new_species,
    print_table,
    stdout_to_stderr,
)
from real import check_data, command, genomes_by_split, write_reads

from genood.bundle import Bundle
from genood.detectors.base import ScoreBatch
from genood.ensemble import EnsembleBundle, combined, how_asked
from genood.files import write_json
from genood.forward import forward
from genood.reference.labels import class_of
from genood.sequence import mutate
from genood.threads import set_num_threads

SWITCHING = 0.01
"""Chance of each base that the model that explains a read is another from there on."""
NUM_RESAMPLES = 200


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
        bundles = load_bundles(arguments, genomes["train_in"])
        reads |= simulated_reads(reads["val_in"])
        scores, totals = score_all(bundles, reads)
    new = of_new_species(reads["val_in"], genomes["train_in"])
    fitted = fit_all(list(bundles), totals, reads, new)
    report = {
        **describe(),
        "bundles": {kind: about(bundle) for kind, bundle in bundles.items()},
        "reads_per_genome": arguments.reads_per_genome,
        "reads": {side: len(of_side.names) for side, of_side in reads.items()},
        "results": separate(scores, new),
        "auroc_by_val_in_genome": by_in_genome(scores, reads["val_in"], new),
        "fitted": fitted,
    }
    write_json(out / "mixed.json", report)
    for table in tables_of(report):
        print_table(table)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=root / "bench-out")
    parser.add_argument("--reads-per-genome", type=int, default=500)
    parser.add_argument("-t", "--threads", type=int, default=1)
    for kind in ("context", "markov"):
        parser.add_argument(f"--{kind}", type=Path, metavar="BUNDLE", help="made in --out unless given")
    parser.add_argument("--lstm", type=Path, metavar="BUNDLE", help="left out unless given")
    return parser.parse_args()


def load_bundles(arguments: argparse.Namespace, reference: Sequence[Path]) -> dict[str, Bundle]:
    """The members by kind; those that are not given are made, but for the LSTM."""
    paths = {}
    for kind in ("context", "markov"):
        path = paths[kind] = getattr(arguments, kind) or arguments.out / f"bundle-{kind}"
        if not (path / "genood.json").is_file():
            options = ("--model", kind, "-t", arguments.threads)
            command("genood", "train", *reference, *options, "-o", path)
    if arguments.lstm is not None:
        paths["lstm"] = arguments.lstm
    return {kind: Bundle.load(path) for kind, path in paths.items()}


def about(bundle: Bundle) -> dict[str, Any]:
    """What a bundle is, and how it was made."""
    keys = ("kind", "model", "background", "training", "metrics")
    return {key: bundle.metadata[key] for key in keys} | {"fingerprint": bundle.fingerprint}


def simulated_reads(reads: Reads) -> dict[str, Reads]:
    """Reads that nobody has: in-distribution ones that were changed, see `joint.SIMULATED`."""
    generator = np.random.default_rng(0)
    blocks = reads.codes.reshape(len(reads.codes), -1, 10)
    order = np.argsort(generator.random(blocks.shape[:2]), axis=1)
    changed = {
        "mutated": mutate(reads.codes, 0.1, generator),
        "blocks": np.take_along_axis(blocks, order[:, :, None], axis=1).reshape(reads.codes.shape),
    }
    return {name: reads._replace(codes=codes) for name, codes in changed.items()}


def score_all(bundles: Mapping[str, Bundle], reads: Mapping[str, Reads]) -> tuple[Scores, dict[str, Totals]]:
    """Scores by rule and side, higher for reads that look more in-distribution; and what each member says."""
    kinds = list(bundles)
    ensemble = EnsembleBundle(members=tuple(bundles.values()), by="model", metadata={}, calibration={})
    scores: Scores = {}
    totals = {}
    for side, of_side in reads.items():
        parts: dict[str, list[Floats]] = {}
        said: list[list[list[Floats]]] = []
        for batch in batches_of(ensemble, of_side):
            members = dict(zip(kinds, batch.members, strict=True))
            for rule, values in rule_scores(members).items():
                parts.setdefault(rule, []).append(values)
            said.append([[m.log_likelihood, m.background_log_likelihood] for m in batch.members])
        per_base = np.concatenate(said, axis=2) / of_side.lengths
        totals[side] = Totals(per_base[:, 0], per_base[:, 1])
        for rule, of_batches in parts.items():
            scores.setdefault(rule, {})[side] = np.concatenate(of_batches)
    return scores, totals


def batches_of(bundle: EnsembleBundle, reads: Reads) -> Iterator[ScoreBatch]:
    """What a bundle says of reads."""
    size = max(1, how_asked(bundle).batch_bases // reads.codes.shape[1])
    for first in range(0, len(reads.names), size):
        rows = slice(first, first + size)
        yield forward(bundle, reads.codes[rows], reads.lengths[rows])


def rule_scores(members: Mapping[str, ScoreBatch]) -> dict[str, Floats]:
    """Scores of a batch by each model alone and by each rule that needs no fitting."""
    scores = {}
    for kind, member in members.items():
        scores[kind] = member.llr
        scores[f"{kind}, likelihood"] = member.log_likelihood
    for kinds in combinations(list(members)):
        joined = [members[kind] for kind in kinds]
        name = " + ".join(kinds)
        scores[f"{name}: mean of probabilities"] = combined(joined).llr
        if len(kinds) == 2 and BASE in kinds:
            base, other = joined
            scores[f"{name}: weights follow the read"] = followed(joined, 0.0)
            scores[f"{name}: the same, switching"] = followed(joined, SWITCHING)
            scores[f"{name}: sum of ratios"] = base.llr + other.llr
            scores[f"{name}: {kinds[1]} as background"] = base.log_likelihood - other.log_likelihood
    return scores


def followed(members: Sequence[ScoreBatch], switching: float) -> Floats:
    """The ratio of mixtures whose weights are updated by how well each member explained the read so far.

    Notes
    -----
    Source: without switching the Bayesian mixture, with it Herbster and Warmuth 1998, "Tracking the best
    expert" (fixed share); all members weigh the same at first.
    """
    foreground, background = (
        _followed(np.stack(log_ps).astype(np.float64), switching)
        for log_ps in zip(*((member.log_p, member.background_log_p) for member in members), strict=True)
    )
    return foreground - background


def _followed(log_p_MBL: npt.NDArray[np.float64], switching: float) -> Floats:
    """Log-likelihoods of reads, (B,)."""
    log_weights = np.full(log_p_MBL.shape[:2], -np.log(len(log_p_MBL)))
    total = np.zeros(log_p_MBL.shape[1])
    for position in range(log_p_MBL.shape[2]):
        joint = log_weights + log_p_MBL[:, :, position]
        log_p = np.logaddexp.reduce(joint, axis=0)
        total += log_p
        log_weights = joint - log_p
        if switching:
            log_weights = np.logaddexp(np.log1p(-switching) + log_weights, np.log(switching / len(log_p_MBL)))
    return total


def separate(scores: Scores, new: Bools) -> dict[str, Any]:
    """Metrics by rule and set of reads, with 95 % percentile bootstrap intervals over reads.

    The gain is in AUROC over the base alone, on the same reads.
    """
    sets: dict[str, tuple[str, str, Any]] = {
        "validation": ("val_in", "val_ood", slice(None)),
        "published": ("published_in", "published_ood", slice(None)),
        "known": ("val_in", "val_ood", ~new),
        "new": ("val_in", "val_ood", new),
    }
    return {
        rule: {
            name: intervals(*((of[ins][chosen], of[oods]) for of in (sides, scores[BASE])))
            for name, (ins, oods, chosen) in sets.items()
        }
        for rule, sides in scores.items()
    }


def intervals(sides: tuple[Floats, Floats], base: tuple[Floats, Floats]) -> dict[str, Any]:
    """Metrics of in-distribution and OOD reads, and the gain over the base, each with its interval."""
    generator = np.random.default_rng(0)

    def measured(*rows: Any) -> tuple[float, float, float]:
        ours, theirs = ([of_side[of] for of_side, of in zip(x, rows, strict=True)] for x in (sides, base))
        value = auroc(*ours)
        return value, fpr80(*ours), value - auroc(*theirs)

    everything = [np.arange(len(side)) for side in sides]
    values = measured(*everything)
    resampled = [
        measured(*(generator.integers(0, len(side), len(side)) for side in sides))
        for _ in range(NUM_RESAMPLES)
    ]
    low, high = np.percentile(resampled, [2.5, 97.5], axis=0)
    return {
        name: {"value": values[i], "low": float(low[i]), "high": float(high[i])}
        for i, name in enumerate(("auroc", "fpr80", "gain"))
    }


def by_in_genome(scores: Scores, val_in: Reads, new: Bools) -> dict[str, Any]:
    """AUROC of the reads of each in-distribution genome against all OOD reads; one genome a class."""
    shown = [rule for rule in scores if "likelihood" not in rule and (":" not in rule or "mean" in rule)]
    rows = {}
    for genome in np.unique(val_in.genomes):
        chosen = val_in.genomes == genome
        rows[str(genome)] = {
            "class": class_of(genome),
            "species": "new" if new[chosen].all() else "known",
            **{rule: auroc(scores[rule]["val_in"][chosen], scores[rule]["val_ood"]) for rule in shown},
        }
    return rows


def tables_of(report: Mapping[str, Any]) -> Iterable[Table]:
    """The report as tables."""
    columns = [("validation", "auroc"), ("validation", "fpr80"), ("known", "auroc"), ("new", "auroc")]
    columns += [("published", "auroc"), ("published", "fpr80")]
    yield Table(
        "separation of in-distribution from OOD reads, with 95 % intervals",
        ["rule", *(f"{name} {metric.upper()}" for name, metric in columns)],
        [
            [rule, *(interval(sets[name][metric]) for name, metric in columns)]
            for rule, sets in report["results"].items()
        ],
    )
    yield Table(
        f"gain in AUROC over {BASE} alone, with 95 % intervals",
        ["rule", "validation", "known", "new", "published"],
        [
            [rule, *(signed(sets[name]["gain"]) for name in ("validation", "known", "new", "published"))]
            for rule, sets in report["results"].items()
        ],
    )
    rows = report["auroc_by_val_in_genome"]
    rules = [key for key in next(iter(rows.values())) if key not in ("class", "species")]
    yield Table(
        "val_in by class: AUROC against all val_ood reads",
        ["class", "genome", "species", *rules],
        [
            [row["class"], genome, row["species"], *(f"{row[rule]:.3f}" for rule in rules)]
            for genome, row in rows.items()
        ],
    )
    yield Table(
        "detectors fitted to half the genera, on the others, by what they are fitted against: mean over "
        f"halves; gain in AUROC over {BASE} alone, with the least and the most of a half",
        ["detector", "AUROC", "FPR80", "known", "new", "gain", "published AUROC", "published FPR80"],
        [
            [
                rule,
                *(f"{value:.3f}" for value in row["fitted"].values()),
                signed(row["gain"]),
                *(f"{value:.3f}" for value in row["published"].values()),
            ]
            for rule, row in report["fitted"].items()
        ],
    )


def signed(value: Mapping[str, float]) -> str:
    """A difference with its interval as a cell."""
    return "{value:+.4f} [{low:+.4f}, {high:+.4f}]".format(**value)


if __name__ == "__main__":
    main()
