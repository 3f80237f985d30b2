"""`genood score` when something is wrong: one line, the right exit code, and no half-written file."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Genood
from damage import COMPRESSIONS, FORMATS
from refusals import CPU, WINDOW_READS, check_refused, fastq
from toys import markov_codes, uniform_codes, write_fasta

OLD = "an older table\n"


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


HALVES = {name: form.whole for name, form in FORMATS.items() if name != "fasta"}
HALVES |= {name: compress(fastq(50)) for name, (compress, _) in COMPRESSIONS.items()}


@pytest.mark.parametrize("name", HALVES)
@pytest.mark.parametrize("share", [0.5, 0.9])
def test_part_of_a_file(score_to_old: Genood, folder: Path, name: str, share: float) -> None:
    """Text that is cut between two records looks whole, and FASTA wherever it is cut."""
    reads = folder / "reads"
    reads.write_bytes(HALVES[name][: int(len(HALVES[name]) * share)])
    check_refused(score_to_old, folder, reads, says=f"genood: error: {reads}")


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
