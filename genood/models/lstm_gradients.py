"""Gradients of each read's log-likelihood with respect to an LSTM's weights, for many reads in one pass.

A weight's gradient is a sum over positions of what the weight was given times the derivative with
respect to what came of it. Fused LSTMs do not show the latter, the gates before their activation; here
the cell and its backward pass are written out. No read acts on another, so that one pass gives the
derivatives of all of them, and a matrix product over the positions of a read gives its own gradient.

Shapes: B reads, L positions, H hidden units, G = 4 H gates (enter, forget, candidate, leave), I inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

POSITIONS_AT_ONCE = 512
"""Positions whose activations are kept at a time; those before are computed again."""
_ELEMENTS_AT_ONCE = 2**25
"""Activations that are kept at a time, 128 MiB of float32."""
_KEPT = 16
"""Activations that are kept for each read, position, layer and hidden unit."""

State = tuple[Tensor, Tensor]
"""Hidden and cell state of a layer, (B, H)."""


class _Layer(NamedTuple):
    """Weights of a layer, (G, I) and (G, H), and its bias, (G,): the sum of two that act alike."""

    from_input: Tensor
    recurrent: Tensor
    bias: Tensor


class _Kept(NamedTuple):
    """What the forward pass of a layer leaves for its backward pass.

    Attributes
    ----------
    given
        (L, B, I): its inputs.
    gates
        (L, B, G), activated.
    hiddens, cells
        (L + 1, B, H): the states before each position, and after the last.
    bounded
        (L, B, H): hyperbolic tangents of the cells after each position.
    """

    given: Tensor
    gates: Tensor
    hiddens: Tensor
    cells: Tensor
    bounded: Tensor


def reads_at_once(num_positions: int, hidden_size: int, num_layers: int) -> int:
    """How many reads of so many positions bound the memory."""
    kept = min(num_positions, POSITIONS_AT_ONCE) * _KEPT * hidden_size * num_layers
    gradients = 4 * hidden_size * (hidden_size + 4) * num_layers
    return max(1, _ELEMENTS_AT_ONCE // max(kept, gradients))


def layer_gradients(
    lstm: nn.LSTM, dense: nn.Linear, start: State, inputs: Tensor, codes: Tensor, mask: Tensor
) -> dict[str, Tensor]:
    """Gradients of the log-likelihood of each read, by layer.

    Positions are taken from the last to the first, `POSITIONS_AT_ONCE` at a time; the derivatives with
    respect to the state go on from each stretch to the one before, so that nothing is cut off.

    Parameters
    ----------
    lstm, dense
        The layers.
    start
        The state that reads start from, (layers, B, H) each.
    inputs
        float32, shape (B, L, I): what the LSTM is given after each position.
    codes
        Codes of the bases that are predicted, int64, shape (B, L), 0 to 3.
    mask
        bool, shape (B, L): which positions are scored.

    Returns
    -------
    gradients
        ``input-1``, (B, G, I + 1), the weights of the first layer's inputs and, in the last column, its
        bias; ``recurrent-1``, (B, G, H); so for each layer; ``dense``, (B, 4, H + 1), with its bias.
    """
    layers = [_layer(lstm, k) for k in range(lstm.num_layers)]
    by_position = inputs.transpose(0, 1), codes.T, mask.T
    stretches = [
        slice(first, first + POSITIONS_AT_ONCE)
        for first in range(0, max(inputs.shape[1], 1), POSITIONS_AT_ONCE)
    ]
    states = [list(zip(*start, strict=True))]
    for stretch in stretches[:-1]:
        passed = _forward(layers, states[-1], by_position[0][stretch])
        states.append([(kept.hiddens[-1], kept.cells[-1]) for kept in passed])
    gradients: dict[str, Tensor] = {}
    carried = [(torch.zeros_like(hidden), torch.zeros_like(cell)) for hidden, cell in states[0]]
    for stretch, state in zip(reversed(stretches), reversed(states), strict=True):
        inputs_LBI, codes_LB, mask_LB = (values[stretch] for values in by_position)
        passed = _forward(layers, state, inputs_LBI)
        given = passed[-1].hiddens[:-1]
        of_logits = _of_logits(dense(given), codes_LB, mask_LB)
        # The last state predicts what is in the next stretch.
        of_hiddens = F.pad(of_logits @ dense.weight, (0, 0, 0, 0, 0, 1))
        found = {"dense": _product(of_logits, given, with_bias=True)}
        for k in reversed(range(len(layers))):
            of_gates, carried[k] = _backward(layers[k], passed[k], of_hiddens, carried[k])
            of_hiddens = F.pad(of_gates @ layers[k].from_input, (0, 0, 0, 0, 1, 0))
            found[f"recurrent-{k + 1}"] = _product(of_gates, passed[k].hiddens[:-1], with_bias=False)
            found[f"input-{k + 1}"] = _product(of_gates, passed[k].given, with_bias=True)
        for name in reversed(found):
            gradients[name] = gradients[name] + found[name] if name in gradients else found[name]
    return gradients


def _layer(lstm: nn.LSTM, k: int) -> _Layer:
    from_input, recurrent, *biases = (
        getattr(lstm, f"{name}_l{k}") for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    return _Layer(from_input, recurrent, sum(biases))


def _forward(layers: Sequence[_Layer], states: Sequence[State], inputs: Tensor) -> list[_Kept]:
    """The forward pass over some positions, (L, B, I), of all layers."""
    passed: list[_Kept] = []
    for layer, state in zip(layers, states, strict=True):
        passed.append(_forward_layer(layer, state, passed[-1].hiddens[1:] if passed else inputs))
    return passed


def _forward_layer(layer: _Layer, state: State, given: Tensor) -> _Kept:
    gates = F.linear(given, layer.from_input, layer.bias)
    hidden_size = layer.recurrent.shape[1]
    hiddens = gates.new_empty(len(gates) + 1, gates.shape[1], hidden_size)
    cells, bounded = torch.empty_like(hiddens), torch.empty_like(hiddens[1:])
    hiddens[0], cells[0] = state
    weights = layer.recurrent.T
    for t, of_position in enumerate(gates):
        of_position.addmm_(hiddens[t], weights)
        of_position[:, : 2 * hidden_size].sigmoid_()
        of_position[:, 2 * hidden_size : 3 * hidden_size].tanh_()
        of_position[:, 3 * hidden_size :].sigmoid_()
        enter, forget, candidate, leave = of_position.chunk(4, dim=1)
        torch.mul(forget, cells[t], out=cells[t + 1]).addcmul_(enter, candidate)
        torch.tanh(cells[t + 1], out=bounded[t])
        torch.mul(leave, bounded[t], out=hiddens[t + 1])
    return _Kept(given, gates, hiddens, cells, bounded)


def _of_logits(logits: Tensor, codes: Tensor, mask: Tensor) -> Tensor:
    """Derivatives of the log-probability of the bases that are scored."""
    observed = F.one_hot(codes, logits.shape[-1])
    return (observed - torch.softmax(logits, dim=-1)) * mask[..., None]


def _backward(layer: _Layer, kept: _Kept, of_hiddens: Tensor, carried: State) -> tuple[Tensor, State]:
    """Derivatives with respect to the gates before activation, (L, B, G), and to the state at the start.

    Parameters
    ----------
    layer, kept
        The layer, and its forward pass.
    of_hiddens
        (L + 1, B, H): derivatives with respect to hidden states by what other layers make of them.
    carried
        Those with respect to the last state by what comes of it at later positions.
    """
    enter, forget, candidate, leave = kept.gates.chunk(4, dim=-1)
    # First what a gate's derivative has to do with that of the cell, or for `leave`, of the hidden state.
    of_gates = torch.cat(
        [
            candidate * enter * (1 - enter),
            kept.cells[:-1] * forget * (1 - forget),
            enter * (1 - candidate.square()),
            kept.bounded * leave * (1 - leave),
        ],
        dim=-1,
    )
    through = leave * (1 - kept.bounded.square())
    by_gate = of_gates.view(*forget.shape[:2], 4, forget.shape[2])
    of_cells, of_leave = by_gate[:, :, :3], by_gate[:, :, 3]
    hidden, cell = carried
    for t in reversed(range(len(of_gates))):
        hidden = hidden + of_hiddens[t + 1]
        cell = torch.addcmul(cell, hidden, through[t])
        of_cells[t].mul_(cell[:, None])
        of_leave[t].mul_(hidden)
        cell = cell * forget[t]
        hidden = of_gates[t] @ layer.recurrent
    return of_gates, (hidden + of_hiddens[0], cell)


def _product(derivatives: Tensor, given: Tensor, *, with_bias: bool) -> Tensor:
    """Sums over positions of the products of derivatives, (L, B, O), and what was given, (L, B, I)."""
    if with_bias:
        given = F.pad(given, (0, 1), value=1.0)
    return derivatives.permute(1, 2, 0) @ given.transpose(0, 1)
