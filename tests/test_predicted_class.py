"""Which class of the reference explains a read best: by model, ensemble and piece; not what it is called."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toys import composition_bundle, context_model, markov_codes, markov_model, uniform_codes

from genood.bundle import Bundle
from genood.calibration import NullDistribution
from genood.detectors.base import Classified
from genood.detectors.classes import most_likely
from genood.engine import EngineConfig, Scorer
from genood.ensemble import EnsembleBundle, combined
from genood.errors import ConfigError
from genood.forward import forward
from genood.models.base import DensityModel
from genood.models.context import ContextModel
from genood.readers import Read
from genood.recipes import CONTEXT_BACKGROUNDS, MUTATED
from genood.sequence import UNKNOWN, Codes, mutate, pad, reverse_complement
from genood.stretches.pieces import Pieces, Scores

GENOMES = {name: uniform_codes(20_000, seed) for seed, name in enumerate(("Alpha", "Beta", "Gamma"))}
LEVELS = np.linspace(0, 1, 11)


@pytest.fixture(scope="module")
def model() -> ContextModel:
    return context_model(**GENOMES)


def calibration() -> dict[str, object]:
    null = NullDistribution(
        lengths=(100,), num_independent=(99.0,), levels=LEVELS, quantiles=LEVELS[np.newaxis]
    )
    values = {"lengths": [100], "num_independent": [99.0], "levels": LEVELS.tolist()}
    return {"source": "", "detectors": {"llr": {**values, "quantiles": null.quantiles.tolist()}}}


def bundle_of(model: DensityModel, background: str = "other-classes") -> Bundle:
    metadata = {"background": background, "classes": list(GENOMES)}
    return Bundle(foreground=model, metadata=metadata, calibration=calibration())


def reads_of() -> tuple[list[Codes], list[int]]:
    """Copies of each genome, mutated, of either strand; and which it is."""
    reads, classes = [], []
    for number, genome in enumerate(GENOMES.values()):
        for i in range(6):
            read = mutate(genome[1000 * i : 1000 * i + 150], 0.05 * (i % 3), i)
            reads.append(reverse_complement(read) if i % 2 else read)
            classes.append(number)
    return reads, classes


@pytest.mark.parametrize("background", [*CONTEXT_BACKGROUNDS, "none"])
def test_a_context_model_names_the_genome_of_a_copy(model: ContextModel, background: str) -> None:
    reads, classes = reads_of()
    bundle = bundle_of(model, background)
    if background == MUTATED:
        bundle = replace(bundle, background=model)
    batch = forward(bundle, *pad(reads), names=True)
    assert batch.leading is not None
    assert batch.leading.tolist() == classes
    without = forward(bundle, *pad(reads))
    assert without.leading is None
    np.testing.assert_array_equal(batch.log_p, without.log_p)
    np.testing.assert_array_equal(batch.background_log_p, without.background_log_p)


def test_without_any_copy_composition_decides() -> None:
    """A read of nowhere goes to the class whose bases follow each other as its own do."""
    model = context_model(Even=uniform_codes(20_000, 1), Rising=markov_codes(20_000, 2, stay=0.8))
    reads = [markov_codes(200, seed, stay=0.8) for seed in range(90, 94)]
    reads += [uniform_codes(200, seed) for seed in range(94, 98)]
    leading = np.full(8, -1)
    model.log_probs_with_background(*pad(reads), "low-order", leading=leading)
    assert leading.tolist() == [1] * 4 + [0] * 4


def test_a_classifier_names_its_likeliest_class_but_never_mutated_reads() -> None:
    logits = np.array([[0.0, 3.0, 9.0], [2.0, 1.0, 9.0]], dtype=np.float32)
    found = Classified(
        logits=logits, features=logits, weight=np.eye(3, dtype=np.float32), bias=np.zeros(3), mutated_class=2
    )
    assert most_likely(found).tolist() == [1, 0]
    assert most_likely(replace(found, mutated_class=None)).tolist() == [2, 2]


@pytest.mark.parametrize(
    ("variant", "names"), [("plain", True), ("calibrated", True), ("noise-class", True), ("binary", False)]
)
def test_which_classifiers_name_classes(variant: str, names: bool) -> None:
    from genood.models.cnn import CNN

    config = {"num_classes": 3, "variant": variant, "num_filters": 4, "filter_length": 5, "hidden_size": 3}
    bundle = Bundle(classifier=CNN.from_config(config), metadata={}, calibration={})
    assert bundle.names_classes == names
    if names:
        batch = forward(bundle, *pad([uniform_codes(20, 1)]), names=True)
        assert batch.leading is not None
        assert batch.leading[0] in range(3)


def test_ensembles(model: ContextModel) -> None:
    """By class it is the member under which a read is likeliest; else what most members name."""
    chains = tuple(bundle_of(markov_model(genome, order=8), MUTATED) for genome in GENOMES.values())
    chains = tuple(replace(chain, background=chain.foreground) for chain in chains)
    by_class = EnsembleBundle(members=chains, by="class", metadata={}, calibration={})
    assert by_class.names_classes
    reads, classes = reads_of()
    batch = forward(by_class, *pad(reads), names=True)
    assert batch.leading is not None
    assert (batch.leading == classes).mean() > 0.9
    by_seed = EnsembleBundle(members=(bundle_of(model),) * 3, by="seed", metadata={}, calibration={})
    assert by_seed.names_classes
    one = forward(bundle_of(model), *pad(reads[:3]), names=True)
    members = [replace(one, leading=np.array(named)) for named in ([0, 1, 2], [1, 1, 0], [2, 0, 0])]
    together = combined(members).leading
    assert together is not None
    assert together.tolist() == [0, 1, 0]


def test_a_long_read_has_the_class_of_most_of_its_bases() -> None:
    pieces = Pieces.of(np.array([10, 30, 20]), 10, 0)
    scores = Scores(
        num_scored=np.array([10, 10, 4, 5, 3, 3]),
        sums={},
        means={},
        positions=None,
        leading=np.array([2, 1, 0, 0, 1, 0]),
    )
    joined = pieces.joined(scores)
    assert joined.leading is not None
    assert joined.leading.tolist() == [2, 1, 0]
    assert joined.names_of_leading(["A", "B", "C"]) == ["C", "B", "A"]


def test_the_scorer_names_classes(model: ContextModel) -> None:
    """A read without a known base has none; a long one in pieces that of its longer part."""
    alpha, beta = GENOMES["Alpha"], GENOMES["Beta"]
    long = np.concatenate([alpha[:300], beta[:900]])
    reads = [Read("a", alpha[:200]), Read("n", np.full(50, UNKNOWN, np.uint8)), Read("long", long)]
    scorer = Scorer(bundle_of(model), config=EngineConfig(piece_bases=300), predict_classes=True)
    (scored,) = scorer.score(reads)
    assert scored.predicted == ["Alpha", "", "Beta"]
    (without,) = Scorer(bundle_of(model)).score(reads)
    assert without.predicted is None


def test_models_that_know_no_classes_are_refused(tmp_path: Path) -> None:
    bundle = composition_bundle(0.5, 0.25, 0.125, 0.125)
    assert not bundle.names_classes
    with pytest.raises(ConfigError, match="the bundle names no classes"):
        Scorer(bundle, predict_classes=True)
    chain = markov_model(uniform_codes(500, 1), order=2)
    with pytest.raises(NotImplementedError):
        chain.log_probs_with_background(*pad([uniform_codes(9, 1)]), "none", leading=np.zeros(1, np.int64))
    assert math.isfinite(chain.log_probs(*pad([uniform_codes(9, 1)])).sum())
