"""Getting URLs over HTTP: tried again where that may help, files continued where they broke off."""

from __future__ import annotations

import logging
import os
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import httpx2
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    wait_exponential,
    wait_random,
)

from genood import __version__
from genood.errors import ConfigError, GenoodError

logger = logging.getLogger("genood.prep.fetch")

T = TypeVar("T")

_TEXT_BYTES = 2**22
"""Longest text: a table of checksums has a line for each of an assembly's files, about a hundred bytes."""
_LATER = {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
_GONE = {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}
_NO_SUCH_RANGE = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
_CONTENT_RANGE = re.compile(r"bytes (\d+)-")
_HOPELESS = (
    httpx2.InvalidURL,
    httpx2.UnsupportedProtocol,
    httpx2.LocalProtocolError,
    httpx2.TooManyRedirects,
    httpx2.DecodingError,
    ExceptionGroup,
)
"""The last: of a port that cannot be, where a redirect leads to one."""
_MAY_PASS = (httpx2.TransportError, ssl.SSLError, ConnectionError)
"""The library's own, and what may get past it."""


class FetchError(GenoodError):
    """A URL that cannot be had; the text is the URL and the reason."""


class GoneError(FetchError):
    """A URL that the server answers, but has nothing behind."""


class UnavailableError(FetchError):
    """A URL that cannot be had now: the network or the server fails, which may pass.

    Parameters
    ----------
    reason
        What failed.
    retry_after
        Seconds that the server asks to wait, 0 if it does not say.
    """

    def __init__(self, reason: str, *, retry_after: float = 0.0) -> None:
        super().__init__(reason)
        self.retry_after = retry_after


@dataclass(frozen=True, kw_only=True)
class FetchConfig:
    """How patient fetching is; times in seconds.

    Attributes
    ----------
    attempts
        How often a URL is tried, at least once.
    first_wait
        Before the second attempt; doubled for each further one, and up to as much again is added at
        random, so that several that failed together do not return together.
    longest_wait
        The doubling ends here. A server that asks to wait longer is taken to be unavailable.
    connect_timeout
        For a connection, with TLS.
    read_timeout
        Without a byte from the server.
    """

    attempts: int = 6
    first_wait: float = 1.0
    longest_wait: float = 300.0
    connect_timeout: float = 20.0
    read_timeout: float = 30.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ConfigError(f"attempts is {self.attempts}; at least 1 is needed")
        for name in ("first_wait", "longest_wait", "connect_timeout", "read_timeout"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be above 0 seconds")


class PartialFile:
    """What has been received of a file, with the server's mark of the version that it is a part of.

    The mark, a strong entity tag or a date, is kept beside the part, as a later process needs it to
    go on: ``If-Range`` makes the server send the rest of that version, or all of a newer one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._mark_path = path.with_name(f"{path.name}.version")

    def size(self) -> int:
        """Bytes received, 0 if there is no part."""
        return self.path.stat().st_size if self.path.exists() else 0

    def request_headers(self) -> dict[str, str]:
        """Headers that ask for the rest, none where that cannot be asked for safely."""
        size = self.size()
        if not size or not self._mark_path.exists():
            return {}
        mark = self._mark_path.read_text(encoding="utf-8")
        return {"Range": f"bytes={size}-", "If-Range": mark} if mark else {}

    def start(self, response: httpx2.Response) -> None:
        """Forget what there is, and note the version that the response begins to send."""
        self.discard()
        tag = response.headers.get("ETag", "")
        mark = tag if tag.startswith('"') else response.headers.get("Last-Modified", "")
        # A mark that reached the disk only in part would match no version, which is safe.
        self._mark_path.write_text(mark if mark.isascii() else "", encoding="utf-8")

    def discard(self) -> None:
        """Remove the part."""
        self.path.unlink(missing_ok=True)
        self._mark_path.unlink(missing_ok=True)

    def finish(self, final: Path) -> None:
        """Give the file, now whole, its name."""
        with open(self.path, "rb") as stream:
            os.fsync(stream.fileno())
        self._mark_path.unlink(missing_ok=True)
        os.replace(self.path, final)


class Fetcher:
    """Fetches URLs, each as often as `FetchConfig` allows; made by `open_fetcher`.

    Parameters
    ----------
    client
        Open.
    config
        See there.
    received
        Called with the number of bytes of each piece of a file that arrives.
    """

    def __init__(
        self, client: httpx2.AsyncClient, config: FetchConfig, received: Callable[[int], None]
    ) -> None:
        self._client = client
        self._config = config
        self._received = received
        doubling = wait_exponential(multiplier=config.first_wait, max=config.longest_wait)
        self._backoff = doubling + wait_random(0, config.first_wait)

    async def fetch_text(self, url: str) -> str:
        """The text behind a URL, a few megabytes at most.

        Raises
        ------
        FetchError
            It cannot be had, or is longer.
        """

        async def once() -> str:
            body = bytearray()
            async with self._get(url, {}) as response:
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > _TEXT_BYTES:
                        raise FetchError(f"{url}: is longer than {_TEXT_BYTES:,} bytes")
            return body.decode("utf-8", errors="replace")

        return await self._retry(once)

    async def fetch_file(self, url: str, part: PartialFile) -> None:
        """Receive a file into `part`, from where that ends if the server still has the same version.

        What arrived before an error or a cancellation stays in the part.

        Raises
        ------
        FetchError
            The file cannot be had.
        OSError
            The part cannot be written.
        """

        async def once() -> None:
            async with self._get(url, part.request_headers()) as response:
                start = _start_of(response)
                if start not in (0, part.size()):
                    part.discard()
                    raise UnavailableError(f"{url}: was not continued where the part ends")
                if start == 0:
                    part.start(response)
                else:
                    logger.debug("%s: continued at byte %d", url, start)
                with open(part.path, "ab") as stream:
                    # Raw: a server may call gzip of its own files an encoding, which must not be undone.
                    async for chunk in response.aiter_raw():
                        stream.write(chunk)
                        self._received(len(chunk))

        await self._retry(once)

    async def _retry(self, once: Callable[[], Awaitable[T]]) -> T:
        def note(state: RetryCallState) -> None:
            reason = state.outcome.exception() if state.outcome else None
            logger.info("%s; once more in %.1f s", reason, state.upcoming_sleep)

        retrying = AsyncRetrying(
            retry=retry_if_exception(self._may_pass),
            stop=stop_after_attempt(self._config.attempts),
            wait=self._wait,
            before_sleep=note,
            reraise=True,
        )
        result: T = await retrying(once)
        return result

    def _may_pass(self, error: BaseException) -> bool:
        return isinstance(error, UnavailableError) and error.retry_after <= self._config.longest_wait

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after if isinstance(error, UnavailableError) else 0.0
        return max(asked, self._backoff(state))

    @asynccontextmanager
    async def _get(self, url: str, headers: Mapping[str, str]) -> AsyncIterator[httpx2.Response]:
        try:
            async with self._client.stream("GET", url, headers=headers) as response:
                _check_status(url, response)
                yield response
        except _HOPELESS as error:
            raise FetchError(f"{url}: {_one_line(error)}") from error
        except httpx2.ReadTimeout as error:
            seconds = self._config.read_timeout
            raise UnavailableError(f"{url}: no byte received for {seconds:g} s") from error
        except httpx2.ConnectTimeout as error:
            seconds = self._config.connect_timeout
            raise UnavailableError(f"{url}: no connection within {seconds:g} s") from error
        except httpx2.TimeoutException as error:
            seconds = self._config.read_timeout
            raise UnavailableError(f"{url}: the request could not be sent within {seconds:g} s") from error
        except _MAY_PASS as error:
            raise UnavailableError(f"{url}: {_one_line(error)}") from error


def has_server(url: str) -> bool:
    """Whether a URL starts with ``https://`` or ``http://`` and what may be a server, and its port."""
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


@asynccontextmanager
async def open_fetcher(
    config: FetchConfig, *, connections: int, received: Callable[[int], None]
) -> AsyncIterator[Fetcher]:
    """A `Fetcher` with at most so many connections, which are closed at the end of the block.

    TLS certificates are verified. Proxies are those of the environment (``HTTPS_PROXY``, ``NO_PROXY``).

    Raises
    ------
    ConfigError
        The environment names certificates or proxies that cannot be used.
    """
    try:
        client = httpx2.AsyncClient(
            headers={"User-Agent": f"genood/{__version__}", "Accept-Encoding": "identity"},
            timeout=httpx2.Timeout(config.read_timeout, connect=config.connect_timeout, pool=None),
            limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
            follow_redirects=True,
        )
    except (OSError, ValueError, ImportError, httpx2.InvalidURL) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"the environment's certificates or proxies cannot be used: {reason}") from error
    async with client:
        yield Fetcher(client, config, received)


def _check_status(url: str, response: httpx2.Response) -> None:
    """Raise FetchError unless the response has what was asked for, or no such range of it."""
    status = response.status_code
    if response.is_success or (status == _NO_SUCH_RANGE and "Range" in response.request.headers):
        return
    reason = f"{url}: HTTP {status} {response.reason_phrase}".rstrip()
    if status in _GONE:
        raise GoneError(reason)
    if status not in _LATER and not response.is_server_error:
        raise FetchError(reason)
    retry_after = _seconds_to_wait(response.headers.get("Retry-After", ""))
    if retry_after:
        reason += f", the server asks to wait {retry_after:,.0f} s"
    raise UnavailableError(reason, retry_after=retry_after)


def _seconds_to_wait(retry_after: str) -> float:
    """Seconds that a ``Retry-After`` stands for, which is a number of them or a date; 0 if neither."""
    if retry_after.strip().isdecimal():
        return float(retry_after)
    try:
        date = parsedate_to_datetime(retry_after)
    except (ValueError, OverflowError):
        return 0.0
    # "-0000", for a time of unknown zone, gives a date without one.
    date = date if date.tzinfo else date.replace(tzinfo=UTC)
    return max(0.0, (date - datetime.now(UTC)).total_seconds())


def _start_of(response: httpx2.Response) -> int:
    """Where in the file the response's bytes start, from 0; -1 if it has none or does not say."""
    if response.status_code == _NO_SUCH_RANGE:
        return -1
    if response.status_code != HTTPStatus.PARTIAL_CONTENT:
        return 0
    found = _CONTENT_RANGE.match(response.headers.get("Content-Range", ""))
    return int(found[1]) if found else -1


def _one_line(error: BaseException) -> str:
    """The reason nearest to the network that has a text, as what wraps it often has none."""
    reason = ""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BaseExceptionGroup):  # one for each of a server's addresses
            cause = cause.exceptions[0]
        reason = " ".join(str(cause).split()) or reason
        # Contexts too, as the library hides what it maps to its own errors.
        cause = cause.__cause__ or cause.__context__
    return reason or type(error).__name__
