"""Outputs on a disk that is full: a real one, small, in memory, seen by the command alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from refusals import CPU, fastq
from toys import TRAIN_OPTIONS

_ON_SMALL_DISK = """\
mount -t tmpfs -o size="$1" tmpfs "$2" || exit 125
cd "$2" && cp "$3" older.tsv && mkdir inside && shift 3
if [ "$1" = full ]; then head -c 10000000 /dev/zero >filling 2>/dev/null; fi
shift
"$@"
code=$?
ls -AR >&3
exit "$code"
"""
"""Arguments: size, where, an older table, whether to fill it, the command; what is left goes to 3."""

UNSHARE = [["unshare", "-m"], ["unshare", "-rm"]]


@pytest.fixture(scope="session")
def namespace() -> list[str]:
    """What runs a command where it may mount: as root, or as root of a namespace of its own."""
    for prefix in UNSHARE:
        mount = ["sh", "-c", "mount -t tmpfs tmpfs /mnt"]
        if shutil.which("unshare") and not subprocess.run([*prefix, *mount], capture_output=True).returncode:
            return prefix
    pytest.skip("a disk of one's own cannot be mounted here")


Run = Callable[..., tuple[int, str, list[str]]]


@pytest.fixture
def on_small_disk(namespace: list[str], tmp_path: Path) -> Run:
    """Run genood in the directory of a small disk; its exit code, its stderr and the files it left."""
    disk, older, left = tmp_path / "disk", tmp_path / "older.tsv", tmp_path / "left"
    disk.mkdir()
    older.write_text("an older table\n")

    def run(*arguments: str | Path, size: str = "64k", full: bool = False) -> tuple[int, str, list[str]]:
        setting = ["sh", "-c", f"exec 3>'{left}'; {_ON_SMALL_DISK}", "sh"]
        command = [size, disk, older, "full" if full else "free", sys.executable, "-m", "genood", *arguments]
        result = subprocess.run(
            [*namespace, *setting, *map(str, command)], capture_output=True, text=True, timeout=120
        )
        names = [line for line in left.read_text().splitlines() if line and not line.endswith(":")]
        return result.returncode, result.stderr, sorted({*names} - {"filling"})

    return run


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    path = tmp_path / "reads.fq"
    path.write_bytes(fastq(3_000))
    return path


FULL = "No space left on device"
LEFT = ["inside", "older.tsv"]


@pytest.mark.parametrize(
    ("options", "size", "says"),
    [
        (("-o", "older.tsv"), "64k", f"older.tsv: cannot be written ({FULL})"),
        (
            ("-o", "new.tsv", "--per-position", "older.tsv"),
            "1m",
            f"older.tsv: cannot be written ({FULL})",
        ),
        (
            ("-o", "/dev/null", "--per-position", "new.tsv.gz"),
            "12k",
            "new.tsv.gz: cannot be written (is the disk full?)",
        ),
        (
            ("-o", "/dev/null", "--bam-out", "new.bam"),
            "12k",
            f"new.bam: cannot be written (Closing failed: {FULL})",
        ),
        (
            ("-o", "/dev/null", "--in-out", "new.fq"),
            "12k",
            f"new.fq: cannot be written ({FULL})",
        ),
    ],
)
def test_tables_that_fit_in_part(
    on_small_disk: Run, bundle_dir: Path, reads: Path, options: tuple[str, ...], size: str, says: str
) -> None:
    result = on_small_disk("score", "-m", bundle_dir, reads, *options, *CPU, size=size)
    assert result == (1, f"genood: error: {says}\n", LEFT)


def test_summary(on_small_disk: Run, bundle_dir: Path, reads: Path, tmp_path: Path) -> None:
    """The table, which is elsewhere, does not appear either."""
    arguments = ("score", "-m", bundle_dir, reads, "-o", tmp_path / "scores.tsv", "--summary", "s.json")
    says = f"genood: error: s.json: cannot be written ({FULL})\n"
    assert on_small_disk(*arguments, *CPU, full=True) == (1, says, LEFT)
    assert not (tmp_path / "scores.tsv").exists()


def test_scores_that_wait_for_the_false_discovery_rate(
    on_small_disk: Run, bundle_dir: Path, reads: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path / "disk" / "inside"))
    table = tmp_path / "scores.tsv"
    code, said, left = on_small_disk("score", "-m", bundle_dir, reads, "-o", table, "--fdr", "0.1", *CPU)
    assert (code, left) == (1, LEFT)
    assert f"inside: cannot hold the scores until all are known ({FULL}); name a directory with" in said
    assert not table.exists()


def test_bundles(
    on_small_disk: Run, bundle_dir: Path, genome_files: list[Path], reads: Path, tmp_path: Path
) -> None:
    """What is left of one is none, and says so when it is used."""
    train = ("train", *genome_files, "-o", "inside/bundle", *TRAIN_OPTIONS, "--quiet")
    code, said, left = on_small_disk(*train, size="24k")
    assert code == 1
    assert re.search(r"error: inside/bundle/[\w.]+: cannot be written \(.*No space left on device", said)
    assert not [name for name in left if name.endswith(".tmp") or name == "genood.json"]
    calibrate = ("calibrate", "-m", bundle_dir, reads, "-o", "inside/bundle", *CPU, "--quiet")
    code, said, left = on_small_disk(*calibrate, size="24k")
    assert code == 1
    assert re.search(r"error: inside/bundle/[\w.]+: cannot be written \(.*No space left on device", said)
    assert not [name for name in left if name.endswith(".tmp") or name == "genood.json"]
