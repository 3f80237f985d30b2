"""Gradients of all reads at once against autograd, one read at a time."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from toys import uniform_codes

import genood.models.lstm_gradients as module
from genood.models.lstm import LSTM, LSTMConfig
from genood.sequence import Codes, pad

LENGTHS = [70, 1, 33, 69, 2, 0, 50]


def make(num_layers: int, dropout: float = 0.0) -> LSTM:
    torch.manual_seed(1)
    model = LSTM(LSTMConfig(hidden_size=9, num_layers=num_layers, dropout=dropout))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


def reads() -> tuple[Codes, npt.NDArray[np.int64]]:
    """Reads of several lengths, one without bases, with unknown bases among them."""
    codes, lengths = pad([uniform_codes(length, seed) for seed, length in enumerate(LENGTHS)])
    codes[0, [0, 5, 69]] = 4
    return codes, lengths


def one_by_one(model: LSTM, codes: Codes, lengths: npt.NDArray[np.int64]) -> dict[str, np.ndarray]:
    """What autograd says of each read, the parameters put together as layers."""
    of_reads = []
    for read, length in zip(codes, lengths, strict=True):
        parameters = dict(model.named_parameters())
        log_p = model(torch.from_numpy(read[None]), torch.tensor([length])).sum()
        found = torch.autograd.grad(log_p, list(parameters.values()))
        by_name = dict(zip(parameters, found, strict=True))
        layers = {}
        for k in range(model.config()["num_layers"]):
            bias = by_name[f"lstm.bias_ih_l{k}"]
            torch.testing.assert_close(bias, by_name[f"lstm.bias_hh_l{k}"])
            layers[f"input-{k + 1}"] = torch.cat([by_name[f"lstm.weight_ih_l{k}"], bias[:, None]], dim=1)
            layers[f"recurrent-{k + 1}"] = by_name[f"lstm.weight_hh_l{k}"]
        layers["dense"] = torch.cat([by_name["dense.weight"], by_name["dense.bias"][:, None]], dim=1)
        of_reads.append(layers)
    return {name: np.stack([layers[name].numpy() for layers in of_reads]) for name in of_reads[0]}


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert list(found) == list(expected)
    for name, gradient in expected.items():
        assert found[name].dtype == np.float32
        assert abs(gradient).max() > 0.1
        np.testing.assert_allclose(found[name], gradient, atol=1e-5 * abs(gradient).max())


@pytest.mark.parametrize("positions_at_once", [512, 70, 16, 1])
@pytest.mark.parametrize("num_layers", [1, 2])
def test_equal_autograd(num_layers: int, positions_at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POSITIONS_AT_ONCE", positions_at_once)
    model = make(num_layers)
    assert_same(model.layer_gradients(*reads()), one_by_one(model, *reads()))


def test_reads_are_taken_so_many_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make(1)
    together = model.layer_gradients(*reads())
    monkeypatch.setattr(module, "_ELEMENTS_AT_ONCE", 3 * 70 * module._KEPT * 9)
    assert module.reads_at_once(70, 9, 1) == 3
    assert_same(model.layer_gradients(*reads()), together)


def test_memory_is_bounded_whatever_the_length() -> None:
    assert module.reads_at_once(10**6, 256, 1) == module.reads_at_once(512, 256, 1)
    assert module.reads_at_once(250, 2000, 1) >= 1


def test_mode_does_not_matter() -> None:
    """No dropout in training; and gradients in a context without."""
    model = make(2, dropout=0.5)
    expected = model.layer_gradients(*reads())
    model.train()
    with torch.inference_mode():
        assert_same(model.layer_gradients(*reads()), expected)
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_padding_changes_nothing() -> None:
    model = make(1)
    codes, lengths = reads()
    padded = np.pad(codes, ((0, 0), (0, 30)), constant_values=2)
    assert_same(model.layer_gradients(padded, lengths), model.layer_gradients(codes, lengths))


def test_no_positions_at_all() -> None:
    found = make(1).layer_gradients(np.empty((2, 0), dtype=np.uint8), np.array([0, 0]))
    assert {name: gradient.shape for name, gradient in found.items()} == {
        "input-1": (2, 36, 5),
        "recurrent-1": (2, 36, 9),
        "dense": (2, 4, 10),
    }
    assert not any(gradient.any() for gradient in found.values())
