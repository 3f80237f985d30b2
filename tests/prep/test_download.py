"""Downloads, against a server that misbehaves."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pytest
from prep.mirror import Answer, Mirror, genome_path

from data_prep.download import (
    RECORD,
    DownloadConfig,
    GenomeDownload,
    download_genomes,
    parse_checksums,
    read_genomes,
)
from data_prep.fetch import FetchConfig, PartialFile, _seconds_to_wait
from genood import __version__
from genood.errors import ConfigError, InputError

NCBI = "https://ftp.ncbi.nlm.nih.gov"
FOLDERS = [f"/genomes/all/GCF/000/00{n}/00{n}/GCF_00000{n}00{n}.1_ASM{n}v1" for n in range(1, 4)]
PATHS = [genome_path(folder) for folder in FOLDERS]
FILES = [path.rpartition("/")[2] for path in PATHS]
SIZE = 300_000
"""Bytes of a genome: several reads of a socket."""
CONTENTS = [np.random.default_rng(n).bytes(SIZE + n) for n in range(3)]
PROGRAM = Path(sys.executable).with_name("genood-prep")


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with Mirror(dict(zip(FOLDERS, CONTENTS, strict=True))) as server:
        yield server


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    return write_plan(tmp_path / "plan.tsv", range(3))


def write_plan(path: Path, numbers: Sequence[int]) -> Path:
    lines = ["split\tclass\tsize\tpath\tfile"]
    lines += [f"train_in\tBacillus\t{1000 + n}\t{NCBI}{FOLDERS[n]}\t{FILES[n]}" for n in numbers]
    path.write_text("\n".join(lines) + "\n")
    return path


def impatient(
    mirror: Mirror, *, attempts: int = 3, read_timeout: float = 20, **options: Any
) -> DownloadConfig:
    """A configuration for a mirror, with short waits."""
    fetch = FetchConfig(attempts=attempts, first_wait=0.01, longest_wait=2, read_timeout=read_timeout)
    return DownloadConfig(base_url=mirror.url, fetch=fetch, **options)


def statuses(downloads: Sequence[GenomeDownload]) -> list[str]:
    return [download.status for download in downloads]


def check_whole(genomes: Path, numbers: Sequence[int] = range(3)) -> None:
    """These genomes are there, and nothing else but the record."""
    assert {path.name for path in genomes.iterdir()} == {RECORD, *(FILES[n] for n in numbers)}
    for n in numbers:
        assert (genomes / FILES[n]).read_bytes() == CONTENTS[n]


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


@pytest.mark.parametrize("then", ["close", "reset", "stall"])
def test_a_broken_connection_is_continued(mirror: Mirror, tmp_path: Path, then: str) -> None:
    plan = write_plan(tmp_path / "plan.tsv", [0])
    mirror.misbehave(PATHS[0], Answer(stop_after=200_000, then=then), Answer(stop_after=50_000, then=then))
    config = impatient(mirror, read_timeout=0.5 if then == "stall" else 20)
    assert statuses(download_genomes(plan, tmp_path / "g", config)) == ["downloaded"]
    check_whole(tmp_path / "g", [0])
    asked = mirror.asked(PATHS[0])
    assert [request.status for request in asked] == [200, 206, 206]
    assert asked[0].headers["Range"] is None
    if then != "reset":  # which may overtake what was sent before it
        assert [request.headers["Range"] for request in asked[1:]] == ["bytes=200000-", "bytes=250000-"]
    assert asked[1].headers["If-Range"].startswith('"')


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


def test_a_stall_that_lasts(mirror: Mirror, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.tsv", [0])
    mirror.misbehave(PATHS[0], *[Answer(stop_after=100_000, then="stall")] * 2)
    (failed,) = download_genomes(plan, tmp_path, impatient(mirror, attempts=2, read_timeout=0.5))
    assert failed.reason == f"{mirror.url}{PATHS[0]}: no byte received for 0.5 s"
    # The next run goes on from there.
    assert (tmp_path / f"{FILES[0]}.part").stat().st_size == 200_000
    assert statuses(download_genomes(plan, tmp_path, impatient(mirror))) == ["downloaded"]
    assert mirror.asked(PATHS[0])[-1].headers["Range"] == "bytes=200000-"


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


def test_a_text_in_an_encoding_that_it_is_not_in(mirror: Mirror, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.tsv", [0])
    url = f"{FOLDERS[0]}/md5checksums.txt"
    mirror.misbehave(url, Answer(headers={"Content-Encoding": "gzip"}))
    (failed,) = download_genomes(plan, tmp_path, impatient(mirror))
    assert failed.reason.startswith(f"{mirror.url}{url}: Error -3 while decompressing data")


def test_checksums() -> None:
    text = f"{'A1' * 16}  ./dir/a b.gz\r\n{'0' * 32} *binary\n# comment\n{'0' * 31}  short\n"
    assert parse_checksums(text) == {"dir/a b.gz": "a1" * 16, "binary": "0" * 32}


def test_a_server_without_ranges(mirror: Mirror, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.tsv", [0])
    mirror.misbehave(PATHS[0], Answer(stop_after=100_000), Answer(ranges=False))
    assert statuses(download_genomes(plan, tmp_path / "g", impatient(mirror))) == ["downloaded"]
    assert [request.status for request in mirror.asked(PATHS[0])] == [200, 200]
    check_whole(tmp_path / "g", [0])


@pytest.mark.parametrize(
    ("headers", "mark"),
    [
        ({"ETag": None}, None),
        ({"ETag": 'W/"weak"'}, None),
        (
            {"ETag": 'W/"weak"', "Last-Modified": "Wed, 21 Oct 2015 07:28:00 GMT"},
            "Wed, 21 Oct 2015 07:28:00 GMT",
        ),
    ],
    ids=["none", "weak", "date"],
)
def test_marks_of_a_version(
    mirror: Mirror, tmp_path: Path, headers: dict[str, str | None], mark: str | None
) -> None:
    plan = write_plan(tmp_path / "plan.tsv", [0])
    mirror.misbehave(PATHS[0], Answer(stop_after=100_000, headers=headers))
    assert statuses(download_genomes(plan, tmp_path / "g", impatient(mirror))) == ["downloaded"]
    second = mirror.asked(PATHS[0])[1]
    assert second.headers["If-Range"] == mark
    assert (second.headers["Range"] is None) == (mark is None)
    check_whole(tmp_path / "g", [0])


@pytest.fixture
def interrupted(mirror: Mirror, tmp_path: Path) -> tuple[Path, Path]:
    """A plan of the first genome, and a directory with 100,000 bytes of it."""
    plan = write_plan(tmp_path / "plan.tsv", [0])
    mirror.misbehave(PATHS[0], Answer(stop_after=100_000))
    download_genomes(plan, tmp_path / "g", impatient(mirror, attempts=1))
    part = tmp_path / "g" / f"{FILES[0]}.part"
    assert part.read_bytes() == CONTENTS[0][:100_000]
    assert not (tmp_path / "g" / FILES[0]).exists()
    mirror.requests.clear()
    return plan, part


def test_a_new_version_at_the_server(mirror: Mirror, interrupted: tuple[Path, Path]) -> None:
    plan, part = interrupted
    with Mirror({FOLDERS[0]: CONTENTS[1]}) as renewed:
        assert statuses(download_genomes(plan, part.parent, impatient(renewed))) == ["downloaded"]
        assert [request.status for request in renewed.asked(PATHS[0])] == [200]
    assert (part.parent / FILES[0]).read_bytes() == CONTENTS[1]


def test_a_damaged_part(mirror: Mirror, interrupted: tuple[Path, Path]) -> None:
    plan, part = interrupted
    part.write_bytes(bytes(100_000))
    assert statuses(download_genomes(plan, part.parent, impatient(mirror))) == ["downloaded"]
    assert [request.status for request in mirror.asked(PATHS[0])] == [206, 200]
    check_whole(part.parent, [0])


def test_a_part_that_is_the_whole(mirror: Mirror, interrupted: tuple[Path, Path]) -> None:
    plan, part = interrupted
    part.write_bytes(CONTENTS[0])
    assert statuses(download_genomes(plan, part.parent, impatient(mirror))) == ["downloaded"]
    assert mirror.asked(PATHS[0]) == []
    check_whole(part.parent, [0])


def test_a_part_that_is_more_than_the_whole(mirror: Mirror, interrupted: tuple[Path, Path]) -> None:
    plan, part = interrupted
    part.write_bytes(CONTENTS[0] + b"more")
    assert statuses(download_genomes(plan, part.parent, impatient(mirror))) == ["downloaded"]
    assert [request.status for request in mirror.asked(PATHS[0])] == [416, 200]
    check_whole(part.parent, [0])


def test_another_part_than_asked_for(mirror: Mirror, interrupted: tuple[Path, Path]) -> None:
    plan, part = interrupted
    mirror.misbehave(PATHS[0], Answer(headers={"Content-Range": "bytes 7-299999/300000"}))
    assert statuses(download_genomes(plan, part.parent, impatient(mirror))) == ["downloaded"]
    assert [request.status for request in mirror.asked(PATHS[0])] == [206, 200]
    check_whole(part.parent, [0])


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


def test_a_disk_that_takes_no_more(mirror: Mirror, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.tsv", [0])
    # The nearest to a full disk that needs no file system of its own.
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(InputError, match="g: File too large; what has been fetched is kept, run again"):
            download_genomes(plan, tmp_path / "g", impatient(mirror))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert statuses(download_genomes(plan, tmp_path / "g", impatient(mirror))) == ["downloaded"]
    assert mirror.asked(PATHS[0])[-1].headers["Range"] == "bytes=100000-"
    check_whole(tmp_path / "g", [0])


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


def test_plan(tmp_path: Path) -> None:
    path = tmp_path / "plan.tsv"
    path.write_text(
        "\ufefffile\tpath\tsize\r\n"
        f"a.fna.gz\tftp://ftp.ncbi.nlm.nih.gov{FOLDERS[0]}/\t123\r\n"
        f"a.fna.gz\t{NCBI}{FOLDERS[0]}\t123\r\n"
        "b.fna.gz\thttp://example.org/x/my asm\t\r\n"
    )
    assert read_genomes(path) == [
        ("a.fna.gz", NCBI + PATHS[0], f"{NCBI}{FOLDERS[0]}/md5checksums.txt", 123),
        (
            "b.fna.gz",
            "http://example.org/x/my%20asm/my%20asm_genomic.fna.gz",
            "http://example.org/x/my%20asm/md5checksums.txt",
            None,
        ),
    ]
    genomes = read_genomes(path, "http://mirror:8000/ncbi/")
    assert genomes[0].url == f"http://mirror:8000/ncbi{PATHS[0]}"
    assert genomes[1].url.startswith("http://example.org/")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty; a header must name the columns path, file"),
        ("file\tclass\n", "line 1: has no column path;"),
        ("file\tpath\n", "names no genome"),
        (f"file\tpath\n../x\t{NCBI}/a\n", r"line 2: file is '\.\./x'"),
        (f"file\tpath\n.x\t{NCBI}/a\n", r"line 2: file is '\.x'"),
        (f"file\tpath\n\t{NCBI}/a\n", "line 2: file is ''"),
        ("file\tpath\nx\n", "line 2: path is ''"),
        ("file\tpath\nx\tna\n", "line 2: path is 'na'"),
        (f"file\tpath\nx\t{NCBI}/\n", "line 2: path is "),
        (f"file\tpath\tsize\nx\t{NCBI}/a\t1.5\n", "line 2: size is '1.5'"),
        (f"file\tpath\nx\t{NCBI}/a\n\nx\t{NCBI}/b\n", "line 4: gives x a second path"),
        ("file\tpath\nx\t\udcff\n", "line 2: path is "),
    ],
)
def test_bad_plan(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "plan.tsv"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(InputError, match=rf"plan\.tsv.*{message}"):
        read_genomes(path)


def test_bad_configuration(monkeypatch: pytest.MonkeyPatch, plan: Path, tmp_path: Path) -> None:
    for url in ("ftp.ncbi.nlm.nih.gov", "ftp://x", "https://"):
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


def run_prep(*arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    command = [PROGRAM, "download", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, **options)


def test_command(mirror: Mirror, plan: Path, tmp_path: Path) -> None:
    genomes = tmp_path / "g"
    mirror.misbehave(PATHS[1], Answer(status=404))
    first = run_prep(plan, "-o", genomes, "--base-url", mirror.url, "--jobs", "1")
    assert first.returncode == 1
    assert first.stdout == (
        f"status\tgenomes\tbytes\ndownloaded\t2\t{2 * SIZE + 2}\npresent\t0\t0\nfailed\t1\t0\n"
    )
    assert first.stderr.splitlines() == [
        f"genood.prep.download: {FILES[0]}: {SIZE} bytes, 1 of 3",
        f"genood.prep.download: {FILES[1]}: {mirror.url}{PATHS[1]}: HTTP 404 Not Found",
        f"genood.prep.download: {FILES[2]}: {SIZE + 2} bytes, 3 of 3",
        "genood-prep: error: 1 of 3 genomes are missing; run the command again to try them anew; of those "
        f"that NCBI no longer has (404, or no md5), take the rows out of {plan}",
    ]
    second = run_prep(plan, "-o", genomes, "--base-url", mirror.url, "-q")
    assert (second.returncode, second.stderr) == (0, "")
    assert second.stdout == (
        f"status\tgenomes\tbytes\ndownloaded\t1\t{SIZE + 1}\npresent\t2\t{2 * SIZE + 2}\nfailed\t0\t0\n"
    )
    check_whole(genomes)


def test_usage(tmp_path: Path) -> None:
    for option, value, message in (
        ("--base-url", "ftp://x", "--base-url is 'ftp://x', which does not start with https://"),
        ("--timeout", "nan", "--timeout is nan; it must be above 0 seconds"),
    ):
        result = run_prep("plan.tsv", "-o", tmp_path / "g", option, value)
        assert result.returncode == 2
        assert f"Error: {message}" in result.stderr


def test_dry_run(plan: Path, tmp_path: Path) -> None:
    result = run_prep(plan, "-o", tmp_path / "g", "--dry-run")
    assert result.returncode == 0
    assert result.stdout.splitlines() == [
        "file\tsize\turl",
        *(f"{FILES[n]}\t{1000 + n}\t{NCBI}{PATHS[n]}" for n in range(3)),
    ]
    assert result.stderr == "genood.prep.download: 3 genomes of 3,003 bases in all, before compression\n"
    assert not (tmp_path / "g").exists()


def test_help_states_the_defaults() -> None:
    config = DownloadConfig()
    text = " ".join(run_prep("--help").stdout.split())
    assert f"[default: {config.jobs}]" in text
    assert f"Tries of each URL. [default: {config.fetch.attempts}]" in text
    assert f"[default: {config.fetch.read_timeout:g}]" in text
    assert config.base_url in text


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 130), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_interrupt_and_continue(
    mirror: Mirror, plan: Path, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    genomes = tmp_path / "g"
    mirror.misbehave(PATHS[1], Answer(stop_after=200_000, then="stall"))
    arguments = [PROGRAM, "download", plan, "-o", genomes, "--base-url", mirror.url]
    # A child inherits that SIGINT is ignored, as in a shell's background job, but not a handler.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        signal.signal(signal.SIGINT, handler)
        try:
            part = genomes / f"{FILES[1]}.part"
            wait_for(lambda: part.exists() and part.stat().st_size > 100_000)
            wait_for(lambda: (genomes / FILES[0]).exists() and (genomes / FILES[2]).exists())
            process.send_signal(number)
            # Sooner than the stalled connection would time out.
            _, stderr = process.communicate(timeout=20)
        finally:
            process.kill()
    assert process.returncode == code
    size = part.stat().st_size
    if number != signal.SIGKILL:
        assert stderr.splitlines()[-1] == "genood-prep: interrupted"
        assert size == 200_000
        assert list(parse_checksums((genomes / RECORD).read_text())) == [FILES[0], FILES[2]]
    assert not (genomes / FILES[1]).exists()
    downloads = download_genomes(plan, genomes, impatient(mirror))
    assert statuses(downloads) == ["present", "downloaded", "present"]
    assert mirror.asked(PATHS[1])[-1].headers["Range"] == f"bytes={size}-"
    check_whole(genomes)


def wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        time.sleep(0.02)
    pytest.fail("nothing happened for 20 s")


def test_progress_on_a_terminal(mirror: Mirror, plan: Path, tmp_path: Path) -> None:
    mirror.misbehave(PATHS[1], Answer(status=404))
    terminal, end = os.openpty()
    arguments = [PROGRAM, "download", plan, "-o", tmp_path / "g", "--base-url", mirror.url]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=end) as process:
        os.close(end)
        drawn = b""
        try:
            while piece := os.read(terminal, 4096):
                drawn += piece
        except OSError:  # how Linux says that nobody holds the other end any more
            pass
        finally:
            os.close(terminal)
        assert process.wait(60) == 1
    assert b"3/3" in drawn
    assert b"600.0 kB" in drawn
    assert b"HTTP 404" in drawn
    assert b"bytes, 1 of 3" not in drawn
