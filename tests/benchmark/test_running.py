"""Benchmarks on a small dataset: what is computed, what is chosen by what, and what the tables say."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from toy_benchmarks import METHODS, run_benchmark
from toy_datasets import write_full_dataset

from genood.benchmark.cells import ScoringCell
from genood.benchmark.methods import METHODS as METHODS_OF_ALL
from genood.benchmark.methods import SOURCES
from genood.benchmark.reads import drawn_reads
from genood.benchmark.running import Benchmark, BenchmarkJob
from genood.benchmark.table import write_tables
from genood.dataset import Dataset
from genood.errors import ConfigError, InputError
from genood.files.tensors import map_tensors
from genood.making.build import TrainJob, train_bundle
from genood.making.counting import CountConfig, CountJob, count_bundle
from genood.recipes import TrainConfig


@pytest.fixture(scope="module")
def done(full_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    """A benchmark of two seeds with its tables; tests must not change it."""
    benchmark, _ = run_benchmark(full_dataset, tmp_path_factory.mktemp("bench") / "out", num_seeds=2)
    write_tables(benchmark)
    return benchmark


@pytest.fixture(scope="module")
def knn_done(full_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    """A benchmark of two seeds, with a detector that learns; tests must not change it."""
    methods = ("knn", "markov-llr")
    benchmark, _ = run_benchmark(
        full_dataset, tmp_path_factory.mktemp("knn") / "out", methods=methods, num_seeds=2
    )
    write_tables(benchmark)
    return benchmark


def copy_of(benchmark: Benchmark, folder: Path) -> Path:
    return Path(shutil.copytree(benchmark.job.output, folder / "copy"))


def test_numbers_are_those_of_sklearn_on_the_saved_scores(done: Benchmark) -> None:
    output = Path(done.job.output)
    table = json.loads((output / "table.json").read_text())
    assert [method["name"] for method in table["methods"]] == list(METHODS)
    with np.load(output / "scores.npz") as scores:
        for method in table["methods"]:
            found = []
            for seed in (0, 1):
                inside, ood = (scores[f"{method['name']}/seed{seed}/test_{side}"] for side in ("in", "ood"))
                assert len(inside) == len(ood) == 20
                truth, values = np.repeat([1, 0], 20), -np.concatenate([inside, ood])
                fpr, tpr, _ = roc_curve(truth, values, drop_intermediate=False)
                found.append(
                    (
                        roc_auc_score(truth, values),
                        average_precision_score(truth, values),
                        fpr[np.flatnonzero(tpr >= 0.8)[0]],
                    )
                )
            for number, name in enumerate(("auroc", "auprc", "fpr80")):
                first, second = found[0][number], found[1][number]
                assert method["metrics"][name]["values"] == pytest.approx([first, second])
                assert method["metrics"][name]["mean"] == pytest.approx((first + second) / 2)
                # Of two values a and b: sqrt(((a − m)² + (b − m)²) / 1) / sqrt(2) = |a − b| / 2.
                assert method["metrics"][name]["standard_error"] == pytest.approx(abs(first - second) / 2)


def test_a_good_method_is_seen_to_be_good(done: Benchmark) -> None:
    rows = {result.method: result for result in done.results()}
    assert rows["markov-llr"].separation.auroc > 0.8


def test_scores_belong_to_the_rows_that_are_named(done: Benchmark) -> None:
    dataset = Dataset.load(done.job.dataset)
    with np.load(Path(done.job.output) / "scores.npz") as scores:
        rows = scores["rows/seed1/test_ood"]
    assert (np.diff(rows) > 0).all()
    expected, _ = drawn_reads(dataset, "test", 1, 20)
    other, _ = drawn_reads(dataset, "test", 0, 20)
    assert not np.array_equal(expected.rows, other.rows)
    assert np.array_equal(expected.codes(slice(5, 9)), dataset.splits["test_in"].codes[expected.rows[5:9]])
    read = np.concatenate([codes for codes, _ in expected.batches(7)])
    assert np.array_equal(read, dataset.splits["test_in"].codes[expected.rows])


def test_nothing_is_computed_twice(done: Benchmark, full_dataset: Path, tmp_path: Path) -> None:
    output = copy_of(done, tmp_path)
    before = (output / "table.md").read_text()
    again, computed = run_benchmark(full_dataset, output, num_seeds=2)
    assert computed == []
    assert write_tables(again) == before
    assert all(is_done for _, _, is_done in again.cell_table())
    _, computed = run_benchmark(full_dataset, output, num_seeds=2, methods=(*METHODS, "markov-likelihood"))
    assert computed == [
        f"score-markov-seed{n}: {phase}: likelihood" for n in (0, 1) for phase in ("val", "test")
    ]
    _, computed = run_benchmark(full_dataset, output, num_seeds=3, methods=("markov-llr",))
    # A Markov chain is the same for every seed; an LSTM is not.
    assert computed == [
        "score-markov-seed2: val: llr",
        "score-markov-seed2: test: llr",
    ]
    _, computed = run_benchmark(full_dataset, output, num_seeds=3, methods=("likelihood",))
    assert computed == [
        "train-lstm-foreground-seed2000",
        "score-lstm-seed2: val: likelihood",
        "score-lstm-seed2: test: likelihood",
    ]


def test_a_lost_cell_is_computed_again_alone(done: Benchmark, full_dataset: Path, tmp_path: Path) -> None:
    output = copy_of(done, tmp_path)
    [lost] = (output / "cells" / "trained").glob("train-markov-seed0-*")
    (lost / "costs.json").unlink()
    _, computed = run_benchmark(full_dataset, output, num_seeds=2)
    assert computed == ["train-markov-seed0"]


@pytest.mark.parametrize(
    ("damaged", "removed"),
    [
        ("val/llr-seed0-*.npz", "it"),
        ("test/llr-seed1-*.npz", "it"),
        ("fitted/knn-seed0-*.npz", "it"),
        ("trained/train-cnn-plain-seed0-*/costs.json", "its directory"),
        ("trained/train-cnn-plain-seed0-*/model.json", "its directory"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut off", b"{}"])
def test_a_damaged_file_of_a_cell_is_named(
    knn_done: Benchmark, tmp_path: Path, damaged: str, removed: str, content: bytes
) -> None:
    output = copy_of(knn_done, tmp_path)
    path = sorted((output / "cells").glob(damaged))[0]
    path.write_bytes(content)
    job = replace(knn_done.job, output=str(output))

    def compute() -> None:
        benchmark = Benchmark(job, device="cpu")
        assert benchmark.run()
        write_tables(benchmark)

    with pytest.raises(InputError) as caught:
        compute()
    wanted = path.parent if removed == "its directory" else "it"
    assert str(caught.value).startswith(f"{path}: is damaged (")
    assert str(caught.value).endswith(f"); remove {wanted} to have it computed again")
    assert "\n" not in str(caught.value)
    if wanted == "it":
        path.unlink()
    else:
        shutil.rmtree(path.parent)
    compute()


@pytest.mark.parametrize("cut", [0, 8, 500])
def test_damaged_weights_of_a_cell_are_named(knn_done: Benchmark, tmp_path: Path, cut: int) -> None:
    output = copy_of(knn_done, tmp_path)
    [weights] = (output / "cells").glob("trained/train-cnn-plain-seed0-*/classifier.safetensors")
    os.truncate(weights, cut)
    shutil.rmtree(output / "cells" / "val")
    with pytest.raises(InputError) as caught:
        Benchmark(replace(knn_done.job, output=str(output)), device="cpu").run()
    assert str(caught.value).startswith(f"{weights}: is damaged (")
    assert str(caught.value).endswith(f"); remove {weights.parent} to have it computed again")


def test_test_reads_decide_nothing(done: Benchmark, tmp_path: Path) -> None:
    output = copy_of(done, tmp_path)
    poisoned = write_full_dataset(tmp_path / "dataset")
    swap_sides_of_test_reads(poisoned)
    benchmark, computed = run_benchmark(poisoned, output, num_seeds=2)
    # Neither training nor validation depends on the test reads: only they are scored again.
    assert computed
    assert all(": test: " in name for name in computed)

    def chosen(benchmark: Benchmark) -> list[tuple[object, ...]]:
        return [(r.method, r.seed, r.candidate, dict(r.options), r.val_auroc) for r in benchmark.results()]

    assert chosen(benchmark) == chosen(done)
    before = {(r.method, r.seed): r.separation.auroc for r in done.results()}
    assert all(r.separation.auroc != before[r.method, r.seed] for r in benchmark.results())


def swap_sides_of_test_reads(directory: Path) -> None:
    """Give each of the two test splits the other's reads, and let the checksums be right."""
    import hashlib

    inside, ood = directory / "test_in.npy", directory / "test_ood.npy"
    content = inside.read_bytes()
    inside.write_bytes(ood.read_bytes())
    ood.write_bytes(content)
    path = directory / "dataset.json"
    metadata = json.loads(path.read_text())
    for file in (inside, ood):
        metadata["files"][file.name] = hashlib.sha256(file.read_bytes()).hexdigest()
    path.write_text(json.dumps(metadata))


def test_validation_reads_choose_the_background(done: Benchmark) -> None:
    results = [result for result in done.results() if result.method == "llr"]
    assert {result.candidate for result in results} <= {"μ 0.1, λ 0", "μ 0.1, λ 0.0001"}
    for result in results:
        aurocs = {}
        for candidate in ("μ 0.1, λ 0", "μ 0.1, λ 0.0001"):
            aurocs[candidate] = result.candidate_aurocs[candidate]
        assert result.val_auroc == max(aurocs.values())
        assert aurocs[result.candidate] == result.val_auroc


def test_costs_are_there(done: Benchmark) -> None:
    by_method = {result.method: result for result in done.results()}
    ratio = by_method["llr"]
    assert ratio.training_seconds is not None
    assert ratio.tuning_seconds is not None
    assert ratio.tuning_seconds > ratio.training_seconds > 0
    assert ratio.scores.reads_per_second(0) > 0
    bundle = next((Path(done.job.output) / "cells" / "trained").glob("train-markov-seed0-*")) / "bundle"
    weights = [(bundle / f"{role}.safetensors").stat().st_size for role in ("foreground", "background")]
    assert by_method["markov-llr"].num_bytes == sum(weights)


@contextmanager
def stopping_at_once() -> Iterator[object]:
    yield lambda: True


def test_a_stopped_training_goes_on(full_dataset: Path, tmp_path: Path) -> None:
    job = BenchmarkJob(
        dataset=str(full_dataset), output=str(tmp_path), methods=("likelihood",), scale="smoke"
    )
    assert not Benchmark(job, device="cpu", stopping=stopping_at_once).run()
    [cell] = (tmp_path / "cells" / "trained").iterdir()
    assert (cell / "checkpoint.safetensors").is_file()
    assert json.loads((cell / "spent.json").read_text())["seconds"] > 0
    benchmark = Benchmark(job, device="cpu")
    assert benchmark.run()
    assert not (cell / "spent.json").exists()
    assert not (cell / "checkpoint.safetensors").exists()
    assert benchmark.results()[0].training_seconds > 0


def test_cells_alone(full_dataset: Path, tmp_path: Path) -> None:
    job = BenchmarkJob(
        dataset=str(full_dataset), output=str(tmp_path), methods=("markov-llr",), scale="smoke"
    )
    computed: list[str] = []
    benchmark = Benchmark(job, device="cpu", progress=computed.append)
    assert benchmark.cell_table() == [
        ("train-markov-seed0", [], False),
        ("score-markov-seed0", ["train-markov-seed0"], False),
    ]
    assert benchmark.run(["train-markov-seed0"])
    assert computed == ["train-markov-seed0"]
    assert [is_done for _, _, is_done in benchmark.cell_table()] == [True, False]
    assert benchmark.run(["score-markov-seed0"])
    assert [is_done for _, _, is_done in benchmark.cell_table()] == [True, True]
    with pytest.raises(ConfigError, match="no cell is called 'train-markov'"):
        benchmark.run(["train-markov"])


def test_what_cannot_be_benchmarked_is_said(full_dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no method is called 'magic'"):
        Benchmark(BenchmarkJob(dataset=str(full_dataset), output="out", methods=("magic",)))
    lacking = Path(shutil.copytree(full_dataset, tmp_path / "dataset"))
    metadata = json.loads((lacking / "dataset.json").read_text())
    del metadata["splits"]["val_ood"]
    (lacking / "dataset.json").write_text(json.dumps(metadata))
    with pytest.raises(InputError, match="has no val_ood reads"):
        Benchmark(BenchmarkJob(dataset=str(lacking), output="out"))


def test_classes_that_methods_need_are_missed_at_once(tmp_path: Path) -> None:
    splits = ("train_in", "val_in", "test_in")
    single = write_full_dataset(tmp_path / "single", num_reads=20, without=dict.fromkeys(splits, "Gamma"))
    lacking = write_full_dataset(tmp_path / "lacking", num_reads=20, without={"val_in": "Beta"})

    def refusal(dataset: Path, methods: tuple[str, ...] = ()) -> str:
        with pytest.raises(ConfigError) as caught:
            Benchmark(BenchmarkJob(dataset=str(dataset), output=str(tmp_path / "out"), methods=methods))
        return str(caught.value)

    assert refusal(single).endswith(
        "single: its train_in has one class; leave out of --methods what needs two: max-probability, "
        "entropy, odin, mahalanobis, relative-mahalanobis, ensemble-5, ensemble-10, ensemble-20, calibrated, "
        "mlr, energy, max-logit, knn"
    )
    assert refusal(single, ("llr", "knn", "binary")).endswith("what needs two: knn")
    foreign = write_full_dataset(tmp_path / "foreign", num_reads=20, without={"train_in": "Beta"})
    methods = ("llr", "binary", "noise-class", "markov-llr", "noise-probability")
    assert refusal(foreign, methods).endswith(
        "its val_in has reads of class 'Beta', which train_in lacks; leave out of --methods what is to "
        "name it: noise-class, noise-probability"
    )
    assert refusal(lacking).endswith(
        "its val_in has no reads of class 'Beta'; leave out of --methods what needs some of each class: mlr"
    )
    assert not (tmp_path / "out").exists()


def test_what_one_class_is_enough_for(tmp_path: Path) -> None:
    without = dict.fromkeys(("train_in", "val_in", "test_in"), "Gamma")
    single = write_full_dataset(tmp_path / "single", num_reads=60, without=without)
    enough = [
        name for name, method in METHODS_OF_ALL.items() if not SOURCES[method.source].tells_classes_apart
    ]
    assert {"binary", "noise-class", "context-llr", "llr"} <= set(enough)
    run_benchmark(single, tmp_path / "out", methods=tuple(enough))


def test_nothing_is_said_of_p_values(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Which a benchmark has no use for, though six reads of a class are too few for any."""
    dataset = write_full_dataset(tmp_path / "dataset", num_reads=6)
    methods = ("markov-llr", "context-llr", "sketch-llr", "mlr")
    run_benchmark(dataset, tmp_path / "out", methods=methods)
    assert "p-values" not in caplog.text
    job = CountJob(inputs=[str(dataset)], output=str(tmp_path / "bundle"), config=CountConfig(read_length=60))
    count_bundle(job)
    assert "p-values of reads longer than 25 bases will be too large" in caplog.text


def test_members_of_two_seeds_have_no_seed_in_common(full_dataset: Path) -> None:
    job = BenchmarkJob(dataset=str(full_dataset), output="out", methods=("waic",), scale="smoke", num_seeds=2)
    first, second = Benchmark(job).scorings

    def seeds(cell: ScoringCell) -> set[int]:
        return {need.config["seed"] for need in cell.needs}

    assert len(seeds(first)) == len(seeds(second)) == 2
    assert not seeds(first) & seeds(second)


def test_models_are_those_of_genood_train(done: Benchmark, tmp_path: Path) -> None:
    [cell] = [
        cell for cell in done.trainings if cell.name == "train-lstm-background-mu0.1-lambda0.0001-seed0"
    ]
    job = TrainJob(
        inputs=[done.job.dataset],
        output=str(tmp_path / "bundle"),
        model="lstm",
        model_config=cell.config["shape"],
        config=TrainConfig(**cell.config["train"]),
    )
    bundle = train_bundle(job, device=torch.device("cpu"))
    assert bundle is not None
    cells = {"foreground": "train-lstm-foreground-seed0", "background": cell.name}
    for role, model in (("foreground", bundle.foreground), ("background", bundle.background)):
        assert model is not None
        [path] = Path(done.job.output).glob(f"cells/trained/{cells[role]}-*/{role}.safetensors")
        found = map_tensors(path)
        for name, weights in model.weights().items():
            assert np.array_equal(found[name], weights), name
