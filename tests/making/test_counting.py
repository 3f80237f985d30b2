"""From sequence files to a bundle of Markov chains."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import genomes_of, markov_codes, strain_of, uniform_codes, write_fasta

from genood.bundle import Bundle
from genood.engine import EngineConfig, ScoredReads, Scorer
from genood.errors import ConfigError
from genood.making.counting import (
    CountConfig,
    CountJob,
    class_weighted_counts,
    count_bundle,
)
from genood.models.markov import MarkovConfig, MarkovModel
from genood.readers import Read
from genood.recipes import LOW_ORDER, MARKOV_BACKGROUNDS, MUTATED
from genood.reference.loading import load_data
from genood.sequence import Codes, encode

CONFIG = CountConfig(model=MarkovConfig(order=8), num_calibration_reads=400)


def job_of(inputs: Sequence[Path], output: Path, config: CountConfig, **options: Any) -> CountJob:
    return CountJob(inputs=[str(path) for path in inputs], output=str(output), config=config, **options)


def count(inputs: Sequence[Path], output: Path, config: CountConfig = CONFIG, **options: Any) -> Bundle:
    return count_bundle(job_of(inputs, output, config, **options))


def score(bundle: Bundle, codes: Codes) -> ScoredReads:
    """Scores of reads of 250 bases that do not overlap."""
    rows = codes[: len(codes) // 250 * 250].reshape(-1, 250)
    [scored] = Scorer(bundle, config=EngineConfig()).score(Read(str(i), row) for i, row in enumerate(rows))
    return scored


def test_classes_weigh_equally() -> None:
    """Of AA, 4 bases and 4 of the other strand count as 7 and 7 of CC, with its 10 bases."""
    counts = class_weighted_counts(genomes_of([("A", encode("AAAA")), ("C", encode("CCCCCCCCCC"))]), 0)
    assert counts.tolist() == [7, 7, 7, 7]


@pytest.mark.parametrize("background", MARKOV_BACKGROUNDS)
def test_every_background_separates(strain_files: list[Path], tmp_path: Path, background: str) -> None:
    made = count(
        strain_files[2:3],
        tmp_path / "bundle",
        replace(CONFIG, background=background),
        validation=[str(_strain(tmp_path))],
    )
    loaded = Bundle.load(tmp_path / "bundle")
    assert loaded.metadata == made.metadata
    assert (loaded.foreground.kind, loaded.metadata["background"]) == ("markov", background)
    assert (loaded.background is not None) == (background == MUTATED)
    mine = strain_of(uniform_codes(24_000, 2), 99)
    np.testing.assert_array_equal(score(loaded, mine).llr, score(made, mine).llr)
    assert score(loaded, mine).calls.count("ood") <= 0.15 * (len(mine) // 250)
    assert set(score(loaded, uniform_codes(10_000, 50)).calls) == {"ood"}


def _strain(folder: Path) -> Path:
    """Another strain of the one whose random genome has the seed 2."""
    return write_fasta(folder / "Gamma__other.fna", {"one": strain_of(uniform_codes(24_000, 2), 77)})


@pytest.mark.parametrize("prior", [1.0, 64.0])
def test_smoothing_is_as_asked(strain_files: list[Path], tmp_path: Path, prior: float) -> None:
    config = replace(CONFIG, prior_count=prior, mutation_rate=0.0)
    bundle = count(strain_files, tmp_path / "bundle", config)
    counts = class_weighted_counts(load_data(job_of(strain_files, tmp_path, config)).training, 8)
    expected = MarkovModel.from_counts(counts, prior_count=prior).weights()["table"]
    for model in (bundle.foreground, bundle.background):
        assert model is not None
        np.testing.assert_array_equal(model.weights()["table"], expected)
    assert bundle.metadata["training"]["prior_count"] == prior


def test_counts_beyond_those_of_float32() -> None:
    number = 2**24 + 1000
    genomes = genomes_of([("A", np.zeros(number, dtype=np.uint8))])
    assert class_weighted_counts(genomes, 0).tolist() == [number, 0, 0, number]


def test_losses_are_of_validation_reads(strain_files: list[Path], tmp_path: Path) -> None:
    """Those of the background are of mutated ones, which nothing explains as well."""
    bundle = count(strain_files, tmp_path / "bundle", validation=[str(_strain(tmp_path))])
    rows = dict(row.split("\t") for row in bundle.training_table.splitlines()[1:])
    losses = {role: values["val_nats_per_base"] for role, values in bundle.metadata["metrics"].items()}
    assert {role: float(loss) for role, loss in rows.items()} == pytest.approx(losses, rel=1e-5)
    assert losses["foreground"] < losses["background"] < 1.5


def test_mutation_rate(tmp_path: Path) -> None:
    """Not mutated at all, the background is the foreground; at 3/4, it knows nothing."""
    genomes = [write_fasta(tmp_path / "A__1.fna", {"one": markov_codes(20_000, 1)})]
    reads = markov_codes(5000, 2)
    same, nothing = (
        count(genomes, tmp_path / str(rate), replace(CONFIG, mutation_rate=rate)) for rate in (0.0, 0.75)
    )
    np.testing.assert_allclose(score(same, reads).llr, 0.0, atol=1e-6)
    np.testing.assert_allclose(score(nothing, reads).background_log_likelihood, 250 * np.log(0.25), rtol=1e-3)


def test_says_what_it_is(strain_files: list[Path], tmp_path: Path) -> None:
    held_out = count(strain_files, tmp_path / "held-out", replace(CONFIG, background=LOW_ORDER))
    assert "order 2" in held_out.card
    assert "Held-out stretches" in held_out.card
    apart = count(strain_files, tmp_path / "apart", validation=[str(_strain(tmp_path))])
    assert "Held-out stretches" not in apart.card
    assert apart.metadata["training"]["model"] == {"order": 8}


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"background": "other-classes"}, "background of a Markov chain"),
        ({"prior_count": 0.0}, "prior count"),
        ({"prior_count": 1e-50}, "prior count must lie between 1e-06 and 1e\\+06, not 1e-50"),
        ({"prior_count": math.inf}, "prior count"),
        ({"mutation_rate": 1.5}, "mutation rate"),
        ({"read_length": 0}, "read length"),
        ({"held_out_fraction": 0.0}, "held-out fraction"),
        ({"seed": -1}, "seed"),
    ],
)
def test_config_out_of_range(option: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        CountConfig(**option)
