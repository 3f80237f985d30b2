"""The benchmark that Ren et al. released, imported into a dataset.

It exists in two sizes: 100,000 reads a class in every split, TFRecords on a web drive; and with 10,000
reads a class in validation and test, the tables of TensorFlow Datasets (TFDS). A dataset states which of
them it holds, or that it holds a part.

Source: Ren et al. 2019, "Likelihood Ratios for Out-of-Distribution Detection"; google-research/genomics_ood.
"""

from __future__ import annotations

import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from data_prep.fetch import FetchConfig
from data_prep.published_files import Release, check_sha256, open_release
from data_prep.published_labels import RELEASED_LABELS, numbers_of, read_labels
from data_prep.published_reads import READ_LENGTH
from data_prep.table import listed
from genood.dataset import SPLITS, Dataset, DatasetWriter, create_dataset
from genood.errors import ConfigError
from genood.files.directories import check_new

logger = logging.getLogger("genood.prep.published")

NOTE = "published"
"""Key of what the notes of a dataset say of the release."""

_SIZES = (10_000, 100_000)
"""Reads a class of a whole split."""
_TOLERANCE = 0.05
"""Share by which a class may be larger or smaller than that."""


@dataclass(frozen=True, kw_only=True)
class PublishedConfig:
    """What to import.

    Attributes
    ----------
    sources, sha256, split
        See `open_release`.
    labels
        A ``label_dict.json``; None for that among the sources, or else the one of the release.
    excluded
        Classes to leave out.
    fetch
        How patient downloads are.
    """

    sources: Sequence[str]
    sha256: Sequence[str] = ()
    split: str | None = None
    labels: str | None = None
    excluded: Sequence[str] = ()
    fetch: FetchConfig = field(default_factory=FetchConfig)

    def __post_init__(self) -> None:
        if not self.sources:
            raise ConfigError("at least one source is needed")
        check_sha256(self.sources, self.sha256)
        if self.split is not None and self.split not in SPLITS:
            raise ConfigError(f"there is no split {self.split!r}; choose from {', '.join(SPLITS)}")


class Progress(Protocol):
    """What is told of an import while it runs."""

    def received(self, num_bytes: int) -> None:
        """So many bytes of a download have arrived."""

    def imported(self, num_reads: int) -> None:
        """So many more reads have been read."""


def import_published(
    config: PublishedConfig, output: str | os.PathLike[str], *, progress: Progress | None = None
) -> Dataset:
    """Write the reads of the benchmark as a dataset, in the order in which they are.

    Parameters
    ----------
    config
        See there.
    output
        Directory of the dataset, which must not be there yet. A download lies beside it meanwhile.
    progress
        Told how far the import is.

    Returns
    -------
    dataset
        What was written. Its variant says which size of the benchmark it is.

    Raises
    ------
    InputError
        A source cannot be had or used (see `open_release`), a read is not as documented or in the wrong
        split (see `tfrecord_batches`, `table_batches`), the output cannot be made, a class to leave out
        does not exist, or no read is left.
    """
    check_new(output, "a dataset")  # before anything is downloaded for it
    given = None if config.labels is None else read_labels(config.labels)
    with open_release(
        config.sources,
        sha256=config.sha256,
        split=config.split,
        scratch=Path(output).parent,
        fetch=config.fetch,
        received=progress.received if progress is not None else lambda num_bytes: None,
    ) as release:
        labels = given if given is not None else release.labels
        labels = labels if labels is not None else RELEASED_LABELS
        unknown = sorted(set(config.excluded) - set(labels.values()))
        if unknown:
            raise ConfigError(f"cannot leave out {', '.join(unknown)}: no such class in the labels")
        with create_dataset(output, read_length=READ_LENGTH, seed=None, sources=release.sources) as writer:
            counts = _copy(release, labels, config.excluded, writer, progress)
            _check_stated(counts, release.stated)
            writer.variant = describe_variant(counts, release.stated, config.excluded)
            logger.info("%s", writer.variant)
            writer.note(
                NOTE,
                {
                    "work": "Ren et al. 2019, Likelihood Ratios for Out-of-Distribution Detection",
                    "licence": "CC BY 4.0",
                    "stated_reads": {split: sum(stated.values()) for split, stated in release.stated.items()},
                    "excluded_classes": sorted(set(config.excluded)),
                },
            )
    return Dataset.load(output)


def describe_variant(
    counts: Mapping[str, Mapping[str, int]],
    stated: Mapping[str, Mapping[str, int]],
    excluded: Sequence[str] = (),
) -> str:
    """Which size of the benchmark some reads are, or that they are a part of it; and without which classes.

    A split is whole if it has all its classes, each with 10,000 or 100,000 reads, give or take 5 %, and
    not another number than stated.

    Parameters
    ----------
    counts
        Number of reads by split and class, those of excluded classes too.
    stated
        The same according to ``*_nsample.json``, for those splits that have one.
    excluded
        Classes that were left out.
    """
    described = _describe_size(counts, stated) or f"a part: {_describe_part(counts, excluded)}"
    without = ", ".join(sorted(set(excluded)))
    return f"{described}; without {without}" if without else described


def _describe_size(
    counts: Mapping[str, Mapping[str, int]], stated: Mapping[str, Mapping[str, int]]
) -> str | None:
    """The size of the benchmark, None if it is not whole."""
    sizes = {split: _size_of_whole(split, counts.get(split, {}), stated.get(split)) for split in SPLITS}
    held_out = {size for split, size in sizes.items() if split != "train_in"}
    if None in sizes.values() or len(held_out) > 1:
        return None
    size = held_out.pop()
    if size == sizes["train_in"]:
        return f"{size:,} reads a class"
    return f"{sizes['train_in']:,} reads a class for training, {size:,} for validation and test"


def _describe_part(counts: Mapping[str, Mapping[str, int]], excluded: Sequence[str]) -> str:
    """The reads of each split that were not left out."""
    parts = []
    for split in SPLITS:
        numbers = [number for name, number in counts.get(split, {}).items() if name not in excluded]
        if numbers:
            each = f"{min(numbers):,}" if len(set(numbers)) == 1 else f"{min(numbers):,} to {max(numbers):,}"
            parts.append(f"{split} {sum(numbers):,} reads of {len(numbers)} classes, {each} a class")
    return "; ".join(parts) or "no reads"


def _size_of_whole(split: str, counts: Mapping[str, int], stated: Mapping[str, int] | None) -> int | None:
    """Reads a class of a split, of `_SIZES`; None if it is not whole."""
    if len(counts) != len(numbers_of(split)) or (stated is not None and stated != counts):
        return None
    for size in _SIZES:
        if all(abs(number - size) <= _TOLERANCE * size for number in counts.values()):
            return size
    return None


def _copy(
    release: Release,
    labels: Mapping[int, str],
    excluded: Sequence[str],
    writer: DatasetWriter,
    progress: Progress | None,
) -> dict[str, Counter[str]]:
    """Copy all reads but those of excluded classes; the number of all by split and class."""
    counts: dict[str, Counter[str]] = {}
    for shard in release.shards:
        of_split = counts.setdefault(shard.split, Counter())
        before = of_split.total()
        with shard.open_batches(labels) as batches:
            for batch in batches:
                of_split.update(batch.origins.classes)
                kept = batch.without(excluded)
                writer.add(shard.split, kept.codes, kept.origins)
                if progress is not None:
                    progress.imported(len(batch.codes))
        num_reads = of_split.total() - before
        logger.info("%s: %s reads of %s", shard.path, f"{num_reads:,}", shard.split)
        if not num_reads:
            logger.warning("%s holds no reads", shard.path)
    return counts


def _check_stated(counts: Mapping[str, Mapping[str, int]], stated: Mapping[str, Mapping[str, int]]) -> None:
    """Warn of splits with more reads of a class than the release states, or with fewer."""
    for split, numbers in stated.items():
        found = counts.get(split, {})
        more = sorted(name for name, number in found.items() if number > numbers.get(name, 0))
        fewer = sorted(name for name, number in numbers.items() if number > found.get(name, 0))
        for names, how, question in (
            (more, "more", "is a shard there twice?"),
            (fewer, "fewer", "is a shard missing or cut short?"),
        ):
            if names:
                logger.warning(
                    "%s has %s reads of %s than its nsample.json states; %s",
                    split,
                    how,
                    listed(names),
                    question,
                )
