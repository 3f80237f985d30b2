"""The methods that genood is compared with: exact k-mers, and Kraken 2's share of k-mers found."""

from __future__ import annotations

import math
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numba
import numpy as np
import numpy.typing as npt
from real import READ_LENGTH

from genood.readers import read_file
from genood.reference.genomes import load_genomes
from genood.sequence import UNKNOWN, Codes, decode, known_runs

_KRAKEN_TAXON = 2
_KRAKEN_NODES = "1\t|\t1\t|\tno rank\t|\t-\t|\n2\t|\t1\t|\tspecies\t|\t-\t|\n"
_KRAKEN_NAMES = "1\t|\troot\t|\t-\t|\tscientific name\t|\n2\t|\treference\t|\t-\t|\tscientific name\t|\n"

Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.uint64]
Scores = dict[str, dict[str, Floats]]
"""By method, then by side."""


class Reads(NamedTuple):
    """Reads of one side: names, codes uint8 (N, L) and lengths int64 (N,)."""

    names: list[str]
    codes: Codes
    lengths: npt.NDArray[np.int64]

    @property
    def genomes(self) -> npt.NDArray[np.str_]:
        """The genome of each read that `cut_reads` named."""
        return np.array([name.rpartition("_")[0] for name in self.names])

    @property
    def gc(self) -> Floats:
        """Share of G and C among the known bases of each read."""
        strong = (self.codes == 1) | (self.codes == 2)
        return strong.sum(axis=1) / (self.codes < UNKNOWN).sum(axis=1)


_compiled = numba.njit(nogil=True)


@_compiled
def _canonical_keys(codes: Codes, k: int) -> Keys:
    """The lesser of each k-mer and its reverse complement as a number; k is at most 31."""
    keys = np.empty(len(codes) - k + 1, np.uint64)
    mask = (np.uint64(1) << np.uint64(2 * k)) - np.uint64(1)
    top = np.uint64(2 * (k - 1))
    forward, reverse = np.uint64(0), np.uint64(0)
    for i in range(len(codes)):
        code = np.uint64(codes[i])
        forward = ((forward << np.uint64(2)) | code) & mask
        reverse = (reverse >> np.uint64(2)) | ((np.uint64(3) - code) << top)
        if i >= k - 1:
            keys[i - k + 1] = min(forward, reverse)
    return keys


def kmers_of(codes: Codes, k: int) -> Keys:
    """Canonical k-mers of a sequence, those with an unknown base left out."""
    runs = [_canonical_keys(codes[start:stop], k) for start, stop in known_runs(codes, k)]
    return np.concatenate(runs) if runs else np.empty(0, dtype=np.uint64)


def containment_scores(
    reference: Sequence[Path], reads: Mapping[str, Reads], kmer_sizes: Sequence[int]
) -> Scores:
    """Share of each read's k-mers that occur in the reference, exactly, on either strand."""
    genomes = load_genomes(reference, min_length=READ_LENGTH)
    segments = [
        genomes.codes[start : start + length]
        for start, length in zip(genomes.starts, genomes.lengths, strict=True)
    ]
    scores: Scores = {}
    for k in kmer_sizes:
        known = np.concatenate([_canonical_keys(segment, k) for segment in segments])
        known.sort()
        scores[f"{k}-mer containment"] = {
            side: containment(known, of_side, k) for side, of_side in reads.items()
        }
    return scores


def containment(known: Keys, reads: Reads, k: int) -> Floats:
    """Share of each read's k-mers among sorted ones; NaN for a read without a k-mer."""
    kmers = [kmers_of(codes[:length], k) for codes, length in zip(reads.codes, reads.lengths, strict=True)]
    numbers = np.array([len(keys) for keys in kmers])
    keys = np.concatenate(kmers)
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    owners = np.repeat(np.arange(len(kmers)), numbers)
    found = np.bincount(owners, weights=known[places] == keys, minlength=len(kmers))
    return np.divide(found, numbers, out=np.full(len(kmers), np.nan), where=numbers > 0)


def kraken_version() -> str | None:
    """Version of Kraken 2, or None where it is not installed."""
    if shutil.which("kraken2") is None or shutil.which("kraken2-build") is None:
        return None
    version = subprocess.run(["kraken2", "--version"], check=True, capture_output=True, text=True).stdout
    return version.splitlines()[0].split()[-1]


def make_kraken_database(reference: Sequence[Path], database: Path, threads: int) -> None:
    """Build a Kraken 2 database of the reference as one taxon, unless it is there.

    The sizes are Kraken 2's defaults; nothing is masked, as genood and the k-mers mask nothing either.
    """
    if (database / "hash.k2d").is_file():
        return
    shutil.rmtree(database, ignore_errors=True)
    (database / "taxonomy").mkdir(parents=True)
    (database / "taxonomy" / "nodes.dmp").write_text(_KRAKEN_NODES)
    (database / "taxonomy" / "names.dmp").write_text(_KRAKEN_NAMES)
    fasta = database / "reference.fasta"
    write_kraken_reference(reference, fasta)
    build = ["kraken2-build", "--db", str(database)]
    subprocess.run([*build, "--no-masking", "--add-to-library", str(fasta)], check=True)
    fasta.unlink()
    subprocess.run([*build, "--build", "--threads", str(threads)], check=True)


def write_kraken_reference(reference: Sequence[Path], fasta: Path) -> None:
    """Write all records under headers that name the taxon."""
    records = (record for path in reference for record in read_file(str(path)))
    with fasta.open("w") as stream:
        for number, record in enumerate(records):
            stream.write(f">seq{number}|kraken:taxid|{_KRAKEN_TAXON}\n{decode(record.codes)}\n")


def kraken_scores(database: Path, fasta: Path, output: Path, threads: int) -> Floats:
    """Share of each read's k-mers that Kraken 2 finds; NaN for a read without a k-mer."""
    program = ["kraken2", "--db", str(database), "--threads", str(threads), "--output", str(output)]
    subprocess.run([*program, str(fasta)], check=True)
    lines = output.read_text().splitlines()
    return np.array([kraken_share(line.split("\t")[4]) for line in lines])


def kraken_share(hits: str) -> float:
    """Share of k-mers with a taxon in the fifth column of Kraken 2's output; A stands for unknown bases."""
    numbers = {"0": 0, str(_KRAKEN_TAXON): 0, "A": 0}
    for hit in hits.split():
        taxon, _, number = hit.partition(":")
        numbers[taxon] += int(number)
    found, missing = numbers[str(_KRAKEN_TAXON)], numbers["0"]
    return found / (found + missing) if found + missing else math.nan
