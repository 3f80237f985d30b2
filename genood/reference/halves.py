"""A random half of the reference, for members of an ensemble that nothing else would tell apart."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from genood.recipes import Stream
from genood.reference.genomes import Genomes

_NUM_STRETCHES = 100
"""Stretches of a class, at least, where they are not shorter than a read for that."""
_MAX_STRETCH = 20_000
"""Longest stretch, in bases: genes, and the islands that strains differ by, are in a member or not."""


def random_half(genomes: Genomes, *, read_length: int, seed: int) -> Genomes:
    """Half of the stretches that the segments of each class are cut into, drawn without replacement.

    Of an odd number of stretches it is the larger half, so that each class keeps one.

    Parameters
    ----------
    genomes
        Everything that was read.
    read_length
        Bases of a read; no stretch is shorter.
    seed
        Decides which stretches.

    Notes
    -----
    Source: half samples without replacement in place of the bootstrap, Buehlmann and Yu 2002, "Analyzing
    bagging", section 3. A bootstrap of stretches would hold some of them twice, which a model that
    remembers places has no use for.
    """
    segments: list[tuple[int, int, int]] = []
    for label in range(len(genomes.classes)):
        mine = genomes.labels == label
        target = int(np.clip(genomes.bases_of(label) // _NUM_STRETCHES, read_length, _MAX_STRETCH))
        bounds = [
            (int(start + first), int(start + last))
            for start, length in zip(genomes.starts[mine], genomes.lengths[mine], strict=True)
            for first, last in pairwise(_cuts(int(length), target))
        ]
        generator = np.random.default_rng([seed, Stream.HALF, label])
        chosen = generator.choice(len(bounds), (len(bounds) + 1) // 2, replace=False)
        segments.extend(
            (start, end - start, label) for start, end in _joined([bounds[i] for i in sorted(chosen)])
        )
    return genomes.with_segments(segments)


def _cuts(length: int, target: int) -> list[int]:
    """Where to cut a segment into nearly equal parts, each of at least `target` bases if the segment is."""
    parts = max(1, length // target)
    return [part * length // parts for part in range(parts + 1)]


def _joined(bounds: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Neighbours made one, so that what is learned of their border is not lost."""
    joined: list[tuple[int, int]] = []
    for start, end in bounds:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined
