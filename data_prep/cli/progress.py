"""Progress on a terminal; imported where it is drawn."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.filesize import decimal
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


@contextmanager
def stage_progress(*, show: bool) -> Iterator[Callable[[str, int, int], None]]:
    """Draws how far each stage is; yields what to call with a stage, how much is done, and of how much."""
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not show,
    )
    tasks: dict[str, TaskID] = {}

    def update(stage: str, done: int, total: int) -> None:
        if stage not in tasks:
            tasks[stage] = progress.add_task(stage)
        progress.update(tasks[stage], completed=done, total=total)

    with progress:
        yield update


class _Drawing:
    """Something that is drawn on standard error, until the block ends."""

    _progress: Progress

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._progress.stop()


class TransferProgress(_Drawing):
    """Draws files done, bytes received and their rate, from the first of them on; a context manager.

    Parameters
    ----------
    files
        What they are called.
    """

    def __init__(self, files: str) -> None:
        self._progress = Progress(
            MofNCompleteColumn(),
            TextColumn(files),
            BarColumn(),
            TextColumn("{task.fields[amount]}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("downloading", total=None, amount="")
        self._num_bytes = 0

    def received(self, num_bytes: int) -> None:
        """See `data_prep.download.Progress.received`."""
        self._progress.start()
        self._num_bytes += num_bytes
        rate = self._num_bytes / (self._progress.tasks[0].elapsed or math.inf)
        amount = f"{decimal(self._num_bytes)}, {decimal(int(rate))}/s"
        self._progress.update(self._task, amount=amount)

    def finished(self, file: object, num_files: int) -> None:
        """See `data_prep.download.Progress.finished`."""
        self._progress.start()
        self._progress.update(self._task, advance=1, total=num_files)
        if self._progress.finished:
            self._progress.stop()  # what comes after may take its time


class ImportProgress(_Drawing):
    """Draws bytes received, then reads imported; a context manager."""

    def __init__(self) -> None:
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            TimeElapsedColumn(),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=None)
        self._num_bytes = 0
        self._num_reads = 0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def received(self, num_bytes: int) -> None:
        """See `data_prep.published.Progress.received`."""
        self._num_bytes += num_bytes
        self._progress.update(self._task, description=f"{decimal(self._num_bytes)} received")

    def imported(self, num_reads: int) -> None:
        """See `data_prep.published.Progress.imported`."""
        self._num_reads += num_reads
        self._progress.update(self._task, description=f"{self._num_reads:,} reads")
