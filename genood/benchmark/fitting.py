"""What detectors learn of training reads by the models that they will score with."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from genood.detectors import DETECTORS
from genood.ensemble import AnyBundle
from genood.files import atomic_path
from genood.files.damage import naming_damage
from genood.making.bundling import NUM_FIT_READS, NUM_GRADIENT_FIT_READS, FitReads
from genood.recipes import Stream
from genood.reference.genomes import Genomes
from genood.reference.sampling import ReadSampler

_SECONDS = "/seconds"


class Fitted(NamedTuple):
    """What a detector has learned, see `Detector.state`, and the seconds that it took."""

    state: dict[str, npt.NDArray[Any]]
    seconds: float

    @property
    def num_bytes(self) -> int:
        """Of the state."""
        return sum(array.nbytes for array in self.state.values())

    def save(self, path: Path) -> None:
        """Write it atomically."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary, open(temporary, "wb") as stream:
            np.savez(stream, **self.state, **{_SECONDS: np.float64(self.seconds)})  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> Fitted:
        """Read what `save` wrote; InputError where it is damaged."""
        # Opened here, as NumPy leaves open what is no archive after all.
        with naming_damage(path), open(path, "rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            state = {name: arrays[name] for name in arrays.files if name != _SECONDS}
            return cls(state, float(arrays[_SECONDS]))


def fit(name: str, bundle: AnyBundle, training: Genomes, *, read_length: int, seed: int) -> Fitted:
    """Fit a detector on as many training reads as `genood train` does.

    Parameters
    ----------
    name
        Of `DETECTORS`.
    bundle
        The models.
    training
        Where to draw the reads.
    read_length, seed
        Of them.
    """
    start = time.perf_counter()
    detector = DETECTORS[name]()
    reads = FitReads(
        bundle=bundle,
        sampler=ReadSampler(training, read_length, (seed, Stream.FIT)),
        num_reads=NUM_GRADIENT_FIT_READS if "gradients" in detector.needs else NUM_FIT_READS,
        needs=detector.needs,
    )
    state = detector.fit(reads).state()
    return Fitted(state, time.perf_counter() - start)
