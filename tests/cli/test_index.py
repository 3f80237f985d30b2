"""`genood index`: training on what it writes is training on the files, whatever the model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from conftest import Genood
from toys import TRAIN_OPTIONS, markov_codes, uniform_codes, write_fasta

MODELS = {
    "context": (),
    "markov": ("--order", "3"),
    "lstm": TRAIN_OPTIONS,
    "cnn": (*TRAIN_OPTIONS, "--variant", "binary", "--filters", "4", "--filter-length", "5"),
}


@pytest.fixture
def genomes(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a__1.fa", tmp_path / "b__1.fa"]
    write_fasta(paths[0], {"r1": markov_codes(6000, 1)})
    write_fasta(paths[1], {"r1": uniform_codes(4000, 2), "r2": uniform_codes(2000, 3)})
    return paths


@pytest.mark.parametrize("model", MODELS)
def test_the_same_bundle(genood_here: Genood, genomes: list[Path], tmp_path: Path, model: str) -> None:
    result = genood_here("index", *genomes, "-o", tmp_path / "reference.index", "-q")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    bundles = [tmp_path / "of files", tmp_path / "of index"]
    for bundle, inputs in zip(bundles, (genomes, [tmp_path / "reference.index"]), strict=True):
        command = ("train", *MODELS[model], "--model", model, *inputs, "-o", bundle, "-q")
        assert genood_here(*command).returncode == 0
    names = sorted(path.name for path in bundles[0].iterdir())
    assert names == sorted(path.name for path in bundles[1].iterdir())
    for name in names:
        if name.endswith(".safetensors") and name != "checkpoint.safetensors":
            assert (bundles[0] / name).read_bytes() == (bundles[1] / name).read_bytes(), name
    about = [json.loads((bundle / "genood.json").read_text())["data"] for bundle in bundles]
    assert about[0] == about[1]
    assert [file["name"] for file in about[0]["files"]] == ["a__1.fa", "b__1.fa"]


def test_classes_and_what_is_refused(genood_here: Genood, genomes: list[Path], tmp_path: Path) -> None:
    index = tmp_path / "index"
    (tmp_path / "classes.tsv").write_text("file\tclass\na__1.fa\tx\nb__1.fa\ty\n")
    assert genood_here("index", *genomes, "-o", index, "--classes", tmp_path / "classes.tsv").returncode == 0
    assert [f["class_name"] for f in json.loads((index / "genomes.json").read_text())["files"]] == ["x", "y"]
    again = genood_here("index", *genomes, "-o", index)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == f"genood: error: {index}: is there already; remove it, or name another directory\n"
    (index / "codes.bin").write_bytes(b"\0" * 12_000)
    shutil.copytree(index, tmp_path / "copy")
    damaged = genood_here("train", "--model", "context", tmp_path / "copy", "-o", tmp_path / "bundle")
    assert damaged.returncode == 1
    assert "codes.bin: has changed since it was written; make the index again" in damaged.stderr
    assert not (tmp_path / "bundle").exists()
