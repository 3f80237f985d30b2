"""docs/formats.md, held to the files that the commands write: every column and key, and no other."""

from __future__ import annotations

import gzip
import json
import logging
import re
from collections.abc import Iterable, Iterator
from contextlib import chdir
from pathlib import Path
from typing import Any

import numpy as np
import pysam
import pytest
from toy_benchmarks import run_benchmark
from toy_datasets import write_full_dataset
from toys import TRAIN_OPTIONS, uniform_codes, write_fasta

import data_prep
from data_prep.cli import cli as prep
from genood.benchmark.table import write_tables
from genood.cli import cli
from genood.sequence import decode
from genood.training.recovery import Recovery

PAGE = (Path(__file__).parents[1] / "docs" / "formats.md").read_text()
NAMES = re.compile(r"`([^`]+)`")
CATALOGUE = Path(__file__).parent / "data" / "catalogue" / "prokaryotes_2021.txt"


def documented(title: str) -> list[str]:
    """The names in the first cells of the tables of a section."""
    section = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#+ |\Z)", PAGE, re.DOTALL | re.MULTILINE)
    assert section is not None, title
    rows = [line for line in section[1].splitlines() if line.startswith("| `")]
    return [name for row in rows for name in NAMES.findall(row.split(" | ")[0])]


def leaves(value: Any, path: str = "") -> Iterator[str]:
    """The keys of JSON that hold no further keys, as on the page; ``[]`` for each entry of a list."""
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from leaves(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for item in value:
            yield from leaves(item, f"{path}[]")
    elif value not in ({}, []):
        yield path


def check_keys(title: str, *files: Path, unseen: Iterable[str] = ()) -> None:
    """Every key of the files is on the page, and every key of the page in one of them, but for some."""
    found = {leaf for file in files for leaf in leaves(json.loads(file.read_text()))}
    patterns = {name: re.compile(pattern_of(name)) for name in documented(title)}
    unknown = {leaf for leaf in found if not any(p.fullmatch(leaf) for p in patterns.values())}
    assert not unknown
    stale = {name for name, p in patterns.items() if not any(p.fullmatch(leaf) for leaf in found)}
    assert stale == set(unseen)


def pattern_of(name: str) -> str:
    """Capitals stand for any name, of a file too."""
    return re.sub(r"(?<![A-Za-z])[A-Z]+(?![A-Za-z])", r"[^\\[\\]]+", re.escape(name))


def header(file: Path) -> list[str]:
    with gzip.open(file, "rt") if file.suffix == ".gz" else file.open() as stream:
        return stream.readline().rstrip("\n").lstrip("#").split("\t")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_full_dataset(tmp_path_factory.mktemp("formats") / "dataset")


@pytest.fixture(scope="module")
def folder(dataset: Path) -> Path:
    """What all commands write of a toy dataset, beside it."""
    home = dataset.parent
    level = logging.getLogger("genood").level
    with chdir(home):
        write_everything(home, dataset)
    logging.getLogger("genood").setLevel(level)
    return home


def write_everything(home: Path, dataset: Path) -> None:
    markov = ("--model", "markov", "--order", "2", "--read-length", "60")
    reads = (dataset / "test_in.npy", dataset / "test_ood.npy")
    rows = np.load(reads[0])[:40]
    pairs = "".join(f">r{i // 2}\n{decode(row)}\n" for i, row in enumerate(rows))
    (home / "pairs.fasta").write_text(pairs)
    write_fasta(home / "other.fasta", {"other": uniform_codes(2000, 1)})
    for command in (
        ("train", dataset, "-o", "markov", *markov),
        ("train", dataset, "-o", "ensemble", *markov, "--members", "2"),
        ("train", dataset, "-o", "cnn", *TRAIN_OPTIONS, "--model", "cnn", "--filters", "8"),
        ("calibrate", "-m", "markov", dataset / "val_in.npy", "-o", "calibrated"),
        ("join", "markov", "calibrated", "-o", "mixed", "--val", dataset),
        ("score", "-m", "markov", reads[0], "-o", "in.tsv", "--detector", "llr", "--detector", "likelihood",
         "--summary", "summary.json", "--per-position", "positions.tsv", "--window-table", "windows.tsv",
         "--windows", "20", "--regions", "regions.bed", "--bam-out", "reads.bam"),
        ("score", "-m", "cnn", "pairs.fasta", "--interleaved", "--fdr", "0.1", "--predicted-class",
         "-o", "pairs.tsv", "--summary", "pairs.json"),
        ("score", "-m", "markov", reads[1], "-o", "ood.tsv"),
        ("score", "pairs.fasta", "-o", "default.tsv", "--summary", "default.json"),
        ("index", "other.fasta", "-o", "index"),
        ("split", "pairs.fasta", "--interleaved", "-n", "2", "-o", "%.fasta", "--manifest", "parts.json"),
        ("evaluate", "in.tsv", "ood.tsv", "-o", "evaluation.json"),
        ("tune", dataset, "-o", "tuning", *markov, "--mutation-rate", "0.1"),
        ("attack", "-m", "markov", reads[1], "--target", reads[0], "-o", "attack.tsv",
         "--summary", "attack.json", "--max-reads", "2", "--epsilon", "0.05"),
    ):  # fmt: skip
        cli([str(word) for word in command], standalone_mode=False)
    for words in (
        f"catalogue {CATALOGUE} -o catalogue.tsv",
        "plan catalogue.tsv -o plan.tsv --num-in 1 --num-ood 1",
        f"gc {dataset} -o gc.tsv",
        "distance pairs.fasta other.fasta -o distances.tsv",
    ):
        prep(words.split(), standalone_mode=False)


@pytest.mark.parametrize(
    ("title", "file"),
    [
        ("Per-position table", "positions.tsv"),
        ("Window table", "windows.tsv"),
        ("Regions", "regions.bed"),
        ("Table of a split", "dataset/val_in.tsv.gz"),
        ("Tuning", "tuning/tuning.tsv"),
        ("Attack", "attack.tsv"),
        ("Catalogue", "catalogue.tsv"),
        ("Plan", "plan.tsv"),
        ("Distances", "distances.tsv"),
    ],
)
def test_columns(folder: Path, title: str, file: str) -> None:
    assert header(folder / file) == documented(title)


@pytest.mark.parametrize(
    ("title", "file"), [("List of classes", "paper_classes.tsv"), ("Names of genera", "synonyms.tsv")]
)
def test_columns_that_are_read(title: str, file: str) -> None:
    """Of the tables that ship; that of the paper's classes says in one more where they are from."""
    columns = header(Path(data_prep.__file__).parent / "data" / file)
    assert columns[: len(documented(title))] == documented(title)
    assert columns[len(documented(title)) :] == (["source"] if title == "List of classes" else [])


def test_score_table(folder: Path) -> None:
    *columns, further = documented("Score table")
    assert header(folder / "in.tsv") == [*columns, further.replace("NAME", "likelihood")]
    assert header(folder / "pairs.tsv") == [*columns, *documented("Of pairs"), *documented("Of classes")]


def test_gc_table(folder: Path) -> None:
    columns = documented("GC content")
    assert header(folder / "gc.tsv") == columns[: columns.index("table")]


def test_tags(folder: Path) -> None:
    with pysam.AlignmentFile(str(folder / "reads.bam"), check_sq=False) as records:
        assert {tag for tag, _ in next(records).get_tags()} == set(documented("Tags of alignments"))


def test_summary(folder: Path) -> None:
    check_keys("Summary", *(folder / f"{name}.json" for name in ("summary", "pairs", "default")))


def test_evaluation(folder: Path) -> None:
    check_keys("Evaluation", folder / "evaluation.json")


def test_bundle(folder: Path, bundle_dir: Path, context_dir: Path) -> None:
    bundles = [folder / "markov", folder / "cnn", folder / "calibrated", bundle_dir, context_dir]
    files = {path.name for bundle in bundles for path in bundle.iterdir()}
    assert files == set(documented("Bundle"))
    names = [path / "genood.json" for path in (*bundles, folder / "ensemble", folder / "mixed")]
    # None of these trainings went wrong.
    check_keys("genood.json", *names, unseen=[f"recoveries[].{name}" for name in Recovery._fields])
    check_keys("calibration.json", *(path.with_name("calibration.json") for path in names))
    columns = {column for bundle in bundles for column in header(bundle / "training.tsv")}
    assert columns == set(documented("training.tsv"))


def test_dataset(dataset: Path) -> None:
    names = {
        name.replace("SPLIT", split) for name in documented("Dataset") for split in ("val_in", "test_ood")
    }
    assert names <= {path.name for path in dataset.iterdir()}
    examples = Path(__file__).parents[1] / "examples" / "dataset"
    check_keys("dataset.json", dataset / "dataset.json", examples / "dataset.json", unseen=["notes.KEY"])


def test_index(folder: Path) -> None:
    assert {path.name for path in (folder / "index").iterdir()} == set(documented("Genome index"))
    check_keys("genomes.json", folder / "index" / "genomes.json")


def test_manifest(folder: Path) -> None:
    check_keys("Manifest of parts", folder / "parts.json", unseen=["skipped.REASON"])


def test_tuning(folder: Path) -> None:
    check_keys("tuning.json", folder / "tuning" / "tuning.json")


def test_attack(folder: Path) -> None:
    check_keys("Summary of an attack", folder / "attack.json")


def test_benchmark(dataset: Path, tmp_path: Path) -> None:
    benchmark, _ = run_benchmark(dataset, tmp_path, methods=("markov-llr",))
    write_tables(benchmark)
    assert set(header(tmp_path / "table.tsv")) == set(documented("table.tsv"))
    check_keys("table.json", tmp_path / "table.json", unseen=["methods[].seeds[].options"])
