"""Progress on a terminal, log lines elsewhere; and stopping between steps."""

from __future__ import annotations

import logging
import math
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Self, TextIO, cast

from rich.console import Console
from rich.progress import (
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from genood.bundle import CLASSIFIER
from genood.training.pace import Pace

if TYPE_CHECKING:
    from genood.training.following import Validated

logger = logging.getLogger("genood.train")

_SMOOTHING = 0.05


class _RateColumn(ProgressColumn):
    """Units a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.speed or task.finished_speed
        return Text("" if speed is None else f"{speed:,.1f} {self._unit}/s")


class _Terminal:
    """Standard error as a file; one that was closed while something is drawn on it ends no work."""

    def __init__(self) -> None:
        self._stream = sys.stderr

    def write(self, text: str) -> int:
        with suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _console() -> Console:
    return Console(file=cast(TextIO, _Terminal()))


_TOLD_AFTER = 60.0
"""Seconds after which the time that is left is said to a log, too."""


class TrainingProgress:
    """Draws losses, steps, rate and time left, and logs each validation.

    Parameters
    ----------
    num_steps
        Of the training.
    pace
        Knows how long the rest takes; None where that is not to be told.
    show
        Whether to draw.
    """

    def __init__(self, num_steps: int, *, pace: Pace | None = None, show: bool) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[losses]}"),
            MofNCompleteColumn(),
            _RateColumn("steps"),
            TextColumn("{task.fields[left]}"),
            console=_console(),
            disable=not show,
        )
        self._task = self._progress.add_task("training", total=num_steps, losses="", left="")
        self._num_steps = num_steps
        self._pace = pace
        self._must_tell = not show
        self._smooth: dict[str, float] = {}

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def step(self, step: int, losses: Mapping[str, float]) -> None:
        """See `genood.training.loop.Progress.step`."""
        for role, loss in losses.items():
            before = self._smooth.get(role, loss)
            self._smooth[role] = before + _SMOOTHING * (loss - before)
        shown = "\n".join(f"{role} {_loss(role, loss)}" for role, loss in self._smooth.items())
        self._progress.update(self._task, completed=step, losses=shown)
        if self._pace is None:
            return
        self._pace.step(step)
        left = self._left()
        self._progress.update(self._task, left=left)
        if self._must_tell and left and self._pace.seconds >= _TOLD_AFTER:
            self._must_tell = False
            logger.info("step %d of %d: %s", step, self._num_steps, left)

    def _left(self) -> str:
        seconds = None if self._pace is None else self._pace.seconds_left()
        return "" if seconds is None else f"about {duration(seconds)} left"

    def validated(self, row: Validated) -> None:
        """See `genood.training.loop.Progress.validated`."""
        if self._pace is not None:
            self._pace.validated(row.step)
        shown = []
        for column, value in row.values.items():
            role, _, name = column.partition("_val_")
            if name == "loss":
                shown.append(f"{role} {_loss(role, value)}")
            elif name:
                shown.append(f"{name} {value:.4f}")
        left = self._left() if row.step < self._num_steps else ""
        logger.info("step %d: %s (validation)%s", row.step, ", ".join(shown), left and f", {left}")


class TuningProgress(TrainingProgress):
    """Draws which cell is being made, and the training of its models."""

    def __init__(self, num_steps: int, *, pace: Pace | None = None, show: bool) -> None:
        super().__init__(num_steps, pace=pace, show=show)
        self._must_tell = False
        self._cell = ""

    def begin(self, name: str, number: int, total: int) -> None:
        """See `genood.tune.Progress.begin`."""
        self._cell = f"{number} of {total}: {name}"
        self._smooth.clear()
        self._progress.reset(self._task, losses=self._cell)

    def step(self, step: int, losses: Mapping[str, float]) -> None:
        """See `genood.training.loop.Progress.step`."""
        super().step(step, losses)
        [task] = self._progress.tasks
        self._progress.update(self._task, losses=f"{self._cell}\n{task.fields['losses']}")

    def validated(self, row: Validated) -> None:
        """Logs nothing: cells are told of, one by one."""
        if self._pace is not None:
            self._pace.validated(row.step)


@contextmanager
def reads_progress(*, show: bool) -> Iterator[Callable[[int, int], None]]:
    """Draws how many reads and bases are done; yields what to call with the numbers of each window."""
    progress = Progress(
        SpinnerColumn(),
        TextColumn("{task.completed:,} reads"),
        _RateColumn("reads"),
        TextColumn("{task.fields[bases]:,} bases"),
        TimeElapsedColumn(),
        console=_console(),
        disable=not show,
    )
    task = progress.add_task("scoring", total=None, bases=0)
    total_bases = 0

    def advance(num_reads: int, num_bases: int) -> None:
        nonlocal total_bases
        total_bases += num_bases
        progress.update(task, advance=num_reads, bases=total_bases)

    with progress:
        yield advance


@contextmanager
def attack_progress(*, show: bool) -> Iterator[Callable[[int, int], None]]:
    """Draws how many reads are attacked; yields what to call with their number and that of all."""
    progress = Progress(
        SpinnerColumn(),
        MofNCompleteColumn(),
        TextColumn("reads attacked"),
        TimeElapsedColumn(),
        console=_console(),
        disable=not show,
    )
    task = progress.add_task("attacking", total=None)
    with progress:
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def stop_signals() -> Iterator[Callable[[], bool]]:
    """While in the block, SIGINT, SIGTERM and SIGHUP ask to stop after the running step.

    A second one stops at once. SIGHUP stays ignored where it is, as by nohup.
    """
    asked = False

    def ask(signum: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        logger.info("stopping after this step; again to stop at once")

    numbers = [signal.SIGINT, signal.SIGTERM]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield lambda: asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def duration(seconds: float) -> str:
    """Seconds for people, in the two largest units that matter."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _loss(role: str, nats: float) -> str:
    if role == CLASSIFIER:
        return f"{nats:.4f} nats/read"
    return f"{nats:.4f} nats/base ({nats / math.log(2):.4f} bits)"
