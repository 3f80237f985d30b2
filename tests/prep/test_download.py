"""Downloads, against a server that misbehaves."""

from __future__ import annotations

import asyncio
import errno
import hashlib
import logging
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from prep.mirror import Answer, Mirror
from prep.toy_plan import CONTENTS, FILES, FOLDERS, PATHS, SIZE, check_whole, impatient, statuses, write_plan

from data_prep.download import RECORD, DownloadConfig, GenomeDownload, download_genomes, parse_checksums
from data_prep.fetch import FetchConfig, PartialFile, _seconds_to_wait
from genood import __version__
from genood.errors import ConfigError, InputError


def test_all_of_a_plan(mirror: Mirror, plan: Path, tmp_path: Path) -> None:
    genomes = tmp_path / "genomes"
    downloads = download_genomes(plan, genomes, impatient(mirror, jobs=2))
    assert downloads == [(FILES[n], "downloaded", "", SIZE + n, False) for n in range(3)]
    check_whole(genomes)
    md5s = [hashlib.md5(content).hexdigest() for content in CONTENTS]
    assert (genomes / RECORD).read_text() == "".join(
        f"{md5}  {file}\n" for md5, file in zip(md5s, FILES, strict=True)
    )
    assert len(mirror.requests) == 6
    assert {request.headers["User-Agent"] for request in mirror.requests} == {f"genood/{__version__}"}
    assert mirror.most_at_once <= 2


def test_no_more_jobs_than_genomes(
    mirror: Mirror, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    class Group(asyncio.TaskGroup):
        def create_task(self, *arguments: Any, **options: Any) -> asyncio.Task[Any]:
            made.append(arguments)
            return super().create_task(*arguments, **options)

    monkeypatch.setattr(asyncio, "TaskGroup", Group)
    download_genomes(plan, tmp_path / "g", impatient(mirror, jobs=1000))
    assert len(made) == 3
    check_whole(tmp_path / "g")


def test_what_is_there_is_not_asked_for(mirror: Mirror, plan: Path, tmp_path: Path) -> None:
    download_genomes(plan, tmp_path / "g", impatient(mirror))
    mirror.vanish()
    assert download_genomes(plan, tmp_path / "g", impatient(mirror)) == [
        (FILES[n], "present", "", SIZE + n, False) for n in range(3)
    ]


def test_without_a_record_the_server_is_asked(mirror: Mirror, plan: Path, tmp_path: Path) -> None:
    download_genomes(plan, tmp_path, impatient(mirror))
    (tmp_path / RECORD).unlink()
    mirror.requests.clear()
    assert statuses(download_genomes(plan, tmp_path, impatient(mirror))) == ["present"] * 3
    assert sorted(request.path for request in mirror.requests) == [
        f"{folder}/md5checksums.txt" for folder in FOLDERS
    ]
    assert len(parse_checksums((tmp_path / RECORD).read_text())) == 3


def test_a_damaged_file_is_replaced(
    mirror: Mirror, plan: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    genomes = tmp_path / "g"
    download_genomes(plan, genomes, impatient(mirror))
    damaged = bytearray(CONTENTS[1])
    damaged[1000] ^= 1
    (genomes / FILES[1]).write_bytes(damaged)
    downloads = download_genomes(plan, genomes, impatient(mirror))
    assert statuses(downloads) == ["present", "downloaded", "present"]
    check_whole(genomes)
    assert f"{FILES[1]} is damaged or outdated" in caplog.text


def test_a_file_that_cannot_be_verified_is_kept_and_counts_as_missing(
    mirror: Mirror, plan: Path, tmp_path: Path
) -> None:
    (tmp_path / FILES[1]).write_bytes(b"mine")
    del mirror.files[PATHS[1]]
    failed = download_genomes(plan, tmp_path, impatient(mirror))[1]
    assert failed.status == "failed"
    assert failed.reason == (
        f"{mirror.url}{PATHS[1]}: HTTP 404 Not Found; the file that is there could not be verified"
    )
    assert (tmp_path / FILES[1]).read_bytes() == b"mine"
    assert FILES[1] not in (tmp_path / RECORD).read_text()


@pytest.mark.parametrize(
    ("path", "answers"),
    [
        (PATHS[0], [Answer(status=503), Answer(status=503)]),
        (PATHS[0], [Answer(status=408), Answer(status=429)]),
        (PATHS[0], [Answer(stop_after=0, then="reset")]),
        (f"{FOLDERS[0]}/md5checksums.txt", [Answer(status=500)]),
        (f"{FOLDERS[0]}/md5checksums.txt", [Answer(stop_after=20), Answer(stop_after=0, then="reset")]),
    ],
    ids=["503", "408,429", "reset", "md5-500", "md5-broken"],
)
def test_what_passes_is_tried_again(mirror: Mirror, tmp_path: Path, path: str, answers: list[Answer]) -> None:
    plan = write_plan(tmp_path / "plan.tsv", [0])
    mirror.misbehave(path, *answers)
    assert statuses(download_genomes(plan, tmp_path / "g", impatient(mirror))) == ["downloaded"]
    check_whole(tmp_path / "g", [0])
    assert len(mirror.asked(path)) == len(answers) + 1


def test_the_server_says_when_to_come_back(mirror: Mirror, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.tsv", [0])
    mirror.misbehave(PATHS[0], Answer(status=429, headers={"Retry-After": "1"}))
    start = time.monotonic()
    assert statuses(download_genomes(plan, tmp_path, impatient(mirror))) == ["downloaded"]
    assert time.monotonic() - start >= 1


def test_a_server_that_asks_for_too_long_a_wait_is_left(mirror: Mirror, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.tsv", [0])
    mirror.misbehave(PATHS[0], Answer(status=503, headers={"Retry-After": "3600"}))
    (failed,) = download_genomes(plan, tmp_path, impatient(mirror))
    assert failed.reason == (
        f"{mirror.url}{PATHS[0]}: HTTP 503 Service Unavailable, the server asks to wait 3,600 s"
    )
    assert len(mirror.asked(PATHS[0])) == 1


def test_retry_after() -> None:
    assert _seconds_to_wait("120") == 120
    assert _seconds_to_wait("") == 0
    assert _seconds_to_wait("soon") == 0
    assert _seconds_to_wait(f"Wed, 21 Oct {2**80} 07:28:00 GMT") == 0
    assert _seconds_to_wait("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    later = datetime.now(UTC) + timedelta(hours=1)
    assert 3500 < _seconds_to_wait(format_datetime(later, usegmt=True)) <= 3600
    assert 3500 < _seconds_to_wait(later.strftime("%a, %d %b %Y %H:%M:%S -0000")) <= 3600


def test_attempts_end(mirror: Mirror, plan: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    mirror.misbehave(PATHS[1], *[Answer(status=503)] * 9)
    downloads = download_genomes(plan, tmp_path, impatient(mirror))
    assert statuses(downloads) == ["downloaded", "failed", "downloaded"]
    assert downloads[1].reason == f"{mirror.url}{PATHS[1]}: HTTP 503 Service Unavailable"
    assert len(mirror.asked(PATHS[1])) == 3
    errors = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert errors == [f"{FILES[1]}: {downloads[1].reason}"]


def test_what_does_not_pass_is_not_tried_again(mirror: Mirror, plan: Path, tmp_path: Path) -> None:
    mirror.misbehave(PATHS[0], Answer(status=404))
    mirror.misbehave(f"{FOLDERS[1]}/md5checksums.txt", Answer(status=403))
    downloads = download_genomes(plan, tmp_path, impatient(mirror))
    assert [download.reason for download in downloads] == [
        f"{mirror.url}{PATHS[0]}: HTTP 404 Not Found",
        f"{mirror.url}{FOLDERS[1]}/md5checksums.txt: HTTP 403 Forbidden",
        "",
    ]
    assert [download.is_gone for download in downloads] == [True, False, False]
    assert (len(mirror.asked(PATHS[0])), len(mirror.asked(PATHS[1]))) == (1, 0)


def test_a_server_that_lies_about_md5(mirror: Mirror, plan: Path, tmp_path: Path) -> None:
    checksums = f"{FOLDERS[1]}/md5checksums.txt"
    mirror.files[checksums] = f"{'f' * 32}  ./{FILES[1]}\n".encode()
    downloads = download_genomes(plan, tmp_path / "g", impatient(mirror))
    assert statuses(downloads) == ["downloaded", "failed", "downloaded"]
    md5 = hashlib.md5(CONTENTS[1]).hexdigest()
    assert downloads[1].reason == (
        f"{mirror.url}{PATHS[1]}: has md5 {md5}, where {mirror.url}{checksums} says {'f' * 32}"
    )
    assert len(mirror.asked(PATHS[1])) == 2
    check_whole(tmp_path / "g", [0, 2])


@pytest.mark.parametrize(
    ("text", "reason", "is_gone"),
    [
        (b"<html>Log in to this network</html>\n", f"has no md5 of {FILES[0]}", True),
        (b"0" * 5_000_000, "is longer than 4,194,304 bytes", False),
    ],
    ids=["foreign", "endless"],
)
def test_no_checksums(mirror: Mirror, tmp_path: Path, text: bytes, reason: str, is_gone: bool) -> None:
    plan = write_plan(tmp_path / "plan.tsv", [0])
    mirror.files[f"{FOLDERS[0]}/md5checksums.txt"] = text
    (failed,) = download_genomes(plan, tmp_path, impatient(mirror))
    assert failed.reason == f"{mirror.url}{FOLDERS[0]}/md5checksums.txt: {reason}"
    assert failed.is_gone is is_gone
    assert mirror.asked(PATHS[0]) == []


def test_redirects_without_end(mirror: Mirror, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.tsv", [0])
    mirror.misbehave(PATHS[0], *[Answer(status=302, headers={"Location": PATHS[0]})] * 30)
    (failed,) = download_genomes(plan, tmp_path, impatient(mirror))
    assert failed.reason == f"{mirror.url}{PATHS[0]}: Exceeded maximum allowed redirects."


def test_a_redirect_to_a_port_that_cannot_be(mirror: Mirror, plan: Path, tmp_path: Path) -> None:
    mirror.misbehave(PATHS[1], Answer(status=302, headers={"Location": "http://localhost:65536/"}))
    downloads = download_genomes(plan, tmp_path, impatient(mirror))
    assert statuses(downloads) == ["downloaded", "failed", "downloaded"]
    assert downloads[1].reason.endswith("port must be 0-65535.")


def test_a_text_in_an_encoding_that_it_is_not_in(mirror: Mirror, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.tsv", [0])
    url = f"{FOLDERS[0]}/md5checksums.txt"
    mirror.misbehave(url, Answer(headers={"Content-Encoding": "gzip"}))
    (failed,) = download_genomes(plan, tmp_path, impatient(mirror))
    assert failed.reason.startswith(f"{mirror.url}{url}: Error -3 while decompressing data")


def test_checksums() -> None:
    text = f"{'A1' * 16}  ./dir/a b.gz\r\n{'0' * 32} *binary\n# comment\n{'0' * 31}  short\n"
    assert parse_checksums(text) == {"dir/a b.gz": "a1" * 16, "binary": "0" * 32}


def test_a_redirect_and_an_encoding_that_is_none(mirror: Mirror, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.tsv", [0])
    mirror.misbehave(PATHS[0], Answer(status=302, headers={"Location": "/elsewhere"}))
    mirror.files["/elsewhere"] = CONTENTS[0]
    mirror.misbehave("/elsewhere", Answer(headers={"Content-Encoding": "gzip"}))
    assert statuses(download_genomes(plan, tmp_path / "g", impatient(mirror))) == ["downloaded"]
    check_whole(tmp_path / "g", [0])


class Watch:
    """Progress that remembers, and calls something when the first genome is dealt with."""

    def __init__(self, at_first: Callable[[], None] = lambda: None) -> None:
        self.num_bytes = 0
        self.finished_files: list[str] = []
        self.totals: set[int] = set()
        self._at_first = at_first

    def received(self, num_bytes: int) -> None:
        self.num_bytes += num_bytes

    def finished(self, download: GenomeDownload, num_genomes: int) -> None:
        self.finished_files.append(download.file)
        self.totals.add(num_genomes)
        if len(self.finished_files) == 1:
            self._at_first()


def test_the_server_vanishes(mirror: Mirror, plan: Path, tmp_path: Path) -> None:
    config = impatient(mirror, jobs=1, give_up_after=1)
    downloads = download_genomes(plan, tmp_path / "g", config, progress=Watch(mirror.vanish))
    assert statuses(downloads) == ["downloaded", "failed", "failed"]
    assert "Connect call failed" in downloads[1].reason
    assert downloads[2].reason == "not tried, after 1 in a row that could not be had"
    with Mirror(dict(zip(FOLDERS, CONTENTS, strict=True))) as returned:
        downloads = download_genomes(plan, tmp_path / "g", impatient(returned))
    assert statuses(downloads) == ["present", "downloaded", "downloaded"]
    check_whole(tmp_path / "g")


def test_what_is_there_says_nothing_of_the_server(mirror: Mirror, plan: Path, tmp_path: Path) -> None:
    config = impatient(mirror, jobs=1, give_up_after=1)
    download_genomes(write_plan(tmp_path / "one.tsv", [1]), tmp_path / "g", config)
    mirror.vanish()
    downloads = download_genomes(plan, tmp_path / "g", config)
    assert statuses(downloads) == ["failed", "present", "failed"]
    assert downloads[2].reason.startswith("not tried")


def test_failures_that_are_not_the_servers_do_not_end_it(mirror: Mirror, plan: Path, tmp_path: Path) -> None:
    mirror.misbehave(PATHS[0], Answer(status=404))
    mirror.misbehave(PATHS[1], Answer(status=404))
    downloads = download_genomes(plan, tmp_path, impatient(mirror, jobs=1, give_up_after=1))
    assert statuses(downloads) == ["failed", "failed", "downloaded"]


def test_progress(mirror: Mirror, plan: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    watch = Watch()
    with caplog.at_level(logging.INFO, logger="genood"):
        download_genomes(plan, tmp_path / "1", impatient(mirror), progress=watch)
        assert caplog.messages == []
        download_genomes(plan, tmp_path / "2", impatient(mirror, jobs=1))
    assert watch.num_bytes == 3 * SIZE + 3
    assert (sorted(watch.finished_files), watch.totals) == (FILES, {3})
    assert caplog.messages == [f"{FILES[n]}: {SIZE + n} bytes, {n + 1} of 3" for n in range(3)]


def test_the_record_keeps_what_other_plans_had(mirror: Mirror, tmp_path: Path) -> None:
    genomes = tmp_path / "g"
    download_genomes(write_plan(tmp_path / "1.tsv", [0, 1]), genomes, impatient(mirror))
    (genomes / FILES[1]).unlink()
    download_genomes(write_plan(tmp_path / "2.tsv", [2]), genomes, impatient(mirror))
    assert list(parse_checksums((genomes / RECORD).read_text())) == [FILES[0], FILES[2]]


def test_a_directory_that_is_complete_need_not_be_writable(
    mirror: Mirror, plan: Path, tmp_path: Path
) -> None:
    download_genomes(plan, tmp_path / "g", impatient(mirror))
    before = (tmp_path / "g").stat().st_mtime_ns
    download_genomes(plan, tmp_path / "g", impatient(mirror))
    assert (tmp_path / "g").stat().st_mtime_ns == before


def test_directories_that_are_none(mirror: Mirror, plan: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"plan\.tsv: is not a directory"):
        download_genomes(plan, plan, impatient(mirror))
    for directory in (plan / "g", tmp_path / "new" / "g"):
        with pytest.raises(InputError, match=rf"g: its directory '{directory.parent}' does not exist"):
            download_genomes(plan, directory, impatient(mirror))
    assert list(tmp_path.iterdir()) == [plan]


def test_places_that_take_no_files(mirror: Mirror, plan: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"^/proc/g: cannot be made \([^;]*\)$"):
        download_genomes(plan, "/proc/g", impatient(mirror))
    empty = tmp_path / "g"
    empty.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PartialFile, "start", refuse)
        with pytest.raises(InputError, match="No space left on device; run again when that is put right"):
            download_genomes(plan, empty, impatient(mirror))


def refuse(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_one_download_at_a_time(mirror: Mirror, plan: Path, tmp_path: Path) -> None:
    def again() -> None:
        with pytest.raises(InputError, match="g: another download into it is running"):
            download_genomes(plan, tmp_path / "g", impatient(mirror))
        seen.append("refused")

    seen: list[str] = []

    def in_thread() -> None:
        # An event loop runs in this one. The lock does not ask which process opened the directory.
        thread = Thread(target=again)
        thread.start()
        thread.join()

    download_genomes(plan, tmp_path / "g", impatient(mirror), progress=Watch(in_thread))
    assert seen == ["refused"]
    check_whole(tmp_path / "g")


def test_bad_configuration(monkeypatch: pytest.MonkeyPatch, plan: Path, tmp_path: Path) -> None:
    for url in ("ftp.ncbi.nlm.nih.gov", "ftp://x", "https://", "http://[::1", "http://x:y", "http://x:65536"):
        with pytest.raises(ConfigError, match="does not start with https"):
            DownloadConfig(base_url=url)
    with pytest.raises(ConfigError, match="jobs"):
        DownloadConfig(jobs=0)
    with pytest.raises(ConfigError, match="attempts is 0"):
        FetchConfig(attempts=0)
    with pytest.raises(ConfigError, match="read_timeout is nan"):
        FetchConfig(read_timeout=float("nan"))
    monkeypatch.setenv("HTTPS_PROXY", "nonsense://x")
    with pytest.raises(ConfigError, match="certificates or proxies"):
        download_genomes(plan, tmp_path)


def test_a_file_is_in_the_record_as_soon_as_it_has_its_name(
    mirror: Mirror, plan: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though what comes next fails."""
    finish = PartialFile.finish

    def then_fail(part: PartialFile, final: Path) -> None:
        finish(part, final)
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(PartialFile, "finish", then_fail)
    with pytest.raises(InputError, match=os.strerror(errno.EIO)):
        download_genomes(plan, tmp_path / "g", DownloadConfig(base_url=mirror.url, jobs=1))
    assert list(parse_checksums((tmp_path / "g" / RECORD).read_text())) == [FILES[0]]
    assert (tmp_path / "g" / FILES[0]).exists()
