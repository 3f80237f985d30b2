"""Write a dataset directory: streaming, and all or nothing."""

from __future__ import annotations

import gzip
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from genood import __version__
from genood.dataset.layout import (
    COLUMNS,
    DATASET_FILE,
    FORMAT_VERSION,
    READABLE_FROM,
    SPLITS,
    STRANDS,
    Origins,
    blocks_of,
    check_codes,
    side_of,
)
from genood.errors import ConfigError, InputError
from genood.files import sha256_of, write_json, writing_to
from genood.files.directories import new_directory
from genood.sequence import UNKNOWN, Codes


@contextmanager
def create_dataset(
    directory: str | os.PathLike[str],
    *,
    read_length: int,
    seed: int | None,
    sources: Sequence[Mapping[str, Any]],
    variant: str | None = None,
) -> Iterator[DatasetWriter]:
    """A writer of a new dataset, which appears when the block ends well.

    The same reads added give the same bytes, however they are grouped.

    Parameters
    ----------
    directory
        Where, see `genood.files.directories.new_directory`.
    read_length, seed, sources, variant
        See `Dataset`.

    Raises
    ------
    ConfigError
        The read length is not positive, or the directory is ``-``.
    InputError
        The directory cannot be made (see `genood.files.directories.check_new`); at the end of the block, if
        no read was added, or what was written does not reach the disk.
    """
    if read_length < 1:
        raise ConfigError(f"read length must be at least 1, not {read_length}")
    with new_directory(directory, "a dataset") as temporary, _open_files(directory) as files:
        writer = DatasetWriter(Path(directory), temporary, read_length, variant, files)
        yield writer
        metadata = {
            "format_version": FORMAT_VERSION,
            "readable_from": READABLE_FROM,
            "genood_version": __version__,
            "read_length": read_length,
            "seed": seed,
            "variant": writer.variant,
            "sources": [dict(source) for source in sources],
        }
        write_json(temporary / DATASET_FILE, metadata | writer._finish())


@contextmanager
def _open_files(directory: str | os.PathLike[str]) -> Iterator[ExitStack]:
    """Holds files of a dataset; what they still hold back, a full disk may refuse as they are closed."""
    files = ExitStack()
    try:
        yield files
    finally:
        with writing_to(directory):
            files.close()


class DatasetWriter:
    """Appends reads to the splits of a new dataset; `create_dataset` makes one.

    Attributes
    ----------
    variant
        As `create_dataset` was told; may be set as long as reads are added.
    """

    def __init__(
        self, final: Path, temporary: Path, read_length: int, variant: str | None, files: ExitStack
    ) -> None:
        self.variant = variant
        self._final = final
        self._temporary = temporary
        self._read_length = read_length
        self._files = files
        self._splits: dict[str, _SplitWriter] = {}
        self._sides: dict[str, str] = {}
        self._notes: dict[str, Any] = {}

    def add(self, split: str, codes: Codes, origins: Origins) -> None:
        """Append reads to a split.

        Parameters
        ----------
        split
            Of `SPLITS`.
        codes
            uint8, shape (N, read length), any N.
        origins
            Of these reads.

        Raises
        ------
        ConfigError
            No such split.
        InputError
            A code above 4, a name that a table cannot hold, or a class that is on the other side; or what is
        written does not reach the disk.
        ValueError
            Shapes or types are others than these.
        """
        if split not in SPLITS:
            raise ConfigError(f"split must be of {', '.join(SPLITS)}, not {split!r}")
        self._check_shapes(codes, origins)
        writer = self._splits.get(split)
        num_before = 0 if writer is None else writer.num_reads
        check_codes(self._final / f"{split}.npy", codes, num_before)
        self._check_names(split, origins)
        if not len(codes):
            return
        with writing_to(self._final):
            if writer is None:
                writer = self._splits[split] = _SplitWriter(
                    self._temporary, split, self._read_length, self._files
                )
            for block in blocks_of(len(codes), self._read_length):
                writer.add(
                    codes[block],
                    Origins(
                        origins.classes[block],
                        origins.accessions[block],
                        origins.starts[block],
                        origins.strands[block],
                    ),
                )

    def note(self, key: str, value: Any) -> None:
        """Keep something of JSON types in ``dataset.json`` under ``notes``."""
        self._notes[key] = value

    def _check_shapes(self, codes: Codes, origins: Origins) -> None:
        if codes.dtype != np.uint8 or codes.ndim != 2 or codes.shape[1] != self._read_length:
            raise ValueError(
                f"codes must be uint8 of shape (N, {self._read_length}), not {codes.dtype} {codes.shape}"
            )
        if {len(column) for column in origins} != {len(codes)}:
            raise ValueError("origins must be as many as the reads")
        if not np.issubdtype(origins.starts.dtype, np.integer) or origins.starts.min(initial=0) < -1:
            raise ValueError("starts must be integers from 0, or -1 where unknown")
        if not set(origins.strands) <= set(STRANDS):
            raise ValueError("strands must be '+', '-' or empty")

    def _check_names(self, split: str, origins: Origins) -> None:
        classes = set(origins.classes)
        for name in sorted(classes | set(origins.accessions)):
            if not name.isprintable():
                raise InputError(self._final, f"the name {name!r} holds a character that no table can")
        if "" in classes:
            raise InputError(self._final, f"a read of {split} has no class")
        side = side_of(split)
        for name in sorted(classes):
            if self._sides.get(name, side) != side:
                raise InputError(
                    self._final, f"the class {name!r} is both in-distribution and OOD; give it to one side"
                )
        self._sides.update(dict.fromkeys(classes, side))

    def _finish(self) -> dict[str, Any]:
        """Complete the files; what is known of them."""
        if not self._splits:
            raise InputError(self._final, "would hold no reads")
        files: dict[str, str] = {}
        splits: dict[str, Any] = {}
        for name in sorted(self._splits, key=SPLITS.index):
            writer = self._splits[name]
            with writing_to(self._final):
                files |= writer.finish()
            splits[name] = {"num_reads": writer.num_reads, "counts": dict(sorted(writer.counts.items()))}
        classes: dict[str, list[str]] = {"in": [], "ood": []}
        for name in sorted(self._sides):
            classes[self._sides[name]].append(name)
        return {"classes": classes, "splits": splits, "notes": self._notes, "files": files}


class _SplitWriter:
    """Writes the two files of a split, each read once."""

    def __init__(self, directory: Path, split: str, read_length: int, stack: ExitStack) -> None:
        self.num_reads = 0
        self.counts: Counter[str] = Counter()
        self._read_length = read_length
        self._codes_path = directory / f"{split}.npy"
        self._codes_stream = stack.enter_context(self._codes_path.open("wb"))
        self._write_header()
        self._table_path = directory / f"{split}.tsv.gz"
        self._table_stream = _Hashed(stack.enter_context(self._table_path.open("wb")))
        # Without a name and a time, the same rows give the same bytes.
        self._table = stack.enter_context(
            gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=self._table_stream, mtime=0)
        )
        self._table.write(("\t".join(COLUMNS) + "\n").encode())

    def add(self, codes: Codes, origins: Origins) -> None:
        self._codes_stream.write(np.ascontiguousarray(codes).data)
        rows = zip(
            origins.classes,
            origins.accessions,
            origins.starts.tolist(),
            origins.strands,
            _gc_texts(codes),
            strict=True,
        )
        text = "".join([f"{a}\t{b}\t{c}\t{d}\t{e}\n" for a, b, c, d, e in rows])
        self._table.write(text.encode())
        self.counts.update(origins.classes)
        self.num_reads += len(codes)

    def finish(self) -> dict[str, str]:
        """Close the files; the sha256 of each by name."""
        self._write_header()
        self._table.close()
        for stream in (self._codes_stream, self._table_stream.stream):
            stream.flush()
            os.fsync(stream.fileno())
            stream.close()
        # The header holds the number of reads and comes first, so that this cannot be summed up on the way.
        codes_sha256 = sha256_of(self._codes_path)
        return {
            self._codes_path.name: codes_sha256,
            self._table_path.name: self._table_stream.digest.hexdigest(),
        }

    def _write_header(self) -> None:
        """Write the header for as many reads as there are; NumPy pads it, so that any number fits."""
        self._codes_stream.seek(0)
        shape = (self.num_reads, self._read_length)
        header = {"descr": "|u1", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._codes_stream, header)


class _Hashed:
    """A stream with the sha256 of what was written to it."""

    def __init__(self, stream: BinaryIO) -> None:
        self.stream = stream
        self.digest = hashlib.sha256()

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return self.stream.write(data)

    def flush(self) -> None:
        self.stream.flush()


def _gc_texts(codes: Codes) -> list[str]:
    """GC content of each of some reads, 6 significant digits; empty where no base is known."""
    # C and G are the codes 1 and 2.
    strong = np.count_nonzero((codes == 1) | (codes == 2), axis=1)
    known = np.count_nonzero(codes < UNKNOWN, axis=1)
    # Reads share few values.
    pairs, index = np.unique(strong * (codes.shape[1] + 1) + known, return_inverse=True)
    texts = []
    for pair in pairs.tolist():
        number, of = divmod(pair, codes.shape[1] + 1)
        texts.append(f"{number / of:.6g}" if of else "")
    return [texts[i] for i in index.tolist()]
