"""Training ensembles: what members have in common, what they differ in, and going on with them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from toys import markov_codes, strain_of, uniform_codes, write_fasta

from genood.bundle import Bundle
from genood.engine import Scorer
from genood.ensemble import EnsembleBundle, load_bundle
from genood.errors import BundleError, ConfigError, TrainingError
from genood.forward import forward
from genood.making.build import TrainJob
from genood.making.build_members import TrainedMembers
from genood.making.counting import CountConfig, CountJob
from genood.making.members import CountedMembers, RememberedMembers, SketchedMembers, train_ensemble
from genood.making.remember import RememberConfig, RememberJob
from genood.making.sketching import SketchingConfig, SketchJob
from genood.models.markov import MarkovConfig
from genood.readers import Read
from genood.recipes import PRESETS

CONFIG = RememberConfig(num_calibration_reads=200, read_length=100)
STEPS = replace(
    PRESETS["demo"].train,
    steps=4,
    batch_size=8,
    read_length=60,
    validation_interval=2,
    num_validation_reads=50,
    num_calibration_reads=100,
)


@pytest.fixture(scope="module")
def genomes(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two classes, one of them of two strains."""
    folder = tmp_path_factory.mktemp("genomes")
    codes = uniform_codes(8_000, 1)
    return [
        str(write_fasta(folder / "Beta__0.fna", {"b0": codes})),
        str(write_fasta(folder / "Beta__1.fna", {"b1": strain_of(codes, 5)})),
        str(write_fasta(folder / "Gamma__0.fna", {"g": uniform_codes(8_000, 2)})),
    ]


def remember(
    inputs: list[str],
    output: Path,
    num_members: int | None = 3,
    resume: bool = False,
    config: RememberConfig = CONFIG,
    **options: Any,
) -> EnsembleBundle:
    job = RememberJob(inputs=inputs, output=str(output), config=config, **options)
    made = train_ensemble(RememberedMembers(job), num_members=num_members, resume=resume)
    assert made is not None
    return made


@pytest.fixture(scope="module")
def remembered(genomes: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three context models; tests must not change it."""
    output = tmp_path_factory.mktemp("remembered") / "ensemble"
    remember(genomes, output)
    return output


@pytest.fixture
def copy(remembered: Path, tmp_path: Path) -> Path:
    shutil.copytree(remembered, tmp_path / "copy")
    return tmp_path / "copy"


def reads_of(codes: np.ndarray, length: int = 250) -> list[Read]:
    return [Read(str(i), codes[i : i + length]) for i in range(0, len(codes) - length, length)]


def test_members_differ_in_seed_and_in_what_they_have_learned(remembered: Path) -> None:
    ensemble = load_bundle(remembered)
    assert isinstance(ensemble, EnsembleBundle)
    assert [member.metadata["seed"] for member in ensemble.members] == [0, 1, 2]
    assert ensemble.gives == {"likelihood", "background"}
    assert all(member.metadata["training"]["half"] for member in ensemble.members)
    codes = np.stack([read.codes for read in reads_of(strain_of(uniform_codes(8_000, 1), 7))])
    batch = forward(ensemble, codes, np.full(len(codes), 250))
    likely = np.stack([member.log_likelihood for member in batch.members])
    # Most reads are known to some members and unknown to others: nats per base far apart.
    assert (np.ptp(likely, axis=0) > 0.5 * 250).mean() > 0.4
    assert {member.metadata["data"]["fingerprint"] for member in ensemble.members} == {
        ensemble.metadata["data"]["fingerprint"]
    }


def test_scores_and_p_values(remembered: Path) -> None:
    ensemble = load_bundle(remembered)
    assert {"llr", "likelihood"} <= set(ensemble.calibration["detectors"])
    mine, foreign = (
        next(Scorer(ensemble).score(reads_of(codes)))
        for codes in (strain_of(uniform_codes(8_000, 1), 9), uniform_codes(8_000, 30))
    )
    assert mine.calls.count("ood") <= 0.2 * len(mine.calls)
    assert set(foreign.calls) == {"ood"}
    np.testing.assert_allclose(mine.llr, mine.log_likelihood - mine.background_log_likelihood)


def test_card_and_metrics(remembered: Path) -> None:
    ensemble = load_bundle(remembered)
    assert "An ensemble of 3 bundles (context)" in ensemble.card
    assert "| member-3 | context | 2 | Beta, Gamma |" in ensemble.card
    own = [member.metadata["metrics"]["foreground"]["val_nats_per_base"] for member in ensemble.members]
    assert ensemble.metadata["metrics"]["foreground"]["val_nats_per_base"] < min(own)


def state_of(directory: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def test_going_on_gives_the_same(genomes: list[str], remembered: Path, copy: Path) -> None:
    """The second member's weights were being written, the third not begun."""
    shutil.rmtree(copy / "member-3")
    (copy / "member-2" / "genood.json").unlink()
    (copy / "member-2" / "foreground.safetensors").write_bytes(b"half")
    (copy / "genood.json").unlink()
    before = (copy / "member-1" / "genood.json").stat().st_mtime_ns
    with pytest.raises(BundleError, match="holds an unfinished training; go on with --resume"):
        remember(genomes, copy)
    remember(genomes, copy, resume=True)
    assert (copy / "member-1" / "genood.json").stat().st_mtime_ns == before
    assert state_of(copy) == state_of(remembered)


def test_more_members_follow(genomes: list[str], copy: Path) -> None:
    first = load_bundle(copy).fingerprint
    larger = remember(genomes, copy, num_members=4, resume=True)
    assert len(larger.members) == 4
    assert load_bundle(copy).fingerprint == larger.fingerprint != first


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"config": replace(CONFIG, seed=1)}, r"member-1: was made otherwise \(seed\)"),
        ({"config": replace(CONFIG, background="low-order")}, r"was made otherwise \(background\)"),
        ({"num_members": None}, "member-3: is one member too many"),
        ({"num_members": 2}, "member-3: is one member too many"),
    ],
)
def test_going_on_otherwise_is_refused(
    genomes: list[str], remembered: Path, options: dict[str, Any], problem: str
) -> None:
    before = state_of(remembered)
    with pytest.raises(BundleError, match=problem):
        remember(genomes, remembered, resume=True, **options)
    assert state_of(remembered) == before


def test_going_on_with_other_sequences_is_refused(genomes: list[str], remembered: Path, copy: Path) -> None:
    with pytest.raises(BundleError, match=r"member-1: was made otherwise \(data\)"):
        remember([genomes[1], genomes[0], genomes[2]], remembered, resume=True)
    (copy / "genood.json").unlink()
    shutil.rmtree(copy / "member-3")
    with pytest.raises(BundleError, match=r"member-1: was made otherwise \(.*half, data\)"):
        remember(genomes, copy, num_members=None, resume=True)


def test_nothing_to_go_on_with(genomes: list[str], tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="there is no ensemble to go on with; train without --resume"):
        remember(genomes, tmp_path / "new", resume=True)
    assert not (tmp_path / "new").exists()


def test_at_least_two(genomes: list[str], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="at least 2 members, not 1"):
        remember(genomes, tmp_path / "new", num_members=1)
    with pytest.raises(ConfigError, match="a model for each class needs two classes or more"):
        remember(genomes[:1], tmp_path / "new", num_members=None)


def test_a_model_for_each_class(genomes: list[str], tmp_path: Path) -> None:
    ensemble = remember(genomes, tmp_path / "classes", num_members=None)
    assert ensemble.gives == {"likelihood", "background", "class-members"}
    assert [member.metadata["classes"] for member in ensemble.members] == [["Beta"], ["Gamma"]]
    assert [len(member.metadata["data"]["files"]) for member in ensemble.members] == [2, 1]
    assert len(ensemble.metadata["data"]["files"]) == 3
    for place, seed in enumerate((1, 2)):
        codes = strain_of(uniform_codes(8_000, seed), 11)[None, 1000:1250]
        likely = [member.log_likelihood[0] for member in forward(ensemble, codes, np.array([250])).members]
        assert int(np.argmax(likely)) == place
        assert max(likely) - min(likely) > 100


def test_each_class_needs_validation_reads(genomes: list[str], tmp_path: Path) -> None:
    validation = write_fasta(tmp_path / "Beta__val.fna", {"v": strain_of(uniform_codes(8_000, 1), 20)})
    with pytest.raises(TrainingError, match="validation sequences: there are none of class 'Gamma'"):
        remember(genomes, tmp_path / "new", num_members=None, validation=[str(validation)])
    assert not (tmp_path / "new").exists()  # though Beta, the first, would have some


def count(inputs: list[str], output: Path, num_members: int | None, resume: bool = False) -> EnsembleBundle:
    config = CountConfig(model=MarkovConfig(order=3), num_calibration_reads=200, read_length=100)
    job = CountJob(inputs=inputs, output=str(output), config=config)
    made = train_ensemble(CountedMembers(job), num_members=num_members, resume=resume)
    assert made is not None
    return made


@pytest.mark.parametrize("num_members", [2, None])
def test_markov_chains(genomes: list[str], tmp_path: Path, num_members: int | None) -> None:
    ensemble = count(genomes, tmp_path / "chains", num_members)
    first, second = ensemble.members
    assert ensemble.by == ("class" if num_members is None else "seed")
    assert first.metadata["training"]["half"] == (num_members is not None)
    assert not np.array_equal(*(member.model.weights()["table"] for member in (first, second)))
    (tmp_path / "chains" / "member-2" / "genood.json").unlink()
    (tmp_path / "chains" / "genood.json").unlink()
    again = count(genomes, tmp_path / "chains", num_members, resume=True)
    assert again.fingerprint == ensemble.fingerprint


@pytest.mark.parametrize("num_members", [2, None])
def test_sketches(genomes: list[str], tmp_path: Path, num_members: int | None) -> None:
    """Made anew where one is missing, the whole is the same; an ensemble of classes asks each for its own."""
    config = SketchingConfig(num_calibration_reads=200, read_length=100)
    job = SketchJob(inputs=genomes, output=str(tmp_path / "sketches"), config=config)
    ensemble = train_ensemble(SketchedMembers(job), num_members=num_members)
    assert ensemble is not None
    first, second = ensemble.members
    assert (ensemble.by, first.model.kind) == ("class" if num_members is None else "seed", "sketch")
    assert first.metadata["training"]["half"] == (num_members is not None)
    assert ("members" in ensemble.gives, "class-members" in ensemble.gives) == (False, num_members is None)
    assert not np.array_equal(*(member.model.weights()["composition"] for member in (first, second)))
    (tmp_path / "sketches" / "member-2" / "genood.json").unlink()
    (tmp_path / "sketches" / "genood.json").unlink()
    again = train_ensemble(SketchedMembers(job), num_members=num_members, resume=True)
    assert again is not None
    assert again.fingerprint == ensemble.fingerprint


@contextmanager
def after(steps: int) -> Iterator[Callable[[], bool]]:
    """Stops before the step after so many."""
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > steps

    yield stop


def steps_job(output: Path, genome_files: list[Path], **changes: Any) -> TrainJob:
    return TrainJob(
        inputs=[str(path) for path in genome_files],
        output=str(output),
        model="lstm",
        model_config={"hidden_size": 4},
        config=replace(STEPS, **changes),
    )


def train_steps(job: TrainJob, resume: bool = False, num: int | None = 2, **options: Any) -> Any:
    members = TrainedMembers(job, device=torch.device("cpu"), **options)
    return train_ensemble(members, num_members=num, resume=resume)


@pytest.fixture(scope="module")
def short_genomes(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("short")
    return [
        write_fasta(folder / "Alpha__one.fna", {"a": markov_codes(5000, 1)}),
        write_fasta(folder / "Beta__one.fna", {"b": markov_codes(5000, 3, stay=0.6)}),
    ]


def test_stopped_and_gone_on_with(short_genomes: list[Path], tmp_path: Path) -> None:
    """In the second member, after its third step; the result is that of training at a stretch."""
    whole = train_steps(steps_job(tmp_path / "whole", short_genomes))
    job = steps_job(tmp_path / "parts", short_genomes)
    assert train_steps(job, stopping=lambda: after(4)) is not None
    shutil.rmtree(tmp_path / "parts")
    assert train_steps(job, stopping=lambda: after(3)) is None
    assert sorted(path.name for path in (tmp_path / "parts").iterdir()) == ["member-1"]
    with pytest.raises(BundleError, match="training has not finished"):
        load_bundle(tmp_path / "parts")
    gone_on = train_steps(job, resume=True)
    assert gone_on.fingerprint == whole.fingerprint
    seeds = [member.metadata["seed"] for member in gone_on.members]
    assert seeds == [0, 1]
    assert gone_on.gives == {"likelihood", "background", "members"}
    weights = [member.foreground.weights()["dense.weight"] for member in gone_on.members]
    assert not np.allclose(*weights)
    tables = [member.training_table for member in gone_on.members]
    assert tables[0] != tables[1]


def test_more_steps(short_genomes: list[Path], tmp_path: Path) -> None:
    """They train the members on; fewer are refused."""
    first = train_steps(steps_job(tmp_path / "more", short_genomes))
    second = train_steps(steps_job(tmp_path / "more", short_genomes, steps=6), resume=True)
    assert second.fingerprint != first.fingerprint
    assert [member.metadata["training"]["steps"] for member in second.members] == [6, 6]
    with pytest.raises(BundleError, match=r"member-1: was made otherwise \(steps\)"):
        train_steps(steps_job(tmp_path / "more", short_genomes, steps=4), resume=True)


def test_all_hold_out_the_same(short_genomes: list[Path], tmp_path: Path) -> None:
    """So that what calibrates the ensemble is new to each member; by class, too."""
    members = TrainedMembers(steps_job(tmp_path / "x", short_genomes), device=torch.device("cpu"))
    whole = members.validation.genomes
    for name in whole.classes:
        part = members.validation.of_class(name).genomes
        mine = whole.labels == whole.classes.index(name)
        assert part.starts.tolist() == whole.starts[mine].tolist()
        assert part.classes == (name,)
        assert set(part.labels.tolist()) == {0}
    assert members.record(2, None)["training"]["seed"] == 1


def test_members_by_class_step_by_step(short_genomes: list[Path], tmp_path: Path) -> None:
    ensemble = train_steps(steps_job(tmp_path / "classes", short_genomes), num=None)
    loaded = load_bundle(tmp_path / "classes")
    assert isinstance(loaded, EnsembleBundle)
    assert loaded.by == "class"
    assert loaded.fingerprint == ensemble.fingerprint
    assert [member.metadata["classes"] for member in loaded.members] == [["Alpha"], ["Beta"]]
    assert json.loads((tmp_path / "classes" / "genood.json").read_text())["classes"] == ["Alpha", "Beta"]
    assert Bundle.load(tmp_path / "classes" / "member-2").metadata["data"]["files"][0]["class_name"] == "Beta"


def test_binary_classifiers_do_not_mind_the_classes_of_validation_reads(
    short_genomes: list[Path], tmp_path: Path
) -> None:
    other = write_fasta(tmp_path / "Gamma__one.fna", {"g": uniform_codes(5000, 7)})
    shape = {"num_filters": 4, "hidden_size": 4, "variant": "binary"}
    job = replace(
        steps_job(tmp_path / "binary", short_genomes),
        model="cnn",
        model_config=shape,
        validation=[str(other)],
    )
    metrics = train_steps(job).metadata["metrics"]
    assert 0 <= metrics["classifier"]["val_accuracy"] <= 1
