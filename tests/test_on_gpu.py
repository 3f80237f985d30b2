"""What only a GPU can show: the same reads and losses as on a CPU, and repeated to the last bit."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from rank_work import CNN, CONFIG, LSTM, Losses, Trained, result_of
from toys import genomes_of, markov_codes, uniform_codes

from genood.models import lstm
from genood.recipes import Stream, TrainConfig
from genood.reference.genomes import Genomes
from genood.reference.sampling import ReadSampler
from genood.training.classifier_learner import classifier_learners
from genood.training.device_reads import DeviceSampler, PackedCodes, mutate_on_device
from genood.training.feeding import Drawing
from genood.training.learners import density_learners
from genood.training.loop import Trainer

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")

CPU, GPU = torch.device("cpu"), torch.device("cuda")
# Asked for by cuBLAS, before its first use, to repeat sums in the same order.
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def genomes() -> Genomes:
    return genomes_of([(name, markov_codes(3000, i, stay=0.8)) for i, name in enumerate("ABC")])


def trainer(device: torch.device, config: TrainConfig = CONFIG, drawing: Drawing = "torch-held") -> Trainer:
    """Without dropout, which each kind of device draws in its own way."""
    shape = {**LSTM, "dropout": 0.0}
    training = genomes()
    return Trainer(
        learners=density_learners("lstm", shape, config, device),
        model=shape,
        config=config,
        training=ReadSampler(training, 40, (config.seed, Stream.READS)),
        validation=ReadSampler(training, 40, (config.seed, Stream.VALIDATION)),
        fingerprint="data",
        device=device,
        drawing=drawing,
    )


def trained(trainer: Trainer, checkpoint: Path, stop_after: int = 1000) -> Trained:
    progress = Losses()
    if checkpoint.is_file():
        trainer.resume(checkpoint)
    trainer.run(checkpoint=checkpoint, progress=progress, should_stop=lambda: trainer.step >= stop_after)
    for learner in trainer.learners.values():
        learner.parameters = {name: weights.cpu() for name, weights in learner.parameters.items()}
    return result_of(trainer, progress)


def assert_same(one: Trained, other: Trained) -> None:
    assert (one.losses, one.history) == (other.losses, other.history)
    assert all(np.array_equal(weights, other.weights[name]) for name, weights in one.weights.items())


def test_reads_are_those_of_a_cpu() -> None:
    sampler, numbers = ReadSampler(genomes(), 40, (1, 2)), torch.arange(500)
    on_cpu, on_gpu = (
        DeviceSampler(sampler, PackedCodes(sampler.genomes.codes, device)).reads(3, numbers.to(device))
        for device in (CPU, GPU)
    )
    assert torch.equal(on_gpu.codes.cpu(), on_cpu.codes)
    assert torch.equal(on_gpu.labels.cpu(), on_cpu.labels)


def test_mutations_are_those_of_a_cpu() -> None:
    codes = torch.from_numpy(uniform_codes(4000, 1).reshape(100, 40))
    on_cpu, on_gpu = (
        mutate_on_device(codes.to(device), 0.3, 5, torch.arange(100, device=device)) for device in (CPU, GPU)
    )
    assert torch.equal(on_gpu.cpu(), on_cpu)


def test_losses_are_those_of_a_cpu(tmp_path: Path) -> None:
    on_cpu, on_gpu = (trained(trainer(device), tmp_path / str(device)) for device in (CPU, GPU))
    np.testing.assert_allclose(on_gpu.losses, on_cpu.losses, rtol=1e-3)


@pytest.mark.parametrize("drawing", ["torch", "torch-held"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_resumed_equals_uninterrupted(precision: str, drawing: Drawing, tmp_path: Path) -> None:
    """Whoever holds the genomes, and whether losses are read late or at once."""
    config = replace(CONFIG, precision=precision)  # type: ignore[arg-type]
    whole = trained(trainer(GPU, config), tmp_path / "whole")
    begun = trained(trainer(GPU, config, drawing), tmp_path / "part", stop_after=14)
    at_once = trainer(GPU, config, drawing)
    assert at_once.late
    at_once.late = False
    ended = trained(at_once, tmp_path / "part")
    assert_same(whole, ended._replace(losses=[*begun.losses, *ended.losses]))


def test_bfloat16_learns_as_float32_does(tmp_path: Path) -> None:
    exact, rounded = (
        trained(trainer(GPU, replace(CONFIG, precision=precision)), tmp_path / precision)  # type: ignore[arg-type]
        for precision in ("fp32", "bf16")
    )
    assert rounded.losses != exact.losses
    np.testing.assert_allclose(rounded.losses, exact.losses, rtol=0.01)


def test_a_classifier_trains(tmp_path: Path) -> None:
    training, shape = genomes(), {**CNN, "num_classes": 3}
    made = Trainer(
        learners=classifier_learners("cnn", shape, CONFIG, GPU),
        model=shape,
        config=CONFIG,
        training=ReadSampler(training, 40, (CONFIG.seed, Stream.READS)),
        validation=ReadSampler(training, 40, (CONFIG.seed, Stream.VALIDATION)),
        fingerprint="data",
        device=GPU,
    )
    losses = [loss for [loss] in trained(made, tmp_path / "c").losses]
    assert len(losses) == CONFIG.steps
    assert np.mean(losses[-5:]) < np.mean(losses[:5])


def test_scores_are_those_of_a_cpu() -> None:
    torch.manual_seed(0)
    model = lstm.LSTM(lstm.LSTMConfig(hidden_size=32)).eval()
    codes, lengths = uniform_codes(50 * 200, 1).reshape(50, 200), np.full(50, 200)
    on_cpu = model.log_probs(codes, lengths)
    np.testing.assert_allclose(model.on("cuda").log_probs(codes, lengths), on_cpu, atol=1e-4)
