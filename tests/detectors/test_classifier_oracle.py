"""Detectors of classifiers against those of pytorch-ood."""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from classifier_batches import features_batch, logits_batch

from genood.detectors.base import Detector, ScoreBatch
from genood.detectors.energy import Energy
from genood.detectors.entropy import Entropy
from genood.detectors.knn import Knn
from genood.detectors.mahalanobis import Mahalanobis
from genood.detectors.max_logit import MaxLogit
from genood.detectors.max_probability import MaxProbability
from genood.detectors.odin import Odin
from genood.detectors.relative_mahalanobis import RelativeMahalanobis

NUM_READS, NUM_FEATURES, NUM_CLASSES = 400, 12, 5
GENERATOR = np.random.default_rng(8)
LABELS = np.arange(NUM_READS) % NUM_CLASSES
CENTRES = GENERATOR.normal(size=(NUM_CLASSES, NUM_FEATURES))
MIXING = GENERATOR.normal(size=(NUM_FEATURES, NUM_FEATURES))
TRAINING = (CENTRES[LABELS] + GENERATOR.normal(size=(NUM_READS, NUM_FEATURES)) @ MIXING).astype(np.float32)
READS = (2 * GENERATOR.normal(size=(50, NUM_FEATURES))).astype(np.float32)
WEIGHT = GENERATOR.normal(size=(NUM_CLASSES, NUM_FEATURES)).astype(np.float32)
BIAS = GENERATOR.normal(size=NUM_CLASSES).astype(np.float32)


@pytest.fixture(scope="module")
def oracle() -> ModuleType:
    """pytorch-ood's detectors, without its image models: they need a torchvision of the build of torch."""
    if "pytorch_ood" not in sys.modules:
        spec = find_spec("pytorch_ood")
        assert spec is not None, "pytorch-ood is missing: pip install '.[test]'"
        package = ModuleType("pytorch_ood")
        package.__path__ = list(spec.submodule_search_locations or [])
        sys.modules["pytorch_ood"] = package
    return import_module("pytorch_ood.detector")


@pytest.fixture
def reads() -> ScoreBatch:
    return features_batch(READS, weight=WEIGHT, bias=BIAS)


def numpy_of(scores: torch.Tensor) -> npt.NDArray[np.floating[Any]]:
    return scores.detach().numpy()


def test_max_probability(oracle: ModuleType, reads: ScoreBatch) -> None:
    assert reads.classified is not None
    expected = numpy_of(oracle.MaxSoftmax.score(torch.from_numpy(reads.classified.logits)))
    np.testing.assert_allclose(MaxProbability().score(reads), -np.log(-expected), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    ("detector", "name"), [(Entropy(), "Entropy"), (MaxLogit(), "MaxLogit"), (Energy(), "EnergyBased")]
)
def test_of_logits(oracle: ModuleType, detector: Detector, name: str) -> None:
    logits = GENERATOR.normal(scale=2, size=(30, NUM_CLASSES)).astype(np.float32)
    expected = numpy_of(getattr(oracle, name).score(torch.from_numpy(logits)))
    np.testing.assert_allclose(detector.score(logits_batch(logits)), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("temperature", Odin.grid["temperature"])
@pytest.mark.parametrize("epsilon", Odin.grid["epsilon"])
def test_odin(oracle: ModuleType, reads: ScoreBatch, temperature: float, epsilon: float) -> None:
    last_layer = torch.nn.Linear(NUM_FEATURES, NUM_CLASSES)
    with torch.no_grad():
        last_layer.weight.copy_(torch.from_numpy(WEIGHT))
        last_layer.bias.copy_(torch.from_numpy(BIAS))
    theirs = oracle.ODIN(last_layer.double(), eps=epsilon, temperature=temperature)
    expected = numpy_of(theirs.predict(torch.from_numpy(READS).double()))
    mine = Odin(temperature=temperature, epsilon=epsilon).score(reads)
    # Of the same probability, log-odds, of which a difference as small as 1 / T is a unit.
    odds = np.log((1 + expected) / -expected / (NUM_CLASSES - 1))
    np.testing.assert_allclose(mine, temperature * odds, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(
    ("detector", "name", "factor"),
    [
        # Half the squared distance there, and scatter in place of covariance: a factor of the reads.
        (Mahalanobis(shrinkage=0.0), "Mahalanobis", 2 * NUM_READS),
        (RelativeMahalanobis(shrinkage=0.0), "RMD", NUM_READS),
    ],
)
def test_of_gaussians(
    oracle: ModuleType, reads: ScoreBatch, detector: Detector, name: str, factor: float
) -> None:
    theirs = getattr(oracle, name)(None)
    theirs.fit_features(torch.from_numpy(TRAINING), torch.from_numpy(LABELS))
    expected = factor * numpy_of(theirs.predict_features(torch.from_numpy(READS)))
    fitted = detector.fit([features_batch(TRAINING, labels=LABELS.tolist())])
    np.testing.assert_allclose(fitted.score(reads), expected, rtol=1e-3)


@pytest.mark.parametrize("k", [1, 5, 50])
def test_knn(oracle: ModuleType, reads: ScoreBatch, k: int) -> None:
    theirs = oracle.KNN(None, k=k).fit_features(torch.from_numpy(TRAINING), torch.from_numpy(LABELS))
    expected = numpy_of(theirs.predict_features(torch.from_numpy(READS)))
    fitted = Knn(k=k).fit([features_batch(TRAINING)])
    np.testing.assert_allclose(fitted.score(reads), expected, rtol=1e-5)
