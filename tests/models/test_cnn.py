"""The convolutional classifier against its equations in float64, and its gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from toys import uniform_codes

import genood.models.cnn as module
from genood.errors import ConfigError
from genood.models.cnn import CNN, CNNConfig
from genood.sequence import UNKNOWN, Codes, pad


def make(**config: object) -> CNN:
    torch.manual_seed(1)
    shape = {"num_classes": 3, "num_filters": 9, "filter_length": 5, "hidden_size": 6, **config}
    model = CNN.from_config(shape)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.5)
    return model.eval()


def reference(model: CNN, codes: Codes, width: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Logits and features of one read, window by window, in float64."""
    weights = {name: array.astype(np.float64) for name, array in model.weights().items()}
    one_hot = np.zeros((max(len(codes), width), 4))
    for position, code in enumerate(codes):
        if code != UNKNOWN:
            one_hot[position, code] = 1.0
    filters = weights["filters.weight"].reshape(-1, width, 4)
    matches = [
        (filters * one_hot[start : start + width]).sum(axis=(1, 2)) + weights["filters.bias"]
        for start in range(len(one_hot) - width + 1)
    ]
    pooled = np.maximum(np.max(matches, axis=0), 0.0)
    features = np.maximum(weights["dense.weight"] @ pooled + weights["dense.bias"], 0.0)
    return weights["output.weight"] @ features + weights["output.bias"], features


@pytest.mark.parametrize("length", [1, 4, 5, 6, 50])
def test_equals_the_equations(length: int) -> None:
    model, codes = make(), uniform_codes(length, 2)
    codes[length // 2] = UNKNOWN
    found = model.classify(*pad([codes]))
    logits, features = reference(model, codes)
    np.testing.assert_allclose(found.logits[0], logits, atol=1e-5)
    np.testing.assert_allclose(found.features[0], features, atol=1e-5)
    assert features.any()


@pytest.mark.parametrize("chunk", [1, 60, 9 * 40])
def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """Reads that end before, in and after a chunk; a filter never loses a window between two."""
    model = make()
    codes, lengths = pad([uniform_codes(n, n) for n in (0, 3, 5, 8, 9, 10, 33, 100)])
    whole = model.classify(codes, lengths)
    monkeypatch.setattr(module, "_CACHED_MATCHES", chunk)
    chunks = model.classify(codes, lengths)
    np.testing.assert_allclose(chunks.logits, whole.logits, atol=1e-6)
    np.testing.assert_allclose(chunks.features, whole.features, atol=1e-6)


def test_one_hot_is_what_codes_are() -> None:
    model = make()
    codes, lengths = pad([uniform_codes(30, 1), uniform_codes(3, 2)])
    tensors = torch.from_numpy(codes), torch.from_numpy(lengths)
    with torch.inference_mode():
        one_hot = model.one_hot(tensors[0])
        assert one_hot[1, :3].sum() == 3
        assert not one_hot[1, 3:].any()
        logits = model.logits(one_hot, tensors[1])
        np.testing.assert_allclose(logits, model.classify(codes, lengths).logits, atol=1e-6)
        np.testing.assert_allclose(model(*tensors), logits, atol=1e-6)


def test_gradient_of_a_substitution() -> None:
    """Changing a base changes a logit as its derivative says, as the network is piecewise linear."""
    model = make()
    codes, lengths = pad([uniform_codes(30, 4), uniform_codes(12, 5)])
    one_hot = model.one_hot(torch.from_numpy(codes)).requires_grad_()
    lengths_B = torch.from_numpy(lengths)
    logit = model.logits(one_hot, lengths_B)[:, 1].sum()
    [gradient] = torch.autograd.grad(logit, one_hot)
    assert gradient[1, :12].any()
    assert not gradient[1, 12:].any(), "bases beyond a read's end do not matter"
    with torch.no_grad():
        step = torch.randn_like(one_hot) * 1e-4
        rise = float(model.logits(one_hot + step, lengths_B)[:, 1].sum() - logit)
    assert rise == pytest.approx(float((gradient * step).sum()), abs=1e-5)
    assert abs(rise) > 5e-5


@pytest.mark.parametrize("chunk", [1, 2**19])
def test_gradients_are_those_of_all_windows(monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    """As autograd has them of each filter's product with every window, and of the largest of these."""
    monkeypatch.setattr(module, "_CACHED_MATCHES", chunk)
    model = make()
    codes, lengths = pad([uniform_codes(n, n) for n in (3, 5, 30, 31)])
    one_hot = model.one_hot(torch.from_numpy(codes)).requires_grad_()
    weights = list(model.parameters())
    found = model.logits(one_hot, torch.from_numpy(lengths))
    pooled = []
    for row, length in zip(one_hot, lengths.tolist(), strict=True):
        read = torch.cat([row[:length], torch.zeros(max(5 - length, 0), 4)])
        windows = [read[start : start + 5].flatten() for start in range(len(read) - 4)]
        pooled.append(model.filters(torch.stack(windows)).max(dim=0).values)
    expected = model.output(torch.relu(model.dense(torch.relu(torch.stack(pooled)))))
    torch.testing.assert_close(found, expected)
    gradients, expected_gradients = (
        torch.autograd.grad((logits * torch.arange(1, 1 + logits.shape[1])).sum(), [*weights, one_hot])
        for logits in (found, expected)
    )
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert expected_gradient.any()
        torch.testing.assert_close(gradient, expected_gradient)


def test_no_reads() -> None:
    model = make()
    codes, lengths = np.empty((0, 30), dtype=np.uint8), np.empty(0, dtype=np.int64)
    assert model.classify(codes, lengths).logits.shape == (0, 3)
    assert model(torch.from_numpy(codes), torch.from_numpy(lengths)).shape == (0, 3)


def test_dropout_of_both_layers_in_training_alone() -> None:
    model = make(dropout=0.5, hidden_size=200, num_filters=50)
    codes, lengths = (torch.from_numpy(array) for array in pad([uniform_codes(60, 1)]))
    with torch.no_grad():
        asked = model.features(model.one_hot(codes), lengths)
        model.train()
        trained = [model.features(model.one_hot(codes), lengths) for _ in range(2)]
    kept = asked > 0
    assert float((trained[0][kept] == 0).float().mean()) > 0.3
    # What is kept differs, too, in more than the factor that makes up for what is dropped.
    assert not torch.equal(trained[0], trained[1])
    both = (trained[0] > 0) & (trained[1] > 0)
    assert not torch.allclose(trained[0][both], trained[1][both])


@pytest.mark.parametrize(
    ("variant", "num_outputs", "mutated_class"),
    [("plain", 3, None), ("binary", 2, 1), ("noise-class", 4, 3), ("calibrated", 3, None)],
)
def test_outputs_of_the_variants(variant: str, num_outputs: int, mutated_class: int | None) -> None:
    model = make(variant=variant)
    found = model.classify(*pad([uniform_codes(20, 1)]))
    assert found.logits.shape == (1, num_outputs)
    assert model.mutated_class == found.mutated_class == mutated_class
    assert model.num_classes == 3


def test_default_is_the_papers() -> None:
    config = CNNConfig(num_classes=10)
    assert (config.num_filters, config.filter_length, config.hidden_size) == (1000, 20, 1000)
    assert (config.dropout, config.variant, config.num_outputs) == (0.1, "plain", 10)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_classes": 1}, "a plain classifier needs at least 2 classes, not 1"),
        ({"num_classes": 1, "variant": "calibrated"}, "a calibrated classifier needs at least 2"),
        ({"num_classes": 0, "variant": "binary"}, "at least 1 classes, not 0"),
        ({"num_filters": 0}, "num filters must be at least 1"),
        ({"filter_length": 0}, "filter length must be at least 1"),
        ({"hidden_size": 0}, "hidden size must be at least 1"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1"),
        ({"variant": "other"}, "variant must be of plain, binary, noise-class, calibrated, not 'other'"),
    ],
)
def test_config_out_of_range(change: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        CNN.from_config({"num_classes": 3, **change})


def test_number_of_classes_is_needed() -> None:
    with pytest.raises(ConfigError, match=r"configuration of the classifier: .*num_classes"):
        CNN.from_config({})
