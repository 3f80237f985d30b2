"""The genomes of a plan, fetched from NCBI or a mirror of it, each checked against the md5 it states.

NCBI keeps an assembly in a directory named after it, with the sequences in
``<directory's name>_genomic.fna.gz`` and the checksums of all its files in ``md5checksums.txt``.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple, Protocol
from urllib.parse import quote, unquote, urlsplit

from data_prep.fetch import (
    FetchConfig,
    Fetcher,
    FetchError,
    GoneError,
    PartialFile,
    UnavailableError,
    has_server,
    open_fetcher,
)
from data_prep.interrupts import run_until_interrupted
from data_prep.lock import sole_writer
from data_prep.tsv import check_name, read_table
from genood.errors import ConfigError, GenoodError, InputError
from genood.files import write_text

logger = logging.getLogger("genood.prep.download")

NCBI = "https://ftp.ncbi.nlm.nih.gov"
RECORD = "md5sums.txt"
"""The file, of the form that ``md5sum -c`` reads, that holds the checksums of what has been verified."""

_CHECKSUM = re.compile(r"([0-9a-fA-F]{32}) [ *](?:\./)?(.+)")
_PLAIN_NAME = re.compile(r"[^./][^/]*")


@dataclass(frozen=True, kw_only=True)
class DownloadConfig:
    """Where genomes come from, and how many at a time.

    Attributes
    ----------
    base_url
        In place of ``https://ftp.ncbi.nlm.nih.gov``: a mirror that has the same paths below it.
    jobs
        Genomes fetched at a time. NCBI asks for at most three requests a second to its E-utilities
        and states no number for its file server; three connections keep to that order.
    give_up_after
        So many genomes one after the other that the network or the server kept from being fetched, each
        after all its attempts, and the rest is not tried.
    fetch
        How patient each of them is.
    """

    base_url: str = NCBI
    jobs: int = 3
    give_up_after: int = 6
    fetch: FetchConfig = field(default_factory=FetchConfig)

    def __post_init__(self) -> None:
        if not has_server(self.base_url):
            raise ConfigError(
                f"base_url is {self.base_url!r}, which does not start with https:// and a server"
            )
        if self.jobs < 1 or self.give_up_after < 1:
            raise ConfigError("jobs and give_up_after must be at least 1")


class Genome(NamedTuple):
    """One file to fetch.

    Attributes
    ----------
    file
        Its name in the directory of genomes.
    url, checksums_url
        Where it is, and where its md5 is.
    size
        Of the genome in bases, as the plan states it; None if it does not.
    """

    file: str
    url: str
    checksums_url: str
    size: int | None


class GenomeDownload(NamedTuple):
    """What became of one file.

    Attributes
    ----------
    file
        Its name in the directory of genomes.
    status
        ``present``: it was there and right; ``downloaded``: it is now; ``failed``: it is not.
    reason
        Why it failed, else empty.
    num_bytes
        Its size, 0 if it failed.
    is_gone
        It failed because the server has no such file, or no checksum of it: the genome may be withdrawn.
    """

    file: str
    status: Literal["downloaded", "present", "failed"]
    reason: str
    num_bytes: int
    is_gone: bool = False


class Progress(Protocol):
    """What is told of a download while it runs."""

    def received(self, num_bytes: int) -> None:
        """So many bytes of some file have arrived."""

    def finished(self, download: GenomeDownload, num_genomes: int) -> None:
        """One more of so many genomes is dealt with."""


def read_genomes(plan: str | os.PathLike[str], base_url: str = NCBI) -> list[Genome]:
    """The files that a plan names, each once, in its order.

    Parameters
    ----------
    plan
        TSV with a header and at least the columns ``path``, the assembly's directory at NCBI, and ``file``,
        a name for its genome; ``size``, in bases, may be there.
    base_url
        In place of ``https://ftp.ncbi.nlm.nih.gov``.

    Raises
    ------
    InputError
        The plan is no such table, names no genome, or gives one file two paths.
    """
    genomes: dict[str, Genome] = {}
    for line, row in read_table(plan, ("path", "file"), ("size",)):
        check_name(plan, "file", row["file"], line=line)
        try:
            genome = _to_genome(row["path"], row["file"], row["size"], base_url)
        except ValueError as error:
            raise InputError(plan, str(error), line=line) from error
        if genomes.setdefault(genome.file, genome).url != genome.url:
            raise InputError(plan, f"gives {genome.file} a second path", line=line)
    if not genomes:
        raise InputError(plan, "names no genome")
    return list(genomes.values())


def _to_genome(path: str, file: str, size: str, base_url: str) -> Genome:
    """A row of a plan; ValueError says what is wrong with it."""
    if not _PLAIN_NAME.fullmatch(file):
        raise ValueError(f"file is {file!r}, which is not the name of a file in a directory")
    if size and not size.isdecimal():
        raise ValueError(f"size is {size!r}, not a number of bases")
    parts = urlsplit(path)
    name = parts.path.rstrip("/").rpartition("/")[2]
    if parts.scheme not in ("https", "http", "ftp") or not parts.hostname or not name:
        raise ValueError(f"path is {path!r}, not the https address of an assembly's directory")
    server = f"{parts.scheme}://{parts.netloc}"
    if parts.hostname == urlsplit(NCBI).hostname:
        server = base_url.rstrip("/")
    directory = server + quote(parts.path.rstrip("/"))
    return Genome(
        file,
        f"{directory}/{quote(name)}_genomic.fna.gz",
        f"{directory}/md5checksums.txt",
        int(size) if size else None,
    )


def download_genomes(
    plan: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    config: DownloadConfig | None = None,
    *,
    progress: Progress | None = None,
) -> list[GenomeDownload]:
    """Fetch those genomes of a plan that are not in a directory yet, or not as they should be.

    A file bears its name only once its md5 is right; until then it is ``<file>.part``, from where an
    interrupted download goes on. What is there is checked against ``md5sums.txt``, or where that does
    not know it, against NCBI's checksums: without a request where all is there.

    Parameters
    ----------
    plan
        See `read_genomes`.
    directory
        See `sole_writer`.
    config
        See there.
    progress
        Told how far the download is; without it, that is logged.

    Returns
    -------
    downloads
        What became of each file, in the plan's order. A failed one does not stop the others; its reason
        is logged.

    Raises
    ------
    GenoodError
        The plan cannot be read, or the directory not written, say because the disk is full.
    """
    config = config if config is not None else DownloadConfig()
    genomes = read_genomes(plan, config.base_url)
    target = Path(directory)
    try:
        with sole_writer(directory, "download"):
            return run_until_interrupted(_download_all(genomes, target, config, progress))
    except OSError as error:
        kept = "what has been fetched is kept, " if any(target.iterdir()) else ""
        advice = f"{kept}run again when that is put right"
        raise InputError(error.filename or directory, f"{error.strerror or error}; {advice}") from error


async def _download_all(
    genomes: Sequence[Genome], directory: Path, config: DownloadConfig, progress: Progress | None
) -> list[GenomeDownload]:
    def received(num_bytes: int) -> None:
        if progress is not None:
            progress.received(num_bytes)

    done: dict[str, GenomeDownload] = {}
    left = iter(genomes)

    async def work(download: _Download) -> None:
        for genome in left:
            result = await download.settle(genome)
            done[genome.file] = result
            if progress is not None:
                progress.finished(result, len(genomes))
            elif result.status == "downloaded":
                logger.info("%s: %d bytes, %d of %d", result.file, result.num_bytes, len(done), len(genomes))

    num_jobs = min(config.jobs, len(genomes))
    async with open_fetcher(config.fetch, connections=num_jobs, received=received) as fetcher:
        download = _Download(fetcher, directory, config.give_up_after)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(num_jobs):
                    group.create_task(work(download))
        except ExceptionGroup as several:
            # Only what no genome can be blamed for gets here, and ends them all.
            raise several.exceptions[0] from None
        finally:
            download.write_record()
    return [done[genome.file] for genome in genomes]


class _Download:
    """What the files of a download share.

    Parameters
    ----------
    fetcher
        Open.
    directory
        Of the genomes.
    give_up_after
        See `DownloadConfig`.
    """

    def __init__(self, fetcher: Fetcher, directory: Path, give_up_after: int) -> None:
        self._fetcher = fetcher
        self._directory = directory
        self._give_up_after = give_up_after
        self._num_unavailable = 0
        """Files in a row, up to now."""
        self._record_path = directory / RECORD
        self._recorded = ""
        if self._record_path.exists():
            self._recorded = self._record_path.read_text(encoding="utf-8", errors="replace")
        self._record = parse_checksums(self._recorded)

    async def settle(self, genome: Genome) -> GenomeDownload:
        """Have a genome's file in the directory, or the reason why not, which is logged."""
        final = self._directory / genome.file
        try:
            status = await self._have(genome, final)
        except FetchError as error:
            self._num_unavailable = self._num_unavailable + 1 if isinstance(error, UnavailableError) else 0
            reason = str(error)
            if final.exists():
                reason += "; the file that is there could not be verified"
            logger.error("%s: %s", genome.file, reason)
            return GenomeDownload(genome.file, "failed", reason, 0, isinstance(error, GoneError))
        return GenomeDownload(genome.file, status, "", final.stat().st_size)

    def write_record(self) -> None:
        """Write the checksums of the files that are there and have been verified, by name."""
        text = "".join(
            f"{md5}  {file}\n"
            for file, md5 in sorted(self._record.items())
            if (self._directory / file).exists()
        )
        try:
            if text != self._recorded:
                write_text(self._record_path, text)
        except (OSError, GenoodError) as error:
            # It only spares requests: what went wrong with the files themselves is what should be told.
            logger.warning("%s cannot be written: %s", self._record_path, error)

    async def _have(self, genome: Genome, final: Path) -> Literal["present", "downloaded"]:
        found = await asyncio.to_thread(_md5_of, final) if final.exists() else None
        if found is not None and found == self._record.get(genome.file):
            return "present"
        if self._num_unavailable >= self._give_up_after:
            raise UnavailableError(f"not tried, after {self._give_up_after} in a row that could not be had")
        expected = await self._expected_md5(genome)
        if found is not None and found != expected:
            logger.warning("%s is damaged or outdated and is fetched anew", final)
        if found != expected:
            await self._fetch(genome, expected, final)
        else:
            self._record[genome.file] = expected
        self._num_unavailable = 0
        return "present" if found == expected else "downloaded"

    async def _expected_md5(self, genome: Genome) -> str:
        checksums = parse_checksums(await self._fetcher.fetch_text(genome.checksums_url))
        name = unquote(genome.url.rpartition("/")[2])
        if name not in checksums:
            raise GoneError(f"{genome.checksums_url}: has no md5 of {name}")
        return checksums[name]

    async def _fetch(self, genome: Genome, expected: str, final: Path) -> None:
        part = PartialFile(final.with_name(f"{final.name}.part"))
        # An interruption may have come between the last byte and the final name.
        found = await asyncio.to_thread(_md5_of, part.path) if part.size() else None
        # Twice, as what does not fit may be a part that was continued, or have been damaged on the way.
        for _ in range(2):
            if found != expected:
                await self._fetcher.fetch_file(genome.url, part)
                found = await asyncio.to_thread(_md5_of, part.path)
            if found == expected:
                # Now, as an interruption may come as soon as the file has its name.
                self._record[genome.file] = expected
                await asyncio.to_thread(part.finish, final)
                return
            part.discard()
            logger.info("%s: has md5 %s, not %s", genome.url, found, expected)
        raise FetchError(f"{genome.url}: has md5 {found}, where {genome.checksums_url} says {expected}")


def parse_checksums(text: str) -> dict[str, str]:
    """The md5 of each file in a table of them, such as NCBI's ``md5checksums.txt``, by its relative path."""
    found = (_CHECKSUM.fullmatch(line.rstrip()) for line in text.splitlines())
    return {line[2]: line[1].lower() for line in found if line}


def _md5_of(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, partial(hashlib.md5, usedforsecurity=False)).hexdigest()
