"""How large the tables of a reference may be, and which contexts are kept to make them fit."""

from __future__ import annotations

from dataclasses import dataclass

from genood.context import dense
from genood.context.hashing import BUCKET_BYTES, num_buckets
from genood.errors import ConfigError

DEFAULT_MEMORY = 2_000_000_000
"""Bytes of memory that training may take, unless told."""
_PROCESS = 420_000_000
"""Bytes of a process that has loaded its libraries."""
_BYTES_PER_BASE = 2
"""The sequences as read, and annotated."""
_COUNTS = 4 * 4 ** (dense.MAX_ORDER + 1)
"""Bytes of one array of counts."""
_NUM_COUNTS = 4
CLASS_ORDERS = (8, 7, 6)
_CLASS_BYTES = 45_000_000
"""The order of the tables by class is the highest that keeps them, all together, this small."""
MAX_SAMPLING = 6
LEAST_SAMPLING = {"nuc": 2, "aa": 1}
"""Contexts are many more than are needed to find a place in the reference: of a run of matching
bases every fourth context, on average, will do, while few codons match where only they do."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is kept: one context in 2 to the power of each sampling; the order of the class tables.

    Attributes
    ----------
    nuc_sampling, aa_sampling
        Of nucleotide and of translated contexts.
    class_order
        Bases of context of the tables by class.
    peak_bytes
        Estimated peak memory of training.
    """

    nuc_sampling: int
    aa_sampling: int
    class_order: int
    peak_bytes: int


def class_order(num_classes: int) -> int:
    """Order of the dense tables by class."""
    fitting = (
        k for k in CLASS_ORDERS if dense.stride_of(num_classes) * dense.start_of(k + 1) <= _CLASS_BYTES
    )
    return next(fitting, CLASS_ORDERS[-1])


def make_plan(num_bases: int, num_classes: int, num_translated: int, memory: int) -> Plan:
    """The most contexts that fit.

    Parameters
    ----------
    num_bases, num_classes
        Of the reference.
    num_translated
        Its translated contexts.
    memory
        Bytes that training may take.

    Raises
    ------
    ConfigError
        Even the fewest contexts take more; says how much.
    """
    order = class_order(num_classes)
    tables = dense.stride_of(num_classes) * dense.start_of(order + 1) + dense.start_of(dense.MAX_ORDER + 1)
    fixed = _PROCESS + _BYTES_PER_BASE * num_bases + 2 * tables + _NUM_COUNTS * _COUNTS

    def peak(nuc: int, aa: int) -> int:
        buckets = num_buckets(num_bases >> nuc) + num_buckets(num_translated >> aa)
        return fixed + BUCKET_BYTES * buckets

    nuc, aa = LEAST_SAMPLING["nuc"], LEAST_SAMPLING["aa"]
    while peak(nuc, aa) > memory and (nuc, aa) != (MAX_SAMPLING, MAX_SAMPLING):
        # The larger table gives way.
        if aa == MAX_SAMPLING or (nuc < MAX_SAMPLING and num_bases >> nuc >= num_translated >> aa):
            nuc += 1
        else:
            aa += 1
    plan = Plan(nuc_sampling=nuc, aa_sampling=aa, class_order=order, peak_bytes=peak(nuc, aa))
    if plan.peak_bytes > memory:
        raise ConfigError(
            f"{num_bases:,} bases need {plan.peak_bytes / 1e9:.2f} GB even with the fewest contexts "
            f"({peak(LEAST_SAMPLING['nuc'], LEAST_SAMPLING['aa']) / 1e9:.2f} GB with all), more than the "
            f"{memory / 1e9:.2f} GB of --memory; give more, or fewer genomes"
        )
    return plan
