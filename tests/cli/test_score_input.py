"""`genood score`: formats, pairs and the selection of reads."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import pysam
import pytest
from backports import zstd
from cli.score_tables import rows_of
from conftest import Genood
from toys import markov_codes, uniform_codes, write_fasta

from genood.sequence import Codes, decode, reverse_complement

CPU = ("--device", "cpu", "--threads", "1")
Score = Callable[..., list[dict[str, str]]]
SKIPPED = {"secondary": 256, "supplementary": 2048, "failed quality control": 512}


def some_reads() -> dict[str, Codes]:
    lengths = [1, 30, 60, 61, 90, 100, 149, 150, 151, 250, 251, 1200]
    random.Random(2).shuffle(lengths)
    reads = {
        f"read{i}": (uniform_codes if i % 3 == 0 else markov_codes)(length, 300 + i)
        for i, length in enumerate(lengths)
    }
    reads["gapped"] = reads["read1"].copy()
    reads["gapped"][::7] = 4
    return reads


READS = some_reads()


def fastq(reads: dict[str, Codes], quality: str = "I") -> bytes:
    return "".join(f"@{name} x\n{decode(c)}\n+\n{quality * len(c)}\n" for name, c in reads.items()).encode()


def write_alignments(path: Path, reads: dict[str, Codes], mode: str = "wb", **extra: object) -> Path:
    """The reads aligned to nothing in particular, every second one reversed; and some records to skip."""
    header = pysam.AlignmentHeader.from_dict({"HD": {"VN": "1.6"}, "SQ": [{"SN": "c", "LN": 9_000}]})
    with pysam.AlignmentFile(str(path), mode, header=header, **extra) as writer:  # type: ignore[arg-type]
        for i, (name, codes) in enumerate(reads.items()):
            for flag in (0, *(SKIPPED.values() if i == 2 else ())):
                record = pysam.AlignedSegment(header)
                record.query_name = name
                record.flag = flag | (16 if i % 2 else 0)
                record.reference_id = 0
                record.reference_start = i
                record.cigarstring = f"{len(codes)}M"
                record.query_sequence = decode(reverse_complement(codes) if i % 2 else codes)
                record.query_qualities = pysam.qualitystring_to_array("I" * len(codes))
                writer.write(record)
    return path


@pytest.fixture
def score(genood_here: Genood, bundle_dir: Path) -> Score:
    def run(*arguments: str | Path) -> list[dict[str, str]]:
        result = genood_here("score", "-m", bundle_dir, *arguments, *CPU)
        assert (result.returncode, result.stderr) == (0, "")
        return rows_of(result.stdout)

    return run


def test_formats_give_identical_tables(
    genood: Genood, genood_here: Genood, bundle_dir: Path, tmp_path: Path
) -> None:
    genome = write_fasta(tmp_path / "genome.fa", {"c": uniform_codes(9_000, 1)})
    inputs: dict[str, Path] = {
        "fasta": write_fasta(tmp_path / "reads.fa", READS),
        "fastq": tmp_path / "reads.fastq.zst",
        "sam": write_alignments(tmp_path / "reads.sam", READS, "w"),
        "bam": write_alignments(tmp_path / "reads.bam", READS),
        "cram": write_alignments(tmp_path / "reads.cram", READS, "wc", reference_filename=str(genome)),
    }
    inputs["fastq"].write_bytes(zstd.compress(fastq(READS)))
    tables = {}
    for name, path in inputs.items():
        result = genood_here("score", "-m", bundle_dir, path, "--reference", genome, *CPU)
        assert result.returncode == 0
        tables[name] = result.stdout
    for name in ("fastq", "bam"):
        content = inputs[name].read_bytes()
        piped = genood("score", "-m", bundle_dir, "-", "--quiet", *CPU, stdin=content)
        assert (piped.returncode, piped.stderr) == (0, "")
        tables[f"{name} from stdin"] = piped.stdout
    assert len(tables["fasta"].splitlines()) == len(READS) + 1
    assert {name: table for name, table in tables.items() if table != tables["fasta"]} == {}


def test_skipped_records_are_counted(score: Score, tmp_path: Path) -> None:
    bam = write_alignments(tmp_path / "reads.bam", READS)
    summary = tmp_path / "summary.json"
    rows = score(bam, "--min-length", "60", "--summary", summary)
    assert len(rows) == len(READS) - 2
    expected = {"nothing to score": 0, **dict.fromkeys(SKIPPED, 1), "shorter than --min-length": 2}
    reads = json.loads(summary.read_text())["reads"]
    assert reads == {"in": len(READS) + 3, "scored": len(READS) - 2, "skipped": expected}


def test_pairs(score: Score, tmp_path: Path) -> None:
    """Three mates and their partners; of the last pair only one can be scored."""
    mates = [
        {"a/1": markov_codes(90, 1), "b/1": uniform_codes(60, 2), "c/1": uniform_codes(70, 5)},
        {"a/2": markov_codes(70, 3), "b/2": uniform_codes(90, 4), "c/2": uniform_codes(70, 6) * 0 + 4},
    ]
    paths = [tmp_path / f"lane{lane}_R{number}.fastq" for lane in (1, 2) for number in (1, 2)]
    for path, reads in zip(paths, [*mates, *mates], strict=True):
        path.write_bytes(fastq(reads))
    together = {
        name: codes for pair in zip(*(reads.items() for reads in mates), strict=True) for name, codes in pair
    }
    (tmp_path / "both.fastq").write_bytes(fastq(together))
    rows = score("--paired", *paths, "--detector", "llr", "--detector", "likelihood")
    assert rows[:6] == rows[6:]
    assert rows[:6] == score(
        "--interleaved", tmp_path / "both.fastq", "--detector", "llr", "--detector", "likelihood"
    )
    plain = score(tmp_path / "both.fastq")
    assert list(rows[0])[-2:] == ["pair_p_value", "pair_call"]
    for row, alone in zip(rows[:6], plain, strict=True):
        assert row["mate"] == row["read_id"][-1]
        for column in set(alone) - {"mate"}:
            assert row[column] == alone[column]
    for one, other in zip(rows[:6:2], rows[1:6:2], strict=True):
        p_values = sorted(float(row["p_value"]) for row in (one, other) if row["p_value"])
        expected = min(2 * p_values[0], p_values[-1])
        assert one["pair_p_value"] == other["pair_p_value"]
        assert float(one["pair_p_value"]) == pytest.approx(expected, rel=1e-5)
        assert one["pair_call"] == other["pair_call"] == ("ood" if expected <= 0.05 else "in")


def test_mates_make_the_fraction_no_surer(genood_here: Genood, bundle_dir: Path, tmp_path: Path) -> None:
    """Of mates that say the same, a run knows what it knows of either alone."""
    reads = {f"r{i}": uniform_codes(40, i) for i in range(60)}
    for name in ("first.fq", "second.fq"):
        (tmp_path / name).write_bytes(fastq(reads))

    def fraction(*arguments: str) -> object:
        paths = [tmp_path / argument if argument.endswith("fq") else argument for argument in arguments]
        summary = tmp_path / "summary.json"
        result = genood_here("score", "-m", bundle_dir, *paths, "-o", "/dev/null", "--summary", summary, *CPU)
        assert result.returncode == 0, result.stderr
        return json.loads(summary.read_text())["ood_fraction"]

    assert fraction("--paired", "first.fq", "second.fq") == fraction("first.fq")
    assert fraction("first.fq", "second.fq") != fraction("first.fq")


def test_selection(score: Score, tmp_path: Path) -> None:
    reads = {f"r{i}": uniform_codes(40, i) for i in range(200)}
    forward, backward = tmp_path / "forward.fq", tmp_path / "backward.fq"
    forward.write_bytes(fastq(reads))
    backward.write_bytes(fastq(dict(reversed(reads.items()))))
    names = [row["read_id"] for row in score(forward, "--sample-fraction", "0.3", "--seed", "4")]
    assert 30 < len(names) < 90
    again = [row["read_id"] for row in score(backward, "--sample-fraction", "0.3", "--seed", "4")]
    assert again == names[::-1]
    few = score(forward, "--max-reads", "7")
    assert [row["read_id"] for row in few] == [f"r{i}" for i in range(7)]


def test_min_quality(score: Score, tmp_path: Path) -> None:
    path = tmp_path / "reads.fq"
    path.write_text("@strong\nACGTACGTAC\n+\n5555555555\n@weak\nACGTACGTAC\n+\n5555!4+555\n")
    rows = score(path, "--min-quality", "20")
    assert [row["num_scored"] for row in rows] == ["10", "7"]
    assert [row["length"] for row in rows] == ["10", "10"]


def test_what_comes_after_the_last_read_is_not_counted(
    genood_here: Genood, bundle_dir: Path, tmp_path: Path
) -> None:
    """Blocks hold 1,024 reads; after that of the last read comes a secondary record in each."""
    lines = [
        f"r{i}\t{flag}\t*\t0\t0\t*\t*\t0\t0\tACGTACGT\t*\n"
        for i in range(20_000)
        for flag in ([4, 260] if i % 1_000 == 500 else [4])
    ]
    path, summary = tmp_path / "reads.sam", tmp_path / "summary.json"
    path.write_text("@HD\tVN:1.6\n" + "".join(lines))
    for number, secondary in ((700, 1), (1_100, 2), (20_000, 20)):
        outputs = ("-o", tmp_path / "scores.tsv", "--summary", summary)
        result = genood_here("score", "-m", bundle_dir, path, "--max-reads", str(number), *outputs, *CPU)
        assert result.returncode == 0
        reads = json.loads(summary.read_text())["reads"]
        assert reads["in"] == number + secondary
        assert reads["skipped"] == {"nothing to score": 0, "secondary": secondary}


def test_records_left_out_at_the_end_are_counted(score: Score, tmp_path: Path) -> None:
    for name, flags in {"some": [4, 260, 516], "none": [260, 260]}.items():
        path = tmp_path / f"{name}.sam"
        lines = [f"r{i}\t{flag}\t*\t0\t0\t*\t*\t0\t0\tACGT\t*\n" for i, flag in enumerate(flags)]
        path.write_text("@HD\tVN:1.6\n" + "".join(lines))
        rows = score(path, "--summary", tmp_path / "summary.json")
        assert len(rows) == flags.count(4)
        assert json.loads((tmp_path / "summary.json").read_text())["reads"]["in"] == len(flags)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (("--paired", "--interleaved", "a.fq", "b.fq"), 2, "two ways to give mates; give one"),
        (("--paired", "--max-reads", "1", "a.fq", "b.fq"), 2, "--max-reads counts reads, and a pair has two"),
        (("--interleaved", "--max-reads", "1", "a.fq"), 2, "--max-reads counts reads, and a pair has two"),
        (("--paired", "a.fq"), 1, "--paired needs an even number of files"),
        (("--paired", "a.fq", "./a.fq"), 1, "a.fq and ./a.fq are one file; --paired needs mates 1 and"),
        (("a.fq", "b.fq", "./a.fq"), 1, "./a.fq: is named twice"),
        (("--paired", "a.fq", "b.fq"), 1, "b.fq, record 2: 'r9' is not the mate of 'r1' in a.fq"),
        (("--interleaved", "a.fq"), 1, "a.fq, record 2: 'r1' is not the mate of 'r0' before it"),
        (("--min-quality", "9", "a.fa"), 1, "a.fa, record 1: has no base qualities, which --min-quality"),
        (("--reference", "none.fa", "a.fa"), 1, "none.fa: no such file"),
        (("--reference", "scores.tsv", "a.fa"), 1, "scores.tsv: is both an input and an output"),
        (("half.bam",), 1, "half.bam: the BAM file is truncated or corrupt, after 0 complete records"),
    ],
)
def test_refusals(
    genood_here: Genood,
    bundle_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    code: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.fq").write_bytes(fastq({"r0": uniform_codes(30, 1), "r1": uniform_codes(30, 2)}))
    Path("b.fq").write_bytes(fastq({"r0": uniform_codes(30, 1), "r9": uniform_codes(30, 2)}))
    write_fasta(Path("a.fa"), {"r0": uniform_codes(30, 1)})
    content = write_alignments(Path("whole.bam"), READS).read_bytes()
    Path("half.bam").write_bytes(content[: len(content) // 2])
    result = genood_here("score", "-m", bundle_dir, *arguments, "-o", "scores.tsv", *CPU)
    assert result.returncode == code
    assert says in result.stderr
    assert not Path("scores.tsv").exists()
