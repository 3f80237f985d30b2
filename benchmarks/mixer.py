"""Learn the mixing weights that come with genood, and compare them with weights that are not learned.

Holds out one genome of each class of the training genomes, learns how to mix from reads of those, with
another choice of genomes for each seed, all seeds in one fit. With --write the weights become those of
the package. The comparison, with the package's weights among the ways, is in nats per base on reads of the
validation genomes, with substitutions as a sequencer makes them.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from machine import describe
from real import READ_LENGTH, genomes_by_split
from safetensors.numpy import save_file

from genood.context import fitting
from genood.context import mixer as mixing
from genood.context.learn import learn
from genood.context.tables import Tables
from genood.files import write_json
from genood.reference.genomes import Genomes, load_genomes
from genood.reference.sampling import ReadSampler
from genood.sequence import mutate

SEEDS = (1, 2, 3)
MEMORY = 2_000_000_000
NUM_FIT_READS = 600
NUM_TEST_READS = 900
ERROR_RATES = (0.0, 0.01, 0.05, 0.1)


def main() -> None:
    arguments = parse_arguments()
    torch.set_num_threads(2)
    splits = genomes_by_split(arguments.data)
    genomes = load_genomes(splits["train_in"], min_length=READ_LENGTH)
    seen = []
    for seed in SEEDS:
        held_out = hold_out(genomes, seed)
        others = [number for number in range(len(genomes.files)) if number not in held_out]
        tables, _ = learn(of_files(genomes, others), memory=MEMORY, num_threads=2)
        sampler = ReadSampler(of_files(genomes, held_out), READ_LENGTH, (seed, 0))
        codes = sampler.sample(0, NUM_FIT_READS).codes
        seen.append((codes, *tables.observe(codes, num_threads=2)))
    tables, _ = learn(genomes, memory=MEMORY, num_threads=2)
    together = fitting.Observations(*(np.concatenate(parts) for parts in zip(*seen, strict=True)))
    learned = fitting.fit(together, mixing.plain_mixer(), iterations=100, ridge=1e-6)
    report = {**describe(), "nats_per_base": compare(tables, learned, splits["val_in"])}
    if arguments.write:
        package = Path(mixing.__file__).parent
        save_file(learned, package / mixing.DEFAULT_FILE)
    write_json(arguments.out / "mixer.json", report)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    here = Path(__file__).resolve().parent
    parser.add_argument("--data", type=Path, default=here.parents[1] / "shared" / "data")
    parser.add_argument("--out", type=Path, default=here)
    parser.add_argument("--write", action="store_true", help="make these the weights of the package")
    return parser.parse_args()


def hold_out(genomes: Genomes, seed: int) -> list[int]:
    """One file of each class, as indices into the genomes' files."""
    chosen = []
    for label, name in enumerate(genomes.classes):
        mine = [number for number, file in enumerate(genomes.files) if file.class_name == name]
        chosen.append(int(np.random.default_rng([seed, label]).choice(mine)))
    return chosen


def of_files(genomes: Genomes, files: Sequence[int]) -> Genomes:
    """Genomes cut down to some of their files; classes without one are dropped."""
    chosen = np.isin(genomes.files_at(genomes.starts), files)
    labels = genomes.labels[chosen]
    present = np.unique(labels)
    return replace(
        genomes,
        starts=genomes.starts[chosen],
        lengths=genomes.lengths[chosen],
        labels=np.searchsorted(present, labels),
        classes=tuple(genomes.classes[label] for label in present),
    )


def compare(tables: Tables, learned: mixing.Mixer, val_in: list[Path]) -> dict[str, dict[str, float]]:
    """Nats per base by error rate and by way of mixing."""
    sampler = ReadSampler(load_genomes(val_in, min_length=READ_LENGTH), READ_LENGTH, (0, 1))
    clean = sampler.sample(0, NUM_TEST_READS).codes
    results = {}
    print("errors\t" + "\t".join(WAYS))
    for rate in ERROR_RATES:
        codes = mutate(clean, rate, np.random.default_rng(2))
        nats = nats_per_base(tables, learned, codes)
        print(f"{rate:.0%}\t" + "\t".join(f"{value:.4f}" for value in nats.values()))
        results[f"{rate:g}"] = nats
    return results


WAYS = ("order 8", "fixed interpolation", "exact contexts", "shipped", "learned")


def nats_per_base(tables: Tables, learned: mixing.Mixer, codes: np.ndarray) -> dict[str, float]:
    """One number for each of `WAYS`."""
    seen = fitting.Observations(codes, *tables.observe(codes, num_threads=2))
    exact = fitting.Observations(codes, *tables.observe(codes, num_threads=2))
    # An expert that forgives nothing: gone after a substitution until a context of 16 bases is back.
    exact.present = exact.present & (exact.states[:, :, 4] >= 7)
    plain, shipped, anew = map(fitting.tensors_of, (mixing.plain_mixer(), mixing.default_mixer(), learned))
    with torch.no_grad():
        losses = {
            "order 8": -seen.log_probs(plain),
            "fixed interpolation": -fixed_interpolation(seen),
            "exact contexts": -exact.log_probs(anew),
            "shipped": -seen.log_probs(shipped),
            "learned": -seen.log_probs(anew),
        }
    return {way: float(loss.mean()) for way, loss in losses.items()}


def fixed_interpolation(seen: fitting.Observations) -> torch.Tensor:
    """Nothing learned: the strongest expert is right as often as it was for the last 24 bases.

    One success and one failure are added, the rest of the probability follows the order-8 table.
    """
    agreed = (seen.states[:, 0, 1] + seen.states[:, 0, 2]).float()
    right = (agreed + 1.0) / (24.0 + 2.0)
    low = torch.softmax(seen.logs[:, :4], dim=1)
    is_expected = seen.categories[:, 0] == 0
    expected = (low * is_expected).sum(dim=1)
    share = torch.where(is_expected, right[:, None], (1.0 - right)[:, None] * low / (1.0 - expected)[:, None])
    mixed = torch.where(seen.present[:, :1], share, low)
    return mixed.gather(1, seen.bases[:, None])[:, 0].log()


if __name__ == "__main__":
    main()
