"""Say what `genood score --regions` calls of contigs with foreign stretches, and of contigs with none.

Contigs are of other genomes of the classes trained on. They are judged by the null that `genood calibrate`
makes of other contigs of the same genomes, half by half; by that of genomes of other classes, third by
third; and by that of training. Foreign stretches are of other genera, one in each contig, at any place;
and some with no more than a head and a tail of a contig before and after them, or with nothing.
Beside genood's regions stand the windows that Benjamini and Hochberg's rule calls one by one at that level.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
from calibration import bundle_for, command, genomes_of, null_of, pieces_of
from machine import describe
from scipy.stats import false_discovery_control

from genood.bundle import Bundle
from genood.detectors import DEFAULT_DETECTOR, DETECTORS
from genood.engine import EngineConfig, Scorer
from genood.files import write_json
from genood.readers import Read
from genood.sequence import Codes, decode
from genood.stretches.pieces import Positions
from genood.stretches.regions import RegionFinder
from genood.stretches.scores import DEFAULT_WINDOW, Stretches, StretchScorer

CONTIG = 50_000
SHORT = 10_000
"""In-distribution contigs are scored in pieces of this too."""
STRETCHES = (2_000, 5_000, 10_000, 20_000)
ALONE = 20_000
"""A foreign stretch that is a whole contig, or all of it but for its head and tail."""
HEADS = (100, 950)
"""Bases of a head or tail, at least and at most: less than the default window."""
WINDOWS = (500, 1_000, 2_000)
LEVELS = (0.05, 0.1, 0.2)

CALIBRATED = "the same genomes"
"""Other contigs of them."""

Places = list[tuple[int, int]]


class Contig(NamedTuple):
    """A contig, its genome, its half of that, and where it is foreign, from 0 to 0 if it is nowhere."""

    codes: Codes
    genome: int
    half: int
    start: int = 0
    end: int = 0


class Scored(NamedTuple):
    """A contig and its per-position values."""

    contig: Contig
    positions: Positions


class Judged(NamedTuple):
    """A contig, what judges it, and its windows."""

    contig: Contig
    scorer: StretchScorer
    positions: Positions
    windows: Stretches


JudgeOf = Callable[[Contig], StretchScorer]
Method = Callable[[Judged, float], Places]


def main() -> None:
    arguments = parse_arguments()
    data = arguments.data
    bundle = bundle_for(arguments)
    loaded = Bundle.load(bundle)
    contigs = list(home_contigs(genomes_of(data, "val_in")))
    nulls = dict(nulls_of(bundle, contigs))
    sets = dict(sets_of(contigs, genomes_of(data, "val_ood")))
    scored = {name: list(score(loaded, members)) for name, members in sets.items()}
    rows = []
    for null, judge_of in nulls.items():
        for size in WINDOWS if null == CALIBRATED else [DEFAULT_WINDOW]:
            judged = {name: list(judge(members, judge_of, size)) for name, members in scored.items()}
            for level, method in product(LEVELS, METHODS):
                rows.append({"null of": null, "window": size, "level": level, "method": method})
                rows[-1]["sets"] = {
                    name: measure(members, METHODS[method], level) for name, members in judged.items()
                }
                print_row(rows[-1])
    write_json(arguments.json, {**describe(), "contigs": len(contigs), "rows": rows})


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=root / "bench-out")
    parser.add_argument("--bundle", type=Path, help="trained on train_in [default: made in --out]")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    return parser.parse_args()


def home_contigs(genomes: list[Path]) -> Iterator[Contig]:
    for genome, path in enumerate(genomes):
        for number, codes in enumerate(pieces_of(path, CONTIG)):
            yield Contig(codes, genome, number % 2)


def sets_of(contigs: list[Contig], foreign: list[Path]) -> Iterator[tuple[str, list[Contig]]]:
    """The contigs as they are, in short pieces, with a stretch of each length, and with little but one."""
    yield "contigs", contigs
    yield (
        "short contigs",
        [
            contig._replace(codes=contig.codes[start : start + SHORT])
            for contig in contigs
            for start in range(0, CONTIG, SHORT)
        ],
    )
    generator = np.random.default_rng(0)
    genomes = [list(pieces_of(path, max(STRETCHES))) for path in foreign]

    def stretch_of(length: int) -> Codes:
        pieces = genomes[generator.integers(len(genomes))]
        piece = pieces[generator.integers(len(pieces))]
        first = int(generator.integers(len(piece) - length + 1))
        return piece[first : first + length]

    for length in STRETCHES:
        members = []
        for contig in contigs:
            stretch = stretch_of(length)
            members.append(with_stretch(contig, stretch, int(generator.integers(CONTIG + 1)), CONTIG))
        yield f"{length}", members
    members = []
    for contig in contigs:
        head, tail = generator.integers(HEADS[0], HEADS[1] + 1, 2).tolist()
        members.append(with_stretch(contig, stretch_of(ALONE), head, tail))
    yield f"{ALONE} between head and tail", members
    yield f"{ALONE} alone", [with_stretch(contig, stretch_of(ALONE), 0, 0) for contig in contigs]


def with_stretch(contig: Contig, stretch: Codes, head: int, tail: int) -> Contig:
    """A foreign stretch after so many bases of a contig, and so many of those that follow, at most."""
    parts = contig.codes[:head], stretch, contig.codes[head : head + tail]
    return contig._replace(codes=np.concatenate(parts), start=head, end=head + len(stretch))


def nulls_of(bundle: Path, contigs: list[Contig]) -> Iterator[tuple[str, JudgeOf]]:
    """What judges each contig, by where its null is from."""
    halves = [calibrated(bundle, [c for c in contigs if c.half != half]) for half in (0, 1)]
    yield CALIBRATED, lambda contig: halves[contig.half]
    thirds = [calibrated(bundle, [c for c in contigs if c.genome % 3 != third]) for third in range(3)]
    yield "genomes of other classes", lambda contig: thirds[contig.genome % 3]
    training = judge_by(bundle)
    yield "training", lambda contig: training


def calibrated(bundle: Path, contigs: list[Contig]) -> StretchScorer:
    """What judges by the null that `genood calibrate` makes of contigs."""
    with TemporaryDirectory() as scratch:
        reads, output = Path(scratch) / "reads.fa", Path(scratch) / "bundle"
        with reads.open("w") as stream:
            stream.writelines(f">{number}\n{decode(c.codes)}\n" for number, c in enumerate(contigs))
        command("calibrate", "-m", bundle, reads, "-o", output)
        return judge_by(output)


def judge_by(bundle: Path) -> StretchScorer:
    return StretchScorer(DETECTORS[DEFAULT_DETECTOR](), null_of(Bundle.load(bundle)))


def score(bundle: Bundle, contigs: list[Contig]) -> Iterator[Scored]:
    members = iter(contigs)
    model = bundle.foreground
    config = EngineConfig(batch_bases=model.batch_bases, piece_bases=model.piece_bases)
    scorer = Scorer(bundle, config=config, keep_positions=True)
    for window in scorer.score(Read("contig", contig.codes) for contig in contigs):
        assert window.positions is not None
        for positions in window.positions:
            yield Scored(next(members), positions)


def by_regions(judged: Judged, level: float) -> Places:
    regions = RegionFinder(judged.scorer, level).find("contig", judged.positions, judged.windows)
    return [(region.start, region.end) for region in regions]


def by_windows(judged: Judged, level: float) -> Places:
    """Windows that Benjamini and Hochberg's rule calls; neighbours are one."""
    windows = judged.windows
    called = false_discovery_control(windows.p_values) <= level
    edges = np.flatnonzero(np.diff(called, prepend=False, append=False))
    return [(int(windows.starts[a]), int(windows.ends[b - 1])) for a, b in edges.reshape(-1, 2).tolist()]


METHODS = {"regions": by_regions, "windows one by one": by_windows}


def judge(members: list[Scored], judge_of: JudgeOf, size: int) -> Iterator[Judged]:
    for contig, positions in members:
        scorer = judge_of(contig)
        (windows,) = scorer.windows([positions], size)
        yield Judged(contig, scorer, positions, windows)


def measure(members: list[Judged], method: Method, level: float) -> dict[str, Any]:
    found = [method(member, level) for member in members]
    contigs = [member.contig for member in members]
    return of_home(contigs, found) if contigs[0].end == 0 else of_foreign(contigs, found)


def of_home(contigs: list[Contig], found: list[Places]) -> dict[str, Any]:
    share = float(np.mean([bool(places) for places in found]))
    bases = sum(end - start for places in found for start, end in places)
    return {
        "contigs": len(contigs),
        "contigs_called": share,
        "standard_error": float(np.sqrt(share * (1 - share) / len(contigs))),
        "bases_called": bases / sum(len(contig.codes) for contig in contigs),
    }


def of_foreign(contigs: list[Contig], found: list[Places]) -> dict[str, Any]:
    """Shares of bases and regions, and errors of the ends of regions that hold most of a stretch.

    The share of false regions among all is given over all contigs, and as a mean of each contig's own.
    """
    hit = called = regions = false = touched = 0
    errors: list[int] = []
    by_contig: list[float] = []
    length = contigs[0].end - contigs[0].start
    for contig, places in zip(contigs, found, strict=True):
        shared = [max(0, min(end, contig.end) - max(start, contig.start)) for start, end in places]
        hit += sum(shared)
        touched += any(shared)
        called += sum(end - start for start, end in places)
        regions += len(places)
        false += shared.count(0)
        by_contig.append(shared.count(0) / max(1, len(places)))
        for (start, end), bases in zip(places, shared, strict=True):
            if bases > length / 2:
                errors += [abs(start - contig.start), abs(end - contig.end)]
    return {
        "stretches_found": touched / len(contigs),
        "bases_found": hit / (length * len(contigs)),
        "false_bases": 1 - hit / called if called else None,
        "regions": regions,
        "false_regions": false / regions if regions else None,
        "false_regions_by_contig": float(np.mean(by_contig)),
        "ends": len(errors),
        "end_error_median": float(np.median(errors)) if errors else None,
        "end_error_90": float(np.quantile(errors, 0.9)) if errors else None,
    }


def print_row(row: dict[str, Any]) -> None:
    cells = [row["null of"], f"{row['window']}", f"{row['level']:g}", row["method"]]
    for name, result in row["sets"].items():
        if "contigs_called" in result:
            cells.append(f"{name} {result['contigs_called']:.3f} ± {result['standard_error']:.3f}")
        else:
            shares = (result["bases_found"], result["false_bases"], result["false_regions_by_contig"])
            shown = " ".join("-" if share is None else f"{share:.2f}" for share in shares)
            ends = "-" if not result["ends"] else f"{result['end_error_median']:.0f}"
            cells.append(f"{name} bp: {shown} {ends}")
    print("\t".join(cells), flush=True)


if __name__ == "__main__":
    main()
