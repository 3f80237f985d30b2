"""How long the rest of a training will take, from how long the steps and validations before it took."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from statistics import median
from typing import NamedTuple

from genood.recipes import TrainConfig

_WINDOW_SECONDS = 60.0
"""Steps are as fast as they have been for so long."""
_BETWEEN_MARKS = 0.5
"""Seconds from one remembered step to the next, at least: memory is bounded."""
_NUM_VALIDATIONS = 5
"""A validation takes as long as the median of the last few."""
_STEPS_PER_VALIDATION = 3.0
"""A step goes forwards and backwards, which is thrice the work of going forwards, as a validation does."""
_CREDIBLE_SECONDS = 10.0
"""Before, an estimate would be of the first steps, which are not like the others."""
_PAUSE_SECONDS, _PAUSE_STEPS = 30.0, 20.0
"""A step that took longer than both, in seconds and in steps, was stopped: by SIGSTOP, or a closed lid."""


class _Mark(NamedTuple):
    """A step that was done: when, in seconds without validations, and which."""

    seconds: float
    step: int


class Pace:
    """Measures a training that it is told of as a `genood.training.loop.Progress` is.

    The rest is its steps, at the mean of the last `_WINDOW_SECONDS`, and its validations with their
    checkpoints, at the median of the last few. Until there was one, a validation is taken to cost as much as
    steps of as many reads do that only go forwards. The time of a process that was stopped does not count.

    Parameters
    ----------
    config
        How it is trained: the number of its steps, and how often it is validated on how much.
    clock
        Seconds.
    """

    def __init__(self, config: TrainConfig, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._clock = clock
        self._marks: deque[_Mark] = deque()
        self._validations: deque[float] = deque(maxlen=_NUM_VALIDATIONS)
        self._began: float | None = None
        self._not_stepping = 0.0
        self._last = 0.0
        self._now = 0.0
        self._was_stopped = False
        self._step = 0
        self._num_validated = 0

    @property
    def seconds(self) -> float:
        """Since the first step was done."""
        return 0.0 if self._began is None else self._clock() - self._began

    def step(self, step: int) -> None:
        """After a step."""
        self._last = self._clock()
        if self._began is None:
            self._began = self._last
        if step != self._step + 1:  # the first, or back from a loss that went wrong
            self._marks.clear()
            self._num_validated = (step - 1) // self._config.validation_interval
        self._step = step
        now = self._last - self._not_stepping
        of_step = self._seconds_of_step()
        was_stopped, self._was_stopped = self._was_stopped, False
        if of_step is not None and now - self._now > max(_PAUSE_SECONDS, _PAUSE_STEPS * of_step):
            self._was_stopped = not was_stopped  # twice in a row, and steps are so slow
        if self._was_stopped:
            self._not_stepping += now - self._now
            now = self._now
        self._now = now
        if not self._marks or now - self._marks[-1].seconds >= _BETWEEN_MARKS:
            self._marks.append(_Mark(now, step))
        while len(self._marks) > 2 and now - self._marks[1].seconds >= _WINDOW_SECONDS:
            self._marks.popleft()

    def validated(self, step: int) -> None:
        """After a validation, its checkpoint written; one before any step took nobody knows how long."""
        if self._began is not None:
            seconds = self._clock() - self._last
            self._validations.append(seconds)
            self._not_stepping += seconds
        self._num_validated = -(-step // self._config.validation_interval)

    def seconds_left(self) -> float | None:
        """Until training ends; None while too little was seen."""
        of_step = self._seconds_of_step()
        if of_step is None or self._marks[-1].seconds - self._marks[0].seconds < _CREDIBLE_SECONDS:
            return None
        config = self._config
        of_validation = of_step * config.num_validation_reads / config.batch_size / _STEPS_PER_VALIDATION
        if self._validations:
            of_validation = median(self._validations)
        num_validations = -(-config.steps // config.validation_interval) - self._num_validated
        return of_step * (config.steps - self._step) + of_validation * num_validations

    def _seconds_of_step(self) -> float | None:
        """As the steps of the window were; None before there are two marks."""
        if len(self._marks) < 2:
            return None
        first, last = self._marks[0], self._marks[-1]
        return (last.seconds - first.seconds) / (last.step - first.step)
