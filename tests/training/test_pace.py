"""How long the rest of a training takes, by a clock that is told the time."""

from __future__ import annotations

import pytest

from genood.cli.progress import TrainingProgress, duration
from genood.recipes import TrainConfig
from genood.training.following import Validated
from genood.training.pace import Pace

CONFIG = TrainConfig(
    steps=10_000, batch_size=100, learning_rate=0.1, validation_interval=500, num_validation_reads=3000
)


class Training:
    """One that takes its time: seconds of a step, and of a validation with its checkpoint."""

    def __init__(self, config: TrainConfig, of_step: float, of_validation: float, first: int = 0) -> None:
        self.now = 0.0
        self.pace = Pace(config, clock=lambda: self.now)
        self.config = config
        self.of_step = of_step
        self.of_validation = of_validation
        self.done = first

    def until(self, seconds: float) -> None:
        """Train for so long, or to the end."""
        while self.now < seconds and self.done < self.config.steps:
            self.now += self.of_step
            self.done += 1
            self.pace.step(self.done)
            if self.done % self.config.validation_interval == 0 or self.done == self.config.steps:
                self.now += self.of_validation
                self.pace.validated(self.done)


def error_after_a_minute(training: Training) -> float:
    """Of what is estimated to be left, by what is; the first step is done by then."""
    training.until(60.0)
    estimate, now = training.pace.seconds_left(), training.now
    assert estimate is not None
    training.until(float("inf"))
    left = training.now - now
    return abs(estimate - left) / left


@pytest.mark.parametrize("of_step", [0.002, 0.06, 1.5])
@pytest.mark.parametrize("in_steps", [0.0, 5.0, 60.0])
def test_steady_training_with_a_validation_behind_it(of_step: float, in_steps: float) -> None:
    """Whatever a validation costs, so many steps: it has been seen."""
    interval = max(1, int(20 / of_step))
    config = TrainConfig(
        steps=interval * 20 + 3, batch_size=100, learning_rate=0.1, validation_interval=interval
    )
    assert error_after_a_minute(Training(config, of_step, in_steps * of_step)) < 0.01


def test_before_the_first_validation() -> None:
    """It is in 500 steps, a step takes a second; 3000 reads are 30 steps forwards, a third of the work."""
    training = Training(CONFIG, 1.0, 10.0)
    training.until(61.0)
    assert training.done == 61
    assert training.pace.seconds_left() == pytest.approx(10_000 - 61 + 20 * 10)


def test_only_the_last_minute_counts() -> None:
    """Steps are four times as slow from the second minute on, and so are 20 validations to come."""
    training = Training(CONFIG, 0.5, 0.0)
    training.until(60.0)
    training.of_step = 2.0
    training.until(130.0)
    assert training.pace.seconds_left() == pytest.approx(2.0 * (10_000 - training.done) + 20 * 20.0, rel=0.01)


def test_nothing_is_said_of_the_first_steps() -> None:
    training = Training(CONFIG, 0.1, 0.0)
    assert training.pace.seconds_left() is None
    training.until(9.9)
    assert training.pace.seconds_left() is None
    training.until(10.2)
    assert training.pace.seconds_left() == pytest.approx(0.1 * (10_000 - training.done) + 20 * 1.0, rel=1e-6)


def test_resumed_training_is_measured_from_where_it_goes_on() -> None:
    """9 validations of 20 were before, so that 11 are left; none has been seen yet."""
    training = Training(CONFIG, 0.5, 5.0, first=4900)
    training.until(20.0)
    assert training.done == 4940
    assert training.pace.seconds_left() == pytest.approx(0.5 * (10_000 - 4940) + 11 * 5.0)


def test_resumed_where_a_validation_is_due() -> None:
    """As after a process was lost in it: the clock says when the machine was started, a day ago."""
    training = Training(CONFIG, 0.5, 5.0, first=5000)
    training.now = 86_400.0
    training.pace.validated(5000)
    training.until(86_420.0)
    assert training.pace.seconds_left() == pytest.approx(0.5 * (10_000 - training.done) + 10 * 5.0)


def test_time_in_which_the_process_was_stopped_does_not_count() -> None:
    """An hour between two steps, then one in a validation; both leave what there is to do as it was."""
    training = Training(CONFIG, 0.1, 20.0)
    training.until(150.0)
    training.now += 3600.0
    training.until(training.now + 20.0)
    validations = 20 - training.done // 500
    assert training.pace.seconds_left() == pytest.approx(
        0.1 * (10_000 - training.done) + 20.0 * validations, rel=0.01
    )
    training.done += 500 - training.done % 500  # a validation is due
    training.pace.step(training.done)
    training.now += 3600.0
    training.pace.validated(training.done)
    training.until(training.now + 20.0)
    validations = 20 - training.done // 500
    assert training.pace.seconds_left() == pytest.approx(
        0.1 * (10_000 - training.done) + 20.0 * validations, rel=0.01
    )


def test_steps_that_have_become_slow_are_believed() -> None:
    training = Training(CONFIG, 1.0, 0.0)
    training.until(100.0)
    training.of_step = 40.0
    training.until(400.0)
    assert training.pace.seconds_left() == pytest.approx(
        40.0 * (10_000 - training.done) + 20 * 400.0, rel=0.01
    )


def test_what_is_taken_again_is_left_again() -> None:
    training = Training(CONFIG, 0.1, 20.0)
    training.until(75.05)
    assert training.done == 551
    training.done = 500  # where a recovery leads to
    training.until(90.0)
    left = training.pace.seconds_left()
    assert left == pytest.approx(0.1 * (10_000 - training.done) + 19 * 20.0)
    assert len(training.pace._marks) < 200


def test_log(caplog: pytest.LogCaptureFixture) -> None:
    """Of a second a step; 20 validations of ten seconds are expected before any was seen."""
    caplog.set_level("INFO", "genood")
    training = Training(CONFIG, 1.0, 10.0)
    progress = TrainingProgress(CONFIG.steps, pace=training.pace, show=False)
    for step in range(1, 101):
        training.now = float(step)
        progress.step(step, {"foreground": 1.0})
    training.now = 104.0
    progress.validated(Validated(100, {"foreground_val_loss": 1.0}))
    assert caplog.messages == [
        "step 61 of 10000: about 2 h 48 min left",
        "step 100: foreground 1.0000 nats/base (1.4427 bits) (validation), about 2 h 46 min left",
    ]


@pytest.mark.parametrize(
    ("seconds", "says"),
    [
        (0.2, "0 s"),
        (59.6, "1 min 0 s"),
        (245.0, "4 min 5 s"),
        (3600.0, "1 h 0 min"),
        (86399.0, "23 h 59 min"),
        (200_000.0, "2 d 7 h"),
    ],
)
def test_duration(seconds: float, says: str) -> None:
    assert duration(seconds) == says
