"""Make the tables of a reference: annotate, index, count."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from genood.context import dense, hashing
from genood.context.genes import GROUPS, annotate
from genood.context.mixer import default_mixer
from genood.context.plan import Plan, make_plan
from genood.context.tables import Tables
from genood.errors import ConfigError
from genood.genomes import Genomes
from genood.recipes import Stream

logger = logging.getLogger(__name__)

_MAX_POSITIONS = 1 << 31
"""Positions that a slot of a hashed table can name."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Learned:
    """What was learned from a reference.

    Attributes
    ----------
    tables
        Of all genomes.
    leave_out
        The same, but the dense tables without the held-out files: with experts of a read's own file
        forbidden it has seen nothing of that file.
    held_out
        The held-out files, one of each class that has several, as indices into `Genomes.files`.
    plan
        What was kept.
    """

    tables: Tables
    leave_out: Tables
    held_out: tuple[int, ...]
    plan: Plan


def learn(genomes: Genomes, *, seed: int, memory: int, num_threads: int = 1) -> Learned:
    """Make the tables of genomes, and hold out one file of each class that has several.

    Parameters
    ----------
    genomes
        The reference.
    seed
        Chooses the held-out files.
    memory
        Bytes that training may take at its peak.
    num_threads
        Threads that may be used.

    Raises
    ------
    ConfigError
        The tables would not fit.
    """
    reference, offsets = annotate(genomes.codes, genomes.starts, genomes.lengths)
    labels, files = genomes.labels, genomes.files_at(genomes.starts)
    nothing = np.empty(0, dtype=np.uint16)
    segments = (offsets, genomes.lengths, labels)
    num_translated = hashing.index_translated(reference, *segments, GROUPS, 0, nothing)
    plan = make_plan(len(reference), len(genomes.classes), num_translated, memory)
    logger.info(
        "keeping 1 in %d nucleotide and 1 in %d translated contexts; peak memory about %.1f GB",
        1 << plan.nuc_sampling,
        1 << plan.aa_sampling,
        plan.peak_bytes / 1e9,
    )
    held_out = hold_out(genomes, seed)
    if len(reference) > _MAX_POSITIONS:
        raise ConfigError(
            f"{len(reference):,} bases are more than the {_MAX_POSITIONS:,} that can be indexed"
        )

    def index_nucleotides() -> npt.NDArray[np.uint16]:
        table = hashing.empty_table(len(reference) >> plan.nuc_sampling)
        lost = hashing.index_nucleotides(reference, *segments, plan.nuc_sampling, table)
        logger.debug("nucleotide contexts: load %.3f, %d found no room", hashing.load(table), lost)
        return table

    def index_translated() -> npt.NDArray[np.uint16]:
        table = hashing.empty_table(num_translated >> plan.aa_sampling)
        lost = hashing.index_translated(reference, *segments, GROUPS, plan.aa_sampling, table)
        logger.debug("translated contexts: load %.3f, %d found no room", hashing.load(table), lost)
        return table

    with ThreadPoolExecutor(max(1, min(num_threads, 3))) as pool:
        nuc = pool.submit(index_nucleotides)
        low_and_class = pool.submit(
            _count, reference, offsets, genomes.lengths, labels, files, plan.class_order, held_out
        )
        aa = pool.submit(index_translated)
        (rest_low, rest_class), (low, by_class) = low_and_class.result()
        tables = Tables(
            reference=reference,
            offsets=offsets,
            labels=labels,
            files=files,
            nuc=nuc.result(),
            nuc_sampling=plan.nuc_sampling,
            aa=aa.result(),
            aa_sampling=plan.aa_sampling,
            low=low,
            by_class=by_class,
            class_order=plan.class_order,
            num_classes=len(genomes.classes),
            **{name: tensor.numpy() for name, tensor in default_mixer().items()},
        )
    leave_out = replace(tables, low=rest_low, by_class=rest_class)
    return Learned(tables=tables, leave_out=leave_out, held_out=held_out, plan=plan)


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


def hold_out(genomes: Genomes, seed: int) -> tuple[int, ...]:
    """One file of each class that has several, as indices into `Genomes.files`."""
    chosen = []
    for name in genomes.classes:
        mine = [i for i, file in enumerate(genomes.files) if file.class_name == name and file.usable_bases]
        if len(mine) > 1:
            generator = np.random.default_rng([seed, Stream.HELD_OUT, genomes.classes.index(name)])
            chosen.append(int(generator.choice(mine)))
    return tuple(chosen)


Dense = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


def _count(
    reference: npt.NDArray[np.uint8],
    offsets: Ints,
    lengths: Ints,
    labels: Ints,
    files: Ints,
    class_order: int,
    held_out: Sequence[int],
) -> tuple[Dense, Dense]:
    """Dense tables (over all classes, by class) without the held-out files, and of all files."""
    num_classes = int(labels.max()) + 1
    size = 4 ** (dense.MAX_ORDER + 1)
    is_held = np.isin(files, held_out)
    pooled = np.zeros((2, size), dtype=np.float32)
    by_class = np.empty((2, num_classes * dense.start_of(class_order + 1)), dtype=np.uint8)
    total = lengths.sum() / num_classes
    counts = np.empty(size, dtype=np.float32)
    for label in range(num_classes):
        counts[:] = 0.0
        num_bases = 0
        for which, part in enumerate((~is_held, is_held)):
            mine = (labels == label) & part
            dense.count(reference, offsets[mine], lengths[mine], dense.MAX_ORDER, counts)
            num_bases += int(lengths[mine].sum())
            # Classes weigh equally, as if each had the mean number of bases.
            dense.add_scaled(pooled[which], counts, total / max(num_bases, 1))
            _put_class(by_class[which], counts, label, num_classes, class_order)
    return tuple((_pooled_table(pooled[which]), by_class[which]) for which in range(2))  # type: ignore[return-value]


def _put_class(
    out: npt.NDArray[np.uint8], counts: dense.Counts, label: int, num_classes: int, order: int
) -> None:
    by_order = dense.lower_orders(counts, dense.MAX_ORDER)[: order + 1]
    for k, probabilities in enumerate(dense.interpolate(by_order, dense.CLASS_PRIOR_COUNT)):
        start, stop = num_classes * dense.start_of(k), num_classes * dense.start_of(k + 1)
        out[start:stop].reshape(-1, num_classes, 4)[:, label] = dense.to_bytes(probabilities)


def _pooled_table(counts: dense.Counts) -> npt.NDArray[np.uint8]:
    tables = dense.interpolate(dense.lower_orders(counts, dense.MAX_ORDER), dense.PRIOR_COUNT)
    return np.concatenate([dense.to_bytes(table).ravel() for table in tables])
