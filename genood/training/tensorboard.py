"""Losses for TensorBoard, beside ``training.tsv``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from genood.errors import ConfigError

if TYPE_CHECKING:
    from genood.training.following import Progress, Validated

_MOST_POINTS = 10_000
"""Training losses of a model that are written, each the mean of the steps since the one before."""


@contextmanager
def beside(progress: Progress, directory: str | None, num_steps: int) -> Iterator[Progress]:
    """Progress that also writes event files for TensorBoard; as it was, where there is no directory for them.

    Parameters
    ----------
    progress
        Told of the same.
    directory
        Where to write; what other trainings wrote there stays, and TensorBoard shows all as one.
    num_steps
        Of the training.

    Raises
    ------
    ConfigError
        tensorboardX is not installed.
    """
    if directory is None:
        yield progress
        return
    try:
        from tensorboardX import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "--tensorboard needs tensorboardX: pip install tensorboardX, or genood with its extra tensorboard"
        ) from error
    board = _Board(progress, lambda step: SummaryWriter(directory, purge_step=step), num_steps)
    try:
        yield board
    finally:
        board.close()


class _Board:
    """Hands on what it is told, and writes it."""

    def __init__(self, progress: Progress, open_at: Any, num_steps: int) -> None:
        self._progress = progress
        self._open_at = open_at
        self._writer: Any = None
        self._interval = -(-num_steps // _MOST_POINTS)
        self._sums: dict[str, float] = {}
        self._number = 0

    def step(self, step: int, losses: Mapping[str, float]) -> None:
        """See `genood.training.loop.Progress.step`."""
        self._progress.step(step, losses)
        writer = self._writer_from(step)
        self._number += 1
        for role, loss in losses.items():
            self._sums[role] = self._sums.get(role, 0.0) + loss
        if step % self._interval == 0:
            for role, total in self._sums.items():
                writer.add_scalar(f"train_loss/{role}", total / self._number, step)
            self._sums.clear()
            self._number = 0

    def validated(self, row: Validated) -> None:
        """See `genood.training.loop.Progress.validated`."""
        self._progress.validated(row)
        writer = self._writer_from(row.step + 1)  # where it is the first that is told of a resumed training
        for column, value in row.values.items():
            role, _, name = column.partition("_val_")
            if name:
                writer.add_scalar(f"val_{name}/{role}", value, row.step)
        writer.flush()

    def close(self) -> None:
        """Write what is still to be written."""
        if self._writer is not None:
            self._writer.close()

    def _writer_from(self, step: int) -> Any:
        """What writes; TensorBoard forgets what was written before of that step and later ones."""
        if self._writer is None:
            self._writer = self._open_at(step)
        return self._writer
