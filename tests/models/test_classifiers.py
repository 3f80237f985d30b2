"""What every classifier promises, over all of `CLASSIFIERS`."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch
from toys import uniform_codes

from genood.errors import ConfigError
from genood.models import CLASSIFIERS
from genood.models.base import Classified, Classifier
from genood.models.network import Network
from genood.recipes import PRESETS
from genood.sequence import UNKNOWN, Codes, pad

TOLERANCE = 1e-5
"""Of logits and features: what the order of float32 sums may change."""

NUM_CLASSES = 3


def small_cnn() -> Classifier:
    torch.manual_seed(0)
    model = CLASSIFIERS["cnn"].from_config(
        {"num_classes": NUM_CLASSES, "num_filters": 11, "filter_length": 6, "hidden_size": 7}
    )
    assert isinstance(model, Network)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


SMALL: dict[str, Callable[[], Classifier]] = {"cnn": small_cnn}
"""Makes a small classifier of each kind; a new kind adds its own."""


@pytest.fixture(scope="module", params=list(CLASSIFIERS))
def model(request: pytest.FixtureRequest) -> Classifier:
    return SMALL[request.param]()


def classify(model: Classifier, sequences: list[Codes]) -> Classified:
    """What the classifier says of sequences as one batch."""
    return model.classify(*pad(sequences))


def assert_alike(first: Classified, second: Classified) -> None:
    np.testing.assert_allclose(first.logits, second.logits, atol=TOLERANCE)
    np.testing.assert_allclose(first.features, second.features, atol=TOLERANCE)


def test_shapes_and_last_layer(model: Classifier) -> None:
    found = classify(model, [uniform_codes(40, 1), uniform_codes(25, 2)])
    assert found.logits.shape == (2, NUM_CLASSES)
    assert found.features.shape == (2, found.weight.shape[1])
    assert found.bias.shape == (NUM_CLASSES,)
    arrays = (found.logits, found.features, found.weight, found.bias)
    assert {array.dtype for array in arrays} == {np.dtype(np.float32)}
    np.testing.assert_allclose(
        found.logits, found.features @ found.weight.T + found.bias, atol=TOLERANCE, rtol=0
    )
    assert abs(found.logits[0] - found.logits[1]).max() > 1e-3
    assert (model.num_classes, model.mutated_class, found.mutated_class) == (NUM_CLASSES, None, None)


@pytest.mark.parametrize("batch_size", [1, 8, 64])
def test_same_in_any_batch(model: Classifier, batch_size: int) -> None:
    sequences = [uniform_codes(1 + 7 * i % 90, i) for i in range(64)]
    alone = [classify(model, [sequence]) for sequence in sequences]
    for start in range(0, 64, batch_size):
        together = classify(model, sequences[start : start + batch_size])
        for row, one in enumerate(alone[start : start + batch_size]):
            np.testing.assert_allclose(together.logits[row], one.logits[0], atol=TOLERANCE)
            np.testing.assert_allclose(together.features[row], one.features[0], atol=TOLERANCE)


@pytest.mark.parametrize("filler", [0, 3, UNKNOWN])
@pytest.mark.parametrize("length", [0, 1, 3, 6, 40])
def test_padding_changes_nothing(model: Classifier, filler: int, length: int) -> None:
    codes = uniform_codes(length, 3)
    padded = np.concatenate([codes, np.full(25, filler, dtype=np.uint8)])[None]
    assert_alike(model.classify(padded, np.array([length])), classify(model, [codes]))


def test_short_reads_count(model: Classifier) -> None:
    """Each base of a read of a few matters to what is said of it."""
    reads = [np.array(read, dtype=np.uint8) for read in ([0, 1, 2], [3, 1, 2], [0, 3, 2], [0, 1, 3])]
    logits = classify(model, reads).logits
    assert np.isfinite(logits).all()
    for other in logits[1:]:
        assert abs(other - logits[0]).max() > 1e-4


def test_empty_batch_of_positions(model: Classifier) -> None:
    found = model.classify(np.empty((2, 0), dtype=np.uint8), np.zeros(2, dtype=np.int64))
    assert np.isfinite(found.logits).all()
    np.testing.assert_array_equal(found.logits[0], found.logits[1])


def test_unknown_bases_are_taken(model: Classifier) -> None:
    codes = uniform_codes(40, 5)
    codes[[0, 7, 39]] = UNKNOWN
    assert np.isfinite(classify(model, [codes]).logits).all()


def test_saved_and_loaded_says_the_same(model: Classifier) -> None:
    config = json.loads(json.dumps(model.config()))
    again = type(model).from_weights(config, model.weights())
    assert again.config() == model.config()
    first, second = (classify(one, [uniform_codes(60, 7)]) for one in (model, again))
    np.testing.assert_array_equal(first.logits, second.logits)
    np.testing.assert_array_equal(first.features, second.features)


def test_is_left_as_it_was_found(model: Classifier) -> None:
    """Asked while it is trained, it neither drops out nor stops being trained."""
    assert isinstance(model, Network)
    expected = classify(model, [uniform_codes(60, 7)])
    model.train()
    try:
        found = classify(model, [uniform_codes(60, 7)])
        assert model.training
    finally:
        model.eval()
    np.testing.assert_array_equal(found.logits, expected.logits)


def test_kind_is_the_registered_name(model: Classifier) -> None:
    assert CLASSIFIERS[model.kind] is type(model)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_presets_fit_the_classifiers(preset: str, kind: str) -> None:
    chosen = PRESETS[preset]
    with torch.device("meta"):
        assert CLASSIFIERS[kind].from_config({**chosen.models[kind], "num_classes": 2}).config()
    assert chosen.train_config(kind).batch_size == chosen.train.batch_size


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_unknown_key_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match="no_such_key"):
        CLASSIFIERS[kind].from_config({"num_classes": 2, "no_such_key": 1})
