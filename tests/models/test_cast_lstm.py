"""The LSTM in bfloat16: close to float32, with float32 gradients; and who decides that."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from genood.models.cast_lstm import CastLSTM

B, L, H = 8, 60, 32


def made(num_layers: int = 1) -> tuple[CastLSTM, Tensor, tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    bases = torch.eye(4)[torch.randint(0, 4, (B, L))]
    start = torch.rand(num_layers, B, H)
    return CastLSTM(4, H, num_layers=num_layers, batch_first=True), bases, (start, start / 2)


@pytest.mark.parametrize("num_layers", [1, 2])
def test_bfloat16_is_close_and_its_gradients_are_float32(num_layers: int) -> None:
    """Outputs lie between -1 and 1, and bfloat16 has 8 bits: 2**-8 a position, which the gates forget."""
    lstm, bases, state = made(num_layers)
    expected, _ = lstm(bases, state)
    found, (hidden, cell) = lstm.computed_in(torch.bfloat16, bases, state)
    assert {tensor.dtype for tensor in (found, hidden, cell)} == {torch.bfloat16}
    torch.testing.assert_close(found.float(), expected, atol=0.02, rtol=0)
    assert not torch.equal(found.float(), expected)
    weights = list(lstm.parameters())
    gradients = torch.autograd.grad(found.float().square().mean(), weights)
    exact = torch.autograd.grad(expected.square().mean(), weights)
    for gradient, true in zip(gradients, exact, strict=True):
        assert gradient.dtype == torch.float32
        torch.testing.assert_close(gradient, true, atol=0.03 * float(true.abs().max()), rtol=0)


def test_small_gradients_are_not_lost() -> None:
    """Of a mean over many bases they are below what float16 holds, 6e-8."""
    lstm, bases, state = made()
    weights = list(lstm.parameters())
    found, _ = lstm.computed_in(torch.bfloat16, bases, state)
    gradients = torch.autograd.grad(found.float().square().mean() * 1e-7, weights)
    exact = torch.autograd.grad(lstm(bases, state)[0].square().mean() * 1e-7, weights)
    for gradient, true in zip(gradients, exact, strict=True):
        assert 0 < float(true.abs().max()) < 6e-8
        torch.testing.assert_close(gradient, true, atol=0.03 * float(true.abs().max()), rtol=0)


def test_float32_is_that_of_torch() -> None:
    lstm, bases, state = made()
    plain = nn.LSTM(4, H, batch_first=True)
    plain.load_state_dict(lstm.state_dict())
    expected, _ = plain(bases, state)
    assert torch.equal(lstm(bases, state)[0], expected)
    assert torch.equal(lstm.computed_in(torch.float32, bases, state)[0], expected)


def test_on_a_cpu_torch_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    lstm, bases, state = made()

    def computed_in(*arguments: object) -> None:
        raise AssertionError("is for CUDA")

    monkeypatch.setattr(lstm, "computed_in", computed_in)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lstm(bases, state)


def test_on_a_gpu_the_block_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a tensor that says that it is on one; outside such a block, it is as torch has it."""
    lstm, bases, state = made()
    asked: list[torch.dtype] = []

    class OnGpu(Tensor):
        is_cuda = True

    monkeypatch.setattr(lstm, "computed_in", lambda dtype, *_: asked.append(dtype))
    on_gpu = bases.as_subclass(OnGpu)
    lstm(on_gpu, state)
    assert asked == []
    monkeypatch.setattr(torch, "is_autocast_enabled", lambda kind: kind == "cuda")
    monkeypatch.setattr(torch, "get_autocast_dtype", {"cuda": torch.bfloat16}.__getitem__)
    lstm(on_gpu, state)
    assert asked == [torch.bfloat16]
