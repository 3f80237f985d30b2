"""The examples, and a demo of the main job on them: it runs, and the files are what its README says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from genood.dataset import SPLITS, Dataset
from genood.readers import read_file
from genood.reference.genomes import load_genomes
from genood.sequence import Codes, reverse_complement

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def test_reference() -> None:
    [path] = EXAMPLES.glob("genomes/*")
    genomes = load_genomes([path], min_length=250)
    assert genomes.classes == ("Escherichia",)
    assert genomes.lengths.tolist() == [4_938_920]


def test_reads() -> None:
    for side, num_sources in (("in", 1), ("ood", 33)):
        reads = list(read_file(EXAMPLES / "reads" / f"{side}.fasta.gz"))
        assert len(reads) == len({read.name for read in reads}) == 1650
        assert {len(read.codes) for read in reads} == {250}
        assert all(read.codes.max() < 4 for read in reads)
        genomes_named = {read.name.partition(":")[0] for read in reads}
        assert len(genomes_named) >= num_sources


def test_run() -> None:
    number = {"negatives": 700, "control": 500, "sample": 610}
    seen: set[str] = set()
    for name, expected in number.items():
        reads = list(read_file(EXAMPLES / "run" / f"{name}.fastq.gz"))
        assert len(reads) == expected
        assert {len(read.codes) for read in reads} == {101}
        seen |= {read.name for read in reads}
    assert len(seen) == sum(number.values())
    sources = [name.partition(".")[0] for name in seen]
    assert sources.count("SRR2838702") == 1750
    assert (sources.count("SRR5646583"), sources.count("ERR12033846")) == (40, 20)


def test_dataset() -> None:
    directory = EXAMPLES / "dataset"
    assert sum(path.stat().st_size for path in directory.iterdir()) < 1_200_000
    dataset = Dataset.load(directory, verify=True)
    assert dataset.read_length == 250
    assert {name: split.num_reads for name, split in dataset.splits.items()} == dict(
        zip(SPLITS, (2400, 400, 400, 500, 520), strict=True)
    )
    classes = {name: set(split.counts) for name, split in dataset.splits.items()}
    assert len(classes["train_in"]) == 5
    assert classes["val_in"] == classes["test_in"] == classes["train_in"]
    assert (len(classes["val_ood"]), len(classes["test_ood"])) == (25, 26)
    assert not classes["val_ood"] & classes["test_ood"]
    named = {(source["split"], source["class"]) for source in dataset.sources}
    assert named == {(split, name) for split, names in classes.items() for name in names}


def test_test_reads_come_from_where_training_reads_come_from() -> None:
    dataset = Dataset.load(EXAMPLES / "dataset")
    known = {word for read in dataset.splits["train_in"].codes for word in words_of(read)}
    share = {}
    for name in ("val_in", "val_ood", "test_in", "test_ood"):
        codes = dataset.splits[name].codes
        share[name] = np.mean([not known.isdisjoint(words_of(read)) for read in codes])
    assert min(share["val_in"], share["test_in"]) > 0.8
    assert max(share["val_ood"], share["test_ood"]) < 0.05


def words_of(read: Codes, length: int = 21) -> set[bytes]:
    """The words of a read and of its other strand."""
    strands = (read.tobytes(), reverse_complement(read).tobytes())
    return {strand[i : i + length] for strand in strands for i in range(len(read) - length + 1)}


def test_demo_with_a_short_training(tmp_path: Path) -> None:
    script = (EXAMPLES / "demo.sh").read_text()
    assert "--preset demo\n" in script
    short = tmp_path / "examples" / "demo.sh"
    short.parent.mkdir()
    short.write_text(script.replace("--preset demo\n", "--preset demo --steps 20 --hidden-size 8\n"))
    for folder in ("genomes", "reads"):
        (short.parent / folder).symlink_to(EXAMPLES / folder)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    out = tmp_path / "demo out"
    for kind in ("context", "lstm"):
        (out / kind).mkdir(parents=True)
        (out / kind / "genood.json").write_text("of an earlier demo")
    result = subprocess.run(
        ["bash", short, out],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PATH": path},
    )
    assert result.returncode == 0, result.stderr
    for kind in ("context", "lstm"):
        assert json.loads((out / kind / "genood.json").read_text())["kind"] == kind
    assert len((out / "scores.tsv").read_text().splitlines()) == 1 + 2 * 1650
    assert result.stdout.count("auroc\t") == 4
