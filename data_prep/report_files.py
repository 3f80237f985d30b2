"""Files that are named by path or URL; those of a URL are fetched once, into a directory where they stay."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

from data_prep.download import NCBI, DownloadConfig
from data_prep.fetch import PartialFile, has_server, open_fetcher
from genood.errors import ConfigError, InputError

logger = logging.getLogger("genood.prep.reports")

GENBANK = tuple(
    f"{NCBI}/genomes/ASSEMBLY_REPORTS/assembly_summary_genbank{which}.txt" for which in ("", "_historical")
)
"""The genomes that GenBank holds, and those it held, for the days on which first versions were released."""


class Progress(Protocol):
    """What is told of fetching while it runs."""

    def received(self, num_bytes: int) -> None:
        """So many bytes of some file have arrived."""

    def finished(self, file: str, num_files: int) -> None:
        """One more of so many files is there."""


def is_url(name: str) -> bool:
    """Whether a name is one of what can be fetched, rather than of a file that is here."""
    return name.lower().startswith(("https://", "http://"))


def path_of(name: str, directory: Path) -> Path:
    """Where a file is: of a URL, its server and path below a directory; else the name itself.

    Raises
    ------
    ConfigError
        The URL names no file, or no server.
    """
    if not is_url(name):
        return Path(name)
    if not has_server(name):
        raise ConfigError(f"{name}: names no server")
    url = urlsplit(name)
    parts = [part for part in url.path.split("/") if part not in ("", ".", "..")]
    if not parts or url.path.endswith("/"):
        raise ConfigError(f"{name}: names no file")
    if url.query:
        parts[-1] += f"?{url.query}"
    return directory.joinpath(*(quote(part, safe="") for part in (url.netloc, *parts)))


def fetch_files(
    names: Sequence[str],
    directory: Path,
    config: DownloadConfig | None = None,
    *,
    check: Callable[[str, Path], object] = lambda name, path: None,
    progress: Progress | None = None,
) -> list[Path]:
    """Have the files of all names; what has been fetched before is not fetched again.

    What arrived before an error or an interrupt is kept, and the next call goes on from there.

    Parameters
    ----------
    names
        Paths and URLs; of URLs of NCBI, the base URL of `config` takes the place.
    directory
        For the files of URLs, made if it is missing; see `path_of`.
    config
        See there.
    check
        Called with the name and the file of what was fetched: raises InputError if it is not what was wanted,
        such as a network's page to log in. Then it is not kept, so that another call fetches it anew.
    progress
        Told how far fetching is.

    Returns
    -------
    paths
        Of the files, in the order of the names.

    Raises
    ------
    GenoodError
        A URL cannot be had, its file not written, or its content is refused.
    """
    paths = [path_of(name, directory) for name in names]
    missing = {
        name: path for name, path in zip(names, paths, strict=True) if is_url(name) and not path.exists()
    }
    if missing:
        asyncio.run(_fetch(missing, config if config is not None else DownloadConfig(), check, progress))
    return paths


async def _fetch(
    wanted: dict[str, Path],
    config: DownloadConfig,
    check: Callable[[str, Path], object],
    progress: Progress | None,
) -> None:
    def received(num_bytes: int) -> None:
        if progress is not None:
            progress.received(num_bytes)

    async with open_fetcher(config.fetch, connections=1, received=received) as fetcher:
        for name, path in wanted.items():
            url = config.base_url.rstrip("/") + name.removeprefix(NCBI) if _is_of_ncbi(name) else name
            logger.info("fetching %s", url)
            part = PartialFile(path.with_name(f"{path.name}.part"))
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                await fetcher.fetch_file(url, part)
                check(name, part.path)
                part.finish(path)
            except InputError as error:
                part.discard()
                problem = error.problem.removesuffix("; fetch it again")
                advice = "it is not kept: run the same command again to fetch it anew"
                raise InputError(url, f"{problem}; {advice}", line=error.line) from error
            except OSError as error:
                raise InputError(error.filename or path, f"{error.strerror or error}") from error
            logger.info("%s: %s bytes", path, f"{os.path.getsize(path):,}")
            if progress is not None:
                progress.finished(name, len(wanted))


def _is_of_ncbi(url: str) -> bool:
    return url.startswith(f"{NCBI}/")
