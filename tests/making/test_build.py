"""From sequence files to a bundle whose p-values hold."""

from __future__ import annotations

import json
import logging
import math
from dataclasses import replace
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import markov_codes, write_fasta

from genood.bundle import Bundle
from genood.calibration import MIN_INDEPENDENT_READS, Calibration
from genood.engine import Scorer
from genood.errors import ConfigError, TrainingError
from genood.making.build import TrainJob, train_bundle
from genood.models.examples import Examples
from genood.readers import Read
from genood.recipes import TrainConfig
from genood.training.learners import DensityLearner, Gradients

CONFIG = TrainConfig(
    steps=30,
    batch_size=32,
    learning_rate=0.02,
    read_length=60,
    validation_interval=10,
    num_validation_reads=64,
    num_calibration_reads=1000,
)


def build(folder: Path, num_bases: int, config: TrainConfig = CONFIG, **options: list[str]) -> Bundle:
    genome = write_fasta(folder / "Alpha__toy.fna", {"a": markov_codes(num_bases, 1)})
    job = TrainJob(
        inputs=[str(genome)],
        output=str(folder / "bundle"),
        model="lstm",
        model_config={"hidden_size": 8},
        config=config,
        **options,
    )
    bundle = train_bundle(job, device=torch.device("cpu"))
    assert bundle is not None
    return bundle


def fresh_reads(length: int) -> list[Read]:
    """Reads of the process that made the genome, none of them in it."""
    codes = markov_codes(500 * length, 99).reshape(500, length)
    return [Read(str(i), row) for i, row in enumerate(codes)]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return build(tmp_path_factory.mktemp("build"), 150_000)


@pytest.mark.parametrize("length", [1, 2, 8, 60, 75, 250])
def test_p_values_hold_for_fresh_reads(bundle: Bundle, length: int) -> None:
    [scored] = Scorer(bundle).score(fresh_reads(length))
    for alpha in (0.05, 0.2):
        called = (scored.p_values <= alpha).mean()
        # The null's own error beside that of 500 reads, four standard errors; ties call fewer.
        worth = 1 / (1 / 500 + 1 / scored.null_reads[0])
        assert called <= alpha + 4 * np.sqrt(alpha * (1 - alpha) / worth)
        if length >= 8:
            assert called >= alpha - 4 * np.sqrt(alpha * (1 - alpha) / worth)


def test_bins_have_reads_that_do_not_overlap(bundle: Bundle) -> None:
    null = Calibration.from_json(bundle.calibration).nulls["llr"]
    assert {25, 60, 150} <= set(null.lengths)
    assert min(null.num_independent) >= MIN_INDEPENDENT_READS
    # 5 % of 150,000 bases are held out; at most 1,000 reads are drawn.
    for length, number in zip(null.lengths, null.num_independent, strict=True):
        assert number <= min(1000, 7500 / length)


def test_a_short_reference_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "genood"):
        bundle = build(tmp_path, 7000)
    null = Calibration.from_json(bundle.calibration).nulls["llr"]
    assert null.lengths[-1] < CONFIG.read_length
    assert f"longer than {null.lengths[-1]} bases will be too large" in caplog.text
    [scored] = Scorer(bundle).score(fresh_reads(250))
    assert (scored.p_values <= 0.05).mean() <= 0.05


def test_validation_sequences_of_any_length_serve(tmp_path: Path) -> None:
    contigs = {"long": markov_codes(2100, 5)} | {f"c{i}": markov_codes(300, 6 + i) for i in range(100)}
    validation = write_fasta(tmp_path / "Alpha__val.fna", contigs)
    bundle = build(tmp_path, 20_000, validation=[str(validation)])
    null = Calibration.from_json(bundle.calibration).nulls["llr"]
    # One read of each contig of 300, eight of the long one; at 500 bases there are four in all.
    assert dict(zip(null.lengths, null.num_independent, strict=True))[250] == 108
    assert null.lengths[-1] == 250


def test_the_same_file_does_not_validate(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="both trained and validated on"):
        build(tmp_path, 7000, validation=[str(tmp_path / "Alpha__toy.fna")])


def test_too_little_to_calibrate_on_is_told_before_training(tmp_path: Path) -> None:
    validation = write_fasta(tmp_path / "Alpha__val.fna", {"v": markov_codes(12, 2)})
    config = replace(CONFIG, read_length=10)
    with pytest.raises(TrainingError, match="validation sequences: too few to calibrate on"):
        build(tmp_path, 7000, config, validation=[str(validation)])
    assert not (tmp_path / "bundle").exists()


def test_recoveries_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The foreground's loss is nan at step 16, of two models each step; step 10 was validated."""
    calls = count()
    gradients = DensityLearner.gradients

    def once_nan(learner: DensityLearner, examples: Examples) -> Gradients:
        found = gradients(learner, examples)
        return found._replace(loss=torch.tensor(math.nan)) if next(calls) == 30 else found

    monkeypatch.setattr(DensityLearner, "gradients", once_nan)
    bundle = build(tmp_path, 7000)
    metadata = json.loads((tmp_path / "bundle" / "genood.json").read_text())
    assert metadata["recoveries"] == [{"step": 16, "role": "foreground", "loss": "nan", "back_to": 10}]
    assert "A loss went wrong once, and training stepped back" in bundle.card
