"""`genood score --bam-out`: the alignments of the input with the scores as tags; or unaligned records."""

from __future__ import annotations

import csv
import gzip
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pysam
import pytest
from conftest import Genood
from toys import strain_of, uniform_codes, write_fasta

from genood import __version__
from genood.sequence import Codes, decode, reverse_complement

CPU = ("--device", "cpu", "--threads", "1")
GENOME = strain_of(uniform_codes(24_000, 1), 77)
HEADER = """\
@HD\tVN:1.6\tSO:coordinate
@SQ\tSN:c\tLN:24000
@SQ\tSN:empty\tLN:7
@RG\tID:g\tSM:s
@PG\tID:bwa\tPN:bwa
@PG\tID:genood\tPN:genood\tPP:bwa
@CO\tas it was
"""
OTHERS = [256, 2048, 512, 0]
"""Flags of records that are no reads; the last one is without a sequence."""
Run = Callable[..., list[dict[str, str]]]


def read_codes(i: int) -> Codes:
    if i == 7:
        return uniform_codes(50, 1) * 0 + 4
    return uniform_codes(150, 1000 + i) if i % 3 == 0 else GENOME[400 * i : 400 * i + 150]


def aligned(header: pysam.AlignmentHeader, i: int, flag: int) -> pysam.AlignedSegment:
    codes = read_codes(i)
    record = pysam.AlignedSegment(header)
    record.query_name, record.flag = f"r{i}", flag | (16 if i % 2 else 0)
    record.reference_id, record.reference_start, record.cigarstring = 0, 400 * i, f"{len(codes)}M"
    record.query_sequence = decode(reverse_complement(codes) if i % 2 else codes)
    record.query_qualities = pysam.qualitystring_to_array("ABCDE" * (len(codes) // 5))
    record.set_tags([("RG", "g", "Z"), ("XC", 5, "i"), ("XF", 0.123456789, "f")])
    return record


def alignments(text: str = HEADER) -> tuple[pysam.AlignmentHeader, list[pysam.AlignedSegment]]:
    """Forty reads in the order of their places, and between them others."""
    header = pysam.AlignmentHeader.from_text(text)
    records = []
    for i in range(40):
        records.append(aligned(header, i, 0))
        if i % 8 == 5:
            records += [aligned(header, i, flag) for flag in OTHERS]
            records[-1].query_sequence = None
    return header, records


def write(path: str, header: pysam.AlignmentHeader, records: list[pysam.AlignedSegment]) -> None:
    mode = {"b": "wb", "s": "w", "c": "wc"}[path.rpartition(".")[2][0]]
    with pysam.AlignmentFile(path, mode, header=header, reference_filename="genome.fa") as writer:  # type: ignore[arg-type]
        for record in records:
            writer.write(record)


def read(path: str) -> tuple[str, list[pysam.AlignedSegment]]:
    with pysam.AlignmentFile(path, check_sq=False, reference_filename="genome.fa") as reader:
        return str(reader.header), list(reader.fetch(until_eof=True))


def without_scores(record: pysam.AlignedSegment) -> str:
    return re.sub(r"\tX[LPC]:[^\t]*", "", record.to_string())


def without_order_of_tags(record: pysam.AlignedSegment) -> list[str]:
    """CRAM has an order of its own, and adds tags that follow from the reference."""
    cells = without_scores(record).split("\t")
    return [*cells[:11], *sorted(cell for cell in cells[11:] if cell[:2] not in ("MD", "NM"))]


def tagged(records: list[pysam.AlignedSegment]) -> Iterator[dict[str, str]]:
    """The tags of records that were scored, as the table shows them."""
    for record in records:
        tags = {name: (value, kind) for name, value, kind in record.get_tags(with_value_type=True)}
        if tags.get("XC", ("", ""))[1] != "Z":
            assert not {"XL", "XP"} & set(tags)
            continue
        assert {kind for name, (_, kind) in tags.items() if name in ("XL", "XP")} <= {"f"}
        yield {
            "read_id": record.query_name or "",
            "llr_per_base": f"{tags['XL'][0]:.6g}" if "XL" in tags else "",
            "p_value": f"{tags['XP'][0]:.6g}" if "XP" in tags else "",
            "call": tags["XC"][0],
        }


def shown(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: row[name] for name in ("read_id", "llr_per_base", "p_value", "call")} for row in rows]


@pytest.fixture
def run(genood_here: Genood, context_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Score in a folder of its own; the rows of the table."""
    monkeypatch.chdir(tmp_path)
    write_fasta(Path("genome.fa"), {"c": GENOME, "empty": uniform_codes(7, 1)})

    def score(*arguments: str | Path) -> list[dict[str, str]]:
        result = genood_here("score", "-m", context_dir, *arguments, "-o", "scores.tsv", *CPU)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
        return list(csv.DictReader(io.StringIO(Path("scores.tsv").read_text()), delimiter="\t"))

    return score


@pytest.mark.parametrize("options", [(), ("--fdr", "0.2")])
def test_records_in_their_place_with_tags(run: Run, options: tuple[str, ...]) -> None:
    header, records = alignments()
    write("reads.bam", header, records)
    rows = run("reads.bam", "--bam-out", "scored.bam", *options)
    assert {row["call"] for row in rows} == {"in", "ood", "na"}
    pysam.quickcheck("scored.bam")
    text, found = read("scored.bam")
    *same, program = text.splitlines()
    assert same == HEADER.splitlines()
    start = f"@PG\tID:genood.1\tPN:genood\tPP:genood\tVN:{__version__}\tCL:genood score -m "
    assert program.startswith(start)
    assert program.endswith(
        " ".join(["reads.bam", "--bam-out", "scored.bam", *options, "-o", "scores.tsv", *CPU])
    )
    assert list(map(without_scores, found)) == list(map(without_scores, records))
    assert list(tagged(found)) == shown(rows)
    assert sum(record.get_tag("XC") == 5 for record in found if record.has_tag("XC")) == 5 * len(OTHERS)
    assert {record.get_tag("XF") for record in found} == {records[0].get_tag("XF")}
    pysam.index("scored.bam")
    with pysam.AlignmentFile("scored.bam") as reader:
        assert [record.query_name for record in reader.fetch("c", 800, 1201)] == ["r2", "r3"]


@pytest.mark.parametrize("source", ["reads.sam", "reads.bam", "reads.cram"])
@pytest.mark.parametrize("target", ["scored.sam", "scored.cram"])
def test_formats(run: Run, source: str, target: str) -> None:
    header, records = alignments()
    write(source, header, [record for record in records if record.query_sequence])
    before = list(map(without_order_of_tags, read(source)[1]))
    rows = run(source, "--bam-out", target, "--reference", "genome.fa")
    assert Path(target).read_bytes()[:3] == {"scored.sam": b"@HD", "scored.cram": b"CRA"}[target]
    found = read(target)[1]
    assert list(map(without_order_of_tags, found)) == before
    assert list(tagged(found)) == shown(rows)


def test_reads_that_are_not_taken_stay_untagged(run: Run) -> None:
    header, records = alignments()
    write("reads.bam", header, records)
    rows = run("reads.bam", "--bam-out", "scored.bam", "--min-length", "60", "--sample-fraction", "0.5")
    assert 0 < len(rows) < 35
    found = read("scored.bam")[1]
    assert list(map(without_scores, found)) == list(map(without_scores, records))
    assert list(tagged(found)) == shown(rows)


def test_what_another_run_has_left_is_gone(run: Run) -> None:
    header, records = alignments()
    write("reads.bam", header, records)
    run("reads.bam", "--bam-out", "first.bam")
    rows = run("first.bam", "--bam-out", "second.bam", "--sample-fraction", "0.5")
    assert 0 < len(rows) < 35
    first, second = read("first.bam")[1], read("second.bam")[1]
    assert list(tagged(second)) == shown(rows)
    assert list(map(without_scores, second)) == list(map(without_scores, first))
    # Another program's tag of that name stays.
    assert sum(record.get_tag("XC") == 5 for record in second if record.has_tag("XC")) == 5 * len(OTHERS)


def test_without_records(run: Run) -> None:
    write("none.bam", pysam.AlignmentHeader.from_text(HEADER), [])
    run("none.bam", "--bam-out", "scored.bam")
    Path("none.fq").touch()
    text, found = read("scored.bam")
    assert (text[: len(HEADER)], found) == (HEADER, [])
    run("none.fq", "--bam-out", "unaligned.bam")
    text, found = read("unaligned.bam")
    assert (text.splitlines()[0], found) == ("@HD\tVN:1.6\tSO:unsorted", [])


def test_several_inputs(run: Run) -> None:
    """No longer sorted."""
    header, records = alignments()
    write("a.bam", header, records[:10])
    write("b.sam", alignments(HEADER.replace("@CO\tas it was\n", ""))[0], records[10:])
    rows = run("a.bam", "b.sam", "--bam-out", "scored.bam")
    text, found = read("scored.bam")
    assert text.splitlines()[:2] == ["@HD\tVN:1.6\tSO:unsorted", "@SQ\tSN:c\tLN:24000"]
    assert list(map(without_scores, found)) == list(map(without_scores, records))
    assert list(tagged(found)) == shown(rows)


@pytest.mark.parametrize(
    ("pairs", "inputs", "says"),
    [
        ((), ("a.bam", "c.fa"), "--bam-out: a.bam holds alignments, c.fa sequences; no header is"),
        ((), ("c.fa", "b.sam.gz"), "--bam-out: b.sam.gz holds alignments, c.fa sequences; no header is"),
        (("--paired",), ("a.bam", "b.sam.gz"), "a.bam: --bam-out gives back alignments in their order"),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_inputs_that_do_not_go_together(
    genood_here: Genood,
    context_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    pairs: tuple[str, ...],
    inputs: tuple[str, ...],
    says: str,
    is_stream: bool,
) -> None:
    """Of files that is said before the bundle is missed; of streams only reading tells."""
    monkeypatch.chdir(tmp_path)
    header, records = alignments()
    write("a.bam", header, records)
    write("b.sam", header, records)
    Path("b.sam.gz").write_bytes(gzip.compress(Path("b.sam").read_bytes()))
    write_fasta(Path("c.fa"), {"text": GENOME[:100]})
    if is_stream:
        monkeypatch.setattr("genood.intake.stream.holds_alignments", lambda path: None)
    bundle = context_dir if is_stream else "missing"
    outputs = ("--bam-out", "o.bam", "-o", "scores.tsv")
    result = genood_here("score", "-m", bundle, *pairs, *inputs, *outputs, *CPU)
    assert result.returncode == 1
    assert result.stderr.startswith(f"genood: error: {says}")
    assert not Path("o.bam").exists()


def test_mates_in_two_files_of_alignments_without_bam_out(run: Run) -> None:
    header, records = alignments()
    write("a.bam", header, records)
    write("b.bam", header, records)
    assert len(run("--paired", "a.bam", "b.bam")) == 80


@pytest.mark.parametrize("target", ["scored.sam", "scored.bam"])
def test_comments_that_hold_tags(run: Run, target: str) -> None:
    """As samtools fastq -T writes them; what is no field of SAM, or there already, is a comment."""
    comments = {
        "fields": "XL:f:9.5\tXC:Z:in\tXF:f:0.5\tXG:f:-25e-2\tBC:Z:AC GT\tNM:i:-3\tXA:A:q\tXH:H:1AFF\tXE:Z:",
        "twice": "BC:Z:one\tBC:Z:two\tCO:Z:a  note",
        "no field": "XN:i:99999999999\tXN:f:1e39\tXN:i:x\tXA:A:ab\t1:N:0:ACGT",
        "text": "  x \t y",
    }
    lines = [
        f"@{name[:2]}\t{text}\n{decode(read_codes(1))}\n+\n{'I' * 150}\n" for name, text in comments.items()
    ]
    Path("reads.fq").write_text("".join(lines))
    rows = run("reads.fq", "--bam-out", target)
    found = read(target)[1]
    assert list(tagged(found)) == shown(rows)
    assert [
        {name: value for name, value in record.get_tags() if name not in ("XL", "XP", "XC")}
        for record in found
    ] == [
        {
            "XF": 0.5,
            "XG": -0.25,
            "BC": "AC GT",
            "NM": -3,
            "XA": "q",
            "XH": "1AFF",
            "XE": "",
            "CO": "XL:f:9.5 XC:Z:in",
        },
        {"BC": "one", "CO": "BC:Z:two a note"},
        {"CO": "XN:i:99999999999 XN:f:1e39 XN:i:x XA:A:ab 1:N:0:ACGT"},
        {"CO": "x y"},
    ]


def test_blanks_before_a_name(run: Run) -> None:
    Path("reads.fa").write_text(f"> \ta b\tc\n{decode(GENOME[:100])}\n")
    [row] = run("reads.fa", "--bam-out", "o.sam")
    [record] = read("o.sam")[1]
    assert (row["read_id"], record.query_name, record.get_tag("CO")) == ("a", "a", "b c")


@pytest.mark.parametrize("name", ["@CO", "*", "n" * 255, "/1"])
def test_names_that_sam_does_not_allow(
    genood_here: Genood, context_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    sequence = decode(GENOME[:100])
    for number in (1, 2):
        Path(f"{number}.fa").write_text(f">good\n{sequence}\n>{name}\n{sequence}\n")
    inputs = ("--paired", "1.fa", "2.fa") if name == "/1" else ("1.fa",)
    shown_name = {255: f"'{'n' * 40}'...", 2: "''"}.get(len(name), repr(name))
    result = genood_here("score", "-m", context_dir, *inputs, "--bam-out", "o.sam", "-o", "s.tsv", *CPU)
    assert (result.returncode, result.stderr) == (
        1,
        f"genood: error: o.sam: cannot hold the read {shown_name}: in SAM, names have 1 to 254 letters, "
        "do not start with '@' and are not '*'\n",
    )
    assert not Path("o.sam").exists()


@pytest.mark.parametrize("options", [(), ("--fdr", "0.2")])
def test_unaligned_mates(run: Run, options: tuple[str, ...]) -> None:
    texts = [decode(read_codes(i)) for i in range(20)]
    for mate in (1, 2):
        lines = [f"@r{i}/{mate} x  y\n{text.lower()}\n+\n{'I' * len(text)}\n" for i, text in enumerate(texts)]
        Path(f"R{mate}.fq").write_text("".join(lines))
    rows = run("--paired", "R1.fq", "R2.fq", "--bam-out", "scored.bam", *options)
    pysam.quickcheck("-u", "scored.bam")
    found = read("scored.bam")[1]
    assert [(r.query_name, r.flag) for r in found] == [
        (f"r{i // 2}", 141 if i % 2 else 77) for i in range(40)
    ]
    assert [r.query_sequence for r in found] == [texts[i // 2] for i in range(40)]
    assert {(r.query_qualities_str or "").strip("I") for r in found} == {""}
    assert {r.get_tag("CO") for r in found} == {"x y"}
    expected = [row | {"read_id": row["read_id"][:-2]} for row in shown(rows)]
    assert list(tagged(found)) == expected


def test_unaligned_cram_of_single_reads(run: Run) -> None:
    write_fasta(Path("reads.fa"), {"a/1": GENOME[:90], "b": GENOME[90:200]})
    rows = run("reads.fa", "--bam-out", "scored.cram")
    found = read("scored.cram")[1]
    assert [(r.query_name, r.flag, r.query_qualities) for r in found] == [("a/1", 4, None), ("b", 4, None)]
    assert list(tagged(found)) == shown(rows)


REFUSALS = {
    "format": (("a.bam", "--bam-out", "o.txt"), "o.txt: --bam-out needs a file ending in .sam, .bam, .cram"),
    "stream": (("a.bam", "--bam-out", "-"), "-: --bam-out needs a file ending in"),
    "input": (("a.bam", "--bam-out", "a.bam"), "a.bam: is both an input and an output"),
    "reference": (("a.bam", "--bam-out", "o.cram"), "o.cram: CRAM of aligned reads needs their genome"),
    "headers": (("a.bam", "b.bam", "--bam-out", "o.bam"), "--bam-out: the inputs are aligned to different"),
    "headers, spooled": (
        ("a.bam", "b.bam", "--bam-out", "o.bam", "--fdr", "0.1"),
        "--bam-out: the inputs are aligned to different",
    ),
    "programs": (("a.bam", "d.bam", "--bam-out", "o.bam"), "--bam-out: the inputs have different @PG or @CO"),
    "full disk": (("a.bam", "--bam-out", "full.bam"), "full.bam: cannot be written ("),
}


@pytest.mark.parametrize(("arguments", "says"), REFUSALS.values(), ids=REFUSALS)
def test_refusals(
    genood_here: Genood,
    context_dir: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    header, records = alignments()
    write("a.bam", header, records)
    write("b.bam", *alignments(HEADER.replace("24000", "24001")))
    write("d.bam", *alignments(HEADER.replace("as it was", "as it is")))
    Path("full.bam").symlink_to("/dev/full")
    before = sorted(tmp_path.iterdir())
    result = genood_here("score", "-m", context_dir, *arguments, "-o", "scores.tsv", *CPU)
    assert result.returncode == 1
    assert result.stderr.startswith(f"genood: error: {says}")
    assert result.stderr.count("\n") == 1
    assert sorted(tmp_path.iterdir()) == before
