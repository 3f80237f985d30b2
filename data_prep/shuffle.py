"""A shuffle of more records than memory should hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import numpy.typing as npt

_RECORDS_OF_BUCKET = 2**16
_MAX_BUCKETS = 128
"""Files open at once; of more records than fit into so many, each holds more."""

Records = npt.NDArray[Any]
"""Shape (N,), of a structured dtype without objects."""


def num_buckets_for(num_records: int) -> int:
    """How many buckets to shuffle so many records in: each of 65,536, up to 128 of them."""
    return min(max(1, -(-num_records // _RECORDS_OF_BUCKET)), _MAX_BUCKETS)


class BucketShuffle:
    """Records put into buckets on disk, each of which is then shuffled by itself.

    With the bucket of each record drawn uniformly and independently, the records come back in an order that
    is uniform over all orders. It depends on the order in which they are added.

    Parameters
    ----------
    directory
        An empty one, that lasts as long as this.
    num_buckets
        At least 1.

    Notes
    -----
    Source: Rao 1961, Sankhya A 23:305; Sandelius 1962, J. R. Statist. Soc. B 24:472.
    """

    def __init__(self, directory: Path, num_buckets: int) -> None:
        self._paths = [directory / f"{bucket}.records" for bucket in range(num_buckets)]

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            self._files = [opening.enter_context(open(path, "wb")) for path in self._paths]
            self._open = opening.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()
        for path in self._paths:
            path.unlink(missing_ok=True)

    def add(self, records: Records, buckets: npt.NDArray[np.int64]) -> None:
        """Put records, of the same dtype each time, into the buckets given for them, int64 of shape (N,)."""
        by_bucket = np.argsort(buckets, kind="stable")
        used, firsts = np.unique(buckets[by_bucket], return_index=True)
        for bucket, part in zip(used.tolist(), np.split(records[by_bucket], firsts[1:]), strict=False):
            self._files[bucket].write(part.tobytes())

    def shuffled(self, dtype: npt.DTypeLike, generator: np.random.Generator) -> Iterator[Records]:
        """All records, a bucket at a time, at least one each; to be called once, when all are added."""
        self._open.close()
        for path in self._paths:
            records = np.fromfile(path, dtype=dtype)
            path.unlink()
            if len(records):
                yield records[generator.permutation(len(records))]
