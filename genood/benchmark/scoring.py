"""What detectors say of reads by the models of a candidate: one forward pass for all that can share it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from genood.benchmark.reads import Side
from genood.detectors import DETECTORS
from genood.detectors.base import Detector
from genood.detectors.serving import needs_of, ready_detector
from genood.ensemble import AnyBundle, most_reads
from genood.files import atomic_path
from genood.files.damage import naming_damage
from genood.forward import forward

Options = Mapping[str, float]
"""Values of a detector's keyword arguments, of its grid."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Scores:
    """OOD scores of in-distribution and OOD reads by one detector.

    Attributes
    ----------
    inside, ood
        float32, shapes (P, N) and (P, M), for P choices of the detector's options.
    forward_seconds
        That the forward passes took, which the detector may have shared with others.
    detector_seconds
        float64, shape (P,): that the detector took.
    """

    inside: npt.NDArray[np.float32]
    ood: npt.NDArray[np.float32]
    forward_seconds: float
    detector_seconds: npt.NDArray[np.float64]

    def reads_per_second(self, point: int) -> float:
        """Reads scored in a second, from codes in memory to scores, by one choice of options."""
        num_reads = self.inside.shape[1] + self.ood.shape[1]
        return num_reads / (self.forward_seconds + float(self.detector_seconds[point]))

    def save(self, path: Path) -> None:
        """Write them atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, open(temporary, "wb") as stream:
            np.savez(
                stream,
                inside=self.inside,
                ood=self.ood,
                forward_seconds=np.float64(self.forward_seconds),
                detector_seconds=self.detector_seconds,
            )

    @classmethod
    def load(cls, path: Path) -> Scores:
        """Read what `save` wrote; InputError where it is damaged."""
        # Opened here, as NumPy leaves open what is no archive after all.
        with naming_damage(path), open(path, "rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return cls(
                inside=arrays["inside"],
                ood=arrays["ood"],
                forward_seconds=float(arrays["forward_seconds"]),
                detector_seconds=arrays["detector_seconds"],
            )


def grid_of(detector: str) -> tuple[Options, ...]:
    """All choices of a detector's options, its defaults where it has no grid."""
    points: list[dict[str, float]] = [{}]
    for name, values in DETECTORS[detector].grid.items():
        points = [{**point, name: value} for point in points for value in values]
    return tuple(points)


def scored(
    bundle: AnyBundle, wanted: Mapping[str, Sequence[Options]], inside: Side, ood: Side
) -> dict[str, Scores]:
    """Scores by detector, each with all the options asked of it.

    Detectors that need gradients have forward passes of their own, so that what these take is not
    counted to the others.
    """
    found: dict[str, Scores] = {}
    for needs_gradients in (False, True):
        part = {
            name: [ready_detector(name, bundle.detectors, **options) for options in choices]
            for name, choices in wanted.items()
            if ("gradients" in DETECTORS[name].needs) == needs_gradients
        }
        if part:
            found |= _one_pass(bundle, part, inside, ood)
    return found


def _one_pass(
    bundle: AnyBundle, detectors: Mapping[str, Sequence[Detector]], inside: Side, ood: Side
) -> dict[str, Scores]:
    sides = (inside, ood)
    tables = {
        name: [np.empty((len(choices), side.num_reads), dtype=np.float32) for side in sides]
        for name, choices in detectors.items()
    }
    seconds = {name: np.zeros(len(choices)) for name, choices in detectors.items()}
    forward_seconds = 0.0
    needs = needs_of(choices[0] for choices in detectors.values())
    for number, side in enumerate(sides):
        first = 0
        for codes, lengths in side.batches(most_reads(bundle, needs)):
            start = time.perf_counter()
            batch = forward(bundle, codes, lengths, needs=needs)
            forward_seconds += time.perf_counter() - start
            rows = slice(first, first + len(codes))
            for name, choices in detectors.items():
                for point, detector in enumerate(choices):
                    start = time.perf_counter()
                    tables[name][number][point, rows] = detector.score(batch)
                    seconds[name][point] += time.perf_counter() - start
            first = rows.stop
    return {
        name: Scores(
            inside=tables[name][0],
            ood=tables[name][1],
            forward_seconds=forward_seconds,
            detector_seconds=seconds[name],
        )
        for name in detectors
    }
