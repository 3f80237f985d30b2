"""`genood train --members` and `--per-class`, and what other commands make of ensembles and classifiers."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pysam
import pytest
import torch
from conftest import Genood
from toys import TRAIN_OPTIONS, markov_codes, uniform_codes, write_fasta

from genood.calibration import Calibration
from genood.detectors import DETECTORS
from genood.ensemble import EnsembleBundle, load_bundle
from genood.making.build import TrainJob, train_bundle
from genood.making.build_members import TrainedMembers
from genood.making.members import train_ensemble
from genood.recipes import PRESETS

Make = Callable[..., TrainJob]
DEVICE = torch.device("cpu")
CPU = ("--device", "cpu", "--threads", "1")
NUM_READS = 6


@pytest.fixture(scope="module")
def job(genome_files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Make:
    """A training of seconds, into a directory of its own."""

    def make(model: str, **config: object) -> TrainJob:
        steps = replace(
            PRESETS["demo"].train_config(model),
            steps=4,
            batch_size=8,
            read_length=60,
            validation_interval=2,
            num_validation_reads=50,
            num_calibration_reads=100,
        )
        return TrainJob(
            inputs=[str(path) for path in genome_files],
            output=str(tmp_path_factory.mktemp(model) / "bundle"),
            model=model,
            model_config=config,
            config=steps,
            command="genood train",
        )

    return make


@pytest.fixture(scope="module")
def classifier(job: Make) -> str:
    """A classifier with a class of mutated reads."""
    made = job("cnn", num_filters=16, hidden_size=16, variant="noise-class")
    assert train_bundle(made, device=DEVICE) is not None
    return made.output


@pytest.fixture(scope="module")
def classifiers(job: Make) -> str:
    """An ensemble of classifiers."""
    made = job("cnn", num_filters=16, hidden_size=16)
    assert train_ensemble(TrainedMembers(made, device=DEVICE), num_members=2) is not None
    return made.output


@pytest.fixture(scope="module")
def density(job: Make) -> str:
    """An ensemble of LSTMs."""
    made = job("lstm", hidden_size=4)
    assert train_ensemble(TrainedMembers(made, device=DEVICE), num_members=2) is not None
    return made.output


@pytest.fixture(scope="module")
def reads(tmp_path_factory: pytest.TempPathFactory) -> Path:
    records = {f"r{i}": markov_codes(60 + i, 40 + i) for i in range(NUM_READS - 1)}
    records["none"] = np.full(60, 4, dtype=np.uint8)
    return write_fasta(tmp_path_factory.mktemp("reads") / "reads.fa", records)


def table_of(text: str) -> list[dict[str, str]]:
    header, *rows = [line.split("\t") for line in text.splitlines()]
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_train_score_info_and_calibrate(
    genood_here: Genood, genome_files: list[Path], reads: Path, tmp_path: Path
) -> None:
    output = tmp_path / "ensemble"
    done = genood_here("train", *genome_files, "-o", output, *TRAIN_OPTIONS, "--members", "2", "--seed", "3")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in output.iterdir()} == {
        *("genood.json", "calibration.json", "MODEL_CARD.md", "member-1", "member-2")
    }
    told = genood_here("info", output)
    assert "An ensemble of 2 bundles (lstm)" in told.stdout
    metadata = json.loads(genood_here("info", output, "--json").stdout)
    assert metadata["seed"] == 3
    assert metadata["command"].endswith("--members 2 --seed 3")
    rows = table_of(genood_here("score", "-m", output, reads, *CPU, "--detector", "waic").stdout)
    assert [row["call"] for row in rows[-1:]] == ["na"]
    assert all(row["ood_score"] and row["log_likelihood"] and row["p_value"] for row in rows[:-1])
    known = write_fasta(tmp_path / "known.fa", {f"k{i}": markov_codes(80, i) for i in range(120)})
    done = genood_here("calibrate", "-m", output, known, "-o", tmp_path / "calibrated", *CPU)
    assert done.returncode == 0, done.stderr
    first, second = load_bundle(output), load_bundle(tmp_path / "calibrated")
    assert isinstance(second, EnsembleBundle)
    assert set(second.calibration["detectors"]) == set(first.calibration["detectors"])
    assert second.metadata["calibration"]["bundle"] == first.fingerprint
    assert "known.fa" in second.card
    again = table_of(genood_here("score", "-m", tmp_path / "calibrated", reads, *CPU).stdout)
    assert [row["llr"] for row in again] == [row["llr"] for row in rows]


def test_resumed_by_the_same_command(genood_here: Genood, genome_files: list[Path], tmp_path: Path) -> None:
    arguments = ("train", *genome_files, "-o", tmp_path / "e", "--device", "cpu", "--model", "markov")
    assert genood_here(*arguments, "--order", "2", "--per-class").returncode == 0
    (tmp_path / "e" / "genood.json").unlink()
    again = genood_here(*arguments, "--order", "2", "--per-class")
    assert again.returncode == 1
    assert "holds an unfinished training; go on with --resume" in again.stderr
    assert genood_here(*arguments, "--order", "2", "--per-class", "--resume").returncode == 0
    assert load_bundle(tmp_path / "e").gives >= {"class-members"}


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("--members", "1"), "1 is not in the range 2<=x<=1000"),
        (("--members", "2", "--per-class"), "--members and --per-class are two kinds of ensemble; give one"),
        (("--members", "2", "--add", "x", "--model", "context"), "--add is for a single bundle"),
        (("--resume", "--model", "context"), "--resume has no meaning for --model context without --members"),
        (("--per-class", "--model", "cnn"), "--per-class has no meaning for --model cnn"),
    ],
)
def test_usage(genood_here: Genood, tmp_path: Path, options: tuple[str, ...], problem: str) -> None:
    done = genood_here("train", "x.fa", "-o", tmp_path / "e", *options)
    assert done.returncode == 2
    assert problem in " ".join(done.stderr.split())
    assert not (tmp_path / "e").exists()


def expected_of(classifier: str) -> set[str]:
    gives = load_bundle(classifier).gives
    return {name for name in DETECTORS if DETECTORS[name].needs <= gives}


def test_p_values_are_of_all_that_is_served(classifier: str, classifiers: str, density: str) -> None:
    """But of what takes gradients, which members of an ensemble do not give."""
    assert expected_of(classifier) >= {"max-probability", "odin", "mahalanobis", "knn", "mutated-probability"}
    assert expected_of(density) >= {"llr", "likelihood", "waic"}
    for directory in (classifier, classifiers, density):
        assert set(Calibration.from_json(load_bundle(directory).calibration).nulls) == expected_of(directory)


def test_fitted_detectors_are_in_the_bundle(classifier: str) -> None:
    bundle = load_bundle(classifier)
    assert "detectors.safetensors" in bundle.metadata["files"]
    fitted = {name for name in expected_of(classifier) if DETECTORS[name].requires_fit}
    assert {key.partition("/")[0] for key in bundle.detectors} == fitted


def test_a_classifier_scores(genood_here: Genood, classifier: str, reads: Path) -> None:
    """By its default detector; columns of density models are empty."""
    done = genood_here("score", "-m", classifier, reads, *CPU)
    rows = table_of(done.stdout)
    assert len(rows) == NUM_READS
    assert rows[-1]["call"] == "na"
    for row in rows[:-1]:
        assert 0 <= float(row["ood_score"]) <= 1
        assert 0 < float(row["p_value"]) <= 1
        assert row["call"] in ("in", "ood")
        assert float(row["gc"]) >= 0
        empty = ("log_likelihood", "background_log_likelihood", "llr", "llr_per_base")
        assert [row[name] for name in empty] == [""] * 4
    named = genood_here("score", "-m", classifier, reads, *CPU, "--detector", "max-probability")
    assert named.stdout == done.stdout


def test_every_detector_that_is_served_scores(
    genood_here: Genood, classifier: str, classifiers: str, density: str, reads: Path
) -> None:
    for directory in (classifier, classifiers, density):
        names = sorted(expected_of(directory))
        options = [option for name in names for option in ("--detector", name)]
        rows = table_of(genood_here("score", "-m", directory, reads, *CPU, *options).stdout)
        columns = ["ood_score", *(f"ood_score_{name}" for name in names[1:])]
        for row in rows[:-1]:
            assert all(math.isfinite(float(row[column])) for column in columns)
        assert [rows[-1][column] for column in columns] == [""] * len(columns)


def test_a_classifier_joins_nothing(genood_here: Genood, classifier: str, tmp_path: Path) -> None:
    done = genood_here("join", classifier, classifier + "/", "-o", tmp_path / "mixed")
    assert done.returncode == 1
    said = f"{classifier}: holds a classifier; genood join takes density models"
    assert done.stderr == f"genood: error: {said}\n"


def test_long_reads_are_classified_in_pieces_that_the_null_knows(
    genood_here: Genood, classifier: str, tmp_path: Path
) -> None:
    """No longer than the longest reads of the null; the score is the mean of those of the pieces."""
    nulls = Calibration.from_json(load_bundle(classifier).calibration).nulls
    longest = nulls["max-probability"].lengths[-1]
    codes = np.concatenate([uniform_codes(longest, 5), np.zeros(longest, dtype=np.uint8)])
    write_fasta(tmp_path / "long.fa", {"whole": codes, "one": codes[:longest], "two": codes[longest:]})
    rows = table_of(genood_here("score", "-m", classifier, tmp_path / "long.fa", *CPU).stdout)
    whole, one, two = (float(row["ood_score"]) for row in rows)
    assert whole == pytest.approx((one + two) / 2, rel=1e-5)
    assert one != two
    assert rows[0]["llr"] == ""


def test_other_outputs_of_a_classifier(
    genood_here: Genood, classifier: str, reads: Path, tmp_path: Path
) -> None:
    """The summary has no quantiles of the ratio, BAM no tag for it, Parquet nulls."""
    parquet = pytest.importorskip("pyarrow.parquet")
    done = genood_here(
        *("score", "-m", classifier, reads, *CPU, "-o", tmp_path / "t.parquet"),
        *("--summary", tmp_path / "s.json", "--bam-out", tmp_path / "r.bam", "--alpha", "0.5"),
        *("--ood-out", tmp_path / "ood.fa", "--in-out", tmp_path / "in.fa"),
        *("--kraken-report", tmp_path / "k.txt"),
    )
    assert done.returncode == 0, done.stderr
    columns = parquet.read_table(tmp_path / "t.parquet").to_pydict()
    assert columns["llr"] == [None] * NUM_READS
    assert None not in columns["ood_score"][:-1]
    summary = json.loads((tmp_path / "s.json").read_text())
    assert summary["detectors"] == ["max-probability"]
    assert summary["quantiles"]["llr_per_base"] is None
    assert summary["quantiles"]["ood_score_max-probability"] is not None
    with pysam.AlignmentFile(str(tmp_path / "r.bam"), check_sq=False) as bam:
        tags = [dict(record.get_tags()) for record in bam]
    assert [set(of_read) - {"CO"} for of_read in tags] == [{"XP", "XC"}] * (NUM_READS - 1) + [{"XC"}]


@pytest.mark.parametrize("option", ["--per-position", "--regions", "--window-table"])
def test_a_classifier_says_nothing_of_bases(
    genood_here: Genood, classifier: str, reads: Path, tmp_path: Path, option: str
) -> None:
    done = genood_here("score", "-m", classifier, reads, *CPU, option, tmp_path / "x.bed")
    assert done.returncode == 1
    said = f"{classifier}: a classifier says nothing of single bases; {option} needs density models"
    assert done.stderr == f"genood: error: {said}\n"
    assert not (tmp_path / "x.bed").exists()


@pytest.mark.parametrize(
    ("bundle", "detector", "needed"),
    [
        ("classifier", "llr", "density models (genood train --model context, sketch, lstm or markov)"),
        ("classifier", "waic", "density models (genood train --model context, sketch, lstm or markov)"),
        ("density", "mlr", "an ensemble with a density model for each class (genood train --per-class)"),
        ("density", "energy", "a classifier (genood train --model cnn)"),
        ("classifiers", "knn", "a single classifier (genood train --model cnn)"),
        ("classifiers", "mutated-probability", "a classifier with a class of mutated reads"),
        ("density", "rose-ekfac", "density models trained by gradients (genood train --model lstm)"),
    ],
)
def test_a_detector_that_is_not_served(
    genood_here: Genood, request: pytest.FixtureRequest, reads: Path, bundle: str, detector: str, needed: str
) -> None:
    directory = request.getfixturevalue(bundle)
    done = genood_here("score", "-m", directory, reads, *CPU, "--detector", detector)
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"error: the detector '{detector}' needs a bundle of {needed}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_detector_without_p_values_comes_after_one_with_them(
    genood_here: Genood, density: str, reads: Path
) -> None:
    member = Path(density, "member-1")
    alone = genood_here("score", "-m", member, reads, *CPU, "--detector", "rose-diagonal")
    said = "the bundle has no p-values for 'rose-diagonal'; name another --detector before it"
    assert (alone.returncode, alone.stderr) == (1, f"genood: error: {said}\n")
    both = ("--detector", "llr", "--detector", "rose-diagonal")
    assert genood_here("score", "-m", member, reads, *CPU, *both).returncode == 0


def test_accuracy_of_all_together(classifiers: str) -> None:
    metrics = load_bundle(classifiers).metadata["metrics"]
    assert 0 <= metrics["classifier"]["val_accuracy"] <= 1
    assert (
        f"| all together | | | | accuracy {metrics['classifier']['val_accuracy']:.4f} |"
        in Path(classifiers, "MODEL_CARD.md").read_text()
    )
