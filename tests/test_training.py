"""The training loop: what is optimised, what is random, what a checkpoint holds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import markov_codes, uniform_codes, write_fasta

from genood.checkpoints import Checkpoint
from genood.errors import ConfigError, TrainingError
from genood.examples import Examples
from genood.following import Validated
from genood.genomes import load_genomes, split_held_out
from genood.learners import DensityLearner, Gradients, density_learners
from genood.models.lstm import LSTM, LSTMConfig
from genood.recipes import Stream, TrainConfig
from genood.recovery import LossWatch, Recovery, rate_after
from genood.sampling import ReadSampler, SampledReads
from genood.sequence import Codes
from genood.training import Trainer

CONFIG = TrainConfig(
    steps=8,
    batch_size=16,
    learning_rate=0.01,
    read_length=40,
    validation_interval=4,
    num_validation_reads=32,
    seed=3,
)

MakeTrainer = Callable[..., Trainer]


@pytest.fixture
def make_trainer(tmp_path: Path) -> MakeTrainer:
    path = write_fasta(tmp_path / "Alpha__toy.fna", {"one": markov_codes(5000, 1, stay=0.9)})
    genomes = load_genomes([path], min_length=40)
    training, held_out = split_held_out(genomes, fraction=0.1, read_length=40, seed=0)

    def make(config: TrainConfig = CONFIG, fingerprint: str = "data", dropout: float = 0.2) -> Trainer:
        shape, cpu = {"hidden_size": 8, "dropout": dropout}, torch.device("cpu")
        return Trainer(
            learners=density_learners("lstm", shape, config, cpu),
            model={"model": "lstm", **shape},
            config=config,
            training=ReadSampler(training, 40, (config.seed, Stream.READS)),
            validation=ReadSampler(held_out, 40, (config.seed, Stream.VALIDATION)),
            fingerprint=fingerprint,
            device=cpu,
        )

    return make


def weights(trainer: Trainer) -> dict[str, torch.Tensor]:
    return {
        f"{role}.{name}": parameter.detach()
        for role, learner in trainer.learners.items()
        for name, parameter in learner.parameters.items()
    }


def assert_same(first: Trainer, second: Trainer) -> None:
    assert first.history == second.history
    assert first.metrics() == second.metrics()
    for name, tensor in weights(first).items():
        assert torch.equal(tensor, weights(second)[name]), name


class Recorder:
    """Keeps what training tells."""

    def __init__(self) -> None:
        self.steps: list[int] = []
        self.rows: list[Validated] = []

    def step(self, step: int, losses: object) -> None:
        self.steps.append(step)

    def validated(self, row: Validated) -> None:
        self.rows.append(row)


def test_losses_fall_and_are_told(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer, recorder = make_trainer(replace(CONFIG, steps=60, validation_interval=20)), Recorder()
    assert trainer.run(checkpoint=tmp_path / "c", progress=recorder)
    assert recorder.steps == list(range(1, 61))
    assert [row.step for row in recorder.rows] == [20, 40, 60]
    assert recorder.rows == trainer.history
    assert recorder.rows[-1].values["foreground_val_loss"] < recorder.rows[0].values["foreground_val_loss"]
    # Mutation hides structure: the background model's reads are harder to predict.
    assert recorder.rows[-1].values["foreground_val_loss"] < recorder.rows[-1].values["background_val_loss"]
    assert recorder.rows[-1].values["foreground_val_loss"] < math.log(4)


def test_same_seed_same_weights(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    first, second = make_trainer(), make_trainer()
    first.run(checkpoint=tmp_path / "a")
    torch.manual_seed(99)  # what others do with the global generator does not matter
    second.run(checkpoint=tmp_path / "b")
    assert_same(first, second)
    other = make_trainer(replace(CONFIG, seed=4))
    other.run(checkpoint=tmp_path / "c")
    assert other.history != first.history


def test_global_generator_is_left_alone(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    make_trainer().run(checkpoint=tmp_path / "c")
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("stop_after", [0, 1, 4, 6])
def test_resumed_equals_uninterrupted(make_trainer: MakeTrainer, tmp_path: Path, stop_after: int) -> None:
    config = replace(CONFIG, schedule="cosine")
    whole = make_trainer(config)
    whole.run(checkpoint=tmp_path / "whole")
    interrupted = make_trainer(config)
    asked = iter([False] * stop_after + [True])
    assert not interrupted.run(checkpoint=tmp_path / "part", should_stop=lambda: next(asked))
    assert interrupted.step == stop_after
    resumed = make_trainer(config)
    resumed.resume(tmp_path / "part")
    assert resumed.step == stop_after
    assert resumed.run(checkpoint=tmp_path / "part")
    assert_same(whole, resumed)
    assert whole.table() == resumed.table()


def test_more_steps_on_resume(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    whole = make_trainer(replace(CONFIG, steps=12))
    whole.run(checkpoint=tmp_path / "whole")
    short = make_trainer()
    short.run(checkpoint=tmp_path / "short")
    longer = make_trainer(replace(CONFIG, steps=12))
    longer.resume(tmp_path / "short")
    longer.run(checkpoint=tmp_path / "short")
    assert_same(whole, longer)


@pytest.mark.parametrize(
    ("change", "fingerprint", "message"),
    [
        ({"seed": 4}, "data", "seed was 3 and is now 4"),
        ({"learning_rate": 0.02}, "data", "learning rate was 0.01 and is now 0.02"),
        ({"mutation_rate": 0.2}, "data", "mutation rate was 0.1 and is now 0.2"),
        ({}, "other", "data was data and is now other"),
        ({"steps": 4}, "data", "8 steps are done already"),
    ],
)
def test_resume_refuses_another_training(
    make_trainer: MakeTrainer, tmp_path: Path, change: dict[str, float], fingerprint: str, message: str
) -> None:
    make_trainer().run(checkpoint=tmp_path / "c")
    with pytest.raises(TrainingError, match=message):
        make_trainer(replace(CONFIG, **change), fingerprint).resume(tmp_path / "c")


def test_resume_refuses_what_is_no_checkpoint(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no checkpoint"):
        make_trainer().resume(tmp_path / "missing")
    (tmp_path / "garbage").write_bytes(b"garbage" * 100)
    with pytest.raises(TrainingError, match="not a genood checkpoint"):
        make_trainer().resume(tmp_path / "garbage")
    save_file({"x": torch.zeros(1)}, tmp_path / "foreign")
    with pytest.raises(TrainingError, match="not a genood checkpoint"):
        make_trainer().resume(tmp_path / "foreign")


def test_resume_refuses_a_checkpoint_of_another_version(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1)}, tmp_path / "old", metadata={"genood": '{"format": 1}'})
    with pytest.raises(TrainingError, match=r"old: was written by another version of genood \(format 1\)$"):
        make_trainer().resume(tmp_path / "old")


def test_best_weights_are_those_of_the_best_validation(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer(replace(CONFIG, steps=40, learning_rate=0.9, validation_interval=1))
    trainer.run(checkpoint=tmp_path / "c")
    losses = [row.values["foreground_val_loss"] for row in trainer.history]
    best = int(np.argmin(losses))
    learner = trainer.learners["foreground"]
    assert best < 39, "the test needs a training that gets worse"
    assert (learner.best_step, learner.best_loss) == (best + 1, losses[best])
    learner.best_model()
    again = learner.validate(trainer._validation["foreground"], 99)["loss"]
    assert again == pytest.approx(losses[best], abs=1e-6)


def is_spoilt(trainer: Trainer, step: int, loss: float, role: str = "foreground") -> Trainer:
    """The trainer with a loss put in place of that of the reads that are drawn at a step the first time."""
    learner = trainer.learners[role]
    reads = trainer.training.sample(step, trainer.config.batch_size)
    codes = learner.seen(reads, Stream.MUTATION, learner.number, step).codes
    gradients = learner.gradients

    def spoilt(examples: Examples) -> Gradients:
        found = gradients(examples)
        return found._replace(loss=torch.tensor(loss)) if np.array_equal(examples.codes, codes) else found

    learner.gradients = spoilt  # type: ignore[method-assign]
    return trainer


def always_nan(examples: Examples) -> Gradients:
    return Gradients(torch.tensor(math.nan), [])


@pytest.mark.parametrize("role", ["foreground", "background"])
def test_loss_that_is_not_finite_is_got_over(
    make_trainer: MakeTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture, role: str
) -> None:
    """Steps 5 to 8 are taken with other reads; step 4 was validated before."""
    trainer = is_spoilt(make_trainer(), 6, math.nan, role)
    assert trainer.run(checkpoint=tmp_path / "c")
    assert trainer.recoveries == [Recovery(6, role, "nan", 4)]
    assert caplog.messages == [
        f"step 6: the {role} loss is nan; back to step 4 (time 1 of at most 3), on with other reads"
    ]
    untouched = make_trainer()
    untouched.run(checkpoint=tmp_path / "d")
    assert [row.step for row in trainer.history] == [4, 8]
    assert trainer.history[0] == untouched.history[0]
    assert trainer.history[1] != untouched.history[1]


@pytest.mark.parametrize("stop_after", [2, 5, 6, 7, 8])
def test_resumed_equals_uninterrupted_through_recoveries(
    make_trainer: MakeTrainer, tmp_path: Path, stop_after: int
) -> None:
    """Whether stopped before the loss goes wrong, even between two validations, or after it."""
    config = replace(CONFIG, schedule="cosine", steps=10)
    whole = is_spoilt(make_trainer(config), 7, math.inf)
    whole.run(checkpoint=tmp_path / "whole")
    assert [(recovery.step, recovery.back_to) for recovery in whole.recoveries] == [(7, 4)]
    interrupted = is_spoilt(make_trainer(config), 7, math.inf)
    asked = iter([False] * stop_after + [True])
    assert not interrupted.run(checkpoint=tmp_path / "part", should_stop=lambda: next(asked))
    assert len(interrupted.recoveries) == (stop_after >= 7)
    resumed = is_spoilt(make_trainer(config), 7, math.inf)
    resumed.resume(tmp_path / "part")
    assert resumed.run(checkpoint=tmp_path / "part")
    assert_same(whole, resumed)
    assert whole.recoveries == resumed.recoveries
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "part").read_bytes()


def test_learning_rate_is_halved_from_the_second_recovery_on(
    make_trainer: MakeTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    trainer = make_trainer()
    learner = trainer.learners["foreground"]
    gradients, spoilt = learner.gradients, iter([False, True, False, True, *[False] * 8])

    def sometimes_nan(examples: Examples) -> Gradients:
        return always_nan(examples) if next(spoilt) else gradients(examples)

    learner.gradients = sometimes_nan  # type: ignore[method-assign]
    trainer.run(checkpoint=tmp_path / "c")
    assert len(trainer.recoveries) == 2
    [rate] = {group["lr"] for group in learner.optimizer.param_groups}
    assert rate == CONFIG.learning_rate / 2
    assert caplog.messages[-1].endswith(
        "(time 2 of at most 3), on with other reads and 0.5 of the learning rate"
    )
    assert [rate_after(number) for number in range(5)] == [1.0, 1.0, 0.5, 0.25, 0.125]


@pytest.mark.parametrize("most", [0, 2])
def test_loss_that_is_never_finite(make_trainer: MakeTrainer, tmp_path: Path, most: int) -> None:
    trainer = make_trainer(replace(CONFIG, max_recoveries=most))
    trainer.learners["background"].gradients = always_nan  # type: ignore[method-assign]
    helped = "stepping back 2 times has not helped; " if most else ""
    message = f"^the background loss is nan at step 1; {helped}start again with a lower --learning-rate$"
    with pytest.raises(TrainingError, match=message):
        trainer.run(checkpoint=tmp_path / "c")
    assert len(trainer.recoveries) == most
    assert not (tmp_path / "c").exists()


def test_a_row_of_high_losses_is_a_spike() -> None:
    """Losses of 1.30 and 1.34 deviate by 0.02, so that they are high above 1.32 + 0.12, and not before."""
    watch = LossWatch()
    for step in range(300):
        assert not watch.has_spiked(1.30 + 0.04 * (step % 2))
    assert [watch.has_spiked(1.46) for _ in range(4)] == [False] * 4
    assert not watch.is_calm
    assert not watch.has_spiked(1.42)
    assert watch.is_calm
    kept = LossWatch()
    kept.load_state(watch.state())
    for each in (watch, kept):
        assert [each.has_spiked(1.6) for _ in range(5)] == [False] * 4 + [True]


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_no_loss_that_is_not_finite_is_waited_for(loss: float) -> None:
    assert LossWatch().has_spiked(loss)


def test_a_falling_loss_and_a_level_one_are_calm() -> None:
    watch = LossWatch()
    draws = np.random.default_rng(0).standard_exponential(5000)
    falling = 0.01 + 2.0 * np.exp(-np.arange(5000) / 300)
    assert not any(watch.has_spiked(loss) for loss in (falling * (0.5 + draws)).tolist())


def test_first_losses_may_be_anything() -> None:
    watch = LossWatch()
    assert not any(watch.has_spiked(float(step)) for step in range(100))


def test_a_spike_is_stepped_back_from(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    """From the last validation before the first of its losses, though there is a later one."""
    trainer = make_trainer(replace(CONFIG, steps=120, validation_interval=2, learning_rate=0.001))
    for step in range(106, 111):
        is_spoilt(trainer, step, 5.0)
    assert trainer.run(checkpoint=tmp_path / "c")
    assert trainer.recoveries == [Recovery(110, "foreground", "5", 104)]
    assert [row.step for row in trainer.history] == list(range(2, 121, 2))
    assert Checkpoint.read(tmp_path / "c").good.step == 120


def test_patience(make_trainer: MakeTrainer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Neither model gets better in three validations; going on with more patience is as if from the start."""
    caplog.set_level("INFO", "genood")
    config = replace(CONFIG, steps=200, learning_rate=0.5, validation_interval=1)
    trainer = make_trainer(replace(config, patience=3))
    assert trainer.run(checkpoint=tmp_path / "c")
    best = max(learner.best_step for learner in trainer.learners.values())
    assert trainer.step == best + 3 < 200
    assert caplog.messages[-1] == f"stopped at step {trainer.step}: no model got better in 3 validations"
    longer = make_trainer(replace(config, patience=6))
    longer.resume(tmp_path / "c")
    longer.run(checkpoint=tmp_path / "c")
    whole = make_trainer(replace(config, patience=6))
    whole.run(checkpoint=tmp_path / "d")
    assert longer.step > trainer.step
    assert_same(whole, longer)


def test_validation_loss_that_is_not_finite(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    trainer = make_trainer(replace(CONFIG, steps=1))
    model = trainer.learners["foreground"].model
    model.eval = lambda: model.dense.bias.data.fill_(math.nan)  # type: ignore[method-assign]
    with pytest.raises(TrainingError, match=r"foreground loss is nan at step 1; .* --learning-rate"):
        trainer.run(checkpoint=tmp_path / "c")
    assert not (tmp_path / "c").exists()


def examples(codes: Codes) -> Examples:
    """Reads that a density model sees; their classes do not matter to it."""
    return Examples(codes, np.zeros(len(codes), dtype=np.int64))


def learner_of(model: LSTM, l2: float = 0.0, **changes: Any) -> DensityLearner:
    return DensityLearner("background", model, 0.3, l2, replace(CONFIG, **changes))


def test_l2_is_the_penalty_on_non_bias_weights() -> None:
    """One step with the penalty equals one step of plain Adam on loss + λ·½‖w‖²."""
    codes, l2 = uniform_codes(16 * 40, 1).reshape(16, 40), 0.1
    torch.manual_seed(0)
    model = LSTM(LSTMConfig(hidden_size=6))
    twin = LSTM(LSTMConfig(hidden_size=6))
    twin.load_state_dict(model.state_dict())
    learner_of(model, l2=l2).step(examples(codes), 1)

    optimizer = torch.optim.Adam(twin.parameters(), lr=CONFIG.learning_rate)
    loss = -twin(torch.from_numpy(codes), torch.full((16,), 40)).mean()
    penalty = sum((parameter**2).sum() / 2 for name, parameter in twin.named_parameters() if "weight" in name)
    (loss + l2 * penalty).backward()
    optimizer.step()
    penalised = {"lstm.weight_ih_l0", "lstm.weight_hh_l0", "dense.weight"}
    assert {name for name, _ in twin.named_parameters() if "weight" in name} == penalised
    for name, parameter in twin.named_parameters():
        torch.testing.assert_close(parameter, model.get_parameter(name), atol=1e-5, rtol=0)


def test_reported_loss_is_without_the_penalty() -> None:
    codes = uniform_codes(16 * 40, 1).reshape(16, 40)
    torch.manual_seed(0)
    model = LSTM(LSTMConfig(hidden_size=6))
    expected = -model(torch.from_numpy(codes), torch.full((16,), 40)).mean().item()
    assert learner_of(model, l2=10.0).step(examples(codes), 1) == pytest.approx(expected, abs=1e-6)


def test_gradients_are_clipped() -> None:
    codes = uniform_codes(16 * 40, 1).reshape(16, 40)
    learner = learner_of(LSTM(LSTMConfig(hidden_size=6)), max_gradient_norm=1e-3)
    learner.step(examples(codes), 1)
    norm = math.sqrt(sum(float((p.grad**2).sum()) for p in learner.parameters.values()))
    assert norm == pytest.approx(1e-3, rel=1e-3)


def test_warm_up() -> None:
    """A tenth at the first of ten steps, all of it at the tenth; then the schedule, of what is left."""
    warm = replace(CONFIG, steps=14, learning_rate=0.2, schedule="cosine", warmup_steps=10)
    assert [warm.learning_rate_at(step) for step in (1, 5, 10)] == pytest.approx([0.02, 0.1, 0.2])
    rates = [warm.learning_rate_at(step) for step in (11, 12, 13, 14)]
    assert rates == pytest.approx([0.2, 0.1 * (1 + math.sqrt(0.5)), 0.1, 0.1 * (1 - math.sqrt(0.5))])
    assert replace(warm, schedule="constant").learning_rate_at(14) == 0.2


def test_learning_rate_schedules() -> None:
    cosine = replace(CONFIG, steps=4, learning_rate=0.2, schedule="cosine")
    rates = [cosine.learning_rate_at(step) for step in (1, 2, 3, 4)]
    assert rates == pytest.approx([0.2, 0.1 * (1 + math.sqrt(0.5)), 0.1, 0.1 * (1 - math.sqrt(0.5))])
    assert replace(CONFIG, steps=4).learning_rate_at(4) == CONFIG.learning_rate


def test_schedule_reaches_the_optimiser() -> None:
    codes = uniform_codes(16 * 40, 1).reshape(16, 40)
    learner = learner_of(LSTM(LSTMConfig(hidden_size=4)), steps=4, schedule="cosine")
    learner.step(examples(codes), 3)
    assert {group["lr"] for group in learner.optimizer.param_groups} == {CONFIG.learning_rate / 2}


def test_mutations_are_drawn_anew() -> None:
    learner = learner_of(LSTM(LSTMConfig(hidden_size=4)))
    codes = np.zeros((50, 100), dtype=np.uint8)
    reads = SampledReads(codes, np.zeros(50, dtype=np.int64), np.zeros(50, dtype=np.int64))
    first, second, again = (learner.seen(reads, 1, 1, step).codes for step in (1, 2, 1))
    assert (first != second).any()
    assert np.array_equal(first, again)
    assert (first != 0).mean() == pytest.approx(0.3, abs=0.03)


def test_validation_is_without_dropout_and_repeatable(make_trainer: MakeTrainer) -> None:
    learner = make_trainer(dropout=0.5).learners["foreground"]
    codes = uniform_codes(16 * 40, 1).reshape(16, 40)
    assert learner.validate(examples(codes), 1) == learner.validate(examples(codes), 2)


def test_validation_weighs_the_last_partial_batch(make_trainer: MakeTrainer) -> None:
    learner = make_trainer().learners["foreground"]
    codes = uniform_codes(21 * 40, 1).reshape(21, 40)
    each = [learner.validate(examples(row[None]), 1)["loss"] for row in codes]
    assert learner.validate(examples(codes), 1)["loss"] == pytest.approx(np.mean(each), abs=1e-6)


def test_checkpoint_holds_no_code(make_trainer: MakeTrainer, tmp_path: Path) -> None:
    make_trainer().run(checkpoint=tmp_path / "c")
    tensors = load_file(tmp_path / "c")
    assert "foreground.adam.exp_avg_sq.lstm.weight_hh_l0" in tensors
    assert tensors["background.best.dense.weight"].shape == (4, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "steps must be at least 1"),
        ({"read_length": 0}, "read length must be at least 1"),
        ({"learning_rate": 0.0}, "learning rate must be above 0"),
        ({"learning_rate": 1.5}, "at most 1"),
        ({"learning_rate": math.nan}, "learning rate must be above 0"),
        ({"schedule": "linear"}, "schedule must be constant or cosine"),
        ({"mutation_rate": 1.5}, "mutation rate must lie between 0 and 1"),
        ({"l2": -1.0}, "L2 coefficient must be 0 or more"),
        ({"held_out_fraction": 1.0}, "held-out fraction"),
        ({"num_validation_reads": 0}, "num validation reads must be at least 1"),
        ({"precision": "fp16"}, "precision must be auto, fp32 or bf16"),
        ({"seed": -1}, "seed must not be negative"),
        ({"warmup_steps": 8}, "warm-up steps must be fewer than the 8 steps, not 8"),
        ({"warmup_steps": -1}, "warm-up steps must be"),
        ({"max_gradient_norm": 0.0}, "max gradient norm must be above 0"),
        ({"patience": 0}, "patience must be at least 1"),
        ({"max_recoveries": -1}, "max recoveries must be 0 or more"),
    ],
)
def test_config_out_of_range(change: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(CONFIG, **change)
