"""Every method runs, by itself and beside the others."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from toy_benchmarks import run_benchmark

from genood.benchmark.figures import _PAIRS
from genood.benchmark.methods import METHODS, SOURCES, chosen_methods
from genood.benchmark.published import PUBLISHED
from genood.benchmark.scales import SCALES
from genood.benchmark.table import read_table, write_tables
from genood.detectors import DETECTORS


def test_all_methods(full_dataset: Path, tmp_path: Path) -> None:
    benchmark, computed = run_benchmark(full_dataset, tmp_path, methods=tuple(METHODS))
    markdown = write_tables(benchmark)
    table = read_table(str(tmp_path))
    assert [method["name"] for method in table["methods"]] == list(METHODS)
    assert (tmp_path / "table.md").read_text() == markdown
    with np.load(tmp_path / "scores.npz") as scores:
        assert all(np.isfinite(values).all() for values in scores.values())
        # Models are shared, detectors are not: of a classifier, only ODIN may have been tuned to what
        # another says, the maximum class probability.
        single = [name for name, method in METHODS.items() if method.source == "cnn"]
        found = {name: scores[f"{name}/seed0/test_in"].tobytes() for name in single if name != "odin"}
        assert len(set(found.values())) == len(found) >= 7
    for method in table["methods"]:
        assert method["training_seconds"] > 0
        assert method["reads_per_second"] > 0
        assert method["num_bytes"] > 0
    assert "Accuracy of the classifier on val_in: " in markdown
    # Twenty classifiers are trained once for all ensembles, the first of them also asked alone.
    assert len([name for name in computed if name.startswith("train-cnn-plain-")]) == 20
    assert len([name for name in computed if name.startswith("train-lstm-foreground-")]) == 2
    rows = (tmp_path / "table.tsv").read_text().splitlines()
    assert [row.split("\t")[0] for row in rows[1:]] == list(METHODS)
    assert len({row.count("\t") for row in rows}) == 1
    [ratio] = [row.split("\t") for row in rows if row.startswith("llr\t")]
    assert ratio[rows[0].split("\t").index("auroc_published")] == "0.755"


def test_methods_name_what_there_is() -> None:
    for method in METHODS.values():
        assert method.detector in DETECTORS
        assert method.source in SOURCES
        for scale in SCALES.values():
            assert SOURCES[method.source].kind in scale.recipes
    assert {method.detector for method in METHODS.values()} == set(DETECTORS)
    assert set(PUBLISHED) <= set(METHODS)


def test_a_noise_class_is_judged_by_the_others_as_in_the_paper() -> None:
    noise = {name: method.detector for name, method in METHODS.items() if method.source == "cnn-noise-class"}
    assert noise == {"noise-class": "max-probability", "noise-probability": "mutated-probability"}
    assert METHODS["binary"].detector == "mutated-probability"
    assert len({method.title for method in METHODS.values()}) == len(METHODS)


def test_the_page_names_the_models_whose_ratio_is_drawn_in_their_order() -> None:
    page = " ".join((Path(__file__).parents[2] / "docs" / "figures.md").read_text().split())
    named = {"lstm": "the LSTM's", "context": "the context model's", "sketch": "the sketch's"}
    named |= {"markov": "the Markov chain's"}
    kinds = [SOURCES[METHODS[ratio].source].kind for _, ratio in _PAIRS]
    first, *others = [named[kind] for kind in kinds]
    assert (
        f"Likelihood and ratio are {first} if both are among the methods, else {', else '.join(others)}."
        in page
    )


def test_what_a_scale_leaves_out_is_computed_if_it_is_named() -> None:
    left_out = SCALES["paper"].left_out
    assert left_out == {"rose-diagonal", "rose-ekfac"}
    assert set(METHODS) - set(chosen_methods((), left_out)) == left_out
    assert chosen_methods(("rose-ekfac", "llr"), left_out) == ("llr", "rose-ekfac")


def test_the_papers_recipe_is_the_papers() -> None:
    paper = SCALES["paper"]
    assert (paper.mutation_rates, paper.num_seeds) == ((0.01, 0.05, 0.1, 0.2), 10)
    assert paper.l2s == (0.0, 1e-6, 1e-5, 1e-4, 1e-3)
    train = paper.recipes["lstm"].train
    assert train is not None
    assert (train.steps, train.batch_size, train.mutation_rate) == (900_000, 100, 0.1)
    assert json.loads(json.dumps(dict(paper.recipes["cnn"].shape)))["num_filters"] == 1000
