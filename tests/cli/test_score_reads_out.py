"""`genood score --ood-out --in-out`: the reads of the input, as they were, in two parts."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pysam
import pytest
from backports import zstd
from conftest import Genood
from scipy.stats import false_discovery_control
from toys import strain_of, uniform_codes, write_fasta

from genood.readers.streams import BGZF_END
from genood.sequence import Codes, decode, reverse_complement

CPU = ("--device", "cpu", "--threads", "1")
STRAIN = strain_of(uniform_codes(24_000, 1), 77)
Run = Callable[..., list[dict[str, str]]]


def read_codes(i: int, mate: int = 1) -> Codes:
    """Of a strain of a training genome; every third fragment random, of every fifth one mate is."""
    if i % 3 == 0 or (i % 5 == 0 and mate == 2):
        return uniform_codes(150, 1000 + 2 * i + mate)
    start = 300 * i + (150 if mate == 2 else 0)
    return STRAIN[start : start + 150]


def fastq_record(i: int, mate: int = 1) -> str:
    """A record with a comment, some lower case, IUPAC letters and weak bases."""
    text = decode(read_codes(i, mate))
    text = text[:20].lower() + text[20:60] + "RyN"[: i % 4] + text[63:]
    qualities = "".join(chr(33 + (7 * j + i) % 41) for j in range(len(text)))
    return f"@read{i} {mate}:N:0:ACGT  x={i}\n{text}\n+\n{qualities}\n"


RECORDS = [fastq_record(i) for i in range(60)]
MATES = [[fastq_record(i, mate) for i in range(60)] for mate in (1, 2)]
BLANK = f"@blank\n{'N' * 30}\n+\n{'!' * 30}\n"


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(path.read_text()), delimiter="\t", quoting=csv.QUOTE_NONE))


@pytest.fixture
def run(genood_here: Genood, context_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Score in a folder of its own; the rows of the table."""
    monkeypatch.chdir(tmp_path)

    def score(*arguments: str | Path) -> list[dict[str, str]]:
        result = genood_here("score", "-m", context_dir, *arguments, "-o", "scores.tsv", *CPU)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        return rows_of(Path("scores.tsv"))

    return score


def parts(records: list[str], is_ood: list[bool]) -> tuple[str, str]:
    """The text of those that are, and of those that are not; there must be some of both."""
    assert 0 < sum(is_ood) < len(is_ood)
    ood = "".join(r for r, flag in zip(records, is_ood, strict=True) if flag)
    return ood, "".join(r for r, flag in zip(records, is_ood, strict=True) if not flag)


@pytest.mark.parametrize("options", [(), ("--min-quality", "9"), ("--fdr", "0.1")])
def test_records_come_back_byte_by_byte(run: Run, options: tuple[str, ...]) -> None:
    records = [*RECORDS[:30], BLANK, *RECORDS[30:]]
    Path("reads.fq").write_text("".join(records))
    rows = run("reads.fq", "--ood-out", "ood.fastq", "--in-out", "in.fq", *options)
    assert [row["call"] for row in rows].count("na") == 1
    ood, others = parts(records, [row["call"] == "ood" for row in rows])
    assert Path("ood.fastq").read_text() == ood
    assert Path("in.fq").read_text() == others


def test_selection_and_threads(genood: Genood, run: Run, context_dir: Path, tmp_path: Path) -> None:
    """Reads that are not scored are in neither; in another process with two threads it is the same."""
    Path("reads.fq").write_text("".join(RECORDS))
    arguments = ("reads.fq", "--sample-fraction", "0.5", "--max-reads", "20", "--ood-out", "ood.fq")
    rows = run(*arguments, "--in-out", "in.fq")
    texts = [Path(name).read_text() for name in ("ood.fq", "in.fq")]
    assert sum(text.count("\n") // 4 for text in texts) == len(rows) == 20
    again = genood(
        "score", "-m", context_dir, *arguments, "--in-out", "-", "-o", "scores.tsv",
        "--device", "cpu", "--threads", "2", "--quiet", cwd=tmp_path,
    )  # fmt: skip
    assert (again.returncode, again.stderr) == (0, "")
    assert [Path("ood.fq").read_text(), again.stdout] == texts


def test_fasta(run: Run) -> None:
    """Lower case stays; a sequence is one line."""
    lines = [(f">r{i} of {i}", decode(read_codes(i)).lower()) for i in range(20)]
    Path("reads.fa").write_text("".join(f"{head}\n{text[:60]}\n{text[60:]}\n" for head, text in lines))
    rows = run("reads.fa", "--ood-out", "ood.fasta", "--in-out", "in.reads")
    records = [f"{head}\n{text}\n" for head, text in lines]
    expected = parts(records, [row["call"] == "ood" for row in rows])
    assert (Path("ood.fasta").read_text(), Path("in.reads").read_text()) == expected


DECOMPRESS: dict[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".zst": zstd.decompress,
    ".xz": lzma.decompress,
    ".bz2": bz2.decompress,
}


@pytest.mark.parametrize("ending", DECOMPRESS)
def test_compression(run: Run, ending: str) -> None:
    Path("reads.fq").write_text("".join(RECORDS))
    names = [f"{name}{ending}" for name in ("ood.fq", "in.fq", "positions.tsv")]
    rows = run("reads.fq", "--ood-out", names[0], "--in-out", names[1], "--per-position", names[2])
    texts = [DECOMPRESS[ending](Path(name).read_bytes()).decode() for name in names]
    assert tuple(texts[:2]) == parts(RECORDS, [row["call"] == "ood" for row in rows])
    assert texts[2].count("\n") == sum(int(row["length"]) for row in rows) + 1
    assert Path(names[0]).read_bytes().endswith(BGZF_END) == (ending == ".gz")


def test_nothing_is_ood(run: Run) -> None:
    """The file is there, and whole."""
    Path("reads.fq").write_text(BLANK)
    run("reads.fq", "--ood-out", "ood.fq.gz", "--in-out", "in.fq")
    assert Path("ood.fq.gz").read_bytes() == BGZF_END
    assert Path("in.fq").read_text() == BLANK


@pytest.mark.parametrize("options", [(), ("--fdr", "0.1")])
def test_pairs_stay_together(run: Run, options: tuple[str, ...]) -> None:
    """A pair goes by its own p-value: in two files, and interleaved."""
    for mate, records in enumerate(MATES, start=1):
        Path(f"R{mate}.fq").write_text("".join(records))
    rows = run(
        "--paired", "R1.fq", "R2.fq", "--ood-out", "ood_#.fq", "--in-out", "in_#.fq",
        "--summary", "summary.json", *options,
    )  # fmt: skip
    p_values = np.array([float(row["pair_p_value"]) for row in rows[::2]])
    limit = 0.05
    if options:
        limit = json.loads(Path("summary.json").read_text())["pair_p_value_threshold"]
        assert limit == p_values[false_discovery_control(p_values) <= 0.1].max()
    is_ood = (p_values <= limit).tolist()
    assert [row["pair_call"] == "ood" for row in rows] == [flag for flag in is_ood for _ in range(2)]
    counts = json.loads(Path("summary.json").read_text())["pairs"]
    assert counts == {"in": is_ood.count(False), "ood": is_ood.count(True), "na": 0}
    calls = [row["call"] == "ood" for row in rows]
    assert calls[::2] != calls[1::2]
    for mate, records in enumerate(MATES, start=1):
        ood, others = parts(records, is_ood)
        assert Path(f"ood_{mate}.fq").read_text() == ood
        assert Path(f"in_{mate}.fq").read_text() == others
    together = [first + second for first, second in zip(*MATES, strict=True)]
    Path("both.fq").write_text("".join(together))
    run("--interleaved", "both.fq", "--ood-out", "ood.fq", "--in-out", "in.fq", *options)
    assert (Path("ood.fq").read_text(), Path("in.fq").read_text()) == parts(together, is_ood)


def test_alignments_give_what_was_sequenced(run: Run) -> None:
    """Reverse ones turned back; mates named as such unless they are; others left out."""
    header = pysam.AlignmentHeader.from_dict({"HD": {"VN": "1.6"}, "SQ": [{"SN": "c", "LN": 9_000}]})
    expected = []
    with pysam.AlignmentFile("reads.bam", "wb", header=header) as writer:
        for i in range(40):
            name, flag = (f"r{i}/1" if i % 4 == 0 else f"r{i}"), (65 if i % 2 == 0 else 0)
            codes = read_codes(i)
            qualities = "".join(chr(33 + (j + i) % 41) for j in range(len(codes)))
            for extra in (0, 256, 512):
                record = pysam.AlignedSegment(header)
                record.query_name, record.flag = name, flag | extra | (16 if i % 3 == 1 else 0)
                record.reference_id, record.reference_start, record.cigarstring = 0, i, f"{len(codes)}M"
                record.query_sequence = decode(reverse_complement(codes) if i % 3 == 1 else codes)
                shown = qualities[::-1] if i % 3 == 1 else qualities
                record.query_qualities = pysam.qualitystring_to_array(shown)
                writer.write(record)
            shown_name = name if flag == 0 or name.endswith("/1") else f"{name}/1"
            expected.append(f"@{shown_name}\n{decode(codes)}\n+\n{qualities}\n")
    rows = run("reads.bam", "--ood-out", "ood.fq", "--in-out", "in.fq")
    is_ood = [row["call"] == "ood" for row in rows]
    assert (Path("ood.fq").read_text(), Path("in.fq").read_text()) == parts(expected, is_ood)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("reads.fq", "--ood-out", "o.fa"),
            "o.fa: is FASTA by its name, but read 'read0' has qualities; let",
        ),
        (("reads.fa", "--in-out", "i.fq.gz"), "i.fq.gz: is FASTQ by its name, but read 'c' has no qualities"),
        (("reads.fa", "reads.fq", "--in-out", "i"), "i: read 'read1' has qualities, while reads before it"),
        (("reads.fq", "--ood-out", "scores.tsv"), "scores.tsv: two outputs have the same name"),
        (("reads.fq", "--ood-out", "reads.fq"), "reads.fq: is both an input and an output"),
        (("reads.fq", "--ood-out", "none/o.fq"), "none/o.fq: its directory"),
        (("--paired", "reads.fq", "b.fq", "--ood-out", "o.fq"), "o.fq: --paired writes two files of reads"),
        (("--paired", "reads.fq", "b.fq", "--in-out", "-"), "-: --paired writes two files of reads"),
        (("--paired", "reads.fq", "b.fq", "--in-out", "i#.fq", "--ood-out", "i#.fq"), "i1.fq: two outputs"),
        (("--interleaved", "reads.fq", "--ood-out", "o#.fq"), "o#.fq: mates that come interleaved"),
    ],
)
def test_refusals(
    genood_here: Genood,
    context_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("reads.fq").write_text("".join(RECORDS))
    write_fasta(Path("reads.fa"), {"c": STRAIN[:150]})
    before = sorted(tmp_path.iterdir())
    result = genood_here("score", "-m", context_dir, *arguments, "-o", "scores.tsv", *CPU)
    assert result.returncode == 1
    assert result.stderr.startswith(f"genood: error: {says}")
    assert result.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("options", [(), ("--fdr", "0.1")])
@pytest.mark.parametrize(
    ("target", "says"), [("o.fq", "'c' has no qualities"), ("o.fa", "'c' has qualities")]
)
def test_names_are_checked_whatever_the_calls(
    genood_here: Genood,
    context_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    target: str,
    says: str,
    options: tuple[str, ...],
) -> None:
    """No read is ood."""
    monkeypatch.chdir(tmp_path)
    sequence = decode(STRAIN[:150])
    Path("reads").write_text(f">c\n{sequence}\n" if target == "o.fq" else f"@c\n{sequence}\n+\n{'I' * 150}\n")
    outputs = ("-o", "scores.tsv", "--ood-out")
    result = genood_here("score", "-m", context_dir, "reads", *outputs, "o.txt", *options, *CPU)
    assert (result.returncode, Path("o.txt").read_text()) == (0, "")
    Path("scores.tsv").unlink()
    result = genood_here("score", "-m", context_dir, "reads", *outputs, target, *options, *CPU)
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert says in result.stderr
    assert not Path("scores.tsv").exists()
