"""`genood score` when something is wrong: one line, the right exit code, and no half-written file."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Genood, StartGenood
from toys import markov_codes, uniform_codes, write_fasta

from genood.sequence import decode

CPU = ("--device", "cpu", "--threads", "1")
OLD = "an older table\n"
WINDOW_READS = 16_384
"""More reads than this and the first rows are written before the last reads are read."""


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def check_refused(run: Genood, folder: Path, *arguments: str | Path, says: str) -> None:
    """One line that says so, exit code 1, and nothing in the folder changed."""
    before = snapshot(folder)
    result = run(*arguments)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.splitlines() == [result.stderr.rstrip("\n")]
    assert result.stderr.startswith("genood: error: ")
    assert says in result.stderr
    assert snapshot(folder) == before


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with reads and an older table."""
    write_fasta(tmp_path / "reads.fa", {"r1": markov_codes(80, 1), "r2": uniform_codes(80, 2)})
    (tmp_path / "scores.tsv").write_text(OLD)
    return tmp_path


@pytest.fixture
def score_to_old(genood_here: Genood, bundle_dir: Path, folder: Path) -> Callable[..., object]:
    def run(*arguments: str | Path, bundle: Path = bundle_dir) -> subprocess.CompletedProcess[str]:
        outputs = ("-o", folder / "scores.tsv", "--per-position", folder / "positions.tsv.gz")
        return genood_here("score", "-m", bundle, *arguments, *outputs, *CPU)

    return run


def fastq(num_reads: int) -> bytes:
    codes = uniform_codes(20, 3)
    return b"".join(f"@r{i}\n{decode(codes)}\n+\n{'I' * 20}\n".encode() for i in range(num_reads))


BAD_READS = {
    "missing": (None, "reads: no such file"),
    "garbage": (b"\x00\x01garbage\n" * 30, "reads: is neither FASTA nor FASTQ"),
    "text": (b"a table\nof words\n", "reads: is neither FASTA nor FASTQ"),
    "alignment": (b"@HD\tVN:1.6\nr\t4\n", "reads: the SAM file is truncated or corrupt, after 0 complete"),
    "half a gzip": (gzip.compress(fastq(2000), mtime=0)[:700], "reads: the compressed file ends too early"),
    "not quite gzip": (b"\x1f\x8b\x08\x00" + b"\xff" * 60, "reads: the compressed file is corrupt"),
    "half a record": (b"@r1\nACGT\n+\nIIII\n@r2\nACGT\n", "reads, record 2"),
    "foreign letter": (b">r1\nACGT\n>r2\nAC-GT\n>r3\nAC!GT\n", "reads, record 3: 'r3' holds '!'"),
    "no sequence": (b">r1\nACGT\n>r2\n>r3\nACGT\n", "reads, record 2: 'r2' has no sequence"),
    "no name": (b">r1\nACGT\n>\nACGT\n", "reads, record 2: the record has no name"),
    "late": (
        fastq(WINDOW_READS + 500) + b"@x\nAC!T\n+\nIIII\n",
        f"record {WINDOW_READS + 501}: 'x' holds '!'",
    ),
}


@pytest.mark.parametrize(("content", "says"), BAD_READS.values(), ids=BAD_READS)
def test_bad_reads(score_to_old: Genood, folder: Path, content: bytes | None, says: str) -> None:
    reads = folder / "reads"
    if content is not None:
        reads.write_bytes(content)
    check_refused(score_to_old, folder, reads, says=says)


def test_bad_second_file(score_to_old: Genood, folder: Path) -> None:
    (folder / "bad.fa").write_text(">r1\nAC!T\n")
    check_refused(score_to_old, folder, folder / "reads.fa", folder / "bad.fa", says="bad.fa, record 1: ")


def test_truncated_after_the_first_window(genood: Genood, bundle_dir: Path, folder: Path) -> None:
    """In a process of its own: rows have been written when the end turns out to be missing."""
    packed = gzip.compress(fastq(2 * WINDOW_READS), compresslevel=1, mtime=0)
    reads = folder / "reads.fq.gz"
    reads.write_bytes(packed[: len(packed) * 3 // 4])
    check_refused(
        genood, folder, "score", "-m", bundle_dir, reads, "-o", folder / "scores.tsv", *CPU,
        says=f"genood: error: {reads}: the compressed file ends too early",
    )  # fmt: skip


def edit_metadata(bundle: Path, **changes: object) -> None:
    path = bundle / "genood.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def flip_byte(bundle: Path) -> None:
    path = bundle / "background.safetensors"
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)


def leave_only(bundle: Path, name: str) -> None:
    for path in bundle.iterdir():
        if path.name != name:
            path.unlink()


def swap_models(bundle: Path) -> None:
    """The foreground's weights are in the background's place, and the sha256 says so."""
    shutil.copy(bundle / "foreground.safetensors", bundle / "background.safetensors")


WIDER = {role: {"hidden_size": 9, "num_layers": 1} for role in ("foreground", "background")}
UNKNOWN_OPTION = {role: {"hidden_size": 8, "colour": 1} for role in ("foreground", "background")}
BAD_BUNDLES: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (shutil.rmtree, "bundle: is not a bundle (no genood.json)"),
    "other directory": (lambda b: leave_only(b, "training.tsv"), "bundle: is not a bundle (no genood.json)"),
    "unfinished": (
        lambda b: leave_only(b, "checkpoint.safetensors"),
        "bundle: training has not finished; finish it with genood train",
    ),
    "flipped byte": (flip_byte, "background.safetensors: differs from the sha256 in genood.json"),
    "other weights": (swap_models, "background.safetensors: differs from the sha256 in genood.json"),
    "newer": (
        lambda b: edit_metadata(b, format_version=2, readable_from="3.1.0"),
        "bundle: bundle format 2 needs genood 3.1.0 or later; this is ",
    ),
    "no version": (lambda b: edit_metadata(b, format_version=None), "genood.json: has no format version"),
    "file gone": (
        lambda b: (b / "calibration.json").unlink(),
        "calibration.json: the bundle names this file",
    ),
    "wider": (lambda b: edit_metadata(b, model=WIDER), "weights do not fit the configuration"),
    "unknown option": (lambda b: edit_metadata(b, model=UNKNOWN_OPTION), "configuration of the LSTM: "),
    "no configuration": (
        lambda b: edit_metadata(b, model=[]),
        "has no configuration of the foreground model",
    ),
    "unknown kind": (lambda b: edit_metadata(b, kind="gru"), "unknown kind of model 'gru'; known are "),
    "no sha256": (lambda b: edit_metadata(b, files={}), "genood.json: lacks the sha256 of a file"),
    "odd sha256": (lambda b: edit_metadata(b, files=[1]), "genood.json: lacks the sha256 of a file"),
    "half the JSON": (lambda b: os.truncate(b / "genood.json", 100), "genood.json: cannot be read as JSON"),
    "a list": (lambda b: (b / "genood.json").write_text("[]"), "genood.json: is not a JSON object"),
}


@pytest.mark.parametrize(("spoil", "says"), BAD_BUNDLES.values(), ids=BAD_BUNDLES)
def test_bad_bundle(
    score_to_old: Genood, bundle_dir: Path, folder: Path, spoil: Callable[[Path], object], says: str
) -> None:
    bundle = folder / "bundle"
    shutil.copytree(bundle_dir, bundle)
    spoil(bundle)

    def score(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return score_to_old(*arguments, bundle=bundle)

    check_refused(score, folder, folder / "reads.fa", says=says)


def test_bundle_is_a_file(score_to_old: Genood, folder: Path) -> None:
    def score(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        return score_to_old(*arguments, bundle=folder / "reads.fa")

    check_refused(score, folder, folder / "reads.fa", says="reads.fa: is not a bundle (no genood.json)")


BAD_OPTIONS = {
    "missing directory": (("-o", "none/scores.tsv"), "none/scores.tsv: its directory "),
    "missing directory beside a good one": (
        ("-o", "new.tsv", "--summary", "none/s.json"),
        "none/s.json: its directory ",
    ),
    "directory": (("-o", "."), ".: is a directory; name a file"),
    "file as directory": (("-o", "reads.fa/scores.tsv"), "reads.fa/scores.tsv: its directory "),
    "one name twice": (("-o", "new.tsv", "--summary", "./new.tsv"), "two outputs have the same name"),
    "stdout twice": (("--per-position", "-"), "two outputs have the same name"),
    "input as output": (("-o", "reads.fa"), "reads.fa: is both an input and an output"),
    "input as summary": (("-o", "new.tsv", "--summary", "reads.fa"), "reads.fa: is both an input and an"),
    "unknown device": (("--device", "abacus"), "unknown device 'abacus'; use auto, cpu, cuda, cuda:N or mps"),
    "absent device": (("--device", "cuda:99"), "device 'cuda:99' is not on this machine"),
    "detector twice": (("--detector", "llr", "--detector", "llr"), "detectors must be different ones of "),
}


@pytest.mark.parametrize(("options", "says"), BAD_OPTIONS.values(), ids=BAD_OPTIONS)
def test_bad_options(
    genood_here: Genood,
    bundle_dir: Path,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.chdir(folder)
    check_refused(genood_here, folder, "score", "-m", bundle_dir, "reads.fa", *CPU, *options, says=says)


def test_link_to_input_as_output(genood_here: Genood, bundle_dir: Path, folder: Path) -> None:
    (folder / "link.tsv").symlink_to("reads.fa")
    check_refused(
        genood_here, folder, "score", "-m", bundle_dir, folder / "reads.fa", "-o", folder / "link.tsv", *CPU,
        says="is both an input and an output",
    )  # fmt: skip


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_unwritable_directory(genood_here: Genood, bundle_dir: Path, folder: Path) -> None:
    locked = folder / "locked"
    locked.mkdir(mode=0o500)
    check_refused(
        genood_here, folder, "score", "-m", bundle_dir, folder / "reads.fa", "-o", locked / "s.tsv", *CPU,
        says="cannot write into ",
    )  # fmt: skip


def test_stdin_twice(score_to_old: Genood, folder: Path) -> None:
    check_refused(score_to_old, folder, "-", "-", says="standard input: can be named only once")


@pytest.mark.parametrize("name", ["positions.tsv", "positions.tsv.gz"])
def test_full_disk(bundle_dir: Path, folder: Path, name: str) -> None:
    """A limit on the size of files stands for the full disk."""
    write_fasta(folder / "long.fa", {"r": uniform_codes(5000, 1)})

    def limited(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
        script = 'ulimit -f 8; exec "$@"'
        command = ["sh", "-c", script, "sh", sys.executable, "-m", "genood", *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True)

    check_refused(
        limited, folder, "score", "-m", bundle_dir, folder / "long.fa", "-o", folder / "scores.tsv",
        "--per-position", folder / name, *CPU,
        says=f"genood: error: {folder / name}: cannot be written (",
    )  # fmt: skip


def wait_for_rows(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Until rows are in the temporary file."""
    deadline = time.monotonic() + 120
    while not any(path.stat().st_size for path in folder.glob(".scores.tsv.*.tmp")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.mark.parametrize("threads", ["1", "2"])
@pytest.mark.parametrize(
    ("number", "code", "says", "leftovers"),
    [
        (signal.SIGKILL, -9, b"", 1),
        (signal.SIGTERM, 130, b"genood: interrupted\n", 0),
        (signal.SIGINT, 130, b"genood: interrupted\n", 0),
    ],
)
def test_stopped_in_the_middle(
    start_genood: StartGenood,
    bundle_dir: Path,
    folder: Path,
    number: signal.Signals,
    code: int,
    says: bytes,
    leftovers: int,
    threads: str,
) -> None:
    """The end of standard input never comes, so that the process is certainly in the middle."""
    before = snapshot(folder)
    arguments = ("-m", bundle_dir, "-", "-o", folder / "scores.tsv", "--device", "cpu", "-t", threads)
    with start_genood("score", *arguments) as process:
        process.stdin.write(fastq(WINDOW_READS + 10_000))
        wait_for_rows(process, folder)
        process.send_signal(number)
        assert process.wait(timeout=60) == code
        assert process.stderr.read() == says
    after = snapshot(folder)
    assert {name: after.pop(name) for name in before} == before
    assert len(after) == leftovers
    assert all(name.endswith(".tmp") for name in after)


def test_killed_before_the_first_table(start_genood: StartGenood, bundle_dir: Path, tmp_path: Path) -> None:
    with start_genood("score", "-m", bundle_dir, "-", "-o", tmp_path / "scores.tsv", *CPU) as process:
        process.stdin.write(fastq(WINDOW_READS + 10_000))
        wait_for_rows(process, tmp_path)
        process.kill()
        process.wait(timeout=60)
    assert not (tmp_path / "scores.tsv").exists()


@pytest.mark.parametrize("output", ["-", "/dev/stdout"])
def test_closed_pipe_is_quiet(
    start_genood: StartGenood, bundle_dir: Path, tmp_path: Path, output: str
) -> None:
    (tmp_path / "reads.fq").write_bytes(fastq(WINDOW_READS + 10))
    arguments = ("score", "-m", bundle_dir, tmp_path / "reads.fq", "-o", output, *CPU)
    with start_genood(*arguments) as process:
        assert process.stdout.readline().startswith(b"read_id\tmate\tlength\t")
        process.stdout.close()
        assert process.wait(timeout=120) == 1
        assert process.stderr.read() == b""


def test_closed_standard_output_does_not_matter_to_a_file(bundle_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "reads.fa").write_text(">r\nACGT\n")
    command = '"$0" -m genood score -q -m "$1" reads.fa -o scores.tsv >&-'
    result = subprocess.run(
        ["bash", "-c", command, sys.executable, bundle_dir],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, b"")
    assert len((tmp_path / "scores.tsv").read_text().splitlines()) == 2
