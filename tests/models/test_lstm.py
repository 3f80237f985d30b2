"""The LSTM against a step-by-step reference in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from toys import uniform_codes

import genood.models.lstm as module
from genood.errors import ConfigError
from genood.models.lstm import LSTM, LSTMConfig
from genood.sequence import UNKNOWN, Codes


def make(hidden_size: int = 10, num_layers: int = 1, dropout: float = 0.0) -> LSTM:
    torch.manual_seed(1)
    model = LSTM(LSTMConfig(hidden_size=hidden_size, num_layers=num_layers, dropout=dropout))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.5)
    return model.eval()


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def reference(model: LSTM, codes: Codes) -> np.ndarray:
    """Log-probabilities of one read, base by base, from the equations of the LSTM, in float64."""
    weights = {name: tensor.numpy().astype(np.float64) for name, tensor in model.state_dict().items()}
    num_layers = model.config()["num_layers"]
    hidden = [weights["start_hidden"][layer, 0] for layer in range(num_layers)]
    cell = [weights["start_cell"][layer, 0] for layer in range(num_layers)]
    result = []
    for code in codes:
        logits = weights["dense.weight"] @ hidden[-1] + weights["dense.bias"]
        shifted = logits - logits.max()
        result.append(0.0 if code == UNKNOWN else shifted[code] - math.log(np.exp(shifted).sum()))
        below = np.zeros(4)
        if code != UNKNOWN:
            below[code] = 1.0
        for layer in range(num_layers):
            gates = (
                weights[f"lstm.weight_ih_l{layer}"] @ below
                + weights[f"lstm.bias_ih_l{layer}"]
                + weights[f"lstm.weight_hh_l{layer}"] @ hidden[layer]
                + weights[f"lstm.bias_hh_l{layer}"]
            )
            enter, forget, candidate, leave = np.split(gates, 4)
            cell[layer] = sigmoid(forget) * cell[layer] + sigmoid(enter) * np.tanh(candidate)
            hidden[layer] = sigmoid(leave) * np.tanh(cell[layer])
            below = hidden[layer]
    return np.array(result)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_equals_the_equations(num_layers: int) -> None:
    model = make(num_layers=num_layers)
    codes = uniform_codes(120, 1)
    codes[[3, 50, 51]] = UNKNOWN
    result = model.log_probs(codes[None], np.array([120]))[0]
    np.testing.assert_allclose(result, reference(model, codes), atol=2e-5)


def test_state_is_carried_over_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    model = make()
    codes, lengths = uniform_codes(1000, 3)[None], np.array([1000])
    whole = model.log_probs(codes, lengths)
    monkeypatch.setattr(module, "_BASES_AT_ONCE", 37)
    np.testing.assert_allclose(model.log_probs(codes, lengths), whole, atol=1e-5)


def test_first_base_from_the_start_state() -> None:
    model = make()
    chances = torch.log_softmax(model.dense(model.start_hidden[-1, 0]), -1)
    for code in range(4):
        read = np.array([[code]], dtype=np.uint8)
        assert model.log_probs(read, np.array([1])).item() == pytest.approx(chances[code].item())


def test_start_state_learns() -> None:
    model = make()
    codes = torch.from_numpy(uniform_codes(20, 4)[None])
    loss = -model(codes, torch.tensor([20])).mean()
    for gradient in torch.autograd.grad(loss, [model.start_hidden, model.start_cell]):
        assert gradient.abs().max() > 0


def test_forget_bias() -> None:
    model = LSTM(LSTMConfig(hidden_size=3, forget_bias=1.0))
    total = model.lstm.bias_ih_l0 + model.lstm.bias_hh_l0
    assert total.tolist() == [0.0] * 3 + [1.0] * 3 + [0.0] * 6


def test_dropout_acts_in_training_only() -> None:
    model = make(dropout=0.5)
    codes, lengths = uniform_codes(50, 5)[None], np.array([50])
    tensors = torch.from_numpy(codes), torch.from_numpy(lengths)
    with torch.no_grad():
        assert torch.equal(model(*tensors), model(*tensors))
        expected = model.log_probs(codes, lengths)
        model.train()
        assert not torch.equal(model(*tensors), model(*tensors))
    np.testing.assert_array_equal(model.log_probs(codes, lengths), expected)
    assert model.training  # as it was


@pytest.mark.parametrize(
    ("option", "message"),
    [({"hidden_size": 0}, "hidden size"), ({"num_layers": 0}, "layers"), ({"dropout": 1.0}, "dropout")],
)
def test_config_out_of_range(option: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LSTM.from_config(option)


def test_relaxed_bases_that_are_bases() -> None:
    """Of one-hot bases, with zeros where one is unknown or the read has ended, it is what codes give."""
    model = make(num_layers=2)
    codes = torch.from_numpy(np.stack([uniform_codes(30, 1), uniform_codes(30, 2)]))
    codes[0, 7] = UNKNOWN
    codes[1, 20:] = UNKNOWN
    with torch.no_grad():
        expected = model(codes, torch.tensor([30, 20]))
        relaxed = model.relaxed_log_probs(torch.eye(5, 4)[codes.long()])
    torch.testing.assert_close(relaxed, expected)
