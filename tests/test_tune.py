"""Tuning: every cell's number, the choice, its bundle, and what a second run does not do again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from toy_datasets import write_dataset
from toys import markov_codes, uniform_codes, write_fasta

from genood.bundle import Bundle
from genood.dataset import Dataset
from genood.engine import Scorer
from genood.errors import ConfigError, InputError
from genood.making.build import TrainJob, train_bundle
from genood.making.counting import CountConfig, CountJob, count_bundle
from genood.making.remember import RememberConfig, RememberJob, remember_bundle
from genood.models.markov import MarkovConfig
from genood.readers import Read
from genood.recipes import TrainConfig
from genood.sequence import Codes
from genood.training.following import Stopping
from genood.tune import Candidate, Cell, TuneJob, TuneResult, tune
from genood.tune.tables import markdown_table, tsv

CONFIG = TrainConfig(
    steps=6,
    batch_size=16,
    learning_rate=0.02,
    read_length=40,
    validation_interval=3,
    num_validation_reads=32,
    num_calibration_reads=60,
    seed=3,
)
NUM_READS = 60
READ_LENGTH = 50
STEPS_OF_ALL = 5 * CONFIG.steps
"""Of a foreground and the four backgrounds of `lstm_job`."""


def make_dataset(directory: Path, *, test_seed: int = 0) -> Path:
    genomes = {
        "train_in": {"Alpha": markov_codes(6000, 1), "Beta": markov_codes(6000, 3, stay=0.5)},
        "val_in": {"Alpha": markov_codes(6000, 11), "Beta": markov_codes(6000, 13, stay=0.5)},
        "val_ood": {"Zeta": uniform_codes(6000, 8), "Eta": markov_codes(6000, 9, stay=0.3)},
        "test_in": {"Alpha": uniform_codes(6000, test_seed)},
        "test_ood": {"Theta": uniform_codes(6000, test_seed + 1)},
    }
    return write_dataset(directory, genomes, num_reads=NUM_READS, read_length=READ_LENGTH)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_dataset(tmp_path_factory.mktemp("tune") / "dataset")


def lstm_job(dataset: Path, output: Path) -> TuneJob:
    return TuneJob(
        inputs=[str(dataset)],
        output=str(output),
        model="lstm",
        model_config={"hidden_size": 6},
        config=CONFIG,
        mutation_rates=(0.1, 0.3),
        l2s=(0.0, 0.01),
        command="genood tune",
    )


def context_job(dataset: Path, output: Path) -> TuneJob:
    return TuneJob(
        inputs=[str(dataset)],
        output=str(output),
        model="context",
        config=RememberConfig(read_length=READ_LENGTH, num_calibration_reads=60),
        mutation_rates=(0.4,),
    )


def tuned(job: TuneJob, stopping: Stopping | None = None) -> TuneResult:
    result = tune(job) if stopping is None else tune(job, stopping=stopping)
    assert result is not None
    return result


@pytest.fixture(scope="module")
def lstm(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> TuneResult:
    """An LSTM tuned with two seeds; not to be changed."""
    output = tmp_path_factory.mktemp("lstm") / "tuning"
    return tuned(replace(lstm_job(dataset, output), num_seeds=2))


@pytest.fixture(scope="module")
def context(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> TuneResult:
    """A context model tuned; not to be changed."""
    return tuned(context_job(dataset, tmp_path_factory.mktemp("context") / "tuning"))


def auroc_of(bundle: Bundle, inside: Codes, ood: Codes) -> float:
    """Of pairs of reads, how many the bundle's detector has in the right order; ties count half."""
    scores = [
        np.concatenate([part.ood_scores["llr"] for part in Scorer(bundle).score(named(codes))])
        for codes in (inside, ood)
    ]
    less, tied = (operator(scores[0][:, None], scores[1][None, :]).mean() for operator in (np.less, np.equal))
    return float(less + tied / 2)


def named(codes: Codes) -> list[Read]:
    return [Read(str(number), np.array(row)) for number, row in enumerate(codes)]


def cell_of(result: TuneResult, **values: object) -> Cell:
    [cell] = [cell for cell in result.cells if cell.candidate == Candidate(**values)]
    return cell


def files_of(directory: Path) -> dict[str, tuple[int, bytes]]:
    """Time of the last change and content of all files below."""
    return {
        str(path.relative_to(directory)): (path.stat().st_mtime_ns, path.read_bytes())
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def contents_of(directory: Path) -> dict[str, bytes]:
    return {name: content for name, (_, content) in files_of(directory).items()}


def stopping_after(num_steps: int) -> Stopping:
    """Says to stop when asked before the step after so many."""

    @contextmanager
    def stopping() -> Iterator[object]:
        asked = count()
        yield lambda: next(asked) >= num_steps

    return stopping


def test_a_cell_is_what_training_makes(lstm: TuneResult, dataset: Path, tmp_path: Path) -> None:
    """Its bundle, trained apart with the second seed, separates as the table says."""
    splits = Dataset.load(dataset).splits
    for rate, l2 in ((0.1, 0.01), (0.3, 0.0)):
        job = TrainJob(
            inputs=[str(dataset)],
            output=str(tmp_path / f"{rate}"),
            model="lstm",
            model_config={"hidden_size": 6},
            config=replace(CONFIG, seed=4, mutation_rate=rate, l2=l2),
        )
        bundle = train_bundle(job, device=torch.device("cpu"))
        assert bundle is not None
        cell = cell_of(lstm, mutation_rate=rate, l2=l2)
        again = lstm.bundle(cell.candidate, 4)
        for ours, theirs in ((again.foreground, bundle.foreground), (again.background, bundle.background)):
            assert ours is not None
            assert theirs is not None
            for name, weights in theirs.weights().items():
                assert np.array_equal(ours.weights()[name], weights)
        assert again.training_table == bundle.training_table
        assert again.metadata["metrics"] == bundle.metadata["metrics"]
        real = auroc_of(bundle, splits["val_in"].codes, splits["val_ood"].codes)
        assert cell.separations["real"][1].auroc == pytest.approx(real, abs=1e-4)
        simulated = lstm.reads.ood["simulated"].codes
        simulated_auroc = auroc_of(bundle, splits["val_in"].codes, simulated)
        assert cell.separations["simulated"][1].auroc == pytest.approx(simulated_auroc, abs=1e-4)


def test_the_bundle_is_of_the_best_and_of_the_first_seed(lstm: TuneResult) -> None:
    bundle = Bundle.load(lstm.bundle_directory)
    best = max(lstm.cells, key=lambda cell: np.mean([each.auroc for each in cell.separations["real"]]))
    assert lstm.chosen is best
    assert bundle.metadata["seed"] == 3
    assert bundle.metadata["training"]["mutation_rate"] == best.candidate.mutation_rate
    assert bundle.metadata["training"]["l2"] == best.candidate.l2
    of_cell = lstm.bundle(best.candidate, 3)
    assert of_cell.background is not None
    assert bundle.background is not None
    for name, weights in of_cell.background.weights().items():
        assert np.array_equal(bundle.background.weights()[name], weights)
    about = bundle.metadata["tuning"]
    assert (about["chosen_by"], about["num_backgrounds"], about["seeds"]) == ("real", 4, [3, 4])
    assert about["chosen"]["real"]["auroc"] == best.mean("real")
    assert f"Choice: {best.candidate}, AUROC {best.mean('real'):.4f}." in bundle.card
    assert bundle.card.index("## Choice of the background") < bundle.card.index("## p-values")


def test_files_say_the_same(lstm: TuneResult) -> None:
    root = Path(lstm.job.output)
    value = json.loads((root / "tuning.json").read_text())
    assert [len(each["real"]["seeds"]) for each in value["cells"]] == [2] * 4
    assert value["chosen_by"] == "real"
    assert value["choices"]["real"]["mutation_rate"] == lstm.chosen.candidate.mutation_rate
    assert value["reads"]["in"]["num_reads"] == 2 * NUM_READS
    assert (root / "tuning.tsv").read_text() == tsv(lstm.cells)
    assert (root / "tuning.md").read_text() == lstm.markdown()
    for against, best in lstm.choices().items():
        assert markdown_table(lstm.cells, against, best) in lstm.markdown()


def test_a_second_run_makes_nothing(lstm: TuneResult, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files_of(Path(lstm.job.output))

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("something is made again")

    monkeypatch.setattr("genood.training.loop.Trainer.run", refuse)
    monkeypatch.setattr("genood.models.lstm.LSTM.log_probs", refuse)
    assert tuned(lstm.job).cells == lstm.cells
    after = files_of(Path(lstm.job.output))
    kept = [name for name in before if name.startswith(("cells", "bundle"))]
    assert len(kept) > 20
    assert {name: after[name] for name in kept} == {name: before[name] for name in kept}
    assert contents_of(Path(lstm.job.output)) == {name: content for name, (_, content) in before.items()}


@pytest.mark.parametrize("num_steps", [4, 2 * CONFIG.steps, 3 * CONFIG.steps + 5])
def test_a_stopped_run_goes_on(lstm: TuneResult, dataset: Path, tmp_path: Path, num_steps: int) -> None:
    """In the foreground, between two backgrounds, and in one; to the same files in the end."""
    job = replace(lstm.job, output=str(tmp_path / "tuning"))
    assert tune(job, stopping=stopping_after(num_steps)) is None
    assert not (tmp_path / "tuning" / "tuning.md").exists()
    assert not (tmp_path / "tuning" / "bundle").exists()
    assert tuned(job, stopping_after(10 * STEPS_OF_ALL)).cells == lstm.cells
    assert contents_of(tmp_path / "tuning") == contents_of(Path(lstm.job.output))


def test_a_larger_grid_adds_to_it(dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = replace(lstm_job(dataset, tmp_path), mutation_rates=(0.1,), l2s=(0.0,))
    first = tuned(job)
    before = files_of(tmp_path / "cells")
    more = tuned(replace(job, mutation_rates=(0.1, 0.3)), stopping_after(CONFIG.steps))
    assert more.cells[0] == first.cells[0]
    assert files_of(tmp_path / "cells").items() > before.items()
    chosen = Bundle.load(tmp_path / "bundle").metadata["training"]["mutation_rate"]
    assert chosen == more.chosen.candidate.mutation_rate


def test_the_other_choice_replaces_the_bundle(context: TuneResult, tmp_path: Path) -> None:
    """Whose background is a model in the one case only."""
    job = replace(context.job, output=str(tmp_path))
    choices = {}
    for against in ("simulated", "real", "simulated"):
        choices[against] = tuned(replace(job, choose=against)).chosen.candidate
        bundle = Bundle.load(tmp_path / "bundle")
        assert bundle.metadata["background"] == choices[against].background
        assert (tmp_path / "bundle" / "background.safetensors").exists() == (bundle.background is not None)
    assert choices["real"] != choices["simulated"]


CHANGES: dict[str, tuple[dict[str, object], str]] = {
    "steps": ({"config": replace(CONFIG, steps=7)}, "was begun with steps 6, not 7"),
    "seed": ({"config": replace(CONFIG, seed=4)}, "was begun with seed 3, not 4"),
    "shape": ({"model_config": {"hidden_size": 7}}, "was begun with hidden size 6, not 7"),
    "rate": ({"simulated_rate": 0.2}, "was begun with simulated rate 0.1, not 0.2"),
    "reads": ({"max_reads": 50}, "was begun with max reads 10000, not 50"),
}


@pytest.mark.parametrize("case", CHANGES)
def test_other_options_are_refused(lstm: TuneResult, case: str) -> None:
    change, message = CHANGES[case]
    before = files_of(Path(lstm.job.output))
    with pytest.raises(ConfigError, match=message):
        tune(replace(lstm.job, **change))
    assert files_of(Path(lstm.job.output)) == before


def test_other_reads_are_refused(lstm: TuneResult, tmp_path: Path) -> None:
    path = write_fasta(tmp_path / "Zeta__one.fna", {"z": uniform_codes(5000, 5)})
    with pytest.raises(ConfigError, match=r"was begun with other validation reads \(.*\); give"):
        tune(replace(lstm.job, ood=[str(path)]))


def test_test_reads_decide_nothing(lstm: TuneResult, tmp_path: Path) -> None:
    """With other ones everything is the same."""
    other = make_dataset(tmp_path / "dataset", test_seed=77)
    result = tuned(replace(lstm_job(other, tmp_path / "tuning"), mutation_rates=(0.1,), num_seeds=2))
    assert result.cells == lstm.cells[:2]


def test_a_context_model_is_compared_with_all_its_backgrounds(context: TuneResult, dataset: Path) -> None:
    names = [str(cell.candidate) for cell in context.cells]
    assert names == ["other-classes", "low-order", "read-chain", "μ 0.4"]
    assert context.job.config.background is None


@pytest.mark.parametrize(
    "values", [{"background": "read-chain"}, {"background": "mutated", "mutation_rate": 0.4}]
)
def test_a_cell_of_a_context_model(
    context: TuneResult, dataset: Path, tmp_path: Path, values: dict[str, object]
) -> None:
    """The bundle that `genood train` makes with that background separates as the table says."""
    config = replace(context.job.config, **values)
    job = RememberJob(inputs=[str(dataset)], output=str(tmp_path / "bundle"), config=config)
    bundle = remember_bundle(job)
    splits = Dataset.load(dataset).splits
    real = auroc_of(bundle, splits["val_in"].codes, splits["val_ood"].codes)
    assert cell_of(context, **values).mean("real") == pytest.approx(real, abs=1e-6)


def test_a_cell_of_a_markov_chain(dataset: Path, tmp_path: Path) -> None:
    config = CountConfig(model=MarkovConfig(order=4), read_length=READ_LENGTH, num_calibration_reads=60)
    job = TuneJob(
        inputs=[str(dataset)],
        output=str(tmp_path / "tuning"),
        model="markov",
        config=config,
        mutation_rates=(0.1, 0.2),
    )
    result = tuned(job)
    assert [str(cell.candidate) for cell in result.cells] == ["low-order", "μ 0.1", "μ 0.2"]
    assert Bundle.load(tmp_path / "tuning" / "bundle").metadata["kind"] == "markov"
    splits = Dataset.load(dataset).splits
    for values in ({"background": "low-order"}, {"background": "mutated", "mutation_rate": 0.2}):
        own = CountJob(
            inputs=[str(dataset)],
            output=str(tmp_path / values["background"]),
            config=replace(config, **values),
        )
        real = auroc_of(count_bundle(own), splits["val_in"].codes, splits["val_ood"].codes)
        assert cell_of(result, **values).mean("real") == pytest.approx(real, abs=1e-6)


def test_backgrounds_that_no_seed_changes_count_once(context: TuneResult, tmp_path: Path) -> None:
    result = tuned(replace(context.job, output=str(tmp_path), num_seeds=2))
    assert [len(cell.separations["real"]) for cell in result.cells] == [1, 1, 1, 2]
    assert result.cells[:3] == context.cells[:3]


def test_a_markov_chain_is_the_same_for_all_seeds(dataset: Path, tmp_path: Path) -> None:
    job = TuneJob(
        inputs=[str(dataset)],
        output=str(tmp_path / "tuning"),
        model="markov",
        config=CountConfig(model=MarkovConfig(order=3), read_length=READ_LENGTH, num_calibration_reads=60),
        mutation_rates=(0.1,),
        num_seeds=3,
    )
    result = tuned(job)
    assert [str(cell.candidate) for cell in result.cells] == ["low-order", "μ 0.1"]
    assert [len(cell.separations["real"]) for cell in result.cells] == [1, 1]
    assert [cell.standard_error("real") for cell in result.cells] == [None, None]
    assert "AUROC of the ratio of markov models, seed 0.\n" in result.markdown()
    halves = tuned(
        replace(job, output=str(tmp_path / "halves"), config=replace(job.config, half=True), num_seeds=2)
    )
    assert [len(cell.separations["real"]) for cell in halves.cells] == [2, 2]


def test_fasta_is_tuned_on_simulated_reads_alone(tmp_path: Path) -> None:
    """Of a context model each judged without its own file, else they would all be known by heart."""
    paths = []
    for number, name in enumerate(("Alpha__1.fna", "Alpha__2.fna", "Beta__1.fna", "Beta__2.fna")):
        codes = markov_codes(6000, number // 2, stay=0.5)
        codes[number % 2 :: 40] = 0
        paths.append(str(write_fasta(tmp_path / name, {"a": codes})))
    config = RememberConfig(read_length=100, num_calibration_reads=60)
    job = TuneJob(
        inputs=paths, output=str(tmp_path / "t"), model="context", config=config, mutation_rates=(0.1,)
    )
    with pytest.raises(ConfigError, match="there are no real OOD reads to choose by; give some with --ood"):
        tune(replace(job, choose="real"))
    assert not (tmp_path / "t").exists()
    result = tuned(job)
    assert (result.chosen_by, list(result.choices())) == ("simulated", ["simulated"])
    without = result.reads.inside.without_files
    assert without is not None
    assert set(without.tolist()) == {0, 1, 2, 3}
    assert "Real OOD" not in result.markdown()
    assert Bundle.load(tmp_path / "t" / "bundle").metadata["tuning"]["chosen_by"] == "simulated"


def test_fasta_is_tuned_on_stretches_held_out(tmp_path: Path) -> None:
    paths = [str(write_fasta(tmp_path / "Alpha__1.fna", {"a": markov_codes(20_000, 1)}))]
    ood = [str(write_fasta(tmp_path / "Zeta__1.fna", {"z": uniform_codes(5000, 2)}))]
    job = replace(
        lstm_job(tmp_path, tmp_path / "t"), inputs=paths, ood=ood, mutation_rates=(0.1,), l2s=(0.0,)
    )
    result = tuned(job)
    assert result.reads.inside.source == "held-out stretches of the reference"
    assert result.reads.inside.codes.shape == (100, 40)  # four for each of 1,000 / 40 that do not overlap
    assert result.reads.ood["real"].codes.shape == (500, 40)
    assert result.chosen_by == "real"


def test_unfit_jobs(dataset: Path, tmp_path: Path) -> None:
    job = lstm_job(dataset, tmp_path / "tuning")
    for change, message in (
        ({"model": "context"}, "TrainConfig is not for a model of kind context"),
        ({"config": RememberConfig()}, "RememberConfig is not for a model of kind lstm"),
        ({"simulated_rate": 0.0}, "the rate of simulated OOD reads must be above 0"),
        ({"num_seeds": 0}, "num seeds must be at least 1, not 0"),
        ({"max_reads": 0}, "max reads must be at least 1, not 0"),
    ):
        with pytest.raises(ConfigError, match=message):
            replace(job, **change)


@pytest.mark.parametrize(
    ("damaged", "removed"),
    [
        ("seed-3/mutated-0.1-0.0/result.json", "it"),
        ("options.json", "cells"),
        ("seed-3/foreground/foreground.safetensors", "cells/seed-3/foreground"),
        ("seed-3/foreground/metrics.json", "cells/seed-3/foreground"),
    ],
)
@pytest.mark.parametrize("content", [b"", b"[]"])
def test_a_damaged_file_of_a_tuning_is_named(
    lstm: TuneResult, dataset: Path, tmp_path: Path, damaged: str, removed: str, content: bytes
) -> None:
    output = tmp_path / "tuning"
    shutil.copytree(lstm.job.output, output)
    shutil.rmtree(output / "bundle")
    (output / "cells" / damaged).write_bytes(content)
    with pytest.raises(InputError) as caught:
        tune(replace(lstm_job(dataset, output), num_seeds=2))
    assert str(caught.value).startswith(f"{output / 'cells' / damaged}: is damaged (")
    wanted = "it" if removed == "it" else str(output / removed)
    assert str(caught.value).endswith(f"); remove {wanted} to have it computed again")


def test_directories_that_hold_something_else(dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ConfigError, match="is not empty, and holds no tuning; give a new directory"):
        tune(lstm_job(dataset, tmp_path))
    with pytest.raises(ConfigError, match="is a file; name a directory for the tuning"):
        tune(lstm_job(dataset, tmp_path / "notes.txt"))
    assert contents_of(tmp_path) == {"notes.txt": b"mine"}
