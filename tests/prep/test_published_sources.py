"""Sources of the published benchmark that are damaged, refused or fetched."""

from __future__ import annotations

import hashlib
import shutil
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from prep.release import (
    NAMES,
    READS,
    check,
    imported,
    origin,
    read_example,
    record,
    release,
    sha256,
    shard,
    tables,
    zipped,
)
from small_disk import most_bytes_of_a_file

from data_prep.fetch import FetchConfig
from data_prep.published import PublishedConfig, import_published
from genood.errors import ConfigError, InputError

PATIENCE = FetchConfig(attempts=3, first_wait=0.01, longest_wait=0.1)


def left_behind(folder: Path) -> list[str]:
    """What a failed import to `folder`/d made."""
    return [path.name for path in folder.iterdir() if path.name == "d" or path.name.startswith(".")]


@pytest.mark.parametrize("place", [8, 300, -1])
def test_damaged_shard(tmp_path: Path, place: int) -> None:
    folder = release(tmp_path / "release")
    path = folder / NAMES["val_in"] / "in_val-00000-of-00002.tfrecord"
    data = bytearray(path.read_bytes())
    size = len(record(read_example(*READS["val_in"][0], origin(100))))
    data[size + place if place > 0 else place] ^= 1
    path.write_bytes(data)
    number = 2 if place > 0 else 3
    problem = rf"in_val-00000-of-00002\.tfrecord, record {number}: byte {size * (number - 1):,}: the checksum"
    with pytest.raises(InputError, match=problem):
        imported(tmp_path / "d", folder)
    assert left_behind(tmp_path) == []


def test_truncated_shard(tmp_path: Path) -> None:
    folder = release(tmp_path / "release")
    path = folder / NAMES["val_in"] / "in_val-00001-of-00002.tfrecord"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"record 2: byte \d+: the file ends within the record"):
        imported(tmp_path / "d", folder)
    assert left_behind(tmp_path) == []


def test_damaged_zip(tmp_path: Path) -> None:
    path = zipped(tables(tmp_path / "genomics_ood"))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"genomics_ood\.zip: is damaged, or cut short"):
        imported(tmp_path / "d", path)
    # The first bytes of the first file's header; a byte of its compressed data.
    first = f"{NAMES['test_in']}.txt"
    for place, problem in ((0, "cannot be read from"), (30 + len(first) + 150, "is damaged in")):
        path.write_bytes(data[:place] + b"PK_" + data[place + 3 :])
        with pytest.raises(InputError, match=rf"genomics_ood\.zip/{first}: {problem} the zip file"):
            imported(tmp_path / "d", path)
    path.write_bytes(data[:2] + data[12:])
    with pytest.raises(InputError, match=rf"genomics_ood\.zip/{first}: cannot be read from the zip file"):
        imported(tmp_path / "d", path)
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA], ids=["bz2", "lzma"])
def test_a_damaged_member_of_another_compression(tmp_path: Path, method: int) -> None:
    folder = tables(tmp_path / "genomics_ood")
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    check(imported(tmp_path / "d", path))
    shutil.rmtree(tmp_path / "d")
    data = bytearray(path.read_bytes())
    first = min(file.name for file in folder.iterdir())
    start = 30 + len(first) + 12  # within the compressed data, as the options of LZMA come first
    data[start : start + 9] = b"\xff" * 9
    path.write_bytes(data)
    with pytest.raises(
        InputError, match=rf"a\.zip/{first}: is damaged in the zip file \(.+\); get that again"
    ):
        imported(tmp_path / "d", path)
    assert left_behind(tmp_path) == []


def test_another_file_than_pinned(tmp_path: Path) -> None:
    path = zipped(tables(tmp_path / "genomics_ood"))
    with pytest.raises(InputError, match=rf"has sha256 {sha256(path)}, not {'0' * 64}"):
        imported(tmp_path / "d", path, sha256=["0" * 64])
    with pytest.raises(ConfigError, match="'abc' is no sha256"):
        imported(tmp_path / "d", path, sha256=["abc"])
    with pytest.raises(ConfigError, match="2 sha256 for 1 sources"):
        imported(tmp_path / "d", path, sha256=["0" * 64] * 2)
    with pytest.raises(ConfigError, match="is a directory; a sha256 is that of a file"):
        imported(tmp_path / "d", tmp_path / "genomics_ood", sha256=["0" * 64])


def test_sources_that_hold_nothing_or_too_much(tmp_path: Path) -> None:
    folder = release(tmp_path / "release")
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "README.txt").write_text("Reads.\n")
    for source in (tmp_path / "empty", zipped(tmp_path / "empty")):
        with pytest.raises(InputError, match=r"empty.*: holds nothing of the benchmark"):
            imported(tmp_path / "d", folder, source)
    with pytest.raises(InputError, match="missing: no such file"):
        imported(tmp_path / "d", tmp_path / "missing")
    one = folder / NAMES["val_in"] / "in_val-00000-of-00002.tfrecord"
    with pytest.raises(InputError, match=r"in_val-00000-of-00002\.tfrecord: is given twice"):
        imported(tmp_path / "d", folder, one)
    with pytest.raises(InputError, match=r"\.txt: holds reads of .* in the other form"):
        imported(tmp_path / "d", folder, tables(tmp_path / "tables"))
    with pytest.raises(InputError, match=r"label_dict\.json: no file of reads: no \*\.tfrecord\*, no table"):
        imported(tmp_path / "d", folder / "label_dict.json")
    assert left_behind(tmp_path) == []


def test_existing_output_stays(tmp_path: Path) -> None:
    output = tmp_path / "d"
    output.mkdir()
    with pytest.raises(InputError, match="d: is there already"):
        imported(output, "https://localhost:1/never-asked")
    assert list(output.iterdir()) == []
    with pytest.raises(InputError, match=r"d: its directory '.*none' does not exist"):
        imported(tmp_path / "none" / "d", "https://localhost:1/never-asked")
    with pytest.raises(ConfigError, match=r"^-: a dataset is a directory; it cannot go to standard output$"):
        import_published(PublishedConfig(sources=["https://localhost:1/never-asked"]), "-")


class Server(ThreadingHTTPServer):
    """Serves one file, after as many failures as it is told."""

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = content
        self.failures = 0
        self.num_requests = 0


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.num_requests += 1
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(server.content)))
        self.end_headers()
        cut = server.num_requests <= server.failures
        self.wfile.write(server.content[: len(server.content) // 2] if cut else server.content)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with Server(zipped(tables(tmp_path / "genomics_ood")).read_bytes()) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def url_of(server: Server, name: str = "genomics_ood.zip?x=1") -> str:
    return f"http://127.0.0.1:{server.server_port}/{name}"


@pytest.mark.parametrize("failures", [0, 2])
def test_url(tmp_path: Path, server: Server, failures: int) -> None:
    server.failures = failures
    url, pin = url_of(server), hashlib.sha256(server.content).hexdigest()
    dataset = imported(tmp_path / "d", url, sha256=[pin], fetch=PATIENCE)
    check(dataset)
    size = len(server.content)
    assert dataset.sources == [{"url": url, "sha256": pin, "bytes": size, "pinned": True}]
    assert server.num_requests == failures + 1
    assert left_behind(tmp_path) == ["d"]


def test_url_of_a_shard(tmp_path: Path, server: Server, caplog: pytest.LogCaptureFixture) -> None:
    server.content = shard(tmp_path / "s", READS["val_ood"]).read_bytes()
    url = url_of(server, "between_2011-2016_ood_val.tfrecord")
    check(imported(tmp_path / "d", url, fetch=PATIENCE), ["val_ood"])
    pin = hashlib.sha256(server.content).hexdigest()
    assert f"to have the same again, add --sha256 {pin}" in caplog.text


def test_url_of_more_than_the_disk_takes(tmp_path: Path, server: Server) -> None:
    with (
        most_bytes_of_a_file(len(server.content) - 1),
        pytest.raises(InputError, match=r"zip\?x=1: cannot be kept in .* \(File too large\)") as caught,
    ):
        imported(tmp_path / "d", url_of(server), fetch=PATIENCE)
    assert f"kept in {tmp_path} (" in str(caught.value)
    assert left_behind(tmp_path) == []


def test_url_that_cannot_be_had(tmp_path: Path, server: Server) -> None:
    with pytest.raises(InputError, match=rf"^{url_of(server, 'missing.zip')}: HTTP 404"):
        imported(tmp_path / "d", url_of(server, "missing.zip"), fetch=PATIENCE)
    with pytest.raises(InputError, match=r"/genomics_ood\.zip\?x=1: has sha256 .*, not 0000"):
        imported(tmp_path / "d", url_of(server), sha256=["0" * 64], fetch=PATIENCE)
    server.failures = 100
    with pytest.raises(InputError, match=rf"^{url_of(server, 'f')}: "):
        imported(tmp_path / "d", url_of(server, "f"), fetch=PATIENCE)
    assert left_behind(tmp_path) == []
