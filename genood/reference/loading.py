"""What training is given, as genomes: from FASTA files, indexes or datasets; and what it validates on.

A read of a dataset is a segment: training reads are windows of one, from either strand. Reads of a
dataset overlap each other, so that none of its `train_in` are apart from the rest, and a memory-based
model would meet a read's own copy. Validation and calibration are therefore on the dataset's `val_in`,
other genomes of the classes, or on what the user names; never on a part of `train_in`. Of `val_in`,
each read counts, though some overlap: they are drawn as reads to be scored are.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from functools import reduce
from typing import Any, NamedTuple

import numpy as np

from genood.dataset import DATASET_FILE, Dataset, Split, is_dataset
from genood.errors import ConfigError, InputError, TrainingError
from genood.files import sha256_of
from genood.reference.genomes import (
    DatasetPart,
    GenomeFile,
    Genomes,
    Ints,
    classes_of,
    copies,
    load_genomes,
    merge,
    split_held_out,
)
from genood.reference.index import is_index, load_index
from genood.reference.labels import read_classes
from genood.sequence import UNKNOWN, Codes, known_runs

logger = logging.getLogger(__name__)

TRAINING_SPLIT = "train_in"
VALIDATION_SPLIT = "val_in"
_MOST_NAMES = 5
_OTHERS = "--val takes other genomes"


class Validation(NamedTuple):
    """In-distribution sequences to validate or calibrate on.

    Attributes
    ----------
    genomes
        The sequences.
    source
        What they are, for people.
    apart
        Whether they are none of the reference's own.
    """

    genomes: Genomes
    source: str
    apart: bool = True

    def of_class(self, name: str) -> Validation:
        """Those of one class.

        Raises
        ------
        TrainingError
            There are none.
        """
        if name not in self.genomes.classes:
            raise TrainingError(f"{self.source}: there are none of class {name!r}; each class needs some")
        return self._replace(genomes=self.genomes.of_class(name))


class TrainingData(NamedTuple):
    """Where to draw training reads, and where validation reads; none that is drawn is of both."""

    training: Genomes
    validation: Validation

    def of_class(self, name: str) -> TrainingData:
        """Those of one class; the errors are those of `Validation.of_class`."""
        return TrainingData(self.training.of_class(name), self.validation.of_class(name))


def load_reference(
    inputs: Sequence[str], *, min_length: int, classes: str | None, validation: Sequence[str] = ()
) -> Genomes:
    """The reference: FASTA files in their order, then indexes, then the `train_in` of datasets in theirs.

    Parameters
    ----------
    inputs
        FASTA files, and directories of indexes and datasets.
    min_length
        Runs of known bases shorter than this are left out.
    classes
        Table of classes by FASTA file; None takes them from the file names. Directories have their own.
    validation
        What will be validated on, which the table may be for.

    Raises
    ------
    InputError, TrainingError
        See `load_genomes`, `load_index` and `Dataset.load`; or a dataset has no such reads.
    ConfigError
        A dataset's reads are shorter than `min_length`; or the table has no file to be for.
    """
    if classes is not None and all(is_dataset(path) or is_index(path) for path in [*inputs, *validation]):
        raise ConfigError("--classes is for FASTA files; a dataset has its classes, and so has an index")
    return load_sequences(inputs, TRAINING_SPLIT, min_length=min_length, classes=classes)


def load_validation(
    validation: Sequence[str], inputs: Sequence[str], *, min_length: int, classes: str | None
) -> Validation | None:
    """Sequences to validate on: those given, else the `val_in` of the datasets among the inputs.

    None where there are no datasets, so that some of the reference has to be held out.

    Parameters
    ----------
    validation
        FASTA files, and datasets whose `val_in` is meant.
    inputs, min_length, classes
        See `load_reference`.

    Raises
    ------
    InputError, TrainingError
        As `load_reference`.
    ConfigError
        A FASTA file is validated on that is trained on; or only some of the inputs have reads to
        validate on.
    """
    if validation:
        trained = {os.path.realpath(path) for path in inputs if not is_dataset(path)}
        if trained & set(map(os.path.realpath, validation)):
            raise ConfigError(f"a file is both trained and validated on; {_OTHERS}")
        genomes = load_sequences(validation, VALIDATION_SPLIT, min_length=min_length, classes=classes)
        return Validation(genomes, "validation sequences")
    datasets = [path for path in inputs if is_dataset(path)]
    if not datasets:
        return None
    if len(datasets) < len(inputs):
        raise ConfigError("FASTA files and datasets together need sequences to validate on; give --val")
    for path in datasets:
        if VALIDATION_SPLIT not in Dataset.load(path).splits:
            raise ConfigError(
                f"{path}: has no {VALIDATION_SPLIT} reads, and those of {TRAINING_SPLIT} overlap, so that "
                "none can be held out; give sequences to validate on with --val"
            )
    genomes = load_sequences(datasets, VALIDATION_SPLIT, min_length=min_length, classes=classes)
    return Validation(genomes, f"{VALIDATION_SPLIT} of the dataset")


def check_untrained(validation: Iterable[GenomeFile], trained: Iterable[GenomeFile]) -> None:
    """Raise ConfigError for the first file to validate on that holds what one of those trained on does."""
    for file, other in copies(validation, trained):
        raise ConfigError(
            f"{file.name}: holds the same sequences as {other.name}, which is trained on; {_OTHERS}"
        )


def load_sequences(
    paths: Sequence[str], split: str, *, min_length: int, classes: str | None = None
) -> Genomes:
    """FASTA files in their order, then indexes in theirs, then a split of datasets.

    Parameters
    ----------
    paths
        FASTA files, and directories of indexes and datasets. A single index stays on disk.
    split
        Of the datasets.
    min_length, classes
        See `load_reference`.

    Raises
    ------
    InputError, TrainingError, ConfigError
        As `load_reference`.
    """
    fasta = [path for path in paths if not is_dataset(path) and not is_index(path)]
    parts = []
    if fasta or not paths:
        table = None if classes is None else read_classes(classes)
        parts.append(load_genomes(fasta, min_length=min_length, classes=table))
    parts.extend(load_index(path, min_length=min_length) for path in paths if is_index(path))
    parts.extend(genomes_of_split(path, split, min_length=min_length) for path in paths if is_dataset(path))
    return reduce(merge, parts)


def load_training(
    inputs: Sequence[str],
    *,
    read_length: int,
    classes: str | None,
    validation: Sequence[str],
    held_out_fraction: float,
    seed: int,
) -> TrainingData:
    """Where to draw training reads, and where validation reads; none that is drawn is of both.

    Parameters
    ----------
    inputs
        FASTA files of the reference, in order, indexes of them, or datasets, whose `train_in` is meant.
    read_length
        Runs of known bases shorter than this are left out.
    classes
        Table of classes by file; None takes them from the file names.
    validation
        In-distribution FASTA files to validate and calibrate on, or datasets, whose `val_in` is meant;
        none takes the `val_in` of the inputs, or holds out stretches of them where they are FASTA files.
    held_out_fraction, seed
        Of `split_held_out`.

    Raises
    ------
    InputError, TrainingError, ConfigError
        See `load_reference`, `load_validation` and `split_held_out`.
    """
    genomes = load_reference(inputs, min_length=read_length, classes=classes, validation=validation)
    apart = load_validation(validation, inputs, min_length=read_length, classes=classes)
    if apart is not None:
        check_untrained(apart.genomes.files, genomes.files)
        _tell_of_classes(genomes, apart)
        return TrainingData(genomes, apart)
    training, held_out = split_held_out(
        genomes, fraction=held_out_fraction, read_length=read_length, seed=seed
    )
    return TrainingData(training, Validation(held_out, "held-out stretches of the reference", apart=False))


def _tell_of_classes(reference: Genomes, validation: Validation) -> None:
    """Warn of classes that only the reference has, or only what it is validated on.

    Where they have none in common, as where each file is a class of its own, classes say nothing.
    """
    ours, theirs = reference.classes, validation.genomes.classes
    if set(ours).isdisjoint(theirs):
        return
    missing = [name for name in ours if name not in theirs]
    if missing:
        logger.warning(
            "%s: none are of class %s; p-values may not hold for their reads",
            validation.source,
            _shortened(missing),
        )
    foreign = [name for name in theirs if name not in ours]
    if foreign:
        logger.warning(
            "%s: some are of class %s, which the reference lacks; p-values will be too large",
            validation.source,
            _shortened(foreign),
        )


def _shortened(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more"


@dataclass(frozen=True, kw_only=True)
class ReferenceJob:
    """What to learn from a reference, and where to put it.

    Attributes
    ----------
    inputs, classes, validation
        See `load_training`.
    output
        Directory of what comes of it.
    config
        How.
    command
        What the user typed, for the record.
    wants_p_values
        Whether p-values will be asked for: if so, it is told where they will be poor.
    """

    inputs: Sequence[str]
    output: str
    config: Any
    classes: str | None = None
    validation: Sequence[str] = ()
    command: str = ""
    wants_p_values: bool = True


def load_data(job: ReferenceJob) -> TrainingData:
    """Read all that a job names; the errors are those of `load_training`.

    Its configuration must have the read length, the held-out fraction and the seed.
    """
    return load_training(
        job.inputs,
        read_length=job.config.read_length,
        classes=job.classes,
        validation=job.validation,
        held_out_fraction=job.config.held_out_fraction,
        seed=job.config.seed,
    )


def provenance(reference: Genomes, validation: Validation) -> dict[str, Any]:
    """What a bundle says about its data, JSON types."""
    apart = validation.genomes if validation.apart else None
    return {
        "fingerprint": reference.fingerprint,
        "files": [asdict(file) for file in reference.files_of_classes()],
        "datasets": [asdict(part) for part in reference.datasets],
        "validation": validation.source,
        "validation_files": [] if apart is None else [asdict(file) for file in apart.files_of_classes()],
        "validation_datasets": [] if apart is None else [asdict(part) for part in apart.datasets],
    }


def genomes_of_split(directory: str, name: str, *, min_length: int) -> Genomes:
    """The reads of a split of a dataset in memory, each a segment; its files are checked first.

    Each class becomes a file.

    Parameters
    ----------
    directory
        The dataset.
    name
        The split.
    min_length
        Runs of known bases shorter than this are left out.

    Raises
    ------
    InputError
        The dataset is damaged, or has no such split.
    ConfigError
        Its reads are shorter than `min_length`.
    TrainingError
        A class has no run of `min_length` known bases.
    """
    dataset = Dataset.load(directory)
    length = dataset.read_length
    if name not in dataset.splits:
        raise InputError(directory, f"has no {name} reads")
    if min_length > length:
        raise ConfigError(
            f"{directory}: its reads have {length} bases, so that none of {min_length} can be drawn; "
            f"give --read-length {length} or less"
        )
    split = dataset.splits[name]
    split.verify()
    classes = split.origins()["class"].astype("category").cat
    labels = np.asarray(classes.codes, dtype=np.int64)
    codes = np.asarray(split.codes)
    if (np.diff(labels) < 0).any():
        codes = codes[np.argsort(labels, kind="stable")]
        labels = np.sort(labels)
    segments = _segments_of(codes, min_length)
    usable = np.bincount(labels[segments.rows], segments.lengths, len(classes.categories)).astype(np.int64)
    shown = dataset.directory.resolve().name
    files = []
    for label, class_name in enumerate(classes.categories):
        first, last = np.searchsorted(labels, [label, label + 1])
        files.append(
            GenomeFile(
                name=f"{shown}/{name}.npy",
                class_name=class_name,
                num_records=int(last - first),
                num_bases=int(last - first) * length,
                usable_bases=int(usable[label]),
                sha256=hashlib.sha256(b"%d\0" % length + codes[first:last].data).hexdigest(),
            )
        )
    return Genomes(
        codes=segments.codes,
        starts=np.cumsum(segments.lengths) - segments.lengths,
        lengths=segments.lengths,
        labels=labels[segments.rows],
        classes=classes_of(files, min_length),
        file_ends=np.cumsum(usable),
        files=tuple(files),
        datasets=(DatasetPart(name=shown, split=name, sha256=_sha256_of(split)),),
    )


def _sha256_of(split: Split) -> dict[str, str]:
    return {DATASET_FILE: sha256_of(split.directory / DATASET_FILE), **split.sha256}


class _Segments(NamedTuple):
    """Runs of known bases: codes uint8 (N,), one after another; length and read of each, int64 (S,)."""

    codes: Codes
    lengths: Ints
    rows: Ints


def _segments_of(codes: Codes, min_length: int) -> _Segments:
    """The runs of at least `min_length` known bases of reads, uint8 of shape (N, L)."""
    num_reads, length = codes.shape
    known = codes.max(axis=1) < UNKNOWN
    rows = np.flatnonzero(known)
    lengths = np.full(len(rows), length, dtype=np.int64)
    if len(rows) == num_reads:
        return _Segments(codes.reshape(-1), lengths, rows)
    keep = np.repeat(known[:, None], length, axis=1)
    pieces = []
    for row in np.flatnonzero(~known).tolist():
        for start, stop in known_runs(codes[row], min_length):
            keep[row, start:stop] = True
            pieces.append((row, stop - start))
    more_rows, more_lengths = np.array(pieces, dtype=np.int64).reshape(-1, 2).T
    rows = np.concatenate([rows, more_rows])
    order = np.argsort(rows, kind="stable")
    return _Segments(codes[keep], np.concatenate([lengths, more_lengths])[order], rows[order])
