"""Gradients of each read's log-likelihood with respect to an LSTM's weights, for many reads in one pass.

A weight's gradient is a sum over positions of what the weight was given times the derivative with
respect to what came of it. Fused LSTMs do not show the latter, the gates before their activation; here
the cell is written out, one backward pass gives the derivatives of all reads, as no read acts on
another, and a matrix product over the positions of a read gives its own gradient.

Shapes: B reads, L positions, H hidden units, G = 4 H gates, I inputs of a layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POSITIONS_AT_ONCE = 512
"""Positions whose activations are kept at a time; those before are computed again."""
_ELEMENTS_AT_ONCE = 2**25
"""Activations that are kept at a time, 128 MiB of float32."""
_KEPT = 20
"""Activations that are kept for each read, position, layer and hidden unit."""

State = tuple[Tensor, Tensor]
"""Hidden and cell states, (layers, B, H)."""


class Layer(NamedTuple):
    """An LSTM layer: weights (G, I) and (G, H), and bias (G,), the sum of two that act alike."""

    from_input: Tensor
    recurrent: Tensor
    bias: Tensor


class _Pass(NamedTuple):
    """A forward pass over some positions: what autograd needs, and what layers were given."""

    log_p: Tensor
    end: State
    gates: list[Tensor]
    below: list[Tensor]
    before: list[Tensor]
    logits: Tensor


def reads_at_once(num_positions: int, hidden_size: int, num_layers: int) -> int:
    """How many reads of so many positions bound the memory."""
    kept = min(num_positions, POSITIONS_AT_ONCE) * _KEPT * hidden_size * num_layers
    gradients = 4 * hidden_size * (hidden_size + 4) * num_layers
    return max(1, _ELEMENTS_AT_ONCE // max(kept, gradients, 1))


def layer_gradients(
    lstm: nn.LSTM, dense: nn.Linear, start: State, inputs: Tensor, codes: Tensor, mask: Tensor
) -> dict[str, Tensor]:
    """Gradients of the log-likelihood of each read, by layer.

    Positions are taken from the last to the first, `POSITIONS_AT_ONCE` at a time; the derivatives with
    respect to the state go on from each stretch to the one before, so that nothing is cut off.

    Parameters
    ----------
    lstm, dense
        The layers; ``batch_first``.
    start
        The state that reads start from.
    inputs
        float32, shape (B, L, I): what the LSTM is given after each position.
    codes
        Codes of the bases that are predicted, int64, shape (B, L), 0 to 3 where scored.
    mask
        bool, shape (B, L): which positions are scored.

    Returns
    -------
    gradients
        ``input-1``, (B, G, I + 1), the weights of the first layer's inputs and, in the last column, its
        bias; ``recurrent-1``, (B, G, H); so for each layer; ``dense``, (B, 4, H + 1), with its bias.
    """
    layers = [_layer(lstm, k) for k in range(lstm.num_layers)]
    weight, bias = dense.weight.detach(), dense.bias.detach()
    stretches = list(_stretches(inputs.shape[1]))
    states = [start]
    with torch.no_grad():
        for stretch in stretches[:-1]:
            passed = _forward(layers, (weight, bias), states[-1], inputs[:, stretch], codes[:, stretch])
            states.append(passed.end)
    gradients: dict[str, Tensor] = {}
    derivatives = [torch.zeros_like(part) for part in start]
    for stretch, state in zip(reversed(stretches), reversed(states), strict=True):
        with torch.enable_grad():
            hidden, cell = (part.detach().clone().requires_grad_() for part in state)
            passed = _forward(layers, (weight, bias), (hidden, cell), inputs[:, stretch], codes[:, stretch])
            objective = passed.log_p[mask[:, stretch]].sum()
            for part, derivative in zip(passed.end, derivatives, strict=True):
                objective = objective + (part * derivative).sum()
            wanted = [*passed.gates, passed.logits, hidden, cell]
            *of_gates, of_logits, of_hidden, of_cell = torch.autograd.grad(
                objective, wanted, allow_unused=True, materialize_grads=True
            )
        derivatives = [of_hidden, of_cell]
        for name, gradient in _products(passed, of_gates, of_logits):
            gradients[name] = gradients[name] + gradient if name in gradients else gradient
    return gradients


def _layer(lstm: nn.LSTM, k: int) -> Layer:
    from_input, recurrent, *biases = (
        getattr(lstm, f"{name}_l{k}").detach() for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    return Layer(from_input, recurrent, sum(biases))


def _stretches(num_positions: int) -> Iterator[slice]:
    for first in range(0, max(num_positions, 1), POSITIONS_AT_ONCE):
        yield slice(first, first + POSITIONS_AT_ONCE)


def _forward(
    layers: Sequence[Layer], dense: tuple[Tensor, Tensor], state: State, inputs: Tensor, codes: Tensor
) -> _Pass:
    """A forward pass whose gates before activation and logits have derivatives."""
    gates, below, before, ends = [], [inputs], [], []
    for k, layer in enumerate(layers):
        gates_BLG = F.linear(below[k], layer.from_input, layer.bias)
        if torch.is_grad_enabled() and not gates_BLG.requires_grad:
            gates_BLG.requires_grad_()  # of the first layer, where derivatives end
        gates.append(gates_BLG)
        hidden, cell = (part[k] for part in state)
        outputs = [hidden]
        for of_position in gates_BLG.unbind(1):
            activated = torch.addmm(of_position, hidden, layer.recurrent.T)
            enter, forget, candidate, leave = activated.chunk(4, dim=1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(enter) * torch.tanh(candidate)
            hidden = torch.sigmoid(leave) * torch.tanh(cell)
            outputs.append(hidden)
        ends.append((hidden, cell))
        states_BLH = torch.stack(outputs, dim=1)
        before.append(states_BLH[:, :-1])
        below.append(states_BLH[:, 1:])
    logits = F.linear(before[-1], *dense)
    log_p = torch.log_softmax(logits, dim=-1).gather(-1, codes[..., None])[..., 0]
    end = torch.stack([h for h, _ in ends]), torch.stack([c for _, c in ends])
    return _Pass(log_p, end, gates, below, before, logits)


def _products(passed: _Pass, of_gates: Sequence[Tensor], of_logits: Tensor) -> Iterator[tuple[str, Tensor]]:
    """Gradients from the derivatives of what came of the weights, and what they were given."""
    for k, derivatives_BLG in enumerate(of_gates):
        yield f"input-{k + 1}", _with_bias(derivatives_BLG, passed.below[k])
        yield f"recurrent-{k + 1}", derivatives_BLG.mT @ passed.before[k].detach()
    yield "dense", _with_bias(of_logits, passed.before[-1])


def _with_bias(derivatives: Tensor, given: Tensor) -> Tensor:
    return derivatives.mT @ F.pad(given.detach(), (0, 1), value=1.0)
