"""Where `genood score` writes: descriptors, several files at once, and names that are refused."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest
from backports import zstd
from conftest import Genood
from refusals import CPU, check_refused, fastq, snapshot

PROGRAM = (sys.executable, "-m", "genood", "score", *CPU)
FULL = "cannot be written (No space left on device)"
Shell = Callable[..., tuple[int, str, str]]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with reads, to work in."""
    (tmp_path / "reads.fq").write_bytes(fastq(5))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def shell(bundle_dir: Path, folder: Path) -> Shell:
    """What scoring the reads by bash does, `"$@"` being the command without outputs."""

    def run(line: str, *options: str) -> tuple[int, str, str]:
        command = [*PROGRAM, "-m", str(bundle_dir), "reads.fq", *options]
        result = subprocess.run(
            ["bash", "-c", line, "bash", *command], capture_output=True, text=True, timeout=120
        )
        return result.returncode, result.stdout, result.stderr

    return run


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1", "link"])
def test_standard_output_by_its_names(shell: Shell, folder: Path, name: str) -> None:
    """What a shell redirected it to is appended to, not replaced."""
    (folder / "link").symlink_to("/dev/stdout")
    (folder / "log").write_text("LOG\n")
    assert shell('"$@" >> log', "-q", "-o", name) == (0, "", "")
    lines = (folder / "log").read_text().splitlines()
    assert [line.split("\t")[0] for line in lines] == ["LOG", "read_id", "r0", "r1", "r2", "r3", "r4"]
    assert sorted(os.listdir(folder)) == ["link", "log", "reads.fq"]


def test_other_descriptors(shell: Shell, folder: Path) -> None:
    """Text as it comes; a format whose writer wants a file, at the end."""
    (folder / "log").write_text("LOG\n")
    (folder / "link.parquet").symlink_to("/dev/fd/4")
    (folder / "parquet").write_text("LOG\n")
    outputs = ("-o", "link.parquet", "--summary", "/dev/stderr", "--ood-out", "/dev/fd/3", "--in-out", "-")
    assert shell('"$@" 2>> log 3>> out 4>> parquet', "-q", *outputs)[0] == 0
    log = (folder / "log").read_text()
    assert log.startswith("LOG\n{\n")
    assert log.endswith("}\n")
    assert (folder / "parquet").read_bytes().startswith(b"LOG\nPAR1")
    assert (folder / "parquet").read_bytes().endswith(b"PAR1")
    assert (folder / "link.parquet").is_symlink()


def test_descriptor_that_is_not_open(shell: Shell) -> None:
    said = "genood: error: /dev/fd/77: cannot be written (Bad file descriptor)\n"
    assert shell('"$@"', "-o", "/dev/fd/77") == (1, "", said)


@pytest.mark.parametrize(
    "outputs",
    [
        ("-o", "-", "--ood-out", "/dev/stdout"),
        ("-o", "/dev/fd/1", "--summary", "/proc/self/fd/1"),
        ("--in-out", "link"),
    ],
)
def test_one_stream_by_two_names(
    genood_here: Genood, bundle_dir: Path, folder: Path, outputs: tuple[str, ...]
) -> None:
    (folder / "link").symlink_to("/dev/stdout")
    check_refused(
        genood_here, folder, "score", "-m", bundle_dir, "reads.fq", *outputs, *CPU,
        says="standard output: two outputs have the same name",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "options", "says"),
    [
        ('"$@" > out', ("--ood-out", "out"), "out: two outputs have the same name; give each its own"),
        ('"$@" >> reads.fq', (), "standard output: is both an input and an output"),
        ('"$@" --summary /dev/stderr > out 2>&1', (), ""),
    ],
)
def test_file_behind_standard_output(
    shell: Shell, folder: Path, line: str, options: tuple[str, ...], says: str
) -> None:
    code, out, said = shell(line, "-q", *options)
    assert (code, out, said) == ((1, "", f"genood: error: {says}\n") if says else (0, "", ""))
    assert (folder / "reads.fq").read_bytes() == fastq(5)


def test_standard_input_by_two_names(genood_here: Genood, bundle_dir: Path, folder: Path) -> None:
    check_refused(
        genood_here, folder, "score", "-m", bundle_dir, "-", "/dev/stdin", *CPU,
        says="standard input: can be named only once",
    )  # fmt: skip


ALL = ("--summary", "s.json", "--ood-out", "ood.fq", "--per-position", "p.tsv.gz", "--regions", "r.bed")


@pytest.mark.parametrize(
    ("output", "line", "named"),
    [("/dev/full", '"$@"', "/dev/full"), ("-", '"$@" > /dev/full', "standard output")],
)
def test_all_outputs_or_none(shell: Shell, folder: Path, output: str, line: str, named: str) -> None:
    """The score table is the first to be opened and the last to be flushed."""
    (folder / "s.json").write_text("older")
    before = snapshot(folder)
    assert shell(line, "-q", "-o", output, *ALL) == (1, "", f"genood: error: {named}: {FULL}\n")
    assert snapshot(folder) == before


def test_the_summary_is_the_last_to_appear(
    genood_here: Genood, bundle_dir: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[str] = []
    replace = os.replace

    def record(source: str, target: Path) -> None:
        if not names:  # all of them are whole before the first has its name
            temporary = [path for path in folder.iterdir() if path.suffix == ".tmp"]
            assert len(temporary) == 6
            assert all(path.stat().st_size for path in temporary if "ood.fq" not in path.name)
        replace(source, target)
        names.append(target.name)

    monkeypatch.setattr(os, "replace", record)
    assert genood_here("score", "-m", bundle_dir, "reads.fq", "-o", "s.tsv", *ALL, *CPU).returncode == 0
    assert names == ["s.tsv", "p.tsv.gz", "p.tsv.gz.tbi", "ood.fq", "r.bed", "s.json"]


@pytest.mark.parametrize("option", ["--in-out", "--per-position"])
def test_reader_that_goes_away(shell: Shell, folder: Path, option: str) -> None:
    """Only of standard output is it nothing to tell of."""
    (folder / "reads.fq").write_bytes(fastq(20_000))
    code, _, said = shell(f'"$@" {option} >(true)', "-q", "-o", "scores.tsv")
    assert code == 1
    assert said.startswith("genood: error: /dev/fd/")
    assert said.endswith(": its reader has gone\n")
    assert os.listdir(folder) == ["reads.fq"]


@pytest.mark.parametrize("ending", ["xz", "bz2", "zst", "gz"])
def test_full_device_below_compression(shell: Shell, folder: Path, ending: str) -> None:
    (folder / f"full.{ending}").symlink_to("/dev/full")
    code, _, said = shell('"$@"', "-q", "-o", f"full.{ending}")
    assert code == 1
    assert said.startswith(f"genood: error: full.{ending}: cannot be written (")
    assert len(said.splitlines()) == 1


@pytest.mark.parametrize("ending", ["sam", "bam", "cram"])
def test_full_device_below_alignments(shell: Shell, folder: Path, ending: str) -> None:
    (folder / f"full.{ending}").symlink_to("/dev/full")
    code, _, said = shell('"$@"', "-q", "-o", "s.tsv", "--bam-out", f"full.{ending}")
    assert code == 1
    assert said.startswith(f"genood: error: full.{ending}: cannot be written (")
    assert len(said.splitlines()) == 1
    assert not (folder / "s.tsv").exists()


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ("--ood-out", "x.bam"),
            "x.bam: --ood-out writes FASTQ or FASTA, not .bam; name it otherwise; --bam-",
        ),
        (("--in-out", "x.Parquet"), "x.Parquet: --in-out writes FASTQ or FASTA, not .parquet"),
        (("--kraken-output", "x.parquet.gz"), "x.parquet.gz: --kraken-output writes text, not .parquet"),
        (("--kraken-report", "x.sam"), "x.sam: --kraken-report writes text, not .sam"),
        (("--summary", "x.cram"), "x.cram: --summary writes JSON, not .cram"),
        (("--window-table", "x.parquet"), "x.parquet: --window-table writes text, not .parquet"),
        (("--per-position", "x.sam.gz"), "x.sam.gz: --per-position writes text or Parquet, not .sam"),
        (("-o", "scores.bam"), "scores.bam: --output writes text or Parquet, not .bam"),
        (("-o", "s.parquet.GZ"), "s.parquet.GZ: Parquet is compressed in itself; let it end in .parquet"),
    ],
)
def test_endings_of_other_formats(
    genood_here: Genood, bundle_dir: Path, folder: Path, options: tuple[str, ...], says: str
) -> None:
    check_refused(genood_here, folder, "score", "-m", bundle_dir, "reads.fq", *options, *CPU, says=says)


def test_endings_in_capitals(genood_here: Genood, bundle_dir: Path, folder: Path) -> None:
    opened = {"GZ": gzip.open, "XZ": lzma.open, "Bz2": bz2.open, "ZST": zstd.open}
    for ending, reader in opened.items():
        outputs = ("-o", f"s.TSV.{ending}", "--in-out", f"in.FASTQ.{ending}", "--per-position", "p.tsv.Gz")
        result = genood_here("score", "-m", bundle_dir, "reads.fq", *outputs, *CPU, "--alpha", "1e-9")
        assert result.returncode == 0
        with reader(f"s.TSV.{ending}", "rt") as table:
            assert len(table.readlines()) == 6
        with reader(f"in.FASTQ.{ending}", "rb") as reads:
            assert reads.read() == fastq(5)
    with pysam.TabixFile("p.tsv.Gz", index="p.tsv.Gz.tbi") as positions:
        assert len(list(positions.fetch("r3"))) == 20


@pytest.mark.parametrize(
    "options",
    [
        ("-o", "bundle/genood.json"),
        ("-o", "link/new.tsv"),
        ("-o", "x.tsv", "--summary", "bundle/calibration.json"),
        ("-o", "weights"),
        ("--regions", "bundle/r.bed"),
    ],
)
def test_outputs_in_the_bundle(
    genood_here: Genood, bundle_dir: Path, folder: Path, options: tuple[str, ...]
) -> None:
    shutil.copytree(bundle_dir, folder / "bundle")
    (folder / "link").symlink_to("bundle")
    (folder / "weights").symlink_to("bundle/foreground.safetensors")
    says = ": lies in the bundle bundle; write elsewhere"
    check_refused(genood_here, folder, "score", "-m", "bundle", "reads.fq", *options, *CPU, says=says)
    check_refused(genood_here, folder, "score", "-m", "link", "reads.fq", *options, *CPU, says=": lies in")


def test_calibrated_bundle_in_the_bundle(genood_here: Genood, bundle_dir: Path, folder: Path) -> None:
    shutil.copytree(bundle_dir, folder / "bundle")
    check_refused(
        genood_here, folder, "calibrate", "-m", "bundle", "reads.fq", "-o", "bundle/new", *CPU,
        says="bundle/new: lies in the bundle bundle; write elsewhere",
    )  # fmt: skip


@pytest.mark.parametrize(("ending", "stale"), [("bam", "bai"), ("cram", "crai")])
def test_index_of_older_alignments(
    genood_here: Genood, bundle_dir: Path, folder: Path, ending: str, stale: str
) -> None:
    """It goes where the alignments are replaced, and stays where they are not."""
    (folder / "bad.fq").write_text("@r\nAC!T\n+\nIIII\n")
    indexes = [f"x.{ending}.{stale}", f"x.{stale}", f"x.{ending}.csi"]
    for name in (*indexes, "other.bai", "other.crai"):
        (folder / name).write_text("index")
    before = snapshot(folder)
    arguments = ("score", "-m", bundle_dir, "-o", "s.tsv", "--bam-out", f"x.{ending}", *CPU)
    assert genood_here(*arguments, "bad.fq").returncode == 1
    assert snapshot(folder) == before
    assert genood_here(*arguments, "reads.fq").returncode == 0
    assert set(snapshot(folder)) == {*before} - {*indexes} | {f"x.{ending}", "s.tsv"}
