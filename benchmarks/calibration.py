"""Say how often in-distribution reads that were never trained on have small p-values.

By read length and sequencing error, for reads of other genomes of the classes and for fresh reads of the
genomes trained on; with the null of the bundle, with one that `genood calibrate` makes of reads without
errors, and with one of reads like those scored. Genomes are cut into blocks; calibration takes every other
one, what is scored comes from the rest. Reads of a length do not overlap, so that each counts as one.
Of errors a third each are substitutions, insertions and deletions.

Then of how many mixtures of such reads with those of other genera, 0 to 50 %, the interval of the OOD
fraction holds the truth.
"""

from __future__ import annotations

import argparse
import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt
from machine import describe
from real import check_data

from genood.bundle import Bundle
from genood.calibration import FRACTION_LAMBDAS, Calibration, NullDistribution, ood_fraction
from genood.engine import Scorer
from genood.files import write_json
from genood.readers import Read, read_file
from genood.sequence import UNKNOWN, Codes, decode, mutate, reverse_complement

ALPHAS = (0.01, 0.05, 0.1)
LENGTHS = (50, 100, 150, 200, 250, 1_000, 3_000, 10_000)
"""200 and 3,000 lie between the lengths that nulls are kept at."""
ERROR_RATES = (0.0, 0.01, 0.05)
TOLERANCE = 0.2
"""Of α, what its fraction may be off."""
BLOCK = 25_000
GENOME_BASES = 1_000_000
"""Bases taken of each genome, so that genomes weigh equally."""
SOURCES = {"other genomes": "val_in", "genomes trained on": "train_in"}
MIXTURES = 100
MIXTURE_LENGTHS = (100, 250, 1_000)
MIXTURE_READS = 2_000


def main() -> None:
    arguments = parse_arguments()
    data = arguments.data
    bundle = bundle_for(arguments)
    loaded = Bundle.load(bundle)
    rows, mixtures = [], []
    ood_blocks = list(blocks_of(genomes_of(data, "val_ood")))
    for shown, split in SOURCES.items():
        blocks = list(blocks_of(genomes_of(data, split)))
        nulls = {"training": null_of(loaded)}
        for error in ERROR_RATES:
            name = "reads like them" if error else "reads without errors"
            nulls[name] = calibrated(bundle, blocks[::2], error, arguments.max_reads)
            for length in LENGTHS:
                scores = score(loaded, cut(blocks[1::2], length, error, arguments.reads))
                for calibration, null in nulls.items():
                    rows.append({"reads of": shown, "null of": calibration, "error": error})
                    rows[-1] |= fractions(null, length, scores)
                    print_row(rows[-1])
                if length in MIXTURE_LENGTHS:
                    ood_scores = score(loaded, cut(ood_blocks, length, error, arguments.reads))
                    for calibration, null in nulls.items():
                        mixtures.append({"reads of": shown, "null of": calibration, "error": error})
                        mixtures[-1] |= coverage(null, length, scores, ood_scores)
                        print("\t".join(map(str, mixtures[-1].values())), flush=True)
    write_json(
        arguments.json, {**describe(), "tolerance": TOLERANCE, "rows": rows, "ood fractions": mixtures}
    )


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=root / "bench-out")
    parser.add_argument("--bundle", type=Path, help="trained on train_in [default: made in --out]")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--reads", type=int, default=10_000, help="reads scored of a length, at most")
    parser.add_argument("--max-reads", type=int, default=10_000, help="of genood calibrate")
    return parser.parse_args()


def bundle_for(arguments: argparse.Namespace) -> Path:
    """The bundle that was named, or one of a context model, made if it is not there."""
    data, out = arguments.data, arguments.out
    check_data(data)
    out.mkdir(parents=True, exist_ok=True)
    bundle: Path = arguments.bundle if arguments.bundle is not None else out / "context_bundle"
    if not (bundle / "genood.json").is_file():
        command("train", *genomes_of(data, "train_in"), "--model", "context", "-o", bundle)
    return bundle


def command(*arguments: object) -> None:
    """Run genood as a user would."""
    subprocess.run([Path(sys.executable).with_name("genood"), *map(str, arguments), "-q"], check=True)


def genomes_of(data: Path, split: str) -> list[Path]:
    with (data / "manifest.tsv").open(newline="") as stream:
        return [data / row["file"] for row in csv.DictReader(stream, delimiter="\t") if row["split"] == split]


def blocks_of(genomes: list[Path]) -> Iterator[Codes]:
    """Blocks of the start of each genome."""
    for path in genomes:
        yield from pieces_of(path, BLOCK)


def pieces_of(path: Path, length: int) -> Iterator[Codes]:
    """Pieces of the start of a genome, without those that hold an unknown base."""
    taken = 0
    for record in read_file(path):
        for start in range(0, len(record.codes) - length + 1, length):
            piece = record.codes[start : start + length]
            if taken < GENOME_BASES and piece.max() < UNKNOWN:
                taken += length
                yield piece


def with_errors(codes: Codes, rate: float, generator: np.random.Generator) -> Codes:
    """A read of a sequence, from either strand."""
    if generator.random() < 0.5:
        codes = reverse_complement(codes)
    codes = mutate(codes, rate / 3, generator)
    kind = generator.random(len(codes))
    copies = np.where(kind < rate / 3, 0, np.where(kind < 2 * rate / 3, 2, 1))
    inserted = np.concatenate([[False], np.diff(np.repeat(np.arange(len(codes)), copies)) == 0])
    read = np.repeat(codes, copies)
    read[inserted] = generator.integers(0, 4, inserted.sum())
    return read


def cut(blocks: list[Codes], length: int, error: float, most: int) -> list[Codes]:
    """Reads of a length that do not overlap."""
    generator = np.random.default_rng([length, round(1000 * error)])
    span = length + 20 + length // 50 if error else length
    places = [(number, start) for number in range(len(blocks)) for start in range(0, BLOCK - span + 1, span)]
    chosen = generator.permutation(len(places))[:most]
    return [
        with_errors(blocks[number][start : start + span], error, generator)[:length]
        for number, start in (places[i] for i in chosen)
    ]


def calibrated(bundle: Path, blocks: list[Codes], error: float, max_reads: int) -> NullDistribution:
    """The null that `genood calibrate` makes of these blocks, given as reads."""
    generator = np.random.default_rng(round(1000 * error))
    with TemporaryDirectory() as scratch:
        reads, output = Path(scratch) / "reads.fa", Path(scratch) / "bundle"
        with reads.open("w") as stream:
            for number, block in enumerate(blocks):
                stream.write(f">{number}\n{decode(with_errors(block, error, generator))}\n")
        command("calibrate", "-m", bundle, reads, "-o", output, "--max-reads", max_reads)
        return null_of(Bundle.load(output))


def null_of(bundle: Bundle) -> NullDistribution:
    return Calibration.from_json(bundle.calibration).nulls["llr"]


def score(bundle: Bundle, reads: list[Codes]) -> npt.NDArray[np.float64]:
    windows = Scorer(bundle).score(Read("read", codes) for codes in reads)
    return np.concatenate([scored.ood_scores["llr"] for scored in windows])


def fractions(null: NullDistribution, length: int, scores: npt.NDArray[np.float64]) -> dict[str, Any]:
    """Fractions of p-values up to each α; their standard errors count the reads of the null too."""
    num_scored = np.full(len(scores), length)
    p_values = null.p_values(scores, num_scored)
    null_reads = float(null.independent_reads(num_scored[:1])[0])
    worth = 1 / (1 / len(scores) + 1 / null_reads)
    found = {}
    for alpha in ALPHAS:
        fraction = float((p_values <= alpha).mean())
        error = float(np.sqrt(alpha * (1 - alpha) / worth))
        off = abs(fraction - alpha) - TOLERANCE * alpha
        verdict = "within" if off <= 0 else "undecided" if off <= 1.96 * error else "off"
        found[f"{alpha:g}"] = {"fraction": fraction, "standard_error": error, "verdict": verdict}
    return {"length": length, "reads": len(scores), "null_reads": null_reads, "alpha": found}


def coverage(
    null: NullDistribution,
    length: int,
    in_scores: npt.NDArray[np.float64],
    ood_scores: npt.NDArray[np.float64],
) -> dict[str, Any]:
    """Of how many mixtures the interval of the OOD fraction holds the truth, and where it does not."""
    generator = np.random.default_rng(length)
    null_reads = float(null.independent_reads(np.array([length]))[0])
    found = {"covered": 0, "too low": 0, "too high": 0, "warned of": 0}
    for truth in generator.uniform(0, 0.5, MIXTURES):
        number = generator.binomial(MIXTURE_READS, truth)
        drawn = generator.choice(ood_scores, number), generator.choice(in_scores, MIXTURE_READS - number)
        p_values = null.p_values(np.concatenate(drawn), np.full(MIXTURE_READS, length))
        first, second = (int((p_values > level).sum()) for level in FRACTION_LAMBDAS)
        fraction = ood_fraction(MIXTURE_READS, (first, second), null_reads)
        assert fraction is not None
        side = "too low" if fraction.high < truth else "too high" if fraction.low > truth else "covered"
        found[side] += 1
        found["warned of"] += not fraction.null_fits
    return {"length": length, "mixtures": MIXTURES, "reads": MIXTURE_READS, **found}


def print_row(row: dict[str, Any]) -> None:
    cells = [row["reads of"], row["null of"], f"{row['error']:g}", f"{row['length']}", f"{row['reads']}"]
    for found in row["alpha"].values():
        cells.append(f"{found['fraction']:.4f} ± {found['standard_error']:.4f} {found['verdict']}")
    print("\t".join(cells), flush=True)


if __name__ == "__main__":
    main()
