"""SAM, BAM and CRAM: what is read of them."""

from __future__ import annotations

import gzip
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pysam
import pytest
from alignment_files import GENOME, MODES, alignments, failure
from backports import zstd
from toys import uniform_codes, write_fasta

from genood.errors import ConfigError, InputError
from genood.readers import Read, ReaderConfig, read_blocks, read_file
from genood.sequence import decode, reverse_complement

EMBEDDED = (b"embed_ref=1",)

BY_HAND = """\
@HD\tVN:1.6
@SQ\tSN:c\tLN:5000
forward\t0\tc\t1\t60\t5M\t*\t0\t0\tACGTN\tABCDE
reverse\t16\tc\t1\t60\t1S4M\t*\t0\t0\tAACGR\tABCDE
first\t77\t*\t0\t0\t*\t*\t0\t0\tGG\tII
last\t141\t*\t0\t0\t*\t*\t0\t0\tTT\tII
middle\t205\t*\t0\t0\t*\t*\t0\t0\tGT\tII
secondary\t256\tc\t1\t60\t5M\t*\t0\t0\tACGTN\tABCDE
supplementary\t2064\tc\t1\t60\t5M\t*\t0\t0\tACGTN\tABCDE
failed\t516\t*\t0\t0\t*\t*\t0\t0\tAC\tII
duplicate\t1024\tc\t1\t60\t2M\t*\t0\t0\tAC\tII
nothing\t4\t*\t0\t0\t*\t*\t0\t0\t*\t*
plain\t4\t*\t0\t0\t*\t*\t0\t0\tC\t*
"""
BY_HAND_READS = [
    ("forward", "ACGTN", 0),
    ("reverse", "NCGTT", 0),
    ("first", "GG", 1),
    ("last", "TT", 2),
    ("middle", "GT", 0),
    ("duplicate", "AC", 0),
    ("plain", "C", 0),
]
BY_HAND_SKIPPED = {"secondary": 1, "supplementary": 1, "failed quality control": 1, "without sequence": 1}


def converted(sam: Path, target: Path, mode: str, options: tuple[bytes, ...] = (b"no_ref=1",)) -> Path:
    """A SAM file in another format."""
    with (
        pysam.AlignmentFile(str(sam), check_sq=False) as source,
        pysam.AlignmentFile(
            str(target), mode, template=source, format_options=list(options if mode == "wc" else ())
        ) as writer,
    ):
        for record in source.fetch(until_eof=True):
            writer.write(record)
    return target


def as_sequenced(i: int) -> str:
    codes = GENOME[11 * i % 4_900 :][:100]
    return decode(reverse_complement(codes) if i % 2 else codes)


def listed(reads: Iterator[Read]) -> list[tuple[str, str, int]]:
    return [(read.name, decode(read.codes), read.mate) for read in reads]


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "genome.fa", {"c": GENOME})


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    path = tmp_path / "by_hand.sam"
    path.write_text(BY_HAND)
    return path


@pytest.mark.parametrize("mode", [*MODES.values(), "wbu", "wb0"])
def test_every_record_by_hand(
    by_hand: Path, tmp_path: Path, stdin: Callable[[bytes], None], mode: str
) -> None:
    path = converted(by_hand, tmp_path / "reads", mode)
    skipped: Counter[str] = Counter()
    reads = (read for block in read_blocks([path], skipped=skipped) for read in block.reads())
    assert listed(reads) == BY_HAND_READS
    assert skipped == BY_HAND_SKIPPED
    stdin(path.read_bytes())
    assert listed(read_file("-")) == BY_HAND_READS


@pytest.mark.parametrize("compress", [gzip.compress, zstd.compress], ids=["gzip", "zstd"])
def test_compressed_in_other_ways(by_hand: Path, tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    path = tmp_path / "reads"
    bam = gzip.decompress(converted(by_hand, tmp_path / "bam", "wb").read_bytes())
    for content in (BY_HAND.encode(), bam):
        path.write_bytes(compress(content))
        assert listed(read_file(path)) == BY_HAND_READS


def test_uncompressed_bam(by_hand: Path, tmp_path: Path) -> None:
    path = tmp_path / "reads.bam"
    path.write_bytes(gzip.decompress(converted(by_hand, tmp_path / "packed", "wb").read_bytes()))
    assert listed(read_file(path)) == BY_HAND_READS


def test_unaligned_without_references(tmp_path: Path) -> None:
    """As a nanopore basecaller writes it."""
    sam = tmp_path / "reads.sam"
    sam.write_text(
        "@HD\tVN:1.6\tSO:unknown\n@PG\tID:basecaller\nr\t4\t*\t0\t0\t*\t*\t0\t0\tACG\t&'(\tqs:f:9\n"
    )
    for mode in MODES.values():
        path = converted(sam, tmp_path / mode, mode)
        assert listed(read_file(path)) == [("r", "ACG", 0)]


def test_names_are_kept_as_they_are(tmp_path: Path) -> None:
    sam = tmp_path / "reads.sam"
    sam.write_text("@HD\tVN:1.6\nr/1\t4\t*\t0\t0\t*\t*\t0\t0\tACG\t*\n")
    assert [read.name for read in read_file(sam)] == ["r/1"]


@pytest.mark.parametrize("mode", MODES.values())
def test_weak_bases_are_unknown(by_hand: Path, tmp_path: Path, mode: str) -> None:
    """A to E are Phred 32 to 36."""
    path = tmp_path / "reads.sam"
    path.write_text("".join(line for line in BY_HAND.splitlines(True) if not line.startswith("plain")))
    path = converted(path, tmp_path / "reads", mode)
    blocks = read_blocks([path], config=ReaderConfig(min_quality=34))
    reads = [decode(read.codes) for block in blocks for read in block.reads()]
    assert reads == ["NNGTN", "NCGNN", "GG", "TT", "GT", "AC"]


def test_weak_bases_of_fastq_are_unknown(tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    path.write_text("@a\nACGT\n+\n!5I4\n@b\nAC\n+\n~6\n")
    expected = {
        0: ["ACGT", "AC"],
        1: ["NCGT", "AC"],
        20: ["NCGN", "AC"],
        21: ["NNGN", "AC"],
        93: ["NNNN", "AN"],
    }
    for least, letters in expected.items():
        blocks = read_blocks([path], config=ReaderConfig(min_quality=least))
        assert [decode(read.codes) for block in blocks for read in block.reads()] == letters
    with pytest.raises(ConfigError, match="min_quality"):
        ReaderConfig(min_quality=94)


def test_quality_wanted_where_there_is_none(by_hand: Path, tmp_path: Path) -> None:
    config = ReaderConfig(min_quality=1)
    fasta = tmp_path / "reads.fa"
    fasta.write_text(">a\nAC\n")
    assert failure(fasta, config) == ", record 1: has no base qualities, which --min-quality is about"
    blocks = read_blocks([by_hand], config=config)
    assert len(next(blocks).names) == 6
    with pytest.raises(InputError, match=", record 11: has no base qualities"):
        next(blocks)


def test_record_numbers_count_all_records(tmp_path: Path) -> None:
    path = tmp_path / "reads.sam"
    path.write_text(BY_HAND.replace("\tGT\tII", "\tG=\tII"))
    assert failure(path) == ", record 5: 'middle' holds '=', which is no nucleotide"


def test_odd_names(tmp_path: Path) -> None:
    path = tmp_path / "reads.sam"
    path.write_text("@HD\tVN:1.6\na b\t4\t*\t0\t0\t*\t*\t0\t0\tACG\t*\nä\t4\t*\t0\t0\t*\t*\t0\t0\tACG\t*\n")
    reads = read_file(path)
    assert next(reads).name == "a"
    with pytest.raises(InputError, match=r"record 2: is not text: .* found 'ä'"):
        next(reads)


@pytest.mark.parametrize(
    "content", ["r\t4\t*\t0\t0\t*\t*\t0\t0\tAC\tII\n", "a/1\t16\tchr1\t7\t60\t2M\t=\t1\t2\tAC\tII\n"]
)
def test_sam_without_header(tmp_path: Path, content: str) -> None:
    path = tmp_path / "reads"
    path.write_text(content)
    assert failure(path) == ": is SAM without its header; write it with samtools view -h"


@pytest.mark.parametrize("mode", MODES.values())
def test_no_records(tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: str) -> None:
    path = alignments(tmp_path, mode, number=0)
    assert list(read_blocks([path])) == []
    assert caplog.messages == [f"{path} holds no sequences"]


@pytest.mark.parametrize("mode", MODES.values())
def test_pipes(tmp_path: Path, mode: str) -> None:
    """Many reads, so that what is looked at first is less than all."""
    path = alignments(tmp_path, mode, number=5_000, options=(b"no_ref=1",) if mode == "wc" else ())
    script = "from genood.readers import read_file\nfor read in read_file('-'): print(read.name)"
    command = [sys.executable, "-W", "error", "-c", script]
    expected = [f"r{i}" for i in range(5_000)]
    piped = subprocess.run(command, input=path.read_bytes(), capture_output=True, check=True)
    assert (piped.stdout.decode().split(), piped.stderr) == (expected, b"")
    with path.open("rb") as stream:
        redirected = subprocess.run(command, stdin=stream, capture_output=True, check=True)
    assert (redirected.stdout, redirected.stderr) == (piped.stdout, b"")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
def test_named_pipe(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    content = alignments(tmp_path, "wb", number=2_000).read_bytes()
    writer = threading.Thread(target=fifo.write_bytes, args=(content,))
    writer.start()
    assert [read.name for read in read_file(fifo)] == [f"r{i}" for i in range(2_000)]
    writer.join()


def test_a_pipe_that_stalls_can_be_interrupted(tmp_path: Path) -> None:
    # A shell without job control has what it runs in the background ignore interrupts, tests too.
    script = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    script += "from genood.readers import read_file\nfor read in read_file('-'): print(read.name, flush=True)"
    content = alignments(tmp_path, "wb", number=5_000).read_bytes()
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script], stdin=pipe, stdout=pipe, stderr=pipe) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(content[:-2_000])
        process.stdin.flush()
        assert process.stdout.readline() == b"r0\n"
        process.send_signal(signal.SIGINT)
        try:
            assert process.wait(timeout=60) != 0  # and the pipe is still open
        finally:
            process.kill()
        assert process.stderr is not None
        complaint = process.stderr.read()
    assert b"KeyboardInterrupt" in complaint
    assert b"Fatal" not in complaint


def test_as_sequenced(tmp_path: Path, reference: Path) -> None:
    for mode in MODES.values():
        path = alignments(tmp_path, mode, reference=reference if mode == "wc" else None)
        blocks = read_blocks([path], config=ReaderConfig(reference=str(reference)))
        reads = [read for block in blocks for read in block.reads()]
        assert [decode(read.codes) for read in reads] == [as_sequenced(i) for i in range(400)]


@pytest.mark.parametrize("flag", [0, 16])
def test_records_without_qualities(tmp_path: Path, flag: int) -> None:
    """As of contigs; also where they were turned."""
    path = tmp_path / "reads.sam"
    path.write_text(f"@HD\tVN:1.6\n@SQ\tSN:c\tLN:99\nr\t{flag}\tc\t1\t60\t5M\t*\t0\t0\tAACGG\t*\n")
    [block] = read_blocks([path], config=ReaderConfig(keep_records="reads"))
    assert block.records is not None
    [record] = block.records.items
    assert (record.sequence, record.qualities) == ("CCGTT" if flag else "AACGG", None)
    with pytest.raises(InputError, match="record 1: has no base qualities, which --min-quality is about"):
        list(read_blocks([path], config=ReaderConfig(min_quality=10)))


def test_cram_carries_its_reference(tmp_path: Path, reference: Path) -> None:
    path = alignments(tmp_path, "wc", reference=reference, options=EMBEDDED)
    reference.unlink()
    assert [decode(read.codes) for read in read_file(path)] == [as_sequenced(i) for i in range(400)]


def test_cram_without_its_reference(tmp_path: Path, reference: Path) -> None:
    path = alignments(tmp_path, "wc", reference=reference)
    reference.unlink()  # else htslib finds it, as its path is in the header
    hint = "or its reference genome is missing: give it with --reference FASTA"
    state = ": the CRAM file is truncated or corrupt, after 0 complete records"
    assert failure(path) == f"{state}, {hint}"
    other = write_fasta(tmp_path / "other.fa", {"c": uniform_codes(5_000, 2)})
    assert failure(path, ReaderConfig(reference=str(other))) == (
        f"{state}, or {other} is not the genome it was made with"
    )
    missing = tmp_path / "missing.fa"
    with pytest.raises(InputError, match=r"missing\.fa: no such file"):
        list(read_blocks([path], config=ReaderConfig(reference=str(missing))))
