"""All arrays of a context model, and scoring with them on several threads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from genood.context import dense, kernel
from genood.context.arrays import STRIDE, Arrays
from genood.context.hashing import blocks_of
from genood.context.record import NUM_CATEGORIES
from genood.context.rows import Rows
from genood.threads import share

Background = Literal["none", "low-order", "other-classes"]
_BACKGROUNDS: dict[Background, int] = {
    "none": kernel.NO_BACKGROUND,
    "low-order": kernel.LOW_ORDER,
    "other-classes": kernel.OTHER_CLASSES,
}
BACKGROUND_ORDER = 2
"""Bases of context of the low-order background."""


@dataclass(frozen=True, kw_only=True)
class Tables:
    """A reference, the index of its contexts, dense tables and mixing weights.

    Attributes
    ----------
    reference
        uint8, shape (N,): annotated bases, see `genood.context.genes`.
    offsets, labels, files
        int64, shape (S,): start, class and file of each segment.
    nuc, aa
        uint16: hashed tables of nucleotide and translated contexts, see `genood.context.hashing`.
    nuc_sampling, aa_sampling
        One context in 2 to the power of this is kept.
    low, by_class
        uint8: dense tables over all classes and by class, see `genood.context.dense`.
    class_order, num_classes
        Order of `by_class`, and its classes.
    weights, gates, no_expert_gates
        float32: see `genood.context.mixer`.
    """

    reference: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    files: npt.NDArray[np.int64]
    nuc: npt.NDArray[np.uint16]
    nuc_sampling: int
    aa: npt.NDArray[np.uint16]
    aa_sampling: int
    low: npt.NDArray[np.uint8]
    by_class: npt.NDArray[np.uint8]
    class_order: int
    num_classes: int
    weights: npt.NDArray[np.float32]
    gates: npt.NDArray[np.float32]
    no_expert_gates: npt.NDArray[np.float32]

    def arrays(self) -> Arrays:
        """The same for the compiled loops."""
        return Arrays(
            reference=self.reference,
            offsets=self.offsets,
            blocks=blocks_of(self.offsets, len(self.reference)),
            labels=self.labels,
            files=self.files,
            nuc=self.nuc.view(np.uint64),
            nuc_sampling=self.nuc_sampling,
            aa=self.aa.view(np.uint64),
            aa_sampling=self.aa_sampling,
            low=self.low.view(np.uint32),
            low_order=dense.MAX_ORDER,
            by_class=self.by_class,
            class_order=self.class_order,
            num_classes=self.num_classes,
            stride=dense.stride_of(self.num_classes),
            weights=np.pad(self.weights, [(0, 0)] * 4 + [(0, STRIDE - NUM_CATEGORIES)]).reshape(-1),
            gates=self.gates,
            no_expert_gates=self.no_expert_gates,
        )

    def score(
        self,
        codes: npt.NDArray[np.uint8],
        lengths: npt.NDArray[np.int64],
        *,
        background: Background = "none",
        without_files: npt.NDArray[np.int64] | None = None,
        leading: npt.NDArray[np.int64] | None = None,
        each_base: bool = True,
        num_threads: int = 1,
    ) -> tuple[Rows, Rows]:
        """Log-probabilities of each base, and the background's.

        Parameters
        ----------
        codes, lengths
            uint8 (B, L) and int64 (B,), in bases.
        background
            ``low-order``: the dense table of order `BACKGROUND_ORDER`. ``other-classes``: this model
            without the copy experts of the class that explains the whole read best, and with a low order
            of all classes together, flattened, in place of the dense tables.
        without_files
            int64 (B,): a file of the reference that no expert of the read may come from; -1 for none.
        leading
            int64 (B,), where wanted: receives the class that explains each read best: whose experts gain
            most over the dense tables, or, where none gain, whose own tables predict the read best.
        each_base
            Whether they are wanted, or only their sums.
        num_threads
            Threads to share the reads among.
        """
        said, of_background = (Rows.of_shape(codes.shape, each_base=each_base) for _ in range(2))
        without = _without(without_files, len(codes))
        arrays = self.arrays()
        classes = np.empty(len(codes), dtype=np.int64) if leading is None else leading

        def rows(part: slice) -> None:
            kernel.score(
                codes[part],
                lengths[part],
                arrays,
                without[part],
                _BACKGROUNDS[background],
                BACKGROUND_ORDER,
                said.part(part),
                of_background.part(part),
                classes[part],
            )

        share(rows, codes.shape, num_threads)
        return said, of_background

    def observe(
        self,
        codes: npt.NDArray[np.uint8],
        *,
        without_files: npt.NDArray[np.int64] | None = None,
        num_threads: int = 1,
    ) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint16], npt.NDArray[np.float32]]:
        """States, categories and log-probabilities for `genood.context.fitting.Observations`."""
        num_reads, length = codes.shape
        states = np.zeros((num_reads, length, 2, 5), dtype=np.uint8)
        packed = np.zeros((num_reads, length, 2), dtype=np.uint16)
        logs = np.zeros((num_reads, length, 8), dtype=np.float32)
        without = _without(without_files, num_reads)
        arrays = self.arrays()

        def rows(part: slice) -> None:
            kernel.observe(
                codes[part],
                arrays,
                without[part],
                states[part],
                packed[part],
                logs[part],
            )

        share(rows, codes.shape, num_threads)
        return states, packed, logs


def _without(files: npt.NDArray[np.int64] | None, num_reads: int) -> npt.NDArray[np.int64]:
    return np.full(num_reads, -1, dtype=np.int64) if files is None else files
