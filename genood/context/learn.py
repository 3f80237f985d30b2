"""Make the tables of a reference: annotate, index, count."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import numpy.typing as npt

from genood.context import dense, hashing
from genood.context.genes import GROUPS, annotate
from genood.context.mixer import default_mixer
from genood.context.plan import Plan, make_plan
from genood.context.tables import Tables
from genood.errors import ConfigError
from genood.reference.genomes import Genomes

logger = logging.getLogger(__name__)

_MAX_POSITIONS = 1 << 31
"""Positions that a slot of a hashed table can name."""

Ints = npt.NDArray[np.int64]


def learn(genomes: Genomes, *, memory: int, num_threads: int = 1) -> tuple[Tables, Plan]:
    """Make the tables of genomes; nothing is drawn at random.

    Parameters
    ----------
    genomes
        The reference.
    memory
        Bytes that training may take at its peak.
    num_threads
        Threads that may be used.

    Returns
    -------
    tables, plan
        What was learned, and what was kept.

    Raises
    ------
    ConfigError
        The tables would not fit.
    """
    reference, offsets = annotate(genomes.codes, genomes.starts, genomes.lengths)
    labels, files = genomes.labels, genomes.files_at(genomes.starts)
    nothing = np.empty(0, dtype=np.uint16)
    segments = (offsets, hashing.blocks_of(offsets, len(reference)), genomes.lengths, labels)
    num_translated = hashing.index_translated(reference, *segments, GROUPS, 0, nothing)
    plan = make_plan(len(reference), len(genomes.classes), num_translated, memory)
    logger.info(
        "keeping 1 in %d nucleotide and 1 in %d translated contexts; peak memory about %.1f GB",
        1 << plan.nuc_sampling,
        1 << plan.aa_sampling,
        plan.peak_bytes / 1e9,
    )
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
        counted = pool.submit(
            dense_tables, reference, offsets, genomes.lengths, labels, plan.class_order, len(genomes.classes)
        )
        aa = pool.submit(index_translated)
        low, by_class = counted.result()
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
            **default_mixer(),
        )
    return tables, plan


def dense_tables(
    codes: npt.NDArray[np.uint8],
    starts: Ints,
    lengths: Ints,
    labels: Ints,
    class_order: int,
    num_classes: int,
    order: int = dense.MAX_ORDER,
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """The dense tables, over all classes and by class, see `genood.context.dense`.

    Parameters
    ----------
    codes, starts, lengths, labels
        Segments as in `genood.reference.genomes.Genomes`; the codes may be annotated.
    class_order, order
        Of the tables by class, at most that of the table over all classes.
    num_classes
        Classes of the labels.
    """
    size = 4 ** (order + 1)
    pooled = np.zeros(size, dtype=np.float32)
    stride = dense.stride_of(num_classes)
    by_class = np.full(stride * dense.start_of(class_order + 1), dense.NEVER, dtype=np.uint8)
    mean_bases = lengths.sum() / num_classes
    for label in range(num_classes):
        mine = labels == label
        counted = np.zeros(size, dtype=np.int64)  # of which float32 has no more from 2^24 on
        dense.count(codes, starts[mine], lengths[mine], order, counted)
        counts = counted.astype(np.float32)
        # Classes weigh equally, as if each had the mean number of bases.
        dense.add_scaled(pooled, counts, mean_bases / max(int(lengths[mine].sum()), 1))
        _put_class(by_class, dense.lower_orders(counts, order)[: class_order + 1], label, stride)
    return _pooled_table(dense.lower_orders(pooled, order)), by_class


def _put_class(out: npt.NDArray[np.uint8], by_order: list[dense.Counts], label: int, stride: int) -> None:
    for k, probabilities in enumerate(dense.interpolate(by_order, dense.CLASS_PRIOR_COUNT)):
        start, stop = stride * dense.start_of(k), stride * dense.start_of(k + 1)
        out[start:stop].reshape(-1, 4, stride)[:, :, label] = dense.to_class_bytes(probabilities)


def _pooled_table(by_order: list[dense.Counts]) -> npt.NDArray[np.uint8]:
    tables = dense.interpolate(by_order, dense.PRIOR_COUNT)
    return np.concatenate([dense.to_bytes(table).ravel() for table in tables])
