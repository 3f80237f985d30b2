"""SAM, BAM and CRAM that are truncated or damaged: one error, and nothing left open."""

from __future__ import annotations

import gzip
import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from alignment_files import MODES, alignments, failure
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from genood.errors import InputError
from genood.readers import read_blocks, read_file
from genood.readers.streams import BGZF_END


@pytest.mark.parametrize("piped", [False, True])
@pytest.mark.parametrize("cut", [40, 0.1, 0.3, 0.5, 0.9, 0.99, -39, -30, -28, -10, -1])
@pytest.mark.parametrize("mode", ["wb", "wc"])
def test_truncated(
    tmp_path: Path, stdin: Callable[[bytes], None], mode: str, cut: float, piped: bool
) -> None:
    """At -28 BAM, and at -38 CRAM, is cut between two blocks."""
    path = alignments(tmp_path, mode, number=2_000, options=(b"no_ref=1",) if mode == "wc" else ())
    content = path.read_bytes()
    content = content[: int(cut * len(content)) if isinstance(cut, float) else cut]
    path.write_bytes(content)
    stdin(content)
    message = failure("-" if piped else path)
    assert f"the {'BAM' if mode == 'wb' else 'CRAM'} file is truncated or corrupt, after " in message
    assert message.endswith("; fetch it again")


def test_bam_cut_between_blocks(tmp_path: Path) -> None:
    path = alignments(tmp_path, "wb", number=2_000)
    content = path.read_bytes()
    assert content.endswith(BGZF_END)
    path.write_bytes(content[: -len(BGZF_END)])
    blocks = read_blocks([path])
    assert [len(next(blocks).names) for _ in range(2)] == [1024, 976]
    with pytest.raises(InputError, match="truncated or corrupt, after 2000 complete records; fetch it again"):
        next(blocks)


@pytest.mark.parametrize(("version", "num_end_bytes"), [(b"2.1", 30), (b"3.0", 38), (b"3.1", 38)])
def test_cram_cut_between_containers(tmp_path: Path, version: bytes, num_end_bytes: int) -> None:
    path = alignments(tmp_path, "wc", options=(b"no_ref=1", b"version=" + version))
    assert len(list(read_file(path))) == 400
    path.write_bytes(path.read_bytes()[:-num_end_bytes])
    assert (
        failure(path) == ": the CRAM file is truncated or corrupt, after 400 complete records; fetch it again"
    )


def test_truncated_sam(tmp_path: Path) -> None:
    path = alignments(tmp_path, "w")
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:12]) + lines[12][:60])
    assert ": the SAM file is truncated or corrupt, after 10 complete records" in failure(path)
    path.write_bytes(gzip.compress(b"".join(lines))[:-20])
    assert ": the compressed file ends too early" in failure(path)


def test_htslib_keeps_quiet(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    for mode in ("w", "wb", "wc"):
        path = alignments(tmp_path, mode, options=(b"no_ref=1",) if mode == "wc" else ())
        list(read_file(path))
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        failure(path)
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="open files are listed by Linux only")
@pytest.mark.parametrize("mode", MODES.values())
def test_nothing_is_left_open(tmp_path: Path, mode: str) -> None:
    path = alignments(tmp_path, mode, number=5_000, options=(b"no_ref=1",) if mode == "wc" else ())
    list(read_file(path))
    before, threads = os.listdir("/proc/self/fd"), threading.active_count()
    abandoned = read_file(path)
    next(abandoned)
    abandoned.close()  # type: ignore[attr-defined]
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    failure(path)
    assert os.listdir("/proc/self/fd") == before
    assert threading.active_count() == threads


def test_a_feed_that_htslib_gave_up_on_ends(tmp_path: Path) -> None:
    """htslib leaves the descriptor of such a file open, so that the pipe has a reader for ever."""
    path = tmp_path / "reads.cram"
    path.write_bytes(b"CRAM\3\0" + np.random.default_rng(1).bytes(300_000))
    threads = threading.active_count()
    assert "the CRAM file is truncated or corrupt" in failure(path)
    assert threading.active_count() == threads


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A small file in each format."""
    folder = tmp_path_factory.mktemp("whole")
    options = {"wc": (b"no_ref=1",)}
    return {
        name: alignments(folder, mode, number=60, options=options.get(mode, ())).read_bytes()
        for name, mode in MODES.items()
    } | {"uncompressed BAM": gzip.decompress(alignments(folder, "wb", number=60).read_bytes())}


@pytest.mark.parametrize("form", ["SAM", "BAM", "uncompressed BAM", "CRAM"])
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damage_gives_reads_or_one_error(
    tmp_path: Path, whole: dict[str, bytes], form: str, data: st.DataObject
) -> None:
    content = bytearray(whole[form])
    for _ in range(data.draw(st.integers(0, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place] = data.draw(st.integers(0, 255))
    stop = data.draw(st.integers(0, len(content)))
    path = tmp_path / "reads"
    path.write_bytes(content[: stop if data.draw(st.booleans()) else None])
    problems = []
    logging.getLogger("genood").disabled = True
    try:
        for read in read_file(path):
            assert read.name
            assert len(read.codes) > 0
    except InputError as error:
        problems.append(str(error))
    finally:
        logging.getLogger("genood").disabled = False
    assert "\n" not in "".join(problems)
