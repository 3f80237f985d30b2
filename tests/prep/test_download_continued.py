"""Downloads that are continued, and when they cannot be."""

from __future__ import annotations

import resource
from pathlib import Path

import pytest
from prep.mirror import Answer, Mirror
from prep.toy_plan import CONTENTS, FILES, FOLDERS, PATHS, check_whole, impatient, statuses, write_plan

from data_prep.download import download_genomes
from genood.errors import InputError


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


def test_no_time_to_ask(mirror: Mirror, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.tsv", [0])
    (failed,) = download_genomes(plan, tmp_path, impatient(mirror, attempts=1, read_timeout=1e-30))
    url = f"{mirror.url}{FOLDERS[0]}/md5checksums.txt"
    assert failed.reason == f"{url}: the request could not be sent within 1e-30 s"


def test_a_stall_that_lasts(mirror: Mirror, tmp_path: Path) -> None:
    plan = write_plan(tmp_path / "plan.tsv", [0])
    mirror.misbehave(PATHS[0], *[Answer(stop_after=100_000, then="stall")] * 2)
    (failed,) = download_genomes(plan, tmp_path, impatient(mirror, attempts=2, read_timeout=0.5))
    assert failed.reason == f"{mirror.url}{PATHS[0]}: no byte received for 0.5 s"
    # The next run goes on from there.
    assert (tmp_path / f"{FILES[0]}.part").stat().st_size == 200_000
    assert statuses(download_genomes(plan, tmp_path, impatient(mirror))) == ["downloaded"]
    assert mirror.asked(PATHS[0])[-1].headers["Range"] == "bytes=200000-"


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
