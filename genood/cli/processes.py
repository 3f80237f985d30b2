"""The processes that torchrun starts: what they share, and what only one does."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from genood.cli import EXIT_FAILURE

if TYPE_CHECKING:
    from genood.training.distributed import World


def is_first_process() -> bool:
    """Whether this is the process that talks and writes, of those that torchrun has started or alone."""
    return os.environ.get("RANK", "0") == "0"


def refuse_several(what: str, command: str = "genood train") -> None:
    """A usage error if torchrun has started several processes for what one does; the first one says it."""
    if os.environ.get("WORLD_SIZE", "1") == "1" or "RANK" not in os.environ:
        return
    error = click.UsageError(f"{what} is made by one process; start {command} without torchrun")
    if is_first_process():
        raise error
    click.get_current_context().exit(error.exit_code)


@contextmanager
def training_together(device: str) -> Iterator[tuple[World, Any]]:
    """A block for the processes of a training, or the one: all of them, and the `torch.device` of this one.

    The first one talks. Where one fails, one says why, and all fail.
    """
    from genood.training.distributed import ToldElsewhereError, World, joined, local_device

    world = World.of(os.environ)
    if not world.writes:
        logging.getLogger("genood").setLevel(logging.CRITICAL)
    try:
        here = local_device(device, world)
        with joined(world, here):
            yield world, here
    except BaseException as error:
        if world.size > 1:
            # torchrun tells processes to end once one has failed, which this one does already.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if isinstance(error, ToldElsewhereError):
            click.get_current_context().exit(EXIT_FAILURE)
        raise
