"""The context in which models run; that it needs no GPU to say what a GPU will do."""

from __future__ import annotations

import pytest
import torch

from genood.models.device import computing

CUDA, CPU = torch.device("cuda"), torch.device("cpu")


@pytest.mark.parametrize("precision", ["fp32", "auto"])
def test_cudnn_computes_float32_in_float32_and_stays_on(precision: str) -> None:
    """Without cuDNN, an LSTM on a GPU would be a loop over positions."""
    cudnn = torch.backends.cudnn
    before = (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32)
    assert before[0], "PyTorch's default"
    with computing(CUDA, precision):  # type: ignore[arg-type]
        assert (cudnn.enabled, cudnn.benchmark, cudnn.deterministic) == before[:3]
        assert not cudnn.allow_tf32
    assert (cudnn.enabled, cudnn.benchmark, cudnn.deterministic, cudnn.allow_tf32) == before


def test_cudnn_that_was_turned_off_stays_off() -> None:
    with torch.backends.cudnn.flags(enabled=False), computing(CUDA, "fp32"):
        assert not torch.backends.cudnn.enabled


@pytest.mark.parametrize(("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)])
def test_precision_is_of_matrix_products(precision: str, dtype: torch.dtype) -> None:
    values = torch.ones(2, 2)
    with computing(CPU, precision):  # type: ignore[arg-type]
        assert (values @ values).dtype == dtype
    assert (values @ values).dtype == torch.float32
