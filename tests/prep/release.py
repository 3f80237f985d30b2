"""Small releases of the published benchmark, written byte by byte, and imports of them."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path

import google_crc32c
import numpy as np

from data_prep.published import PublishedConfig, import_published
from data_prep.published_labels import RELEASED_LABELS, numbers_of
from genood.dataset import SPLITS, Dataset
from genood.sequence import decode

NAMES = {
    "train_in": "before_2011_in_tr",
    "val_in": "between_2011-2016_in_val",
    "val_ood": "between_2011-2016_ood_val",
    "test_in": "after_2016_in_test",
    "test_ood": "after_2016_ood_test",
}
"""What the release calls the splits."""


def bases(seed: int, length: int = 250) -> str:
    """Letters of a read."""
    return "".join("ACGT"[i] for i in np.random.default_rng(seed).integers(0, 4, length))


def digits(letters: str) -> bytes:
    """Letters as the release has them."""
    return " ".join(str("ACGT".index(letter)) for letter in letters).encode()


def origin(start: int = 100, accession: str = "AB1.1") -> str:
    return f"{accession} Some organism str. 'X', complete genome_pos{start}-{start + 249}"


def message(number: int, content: bytes) -> bytes:
    """A field of wire type 2 of protobuf, shorter than 16,384 bytes."""
    size = len(content)
    length = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + length + content


def example(**features: bytes | int) -> bytes:
    """A tf.train.Example; integers from 0 to 127."""
    entries = b""
    for name, value in features.items():
        if isinstance(value, int):
            feature = message(3, message(1, bytes([value])))
        else:
            feature = message(1, message(1, value))
        entries += message(1, message(1, name.encode()) + message(2, feature))
    return message(1, entries)


def read_example(letters: str, label: int, where: str | None = None) -> bytes:
    """A read as the release has it; labels to 127."""
    where = where if where is not None else origin()
    return example(x=digits(letters), y=label, z=where.encode())


def masked(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) % 2**32)


def record(data: bytes) -> bytes:
    """A record of a TFRecord file."""
    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def shard(path: Path, reads: Iterable[tuple[str, int]]) -> Path:
    """A TFRecord file of reads, each letters and label, at starts 100, 101, ..."""
    path.parent.mkdir(parents=True, exist_ok=True)
    records = [
        record(read_example(letters, label, origin(100 + i))) for i, (letters, label) in enumerate(reads)
    ]
    path.write_bytes(b"".join(records))
    return path


def labels_of(split: str, reads_per_class: int, num_classes: int | None = None) -> list[int]:
    """Labels of a split's reads, class after class."""
    numbers = numbers_of(split)[:num_classes]
    return [number for number in numbers for _ in range(reads_per_class)]


def table(rows: Sequence[tuple[str, int]], split: str, *, delimiter: str = "\t") -> str:
    """A table of the TFDS form."""
    quote = '"' if delimiter == "," else ""
    lines = [delimiter.join(("seq", "label", "seq_info", "domain"))]
    for i, (letters, label) in enumerate(rows):
        where = f"{quote}{origin(100 + i)}{quote}"
        lines.append(delimiter.join((letters, RELEASED_LABELS[label], where, split.rpartition("_")[2])))
    return "\n".join(lines) + "\n"


READS = {split: [(bases(label), label) for label in labels_of(split, 1, 5)] for split in SPLITS}
"""Five reads of a split, of its first classes."""


def release(folder: Path) -> Path:
    """The TFRecord directories, with what is beside the shards."""
    for split, name in NAMES.items():
        short = name.rpartition("_")[0].rpartition("_")[2] + "_" + name.rpartition("_")[2]
        reads = READS[split]
        shard(folder / name / f"{short}-00000-of-00002.tfrecord", reads[:3])
        shard(folder / name / f"{short}-00001-of-00002.tfrecord", reads[3:])
    stated = {RELEASED_LABELS[label]: 1 for _, label in READS["train_in"]}
    (folder / NAMES["train_in"] / "in_tr_nsample.json").write_text(json.dumps(stated))
    numbers = {name: number for number, name in RELEASED_LABELS.items()}
    (folder / "label_dict.json").write_text(json.dumps(numbers))
    (folder / "README.txt").write_text("Reads.\n")
    return folder


def tables(folder: Path) -> Path:
    """The files of TFDS."""
    folder.mkdir(exist_ok=True)
    for split, name in NAMES.items():
        (folder / f"{name}.txt").write_text(table(READS[split], split))
    return folder


def zipped(folder: Path) -> Path:
    """A directory as a zip file."""
    path = folder.with_name(f"{folder.name}.zip")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            archive.write(file, file.relative_to(folder))
        archive.writestr("__MACOSX/._before_2011_in_tr.txt", b"\0\5\26\7")
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def imported(output: Path, *sources: Path | str, **options: object) -> Dataset:
    config = PublishedConfig(sources=[str(source) for source in sources], **options)  # type: ignore[arg-type]
    return import_published(config, output)


def check(dataset: Dataset, splits: Sequence[str] = SPLITS) -> None:
    """Whether a dataset holds `READS`."""
    dataset = Dataset.load(dataset.directory, verify=True)
    assert list(dataset.splits) == list(splits)
    for name, split in dataset.splits.items():
        assert list(map(decode, split.codes)) == [letters for letters, _ in READS[name]]
        origins = split.origins()
        assert list(origins["class"]) == [RELEASED_LABELS[label] for _, label in READS[name]]
        assert set(origins["accession"]) == {"AB1.1"}
        assert set(origins["strand"]) == {""}
    assert (dataset.read_length, dataset.seed) == (250, None)
