"""`genood-prep download`: plans, tables, progress and interrupts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prep.mirror import NCBI, Answer, Mirror, wait_for
from prep.toy_plan import FILES, FOLDERS, PATHS, SIZE, check_whole, impatient, statuses

from data_prep.download import RECORD, DownloadConfig, download_genomes, parse_checksums, read_genomes
from genood.errors import InputError

PROGRAM = Path(sys.executable).with_name("genood-prep")


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
        (f"file\tpath\nx\0\t{NCBI}/a\n", r"line 2: file is 'x\\x00', which holds what is not printable"),
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
        f"genood-prep: {FILES[0]}: {SIZE} bytes, 1 of 3",
        f"genood-prep: error: {FILES[1]}: {mirror.url}{PATHS[1]}: HTTP 404 Not Found",
        f"genood-prep: {FILES[2]}: {SIZE + 2} bytes, 3 of 3",
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
    assert result.stderr == "genood-prep: 3 genomes of 3,003 bases in all, before compression\n"
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
