"""The recipes for LSTMs that are compared, and the table of them."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from workflow_runs import ROOT

from genood.cli.train import command
from genood.recipes import PRESETS
from genood.reference.labels import class_in, read_classes


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("recipes")


def test_the_command_takes_what_a_recipe_says(compared: ModuleType) -> None:
    assert len(compared.RECIPES) > 1
    for recipe in compared.RECIPES.values():
        words = ["genome.fa", "-o", "bundle", *compared.options(recipe, 41)]
        given = command.make_context("train", words).params
        assert (given["model"], given["steps"], given["validation_interval"]) == ("lstm", 41, 3)
        for name, value in {**recipe.model_config, **recipe.train_options}.items():
            assert given[name] == value


def test_genomes_of_one_class(compared: ModuleType, tmp_path: Path) -> None:
    genomes = [tmp_path / "A__1.fna", tmp_path / "B__2.fna"]
    assert compared.classes(compared.RECIPES["base"], tmp_path, genomes) == []
    option, table = compared.classes(compared.RECIPES["by-bases"], tmp_path, genomes)
    assert option == "--classes"
    of = read_classes(table)
    assert {class_in(str(genome), of) for genome in genomes} == {"reference"}


@pytest.mark.parametrize(("name", "preset"), [("base", "quick"), ("small", "small")])
def test_presets_that_are_among_them(compared: ModuleType, name: str, preset: str) -> None:
    """But for the precision, which is a machine's matter."""
    recipe, chosen = compared.RECIPES[name], PRESETS[preset]
    assert recipe.model_config == chosen.models["lstm"]
    config = chosen.train_config("lstm")
    for option, value in recipe.train_options.items():
        assert option == "precision" or getattr(config, option) == value


def test_a_read_and_its_reverse_complement(compared: ModuleType, tmp_path: Path) -> None:
    reads = tmp_path / "reads.fasta"
    reads.write_text(">a\nAACGT\n>b\nNC\n")
    assert compared.reverse_complements(reads).read_text() == ">a\nACGTT\n>b\nGN\n"


def result(about: str, auroc: float) -> dict[str, Any]:
    measured = {metric: {"value": auroc, "low": 0.0, "high": 1.0} for metric in ("auroc", "fpr80")}
    sets = dict.fromkeys(("validation", "known", "new"), measured)
    return {
        "about": about,
        "cpu_seconds": 90.0,
        "steps": 2000,
        "bases": 6_400_000,
        "val_nats_per_base": {"foreground": 1.3, "background": 1.35},
        "metrics": dict.fromkeys(("llr", "likelihood", "llr, both strands"), sets),
    }


def test_the_best_recipe_comes_first(compared: ModuleType) -> None:
    lines = compared.markdown({"a": result("worse", 0.5), "b": result("better", 0.625)}).splitlines()
    assert [line.count("|") for line in lines] == [lines[0].count("|")] * 4
    row = "| better | 1.5 | 2,000 | 6 M | 1.3000 | 1.3500 | 0.625 | 0.625 | 0.625 | 0.625 | 0.625 | 0.625 |"
    assert lines[2] == row
    assert lines[3].startswith("| worse ")


def test_a_later_run_adds_to_the_report(compared: ModuleType, tmp_path: Path) -> None:
    file = tmp_path / "recipes.json"
    file.write_text(json.dumps({"machine": "old", "results": {"a": 1, "b": 2}}))
    assert compared.merged(file, {"machine": "new"}, {"b": 3}) == {
        "machine": "new",
        "results": {"a": 1, "b": 3},
    }


def test_another_recipe_of_the_same_name_is_not_taken_for_it(
    compared: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["recipes.py", "base", "--minutes", "2", "--out", str(tmp_path)])
    arguments = compared.parse_arguments()
    directory = tmp_path / "base-2"
    directory.mkdir()
    base = compared.RECIPES["base"]
    kept = {
        "minutes": 2.0,
        "model": base.model_config,
        "train": base.train_options,
        "reads_per_genome": arguments.reads_per_genome,
    }
    (directory / "result.json").write_text(json.dumps(kept))
    assert compared.evaluated("base", arguments, []) == kept
    (directory / "result.json").write_text(json.dumps({**kept, "minutes": 3.0}))
    with pytest.raises(SystemExit, match="another recipe"):
        compared.evaluated("base", arguments, [])
