"""What models in training see, what classifiers lose, and how the one loop trains a classifier."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import genomes_of, markov_codes, uniform_codes

from genood.errors import ConfigError, TrainingError
from genood.models.cnn import CNN
from genood.models.examples import Examples
from genood.recipes import Stream, TrainConfig
from genood.reference.genomes import Genomes
from genood.reference.sampling import ReadSampler, SampledReads
from genood.training.classifier_learner import ClassifierLearner, classifier_learners
from genood.training.learners import density_learners
from genood.training.loop import Trainer

CONFIG = TrainConfig(
    steps=8,
    batch_size=16,
    learning_rate=0.01,
    read_length=40,
    validation_interval=4,
    num_validation_reads=33,
    seed=3,
)
CPU = torch.device("cpu")
SHAPE = {"num_filters": 8, "filter_length": 4, "hidden_size": 8, "dropout": 0.2}
MIXED = ["binary", "noise-class", "calibrated"]
VARIANTS = ["plain", *MIXED]


def genomes(*names: str) -> Genomes:
    """A genome for each class name: A goes through the alphabet forwards, B by twos, C backwards."""
    return genomes_of(
        [(name, markov_codes(3000, i, stay=0.8) * (1 + "ABC".find(name)) % 4) for i, name in enumerate(names)]
    )


def learner_of(variant: str, num_classes: int = 3, **changes: object) -> ClassifierLearner:
    config = {**SHAPE, "num_classes": num_classes, "variant": variant}
    [learner] = classifier_learners("cnn", config, replace(CONFIG, **changes), CPU).values()
    assert isinstance(learner, ClassifierLearner)
    return learner


def trainer_of(
    variant: str = "plain", config: TrainConfig = CONFIG, validation: tuple[str, ...] = ("A", "B", "C")
) -> Trainer:
    training = genomes("A", "B", "C")
    shape = {**SHAPE, "num_classes": 3, "variant": variant}
    return Trainer(
        learners=classifier_learners("cnn", shape, config, CPU),
        model={"model": "cnn", **shape},
        config=config,
        training=ReadSampler(training, 40, (config.seed, Stream.READS)),
        validation=ReadSampler(genomes(*validation), 40, (config.seed, Stream.VALIDATION)),
        fingerprint="data",
        device=CPU,
    )


READS = SampledReads(
    codes=uniform_codes(12 * 50, 1).reshape(12, 50), labels=np.arange(12) % 3, files=np.zeros(12, dtype=int)
)


@pytest.mark.parametrize(
    ("variant", "num_mutated", "labels", "mutated_label"),
    [
        ("plain", 0, READS.labels, None),
        ("binary", 12, np.zeros(12), 1),
        ("noise-class", 4, READS.labels, 3),
        ("calibrated", 12, READS.labels, -1),
    ],
)
def test_what_variants_see(
    variant: str, num_mutated: int, labels: np.ndarray, mutated_label: int | None
) -> None:
    """The reads as they are, then mutated ones: as many, or as many as a class has on average."""
    learner = learner_of(variant, mutation_rate=0.2)
    seen = learner.seen(READS, 1, 2)
    assert len(seen.codes) == len(seen.labels) == 12 + num_mutated
    np.testing.assert_array_equal(seen.codes[:12], READS.codes)
    np.testing.assert_array_equal(seen.labels[:12], labels)
    assert set(seen.labels[12:].tolist()) <= {mutated_label}
    if num_mutated:
        changed = seen.codes[12:] != READS.codes[:num_mutated]
        assert changed.mean() == pytest.approx(0.2, abs=0.08)
        np.testing.assert_array_equal(seen.codes, learner.seen(READS, 1, 2).codes)
        assert (seen.codes != learner.seen(READS, 1, 3).codes).any()


def says(learner: ClassifierLearner, *logits: float) -> None:
    """Make the classifier say this of every read."""
    with torch.no_grad():
        learner.model.output.weight.zero_()
        learner.model.output.bias.copy_(torch.tensor(logits))


def test_loss_is_the_cross_entropy() -> None:
    learner = learner_of("plain")
    says(learner, math.log(0.5), math.log(0.3), math.log(0.2))
    measured = learner.validate(Examples(READS.codes, np.array([0, 1, 1, 2] * 3)), 1)
    expected = -(math.log(0.5) + 2 * math.log(0.3) + math.log(0.2)) / 4
    assert measured == {"loss": pytest.approx(expected, abs=1e-6), "accuracy": 0.25}
    assert learner.metrics() == {
        "best_step": 1,
        "val_nats_per_read": measured["loss"],
        "val_accuracy": 0.25,
        "val_confusion": [[3, 0, 0], [6, 0, 0], [3, 0, 0]],
    }


def test_calibrated_loss_is_the_divergence_from_uniform() -> None:
    """KL(U ‖ p) of mutated reads, by hand, and cross-entropy of the others, half and half."""
    learner = learner_of("calibrated")
    probabilities = np.array([0.5, 0.3, 0.2])
    says(learner, *np.log(probabilities))
    divergence = sum(1 / 3 * math.log(1 / 3 / p) for p in probabilities)
    assert divergence == pytest.approx(0.070240, abs=1e-6)
    reads = READS._replace(labels=np.zeros(12, dtype=np.int64))
    measured = learner.validate(learner.seen(reads, 1), 1)
    assert measured["loss"] == pytest.approx((math.log(2) + divergence) / 2, abs=1e-6)
    assert measured["accuracy"] == 1.0, "mutated reads have no class"
    assert learner.metrics()["val_confusion"] == [[12, 0, 0], [0, 0, 0], [0, 0, 0]]
    says(learner, 1.0, 1.0, 1.0)
    only_mutated = Examples(reads.codes, np.full(12, -1))
    assert float(learner._loss(only_mutated).detach()) == pytest.approx(0.0, abs=1e-6)


def test_accuracy_is_that_of_reads_but_of_both_where_there_is_nothing_else() -> None:
    noise = learner_of("noise-class")
    says(noise, 0.0, 0.0, 0.0, 1.0)  # all are called mutated
    assert noise.validate(noise.seen(READS, 1), 1)["accuracy"] == 0.0
    assert noise.metrics()["val_confusion"][3] == [0, 0, 0, 4]
    binary = learner_of("binary")
    says(binary, 0.0, 1.0)
    assert binary.validate(binary.seen(READS, 1), 1)["accuracy"] == 0.5
    assert binary.metrics()["val_confusion"] == [[0, 12], [0, 12]]


def test_validation_weighs_the_last_partial_batch() -> None:
    learner = learner_of("noise-class", batch_size=5)
    examples = learner.seen(READS, 1)
    with torch.inference_mode():
        expected = float(learner.model.eval() and learner._loss(examples))
    assert learner.validate(examples, 1)["loss"] == pytest.approx(expected, abs=1e-6)


def test_no_penalty_on_a_classifier() -> None:
    """λ is that of the background model."""
    assert learner_of("plain", l2=1.0).l2 == 0.0
    pair = density_learners("lstm", {"hidden_size": 4}, replace(CONFIG, l2=1.0), CPU)
    assert {role: learner.l2 for role, learner in pair.items()} == {"foreground": 0.0, "background": 1.0}


@pytest.mark.parametrize("variant", VARIANTS)
def test_learns(variant: str, tmp_path: Path) -> None:
    trainer = trainer_of(variant, replace(CONFIG, steps=80, validation_interval=40, mutation_rate=0.5))
    assert trainer.run(checkpoint=tmp_path / "c")
    first, last = (row.values for row in trainer.history)
    assert last["classifier_val_loss"] < first["classifier_val_loss"]
    assert last["classifier_val_accuracy"] > 0.9
    header, *rows = trainer.table().splitlines()
    assert header == "step\tclassifier_train_loss\tclassifier_val_loss\tclassifier_val_accuracy"
    assert [row.split("\t")[0] for row in rows] == ["40", "80"]
    model = trainer.learners["classifier"].best_model()
    assert isinstance(model, CNN)
    assert not model.training


@pytest.mark.parametrize("stop_after", [0, 1, 4, 6])
@pytest.mark.parametrize("variant", VARIANTS)
def test_resumed_equals_uninterrupted(variant: str, stop_after: int, tmp_path: Path) -> None:
    config = replace(CONFIG, schedule="cosine")
    whole = trainer_of(variant, config)
    whole.run(checkpoint=tmp_path / "whole")
    asked = iter([False] * stop_after + [True])
    assert not trainer_of(variant, config).run(checkpoint=tmp_path / "part", should_stop=lambda: next(asked))
    resumed = trainer_of(variant, config)
    resumed.resume(tmp_path / "part")
    assert resumed.run(checkpoint=tmp_path / "part")
    assert whole.history == resumed.history
    assert whole.table() == resumed.table()
    assert whole.metrics() == resumed.metrics()
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "part").read_bytes()


def test_what_is_known_of_the_best_validation_outlives_a_resume(tmp_path: Path) -> None:
    """The confusion of a validation before the checkpoint, where none after it is better."""
    trainer = trainer_of(config=replace(CONFIG, learning_rate=0.5))
    trainer.run(checkpoint=tmp_path / "c")
    resumed = trainer_of(config=replace(CONFIG, learning_rate=0.5))
    resumed.resume(tmp_path / "c")
    assert resumed.metrics() == trainer.metrics()
    assert np.sum(resumed.metrics()["classifier"]["val_confusion"]) == CONFIG.num_validation_reads


def test_resume_refuses_another_variant(tmp_path: Path) -> None:
    trainer_of("plain").run(checkpoint=tmp_path / "c")
    with pytest.raises(TrainingError, match="variant was plain and is now binary"):
        trainer_of("binary").resume(tmp_path / "c")


def test_classes_of_validation_reads_go_by_name() -> None:
    """B and C are the first two classes there, and the last two of the reference."""
    examples = trainer_of(validation=("B", "C"))._validation["classifier"]
    drawn = ReadSampler(genomes("B", "C"), 40, (3, Stream.VALIDATION)).sample(0, 33)
    np.testing.assert_array_equal(examples.labels, drawn.labels + 1)
    np.testing.assert_array_equal(examples.codes, drawn.codes)


def test_unknown_class_of_validation_reads() -> None:
    message = r"^validation reads are of E, F, but the reference's classes are A, B, C; .* or give --classes$"
    with pytest.raises(TrainingError, match=message):
        trainer_of(validation=("B", "E", "F"))
    assert not trainer_of("binary", validation=("B", "E")).learners["classifier"].uses_labels


@pytest.mark.parametrize("variant", MIXED)
def test_mutated_reads_need_a_mutation_rate(variant: str) -> None:
    with pytest.raises(ConfigError, match=f"a {variant} classifier learns from mutated reads"):
        learner_of(variant, mutation_rate=0.0)


def test_weights_depend_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    first = learner_of("plain")
    expected = torch.rand(3)
    torch.manual_seed(5)
    assert torch.equal(torch.rand(3), expected), "the global generator is left alone"
    second, other = learner_of("plain"), learner_of("plain", seed=4)
    for name, weights in first.best_weights.items():
        assert torch.equal(weights, second.best_weights[name])
    assert not torch.equal(first.model.filters.weight, other.model.filters.weight)
