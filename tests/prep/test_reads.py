"""Datasets of reads drawn from genomes."""

from __future__ import annotations

import gzip
import hashlib
import logging
import signal
import subprocess
import sys
import time
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from Bio import SeqIO
from click.testing import CliRunner
from scipy.stats import chi2, chisquare
from small_disk import most_bytes_of_a_file
from toys import uniform_codes, write_fasta

import data_prep.reads
import data_prep.shuffle
from data_prep.cli.reads import command
from data_prep.draw import DrawConfig
from data_prep.reads import draw_reads
from genood.dataset import Dataset
from genood.errors import ConfigError, GenoodError, InputError
from genood.reference.genomes import load_genomes
from genood.sequence import decode

LENGTH = 20
SMALL = DrawConfig(read_length=LENGTH, reads_per_class=300)
SHARED = Path(__file__).parents[2].parent / "shared" / "data"
PROGRAM = Path(sys.executable).with_name("genood-prep")


@pytest.fixture(scope="session")
def genomes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table and its genomes: records too short or with unknown bases, one compressed, one all too short."""
    folder = tmp_path_factory.mktemp("genomes")
    broken = uniform_codes(3000, 1)
    broken[[0, 700, 701, 730, 2999]] = 4
    write_fasta(folder / "a1.fna", {"a1.1": broken, "a1.2": uniform_codes(LENGTH - 1, 2)})
    write_fasta(folder / "a2.fna", {"a2.1": uniform_codes(LENGTH, 3), "a2.2": uniform_codes(1500, 4)})
    plain = write_fasta(folder / "b1.fna", {"b1.1": uniform_codes(2500, 5)})
    (folder / "b1.fna.gz").write_bytes(gzip.compress(plain.read_bytes()))
    write_fasta(folder / "b2.fna", {"b2.1": uniform_codes(5, 6)})
    write_fasta(folder / "v1.fna", {"v1.1": uniform_codes(1200, 7)})
    write_fasta(folder / "o1.fna", {"o1.1": uniform_codes(4000, 8)})
    rows = [
        ("a1.fna", "Alpha", "train_in"),
        ("b1.fna.gz", "Beta", "train_in"),
        ("a2.fna", "Alpha", "train_in"),
        ("o1.fna", "Omega", "val_ood"),
        ("v1.fna", "Alpha", "val_in"),
        ("b2.fna", "Beta", "train_in"),
    ]
    write_table(folder / "table.tsv", rows)
    return folder


def write_table(path: Path, rows: list[tuple[str, str, str]]) -> Path:
    path.write_text("".join("\t".join(cells) + "\n" for cells in [("file", "class", "split"), *rows]))
    return path


def contents(directory: Path) -> dict[str, str]:
    """The sha256 of each file."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.iterdir()}


def with_sequences(dataset: Dataset, split: str) -> pd.DataFrame:
    table = dataset.splits[split].origins()
    return table.assign(sequence=[decode(codes) for codes in np.asarray(dataset.splits[split].codes)])


def check_against_biopython(reads: pd.DataFrame, paths: list[Path]) -> None:
    """Each read is the stretch of its accession that its origin says, and none has an unknown base."""
    records = {}
    for path in paths:
        content = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        records |= {record.id: record.seq for record in SeqIO.parse(StringIO(content.decode()), "fasta")}
    assert set("".join(reads["sequence"])) <= set("ACGT")
    for read in reads.itertuples():
        window = records[read.accession][read.start : read.start + len(read.sequence)].upper()
        assert read.sequence == str(window.reverse_complement() if read.strand == "-" else window)


@pytest.fixture(scope="session")
def dataset(genomes: Path) -> Dataset:
    summaries = draw_reads(genomes / "table.tsv", genomes / "dataset", SMALL)
    # Alpha: runs of 699, 28 and 2268 known bases, then a record of one window and one of 1481.
    assert summaries == [
        ("train_in", "Alpha", 2, 3000 + 19 + 20 + 1500, 680 + 9 + 2249 + 1 + 1481, 300),
        ("train_in", "Beta", 2, 2505, 2481, 300),
        ("val_in", "Alpha", 1, 1200, 1181, 300),
        ("val_ood", "Omega", 1, 4000, 3981, 300),
    ]
    return Dataset.load(genomes / "dataset", verify=True)


def test_reads_are_what_their_origins_say(genomes: Path, dataset: Dataset) -> None:
    for split in dataset.splits:
        reads = with_sequences(dataset, split)
        check_against_biopython(reads, [*genomes.glob("*.fna"), genomes / "b1.fna.gz"])
        assert not reads.duplicated(["class", "accession", "start"]).any()
        assert set(reads["strand"]) == {"+", "-"}


def test_counts_and_sources(genomes: Path, dataset: Dataset) -> None:
    assert {name: dict(split.counts) for name, split in dataset.splits.items()} == {
        "train_in": {"Alpha": 300, "Beta": 300},
        "val_in": {"Alpha": 300},
        "val_ood": {"Omega": 300},
    }
    assert (dataset.read_length, dataset.seed) == (LENGTH, 0)
    sha256 = hashlib.sha256((genomes / "table.tsv").read_bytes()).hexdigest()
    assert dataset.notes == {
        "table": {"file": "table.tsv", "sha256": sha256},
        "reads_per_class": {"train_in": 300, "val_in": 300, "val_ood": 300},
    }
    sources = {source["file"]: source for source in dataset.sources}
    assert list(sources) == ["a1.fna", "a2.fna", "b1.fna.gz", "b2.fna", "v1.fna", "o1.fna"]
    assert sources["b2.fna"]["reads"] == 0
    train = dataset.splits["train_in"].origins()
    for name in ("a1", "a2", "b1"):
        source = sources["b1.fna.gz" if name == "b1" else f"{name}.fna"]
        assert source["reads"] == train["accession"].str.startswith(name).sum()
    (trained,) = load_genomes([genomes / "a1.fna"], min_length=LENGTH, classes={"a1.fna": "Alpha"}).files
    assert sources["a1.fna"] == {
        "file": "a1.fna",
        "class": "Alpha",
        "split": "train_in",
        "sha256": trained.sha256,
        "records": 2,
        "bases": 3019,
        "windows": 2938,
        "reads": sources["a1.fna"]["reads"],
    }


def test_sources_of_a_plan(genomes: Path, tmp_path: Path) -> None:
    (tmp_path / "plan.tsv").write_text(
        "split\tclass\taccession\torganism\trelease_date\tfile\n"
        "train_in\tAlpha\tGCA_1.1\tAlpha one\t2010-05-01\ta1.fna\n"
        "train_in\tAlpha\t\tAlpha two\t2010-05-02\ta2.fna\n"
    )
    draw_reads(tmp_path / "plan.tsv", tmp_path / "d", SMALL, genomes=genomes)
    first, second = Dataset.load(tmp_path / "d").sources
    columns = ("accession", "organism", "release_date")
    assert [first[name] for name in columns] == ["GCA_1.1", "Alpha one", "2010-05-01"]
    assert {name: second.get(name) for name in columns} == {
        "accession": None,
        "organism": "Alpha two",
        "release_date": "2010-05-02",
    }


def test_windows_of_a_class_are_uniform(genomes: Path, tmp_path: Path) -> None:
    """Over records, around unknown bases, and across the genomes of the class."""
    config = DrawConfig(read_length=LENGTH, reads_per_class=1100, seed=2)
    draw_reads(genomes / "table.tsv", tmp_path / "d", config)
    reads = with_sequences(Dataset.load(tmp_path / "d"), "train_in")
    reads = reads[reads["class"] == "Alpha"]
    # 4420 windows, in bins of 130: (accession, first start) of each stretch of them.
    first = {("a1.1", 1): 0, ("a1.1", 702): 680, ("a1.1", 731): 689, ("a2.1", 0): 2938, ("a2.2", 0): 2939}
    stretches = [
        max(start for name, start in first if name == read.accession and start <= read.start)
        for read in reads.itertuples()
    ]
    numbers = [
        first[read.accession, start] + read.start - start
        for read, start in zip(reads.itertuples(), stretches, strict=True)
    ]
    assert len(set(numbers)) == 1100
    assert min(numbers) >= 0
    assert max(numbers) < 4420
    observed = np.bincount(np.array(numbers) // 130, minlength=34)
    statistic = ((observed - 1100 / 34) ** 2 / (1100 / 34)).sum() * (4420 - 1) / (4420 - 1100)
    assert 0.001 < chi2(33).sf(statistic) < 0.999


def test_all_windows_once(genomes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    config = DrawConfig(read_length=LENGTH, reads_per_class=4000, allow_fewer=True)
    with caplog.at_level(logging.WARNING):
        summaries = draw_reads(genomes / "table.tsv", tmp_path / "d", config)
    assert [summary.num_reads for summary in summaries] == [4000, 2481, 1181, 3981]
    assert [record.getMessage().partition(": ")[2] for record in caplog.records] == [
        "Beta in train_in has 2481 for 4000 reads; all are taken",
        "Alpha in val_in has 1181 for 4000 reads; all are taken",
        "Omega in val_ood has 3981 for 4000 reads; all are taken",
    ]
    reads = with_sequences(Dataset.load(tmp_path / "d"), "val_ood")
    check_against_biopython(reads, [genomes / "o1.fna"])
    assert reads["start"].tolist() != list(range(3981))
    assert sorted(reads["start"]) == list(range(3981))


def test_any_stretch_of_a_split_is_a_fair_sample(genomes: Path, tmp_path: Path) -> None:
    config = DrawConfig(read_length=LENGTH, reads_per_class=2000)
    rows = [
        ("a1.fna", "Alpha", "train_in"),
        ("b1.fna.gz", "Beta", "train_in"),
        ("o1.fna", "Omega", "train_in"),
    ]
    draw_reads(write_table(genomes / "three.tsv", rows), tmp_path / "d", config)
    origins = Dataset.load(tmp_path / "d").splits["train_in"].origins()
    table = pd.crosstab(origins.index // 250, origins["class"])
    assert table.shape == (24, 3)
    expected = np.full(table.shape, 250 / 3)
    assert 0.001 < chisquare(table, expected, axis=None, ddof=71 - 46).pvalue < 0.999


def test_threads_change_nothing(genomes: Path, dataset: Dataset, tmp_path: Path) -> None:
    draw_reads(genomes / "table.tsv", tmp_path / "d", SMALL, processes=2)
    assert contents(tmp_path / "d") == contents(dataset.directory)


def test_order_of_rows_and_place_change_nothing(genomes: Path, dataset: Dataset, tmp_path: Path) -> None:
    header, *rows = (genomes / "table.tsv").read_text().splitlines()
    (tmp_path / "t.tsv").write_text("\n".join([header, *reversed(rows)]))
    draw_reads(tmp_path / "t.tsv", tmp_path / "d", SMALL, genomes=genomes)
    mine, before = contents(tmp_path / "d"), contents(dataset.directory)
    # That of the dataset names the table.
    assert mine.pop("dataset.json") != before.pop("dataset.json")
    assert mine == before
    assert Dataset.load(tmp_path / "d").sources == dataset.sources


def test_other_classes_change_no_reads(genomes: Path, dataset: Dataset, tmp_path: Path) -> None:
    rows = [("a1.fna", "Alpha", "train_in"), ("a2.fna", "Alpha", "train_in"), ("v1.fna", "Mu", "train_in")]
    draw_reads(write_table(genomes / "others.tsv", rows), tmp_path / "d", SMALL)
    mine, before = (with_sequences(each, "train_in") for each in (Dataset.load(tmp_path / "d"), dataset))
    columns = ["accession", "start", "strand", "sequence"]
    mine, before = (
        each[each["class"] == "Alpha"][columns].sort_values(columns).reset_index(drop=True)
        for each in (mine, before)
    )
    pd.testing.assert_frame_equal(mine, before)


def test_seeds_give_other_reads(genomes: Path, dataset: Dataset, tmp_path: Path) -> None:
    config = DrawConfig(read_length=LENGTH, reads_per_class=300, seed=1)
    draw_reads(genomes / "table.tsv", tmp_path / "d", config)
    mine, before = (with_sequences(each, "val_ood") for each in (Dataset.load(tmp_path / "d"), dataset))
    assert len(set(mine["start"]) & set(before["start"])) < 60


def test_small_tasks_and_buckets_change_only_the_order(
    genomes: Path, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_prep.reads, "_READS_OF_TASK", 7)
    draw_reads(genomes / "table.tsv", tmp_path / "tasks", SMALL)
    assert contents(tmp_path / "tasks") == contents(dataset.directory)
    monkeypatch.setattr(data_prep.shuffle, "_RECORDS_OF_BUCKET", 50)
    draw_reads(genomes / "table.tsv", tmp_path / "buckets", SMALL)
    buckets = Dataset.load(tmp_path / "buckets", verify=True)
    for split in dataset.splits:
        mine, before = (with_sequences(each, split) for each in (buckets, dataset))
        columns = mine.columns.tolist()
        assert not mine.equals(before)
        pd.testing.assert_frame_equal(
            mine.sort_values(columns).reset_index(drop=True),
            before.sort_values(columns).reset_index(drop=True),
        )


def test_reads_of_single_splits(genomes: Path, tmp_path: Path) -> None:
    config = DrawConfig(read_length=LENGTH, reads_per_class=5, split_reads={"val_ood": 8})
    summaries = draw_reads(genomes / "table.tsv", tmp_path / "d", config)
    assert [summary.num_reads for summary in summaries] == [5, 5, 5, 8]
    config = DrawConfig(read_length=LENGTH, split_reads={"test_in": 8})
    with pytest.raises(InputError, match=r"table\.tsv: has no row of test_in, for which"):
        draw_reads(genomes / "table.tsv", tmp_path / "e", config)


@pytest.mark.parametrize(
    ("content", "message", "processes"),
    [
        (b"", r"bad\.fna: holds no sequences", 1),
        (b">p\nMKLVE\n", r"bad\.fna, record 1: 'p' holds 'L', which is no nucleotide", 1),
        (b">p\nMKLVE\n", r"bad\.fna, record 1: 'p' holds 'L', which is no nucleotide", 2),
    ],
)
def test_a_bad_genome(genomes: Path, tmp_path: Path, content: bytes, message: str, processes: int) -> None:
    (tmp_path / "bad.fna").write_bytes(content)
    rows = [(str(genomes / "a1.fna"), "Alpha", "train_in"), ("bad.fna", "Beta", "train_in")]
    table = write_table(tmp_path / "t.tsv", rows)
    with pytest.raises(InputError, match=message):
        draw_reads(table, tmp_path / "d", SMALL, processes=processes)
    assert {path.name for path in tmp_path.iterdir()} == {"bad.fna", "t.tsv"}


def test_too_few_windows(genomes: Path, tmp_path: Path) -> None:
    config = DrawConfig(read_length=LENGTH, reads_per_class=2481)
    with pytest.raises(
        InputError,
        match=r"table\.tsv: too few windows, each a stretch of 20 known bases: Alpha in val_in has 1181 for "
        r"2481 reads; draw fewer .*--allow-fewer",
    ):
        draw_reads(genomes / "table.tsv", tmp_path / "d", config)
    config = DrawConfig(read_length=1300, reads_per_class=1, allow_fewer=True)
    with pytest.raises(
        InputError, match="no stretch of 1300 known bases is in the genomes of Alpha in val_in"
    ):
        draw_reads(genomes / "table.tsv", tmp_path / "d", config)
    assert list(tmp_path.iterdir()) == []


def test_copies(genomes: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [("b1.fna", "Beta", "train_in"), ("b1.fna.gz", "Beta", "train_in")]
    with caplog.at_level(logging.WARNING):
        draw_reads(write_table(genomes / "copies.tsv", rows), tmp_path / "d", SMALL)
    assert [record.getMessage() for record in caplog.records] == [
        f"{genomes / 'b1.fna.gz'} holds the same sequences as {genomes / 'b1.fna'}, so that these weigh twice"
    ]
    for class_name, split in (("Beta", "val_in"), ("Alpha", "train_in")):
        rows[1] = ("b1.fna.gz", class_name, split)
        table = write_table(genomes / "copies.tsv", rows)
        message = f"of {class_name} in {split} holds the same sequences as .*, of Beta in train_in; drop one"
        with pytest.raises(InputError, match=message):
            draw_reads(table, tmp_path / "e", SMALL)


def test_what_is_there_is_not_touched(genomes: Path, tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    with pytest.raises(GenoodError, match="d: is there already"):
        draw_reads(genomes / "table.tsv", tmp_path / "d", SMALL)
    with pytest.raises(GenoodError, match="does not exist"):
        draw_reads(genomes / "table.tsv", tmp_path / "none" / "d", SMALL)
    assert list((tmp_path / "d").iterdir()) == []


def test_a_disk_that_takes_no_more(genomes: Path, tmp_path: Path) -> None:
    with (
        most_bytes_of_a_file(10_000),
        pytest.raises(InputError, match=r"/d: cannot be written \(File too large"),
    ):
        draw_reads(genomes / "table.tsv", tmp_path / "d", SMALL)
    assert list(tmp_path.iterdir()) == []


def test_progress(genomes: Path, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    draw_reads(genomes / "table.tsv", tmp_path / "d", SMALL, progress=lambda *step: told.append(step))
    assert told == [
        *(("counting windows, files", number, 6) for number in range(1, 7)),
        *(("taking reads", number, 1200) for number in (told[6][1], 300, 600)),
        ("writing reads", 600, 1200),
        *((stage, 900, 1200) for stage in ("taking reads", "writing reads")),
        *((stage, 1200, 1200) for stage in ("taking reads", "writing reads")),
    ]


def test_command(genomes: Path, tmp_path: Path) -> None:
    options = ["--length", "20", "--reads-per-class", "9", "--split-reads", "val_ood=4", "-t", "2"]
    line = [PROGRAM, "reads", genomes / "table.tsv", "-o", tmp_path / "d", *options]
    result = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == (
        "split\tclass\tgenomes\tbases\twindows\treads\n"
        "train_in\tAlpha\t2\t4539\t4420\t9\n"
        "train_in\tBeta\t2\t2505\t2481\t9\n"
        "val_in\tAlpha\t1\t1200\t1181\t9\n"
        "val_ood\tOmega\t1\t4000\t3981\t4\n"
    )
    assert Dataset.load(tmp_path / "d").splits["val_ood"].num_reads == 4
    result = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout) == (1, "")
    assert result.stderr.startswith(f"genood-prep: error: {tmp_path / 'd'}: is there already")
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--split-reads", "val_in"], "'val_in' is not SPLIT=N, such as val_in=10000"),
        (["--split-reads", "val_in=x"], "'val_in=x' is not SPLIT=N"),
        (["--split-reads", "val_in=1", "--split-reads", "val_in=2"], "val_in is given twice"),
        (["--length", "0"], "0 is not in the range"),
        (["--split-reads", "validation=3"], "there is no split 'validation'; the splits are train_in"),
        (["--split-reads", "val_ood=0"], "0 is not in the range 1<=x<=1000000000"),
    ],
)
def test_usage(options: list[str], message: str) -> None:
    result = CliRunner().invoke(command, ["t.tsv", "-o", "d", *options])
    assert result.exit_code == 2
    assert message in result.output


def test_standard_output_is_no_dataset(
    genomes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"^-: a dataset is a directory; it cannot go to standard output$"):
        draw_reads(genomes / "table.tsv", "-", SMALL)
    assert list(tmp_path.iterdir()) == []
    draw_reads(genomes / "table.tsv", "./-", SMALL)
    assert [path.name for path in tmp_path.iterdir()] == ["-"]


def test_interrupt(tmp_path: Path) -> None:
    write_fasta(tmp_path / "a.fna", {"r": uniform_codes(200_000, 0)})
    table = write_table(tmp_path / "t.tsv", [("a.fna", "Alpha", "train_in")])
    line = [PROGRAM, "reads", table, "-o", tmp_path / "d", "--reads-per-class", "190000", "-t", "2"]
    # A child inherits that SIGINT is ignored, as in a shell's background job, but not a handler.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True) as process:
        signal.signal(signal.SIGINT, handler)
        while process.poll() is None and not list(tmp_path.glob(".d.*")):
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        assert (process.stderr.read(), process.wait(timeout=60)) == ("genood-prep: interrupted\n", 130)
    assert {path.name for path in tmp_path.iterdir()} == {"a.fna", "t.tsv"}


@pytest.mark.skipif(not (SHARED / "manifest.tsv").is_file(), reason="needs the shared data")
def test_real_genomes(tmp_path: Path) -> None:
    wanted = {
        "train_in": "Staphylococcus",
        "val_in": "Staphylococcus",
        "val_ood": "Portiera",
        "host": "lambda",
    }
    manifest = pd.read_csv(SHARED / "manifest.tsv", sep="\t", keep_default_na=False)
    manifest = manifest[manifest["split"].map(wanted) == manifest["class"]]
    manifest.to_csv(tmp_path / "t.tsv", sep="\t", index=False)
    manifest = manifest[manifest["split"] != "host"]
    config = DrawConfig(reads_per_class=2000, seed=3)
    summaries = draw_reads(tmp_path / "t.tsv", tmp_path / "d", config, genomes=SHARED)
    assert [(each.split, each.class_name, each.num_reads) for each in summaries] == [
        (split, wanted[split], 2000) for split in ("train_in", "val_in", "val_ood")
    ]
    assert sum(each.num_bases for each in summaries) == manifest["bp"].sum()
    loaded = Dataset.load(tmp_path / "d", verify=True)
    for split in loaded.splits:
        paths = [SHARED / file for file in manifest["file"][manifest["split"] == split]]
        check_against_biopython(with_sequences(loaded, split), paths)
