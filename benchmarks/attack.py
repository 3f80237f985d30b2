"""How few substitutions make a detector miss OOD reads, and whether models of other kinds still see them.

Trains small bundles on real genomes: a context model, a Markov chain, an LSTM, and a classifier with three
seeds, which are an ensemble too. Then attacks each: reads of other genera, and random bases, against reads
of genomes of the known genera that no model was trained on. Bundles that are there already are not trained
again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from machine import describe
from real import READ_LENGTH, check_data, cut_reads, genomes_by_split

from genood.attack.config import AttackConfig, ObjectiveName
from genood.attack.running import AttackJob, attack_files
from genood.bundle import Bundle
from genood.detectors.serving import default_detector
from genood.ensemble import EnsembleBundle, load_bundle
from genood.files import write_json
from genood.threads import set_num_threads

EPSILONS = (0.0, 0.01, 0.02, 0.05, 0.1)
NUM_MEMBERS = 3
TRAINED: Mapping[str, Sequence[str]] = {
    "context": ("--model", "context"),
    "markov": ("--model", "markov"),
    "lstm": ("--model", "lstm", "--preset", "demo"),
    **{
        f"cnn-{seed}": ("--model", "cnn", "--preset", "demo", "--seed", str(seed))
        for seed in range(NUM_MEMBERS)
    },
}
ENSEMBLE = "ensemble"


class Attack(NamedTuple):
    """A bundle, and what of it is attacked."""

    bundle: str
    objective: ObjectiveName
    candidates: int = 32


ATTACKS = (
    Attack("context", "score"),
    Attack("context", "score", 256),
    Attack("markov", "score"),
    Attack("lstm", "score"),
    Attack("lstm", "likelihood"),
    Attack("cnn-0", "score"),
    Attack("cnn-0", "features"),
    Attack(ENSEMBLE, "score"),
)


def main() -> None:
    arguments = parse_arguments()
    data, out = arguments.data, arguments.out / "attack"
    check_data(data)
    out.mkdir(parents=True, exist_ok=True)
    set_num_threads(arguments.threads)
    genomes = genomes_by_split(data)
    make_bundles(genomes["train_in"], out, arguments.threads)
    for split, each in (("val_in", 25), ("val_ood", 4)):
        cut_reads(genomes[split], out / f"{split}.fasta", each)
    defaults = {name: default_detector(load_bundle(out / name).gives) for name in (*TRAINED, ENSEMBLE)}
    results = []
    for attack in ATTACKS:
        for ood in ("other genera", "random bases"):
            results.append(attacked(attack, ood, out, arguments.reads))
            print_result(results[-1], defaults)
    report = {
        **describe(),
        "reads": arguments.reads,
        "epsilons": EPSILONS,
        "default_detectors": defaults,
        "results": results,
    }
    write_json(arguments.out / "attack.json", report)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=root / "bench-out")
    parser.add_argument("--reads", type=int, default=40, help="OOD reads, and targets, of an attack")
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def make_bundles(genomes: Sequence[Path], out: Path, threads: int) -> None:
    """Train what is not there, and make the ensemble of the classifiers."""
    for name, options in TRAINED.items():
        if not (out / name / "genood.json").is_file():
            program = Path(sys.executable).with_name("genood")
            command = [program, "train", *genomes, "-o", out / name, *options, "--threads", threads]
            subprocess.run([str(word) for word in command], check=True)
    if not (out / ENSEMBLE / "genood.json").is_file():
        members = tuple(Bundle.load(out / f"cnn-{seed}") for seed in range(NUM_MEMBERS))
        shared = {key: members[0].metadata[key] for key in ("classes", "seed", "command", "data", "metrics")}
        EnsembleBundle(members=members, by="seed", metadata=shared, calibration={}).save(out / ENSEMBLE)


def attacked(attack: Attack, ood: str, out: Path, num_reads: int) -> dict[str, Any]:
    """Attack reads on one bundle, and have all others score them."""
    others = [name for name in (*TRAINED, ENSEMBLE) if name != attack.bundle]
    started = time.perf_counter()
    result = attack_files(
        AttackJob(
            bundles=[str(out / name) for name in (attack.bundle, *others)],
            inputs=[str(out / "val_ood.fasta")] if ood == "other genera" else [],
            num_random=0 if ood == "other genera" else num_reads,
            targets=[str(out / "val_in.fasta")],
            max_reads=num_reads,
            read_length=READ_LENGTH,
            attack=AttackConfig(epsilons=EPSILONS, objective=attack.objective, candidates=attack.candidates),
            output=str(out / "last.tsv"),
        )
    ).to_json()
    return {
        **attack._asdict(),
        "ood": ood,
        "search": result["attack"]["search"],
        "seconds": time.perf_counter() - started,
        "matches": result["matches"],
        "auroc": by_bundle_and_detector(result["curve"]),
    }


def by_bundle_and_detector(curve: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, list[float]]]:
    """AUROC by bundle and detector, of the epsilons in order."""
    aurocs: dict[str, dict[str, list[float]]] = {}
    for row in curve:
        aurocs.setdefault(row["bundle"], {}).setdefault(row["detector"], []).append(row["auroc"])
    return aurocs


def print_result(result: Mapping[str, Any], defaults: Mapping[str, str]) -> None:
    """AUROC of each bundle's default detector, by epsilon, and how near the attack came."""
    search = f"{result['search']} search, {result['candidates']} candidates"
    print(f"\n{result['ood']}: {result['bundle']} attacked by {result['objective']}, {search}")
    print("\t".join(["", "", *(f"{epsilon:g}" for epsilon in EPSILONS)]))
    for name, detector in defaults.items():
        values = (f"{auroc:.3f}" for auroc in result["auroc"][name][detector])
        print("\t".join([name, detector, *values]))
    for key in ("success", "median_mape", "distance", "edits", "edits_needed"):
        shown = ("-" if point[key] is None else f"{point[key]:.3g}" for point in result["matches"])
        print("\t".join(["", key, *shown]), flush=True)


if __name__ == "__main__":
    main()
