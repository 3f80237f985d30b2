"""SAM, BAM and CRAM: what is read of them, and every way they can be broken."""

from __future__ import annotations

import gzip
import io
import logging
import os
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pysam
import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from toys import uniform_codes, write_fasta

from genood.errors import ConfigError, InputError
from genood.readers import Read, ReaderConfig, read_blocks, read_file
from genood.readers.streams import BGZF_END
from genood.sequence import decode, reverse_complement

GENOME = uniform_codes(5_000, 1)
MODES = {"SAM": "w", "BAM": "wb", "CRAM": "wc"}
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


def alignments(
    folder: Path,
    mode: str,
    *,
    number: int = 400,
    reference: Path | None = None,
    options: tuple[bytes, ...] = (),
) -> Path:
    """Reads of 100 bases of the genome, every second one reversed, named r0, r1, ..."""
    path = folder / f"reads.{mode}"
    header = pysam.AlignmentHeader.from_dict(
        {"HD": {"VN": "1.6"}, "SQ": [{"SN": "c", "LN": len(GENOME), "UR": "/nowhere/to/be/found.fa"}]}
    )
    with pysam.AlignmentFile(
        str(path),
        mode,
        header=header,
        reference_filename=None if reference is None else str(reference),
        format_options=list(options),
    ) as writer:
        for i in range(number):
            record = pysam.AlignedSegment(header)
            record.query_name = f"r{i}"
            record.flag = 16 * (i % 2)
            record.reference_id = 0
            record.reference_start = 11 * i % 4_900
            record.cigarstring = "100M"
            record.query_sequence = decode(GENOME[record.reference_start :][:100])
            record.query_qualities = pysam.qualitystring_to_array("I" * 100)
            writer.write(record)
    return path


def as_sequenced(i: int) -> str:
    codes = GENOME[11 * i % 4_900 :][:100]
    return decode(reverse_complement(codes) if i % 2 else codes)


def listed(reads: Iterator[Read]) -> list[tuple[str, str, int]]:
    return [(read.name, decode(read.codes), read.mate) for read in reads]


def failure(path: Path | str, config: ReaderConfig | None = None) -> str:
    with pytest.raises(InputError) as caught:
        list(read_blocks([path], config=config or ReaderConfig()))
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{path}")


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    return write_fasta(tmp_path / "genome.fa", {"c": GENOME})


@pytest.fixture
def by_hand(tmp_path: Path) -> Path:
    path = tmp_path / "by_hand.sam"
    path.write_text(BY_HAND)
    return path


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch) -> Callable[[bytes], None]:
    def give(content: bytes) -> None:
        buffer = io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=buffer))

    return give


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
