"""`genood split` and `genood gather`: what is scored in parts is, to the byte, what one run gives."""

from __future__ import annotations

import contextlib
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest
from conftest import Genood
from refusals import check_refused
from toys import strain_of, uniform_codes, write_fasta

from genood.sequence import Codes, decode

CPU = ("--device", "cpu", "--threads", "1")
NUM_READS = 70
STRAIN = strain_of(uniform_codes(24_000, 1), 77)
TIMES = {"wall_seconds", "reads_per_second", "bases_per_second"}
HEADER = {"HD": {"VN": "1.6", "SO": "unsorted"}, "SQ": [{"SN": "chr", "LN": 999}], "CO": ["as it was"]}
MORE_COLUMNS = ("--detector", "llr", "--detector", "likelihood", "--predicted-class")
Run = Callable[..., None]


def codes_of(i: int, mate: int = 1) -> Codes:
    """Of a strain of a training genome, of 40 to 151 bases; every third fragment random, one of N only."""
    length = 40 + (37 * i) % 112
    if i == 31:
        return np.full(length, 4, dtype=np.uint8)
    if i % 3 == 0:
        return uniform_codes(length, 1000 + 2 * i + mate)
    start = 300 * i + (151 if mate == 2 else 0)
    return STRAIN[start : start + length]


def fastq_record(i: int, mate: int = 1) -> str:
    text = decode(codes_of(i, mate))
    qualities = "".join(chr(33 + (7 * j + i) % 41) for j in range(len(text)))
    return f"@read{i}/{mate} x={i}\n{text[:9].lower()}{text[9:]}\n+\n{qualities}\n"


def write_bam(path: Path) -> None:
    """Mates one after the other, with tags; some secondary records among them."""
    header = pysam.AlignmentHeader.from_dict(HEADER)
    with pysam.AlignmentFile(str(path), "wb", header=header) as file:
        for i in range(NUM_READS):
            for mate in (1, 2):
                record = pysam.AlignedSegment(header)
                record.query_name, record.query_sequence = f"read{i}", decode(codes_of(i, mate))
                record.flag = pysam.FPAIRED | pysam.FUNMAP | (pysam.FREAD1 if mate == 1 else pysam.FREAD2)
                record.query_qualities = pysam.qualitystring_to_array("F" * record.query_length)
                record.set_tag("RX", f"ACG{i}")
                file.write(record)
            if i % 9 == 0:
                record.flag |= pysam.FSECONDARY
                file.write(record)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the same reads as FASTQ, mates in two files, BAM and FASTA."""
    folder = tmp_path_factory.mktemp("inputs")
    for mate in (1, 2):
        text = "".join(fastq_record(i, mate) for i in range(NUM_READS))
        (folder / f"R{mate}.fastq.gz").write_bytes(gzip.compress(text.encode()))
    write_bam(folder / "reads.bam")
    write_fasta(folder / "reads.fa", {f"read{i}": codes_of(i) for i in range(NUM_READS)})
    return folder


@pytest.fixture
def run(genood_here: Genood, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in a folder of its own, where the inputs are too."""
    for path in inputs.iterdir():
        (tmp_path / path.name).symlink_to(path)
    monkeypatch.chdir(tmp_path)

    def quiet(*arguments: str | Path) -> None:
        result = genood_here(*arguments, "-q")
        assert result.returncode == 0, result.stderr

    return quiet


def summary_of(path: Path) -> dict[str, Any]:
    summary = json.loads(path.read_text())
    return {key: value for key, value in summary.items() if key not in TIMES}


KINDS = {
    "single": (["R1.fastq.gz"], [], "parts/%.fastq", "ood.fastq"),
    "mates": (["R1.fastq.gz", "R2.fastq.gz"], ["--paired"], "parts/%_R#.fastq.zst", "ood_R#.fastq"),
    "alignments": (["reads.bam"], ["--interleaved"], "parts/%.bam", "ood.fastq"),
    "sequences": (["reads.fa"], [], "parts/%.fasta.gz", "ood.fasta"),
}


def score_parts(run: Run, bundle: Path, pairs: list[str], *options: str, ending: str = "tsv") -> list[Path]:
    """Score all parts of the manifest; their tables."""
    tables = []
    for part in json.loads(Path("parts/manifest.json").read_text())["parts"]:
        tables.append(Path("parts", f"{part['name']}.{ending}"))
        beside = f"parts/{part['name']}.summary.json"
        run(
            "score",
            "-m",
            bundle,
            *pairs,
            *part["files"],
            "-o",
            tables[-1],
            "--summary",
            beside,
            *options,
            *CPU,
        )
    return tables


@pytest.mark.parametrize("kind", KINDS)
def test_parts_give_what_one_run_gives(run: Run, context_dir: Path, tmp_path: Path, kind: str) -> None:
    reads, pairs, pattern, ood = KINDS[kind]
    outputs = ["--ood-out", ood, "--kraken-report", "kraken.txt", "--kraken-output", "lines.txt"]
    whole, gathered = tmp_path / "whole", tmp_path / "gathered"
    for level in ([], ["--fdr", "0.2"]):
        run("score", "-m", context_dir, *pairs, *reads, "-o", "scores.tsv", "--summary", "s.json",
            *MORE_COLUMNS, *outputs, *level, *CPU)  # fmt: skip
        keep_outputs(tmp_path, whole)
        for number in (1, 4, 16):
            if not level:
                Path("parts").mkdir()
                run(
                    "split",
                    *pairs,
                    *reads,
                    "-n",
                    str(number),
                    "-o",
                    pattern,
                    "--manifest",
                    "parts/manifest.json",
                )
                score_parts(run, context_dir, pairs, *MORE_COLUMNS)
                Path("parts").rename(f"parts{number}")
            Path(f"parts{number}").rename("parts")
            tables = sorted(Path("parts").glob("*.tsv"))  # not in the order of the parts
            run("gather", *tables, "--manifest", "parts/manifest.json", "-o", "scores.tsv",
                "--summary", "s.json", *outputs, *level)  # fmt: skip
            Path("parts").rename(f"parts{number}")
            keep_outputs(tmp_path, gathered)
            assert {path.name for path in whole.iterdir()} == {path.name for path in gathered.iterdir()}
            for path in whole.iterdir():
                if path.suffix == ".json":
                    assert summary_of(path) == summary_of(gathered / path.name)
                else:
                    assert path.read_bytes() == (gathered / path.name).read_bytes()
    calls = summary_of(whole / "s.json")["calls"]
    assert calls["ood"] > 10
    assert calls["na"] == (2 if pairs else 1)


def keep_outputs(source: Path, target: Path) -> None:
    """Move the outputs of a command away, in place of those of an earlier one."""
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    for path in source.iterdir():
        if path.is_file() and not path.is_symlink():
            path.rename(target / path.name)


def test_parquet_and_compressed_tables(run: Run, context_dir: Path, tmp_path: Path) -> None:
    run("score", "-m", context_dir, "reads.fa", "-o", "scores.tsv", *CPU)
    Path("parts").mkdir()
    run("split", "reads.fa", "-n", "3", "-o", "parts/%.fa", "--manifest", "parts/manifest.json")
    for ending in ("parquet", "tsv.zst"):
        tables = score_parts(run, context_dir, [], ending=ending)
        run("gather", *tables, "-o", "gathered.tsv")  # in their order, it needs no manifest
        assert Path("gathered.tsv").read_bytes() == Path("scores.tsv").read_bytes()


def test_parts_from_standard_input(run: Run, context_dir: Path, tmp_path: Path) -> None:
    run("score", "-m", context_dir, "reads.fa", "-o", "scores.tsv", *CPU)
    Path("parts").mkdir()
    run("split", "reads.fa", "-n", "2", "-o", "parts/%.fa", "--manifest", "parts/manifest.json")
    tables = score_parts(run, context_dir, [])
    for part in (1, 2):
        edit_summary(Path(f"parts/{part}-of-2.summary.json"), inputs=["-"])
    run("gather", *tables, "-o", "gathered.tsv", "--summary", "s.json")
    assert Path("gathered.tsv").read_bytes() == Path("scores.tsv").read_bytes()
    assert summary_of(Path("s.json"))["inputs"] == ["-", "-"]


def test_alignments_stay_as_they_were(run: Run) -> None:
    Path("parts").mkdir()
    run("split", "--interleaved", "reads.bam", "-n", "4", "-o", "parts/%.bam")
    contents = []
    for path in ["reads.bam", *(f"parts/{part}-of-4.bam" for part in (1, 2, 3, 4))]:
        with pysam.AlignmentFile(path, "rb", check_sq=False) as file:
            contents.append((str(file.header), [record.to_string() for record in file]))
    (header, records), *parts = contents
    assert all(of_part == header for of_part, _ in parts)
    assert [record for _, of_part in parts for record in of_part] == records
    for _, of_part in parts:
        assert of_part[0].split("\t")[1] == str(pysam.FPAIRED | pysam.FUNMAP | pysam.FREAD1)


def test_reads_stay_as_they_were_and_parts_are_equal(run: Run) -> None:
    Path("parts").mkdir()
    run("split", "R1.fastq.gz", "-n", "4", "-o", "parts/%.fq", "--manifest", "m.json")
    texts = [Path(f"parts/{part}-of-4.fq").read_bytes() for part in (1, 2, 3, 4)]
    with gzip.open("R1.fastq.gz") as stream:
        assert b"".join(texts) == stream.read()
    bases = [part["bases"] for part in json.loads(Path("m.json").read_text())["parts"]]
    assert sum(bases) == sum(len(codes_of(i)) for i in range(NUM_READS))
    assert max(bases) - min(bases) <= 2 * 151


def test_manifest_on_standard_output(run: Run, genood_here: Genood, tmp_path: Path) -> None:
    Path("parts").mkdir()
    split = ("split", "R1.fastq.gz", "-n", "2", "-o", "parts/%.fastq", "--manifest")
    run(*split, "manifest.json")
    result = genood_here(*split, "-", "-q")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == Path("manifest.json").read_text()
    assert not Path("-").exists()


def test_what_is_odd_is_said_once(
    inputs: Path, genood_here: Genood, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Though the input is read twice."""
    alone, none = tmp_path / "alone.bam", tmp_path / "none.fa"
    with (
        pysam.AlignmentFile(str(inputs / "reads.bam"), check_sq=False) as file,
        pysam.AlignmentFile(str(alone), "wb", template=file) as one,
    ):
        one.write(next(iter(file)))
    none.touch()
    for path, *options in ((alone, "--interleaved"), (none,)):
        output = tmp_path / f"%{path.suffix}"
        assert genood_here("split", path, *options, "-n", "1", "-o", output).returncode == 0
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 2
    assert warnings[0].startswith(f"{alone}: 1 reads have no mate beside them")
    assert warnings[1] == f"{none} holds no sequences"


def test_parts_are_whole_windows_where_there_are_enough(run: Run, tmp_path: Path) -> None:
    num_reads = 30_000
    (tmp_path / "many.fa").write_text("".join(f">r{i}\nACGT\n" for i in range(num_reads)))
    run("split", "many.fa", "-n", "3", "-o", "%.fa", "--manifest", "m.json")
    # A window that is scored has 8,192 reads; the last has 5,424.
    counts = [part["reads"] for part in json.loads(Path("m.json").read_text())["parts"]]
    assert counts == [8192, 8192, 13_616]
    run("split", "many.fa", "-n", "5", "-o", "%.fa", "--manifest", "m.json")
    counts = [part["reads"] for part in json.loads(Path("m.json").read_text())["parts"]]
    assert counts == [6000] * 5


def test_fewer_reads_than_parts(run: Run, context_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "two.fa").write_text(">a\nACGTACGTAC\n>b\nACGTACGTACGGG\n")
    run("score", "-m", context_dir, "two.fa", "-o", "scores.tsv", *CPU)
    Path("parts").mkdir()
    run("split", "two.fa", "-n", "4", "-o", "parts/%.fa", "--manifest", "parts/manifest.json")
    assert [Path(f"parts/{part}-of-4.fa").read_text().count(">") for part in (1, 2, 3, 4)] == [1, 1, 0, 0]
    tables = score_parts(run, context_dir, [])
    run("gather", *tables, "--manifest", "parts/manifest.json", "-o", "gathered.tsv", "--summary", "s.json",
        "--multiqc", "two_mqc.json")  # fmt: skip
    assert Path("gathered.tsv").read_bytes() == Path("scores.tsv").read_bytes()
    content = json.loads(Path("two_mqc.json").read_text())
    assert content["genood"] == json.loads(Path("s.json").read_text())
    assert content["data"]["two"]["reads"] == 2


@pytest.fixture
def parts(run: Run, context_dir: Path, tmp_path: Path) -> Path:
    """A folder with three parts, scored."""
    folder = tmp_path / "parts"
    folder.mkdir()
    run("split", "reads.fa", "-n", "3", "-o", "parts/%.fa", "--manifest", "parts/manifest.json")
    score_parts(run, context_dir, [])
    return folder


def edit_summary(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_what_does_not_belong_together_is_refused(parts: Path, genood_here: Genood, tmp_path: Path) -> None:
    tables = [f"parts/{part}-of-3.tsv" for part in (1, 2, 3)]
    manifest = ["--manifest", "parts/manifest.json"]

    def refused(*arguments: str, says: str) -> None:
        check_refused(
            genood_here, tmp_path, "gather", *arguments, "-o", "all.tsv", "--summary", "s.json", says=says
        )

    refused(*tables[:2], *manifest, says="parts of which no table is given: 3-of-3")
    refused(*tables, tables[0], *manifest, says="is named twice")
    refused(*tables[:1], *tables[:1], says="is named twice")
    refused(*tables, "--ood-out", "ood.fa", says="give its --manifest")
    refused(*tables, "--manifest", "parts/1-of-3.summary.json", says="is no manifest")
    refused(*tables, "--bundle", "nowhere", says="nowhere")
    refused(
        *tables, *manifest, "--kraken-report", "parts/2-of-3.summary.json", says="both an input and an output"
    )
    second, text = parts / "2-of-3.summary.json", (parts / "2-of-3.summary.json").read_text()
    options = json.loads(text)["options"]
    for values, says in [
        ({"inputs": ["parts/1-of-3.fa"]}, "give each part once"),
        ({"inputs": ["other.fa"]}, "does not name as a part"),
        ({"bundle": {"path": "b", "fingerprint": "0"}}, "scored with another bundle"),
        ({"detectors": ["likelihood"]}, "scored with detectors likelihood"),
        ({"alpha": 0.01}, "scored with alpha 0.01"),
        ({"alpha": None, "fdr": 0.1}, "give it to genood gather"),
        ({"reads": {"in": 7, "scored": 7, "skipped": {}}}, "records"),
        ({"options": {**options, "min_quality": 20}}, "scored with min quality 20, parts/1-of-3.tsv with 0"),
        ({"pairs": {"in": 1}}, "scored as pairs"),
    ]:
        edit_summary(second, **values)
        refused(*tables, *manifest, says=says)
        second.write_text(text)
    lines = (parts / "2-of-3.tsv").read_text().splitlines(keepends=True)
    (parts / "2-of-3.tsv").write_text("".join(lines[:-1]))
    refused(*tables, *manifest, says="its summary counts")
    second.unlink()
    refused(*tables, *manifest, says="--summary parts/2-of-3.summary.json")


def test_lanes_scored_in_directories_of_their_own(run: Run, context_dir: Path, tmp_path: Path) -> None:
    """Of reads with one name, as the jobs of a pipeline have them; not twice of the same."""
    tables = []
    for lane, reads in enumerate(("R1.fastq.gz", "R2.fastq.gz"), 1):
        folder = tmp_path / f"lane{lane}"
        folder.mkdir()
        (folder / "reads.fq.gz").symlink_to(Path(reads).resolve())
        with contextlib.chdir(folder):
            run("score", "-m", context_dir, "reads.fq.gz", "-o", "s.tsv", "--summary", "s.summary.json", *CPU)
        tables.append(f"lane{lane}/s.tsv")
    run("gather", *tables, "-m", context_dir, "-o", "all.tsv")
    first, second = (Path(table).read_text() for table in tables)
    assert Path("all.tsv").read_text() == first + second.split("\n", 1)[1]


def test_parts_scored_in_a_directory_of_their_own(run: Run, context_dir: Path, genood_here: Genood) -> None:
    Path("parts").mkdir()
    run("split", "R1.fastq.gz", "-n", "2", "-o", "parts/%.fq", "--manifest", "parts/m.json")
    with contextlib.chdir("parts"):
        for part in ("1-of-2", "2-of-2"):
            outputs = ("-o", f"{part}.tsv", "--summary", f"{part}.summary.json")
            run("score", "-m", context_dir, f"{part}.fq", *outputs, *CPU)
    tables = ("parts/2-of-2.tsv", "parts/1-of-2.tsv")
    run("gather", *tables, "--manifest", "parts/m.json", "-m", context_dir, "-o", "all.tsv")
    run("score", "-m", context_dir, "R1.fastq.gz", "-o", "whole.tsv", *CPU)
    whole = Path("whole.tsv").read_bytes()
    assert Path("all.tsv").read_bytes() == whole
    Path("others").mkdir()
    run("split", "R2.fastq.gz", "-n", "2", "-o", "others/%.fq", "--manifest", "others/m.json")
    result = genood_here("gather", *tables, "--manifest", "others/m.json", "-m", context_dir, "-o", "no.tsv")
    assert result.returncode == 1
    assert "which others/m.json does not name as a part" in result.stderr
    for part in ("1-of-2", "2-of-2"):
        Path(f"parts/{part}.fq").unlink()
    run("gather", *tables, "--manifest", "parts/m.json", "-m", context_dir, "-o", "again.tsv")
    assert Path("again.tsv").read_bytes() == whole


def test_reads_that_are_not_those_of_the_table(parts: Path, genood_here: Genood, tmp_path: Path) -> None:
    tables = [f"parts/{part}-of-3.tsv" for part in (1, 2, 3)]
    (tmp_path / "reads.fa").unlink()
    write_fasta(tmp_path / "reads.fa", {f"other{i}": codes_of(i) for i in range(NUM_READS)})
    check_refused(
        genood_here, tmp_path, "gather", *tables, "--manifest", "parts/manifest.json", "-o", "all.tsv",
        "--ood-out", "ood.fa", says="has no read 'read0'",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["R1.fastq.gz", "-o", "part.fq"], "put one % in the name"),
        (["R1.fastq.gz", "R2.fastq.gz", "--paired", "-o", "%.fq"], "put a # in the name"),
        (["R1.fastq.gz", "-o", "%.fa"], "has qualities"),
        (["R1.fastq.gz", "-o", "%.bam"], "holds no alignments"),
        (["reads.bam", "-o", "%.fq"], "whose parts are BAM"),
        (["reads.bam", "reads.fa", "-o", "%.bam"], "one by one"),
        (
            ["R1.fastq.gz", "-o", "%.sam"],
            "-o, the parts, writes FASTQ or FASTA, or BAM, not .sam",
        ),
        (["-", "-o", "%.fq"], "is read twice"),
        (["nothing.fq", "-o", "%.fq"], "no such file"),
        (["R1.fastq.gz", "-o", "nowhere/%.fq"], "does not exist"),
        (["R1.fastq.gz", "-o", "%.fq", "--manifest", "R1.fastq.gz"], "is both an input and an output"),
        (["bad.fq", "-o", "%.fq"], "bad.fq, record 2"),
    ],
)
def test_what_cannot_be_split(
    run: Run, genood_here: Genood, tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "bad.fq").write_text("@a\nACGT\n+\nIIII\n@b\nAC!T\n+\nIIII\n")
    check_refused(genood_here, tmp_path, "split", *arguments, "-n", "2", says=says)
