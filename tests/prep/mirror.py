"""A mirror of NCBI's genomes: a real HTTP server on loopback, which misbehaves as it is told."""

from __future__ import annotations

import hashlib
import re
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

import pytest

NCBI = "https://ftp.ncbi.nlm.nih.gov"


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How to answer one request; by default as a server should.

    Attributes
    ----------
    status
        In place of the file; None for the file.
    headers
        Sent too; a value of None takes one away.
    stop_after
        Bytes of the body to send before `then`, though the length of all of it is announced.
    then
        ``close`` the connection; ``reset`` it; ``stall``, with the connection kept open.
    ranges
        False ignores ``Range``.
    """

    status: int | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    stop_after: int | None = None
    then: str = "close"
    ranges: bool = True


class Request(NamedTuple):
    """What was asked for, and what was answered."""

    path: str
    headers: Message
    status: int


class Mirror:
    """Serves genomes in NCBI's layout; a context manager.

    Parameters
    ----------
    genomes
        The bytes of ``<name>_genomic.fna.gz`` by the path of an assembly's directory, such as
        ``/genomes/all/GCF/000/009/045/GCF_000009045.1_ASM904v1``, whose last part is the name.

    Attributes
    ----------
    files
        What is served, by path: the genomes, an ``md5checksums.txt`` beside each, and whatever is put here.
    requests
        What was asked for, in order of the answers' beginnings.
    most_at_once
        Requests that were being answered at one time, at most.
    """

    def __init__(self, genomes: Mapping[str, bytes]) -> None:
        self.files: dict[str, bytes] = {}
        for directory, content in genomes.items():
            self.files[genome_path(directory)] = content
            name = genome_path(directory).rpartition("/")[2]
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            report = f"{'0' * 32}  ./{directory.rpartition('/')[2]}_assembly_report.txt\n"
            self.files[f"{directory}/md5checksums.txt"] = f"{report}{md5}  ./{name}\n".encode()
        self.requests: list[Request] = []
        self.most_at_once = 0
        self._answers: dict[str, list[Answer]] = {}
        self._at_once = 0
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._server: _Server | None = None

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _handler_of(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.vanish()

    @property
    def url(self) -> str:
        """For ``--base-url``."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.server_port}"

    def misbehave(self, path: str, *answers: Answer) -> None:
        """Answer the next requests for a path so, each once."""
        with self._lock:
            self._answers.setdefault(path, []).extend(answers)

    def vanish(self) -> None:
        """Stop for good: what stalls is dropped, and nothing listens any more."""
        assert self._server is not None
        self._over.set()
        self._server.shutdown()
        self._thread.join()
        self._server.hang_up()
        self._server.server_close()

    def asked(self, path: str) -> list[Request]:
        """The requests for one path."""
        with self._lock:
            return [request for request in self.requests if request.path == path]

    def _answer(self, handler: BaseHTTPRequestHandler) -> None:
        path = handler.path
        with self._lock:
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
            left = self._answers.get(path)
            answer = left.pop(0) if left else Answer()
        try:
            self._send(handler, answer)
        finally:
            with self._lock:
                self._at_once -= 1

    def _send(self, handler: BaseHTTPRequestHandler, answer: Answer) -> None:
        status, headers, body = self._response(handler, answer)
        headers |= {name: value for name, value in answer.headers.items() if value is not None}
        with self._lock:
            self.requests.append(Request(handler.path, handler.headers, status))
        handler.send_response(status)
        for name, value in headers.items():
            if answer.headers.get(name, "") is not None:
                handler.send_header(name, value)
        handler.end_headers()
        if answer.stop_after is None:
            handler.wfile.write(body)
            return
        handler.wfile.write(body[: answer.stop_after])
        handler.close_connection = True
        if answer.then == "stall":
            self._over.wait()
        elif answer.then == "reset":
            # To linger for no time is to send RST in place of FIN.
            handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            handler.rfile.close()
            handler.connection.close()

    def _response(self, handler: BaseHTTPRequestHandler, answer: Answer) -> tuple[int, dict[str, str], bytes]:
        content = self.files.get(handler.path)
        if answer.status is not None or content is None:
            return answer.status or 404, {"Content-Length": "4"}, b"no.\n"
        tag = f'"{hashlib.sha256(content).hexdigest()[:12]}"'
        headers = {"ETag": tag, "Accept-Ranges": "bytes"}
        asked = re.fullmatch(r"bytes=(\d+)-", handler.headers.get("Range", ""))
        if not asked or not answer.ranges or handler.headers.get("If-Range", tag) != tag:
            return 200, headers | {"Content-Length": str(len(content))}, content
        start = int(asked[1])
        if start >= len(content):
            return 416, {"Content-Range": f"bytes */{len(content)}", "Content-Length": "0"}, b""
        headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return 206, headers | {"Content-Length": str(len(content) - start)}, content[start:]


def genome_path(directory: str) -> str:
    """Where an assembly's sequences are, below the server."""
    return f"{directory}/{directory.rpartition('/')[2]}_genomic.fna.gz"


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, *args: Any) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(*args)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread, and remember the connection."""
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        self._connections.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End the connections that are open, which their threads notice."""
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Clients that hang up are part of the tests."""
        if not isinstance(sys.exception(), (ConnectionError, TimeoutError)):
            super().handle_error(request, client_address)


def _handler_of(mirror: Mirror) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 30

        def do_GET(self) -> None:
            mirror._answer(self)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Be silent."""

        def finish(self) -> None:
            with suppress(OSError):
                super().finish()

    return Handler


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something has happened that a server or a process does, for half a minute at most."""
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.01)
    pytest.fail("nothing happened for 30 s")
