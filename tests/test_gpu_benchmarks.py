"""The scripts that measure on a GPU: they run to their end on a CPU, and write what they should."""

from __future__ import annotations

import importlib
import json
import math
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from workflow_runs import ROOT

TINY = ("--device", "cpu", "--read-length", "30")
SIZES = ("--hidden-size", "8", "--batch-sizes", "4", "--seconds", "0.02")


@pytest.fixture(autouse=True)
def _folders(monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("benchmarks", "benchmarks/gpu"):
        monkeypatch.syspath_prepend(ROOT / folder)
    measuring = importlib.import_module("measuring")
    monkeypatch.setitem(measuring._SIDES, "cpu", 64)


def run(script: str, out: Path, monkeypatch: pytest.MonkeyPatch, *options: str) -> dict[str, Any]:
    """What a script writes."""
    monkeypatch.setattr(sys, "argv", [script, *TINY, "--out", str(out), *options])
    importlib.import_module(script).main()
    [written] = out.glob("*.json")
    assert written.stem == script.replace("_", "-")
    report: dict[str, Any] = json.loads(written.read_text())
    assert {"machine", "versions", "command", "device"} <= set(report)
    return report


def test_parity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundle_dir: Path) -> None:
    """float32 is itself; bfloat16 is another, not by much, and as good."""
    report = run("parity", tmp_path, monkeypatch, "--bundle", str(bundle_dir), "--reads", "60")
    same, other = report["of"]["cpu fp32"], report["of"]["cpu bf16"]
    assert same["largest difference"] == 0.0
    assert 0.0 < other["mean difference"] < other["largest difference"] < 0.01
    assert other["auroc"] == pytest.approx(same["auroc"], abs=0.1)


def test_score_throughput(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = run("score_throughput", tmp_path, monkeypatch, *SIZES, "--no-command")
    found = report["in memory"]["8 units, 4 reads at a time"]
    assert list(found) == list(report["matrix product FLOP/s"]) == ["fp32", "bf16"]
    for precision, rate in report["matrix product FLOP/s"].items():
        # Two models, 30 bases a read, two operations for each of 4·8·(8 + 4) + 4·8 weights.
        flops = 2 * 4 * 30 * 2 * 416 / found[precision]["seconds"]
        assert found[precision]["over the matrix product"] == pytest.approx(flops / rate)
        assert found[precision]["reads a second"] == pytest.approx(4 / found[precision]["seconds"])


def test_train_throughput(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = run("train_throughput", tmp_path, monkeypatch, *SIZES)
    found = report["steps"]["8 units, 4 reads"]
    assert set(found) == {"fp32", "bf16", "plain fp32 loop"}
    assert all(math.isfinite(value) and value > 0 for each in found.values() for value in each.values())
    drawings = {"numpy", "torch", "torch-held", "the same reads again"}
    assert set(report["data"]["seconds a step"]) == drawings


def test_only_results_of_a_gpu_lie_beside_the_scripts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring: ModuleType = importlib.import_module("measuring")
    monkeypatch.setattr(measuring, "HERE", tmp_path / "here")
    monkeypatch.setattr(measuring, "ROOT", tmp_path)
    found = []
    for kind in ("cpu", "cuda"):
        monkeypatch.setattr(measuring, "device_of", lambda _, kind=kind: torch.device(kind))
        found.append(measuring.written("item", {}, measuring.parser_of("").parse_args([])))
    assert found == [tmp_path / "bench-out" / "gpu" / "item.json", tmp_path / "here" / "item.json"]


def test_precision_of_a_block_is_left_as_it_was() -> None:
    measuring: ModuleType = importlib.import_module("measuring")
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.enabled, cudnn.allow_tf32, products.allow_tf32
    for precision, expected in (("fp32", False), ("tf32", True)):
        with measuring.block_of(torch.device("cpu"), precision):
            assert (cudnn.enabled, cudnn.allow_tf32, products.allow_tf32) == (True, expected, expected)
    assert (cudnn.enabled, cudnn.allow_tf32, products.allow_tf32) == before
