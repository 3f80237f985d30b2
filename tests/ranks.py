"""Processes that train together, each running a function of a module of the tests."""

from __future__ import annotations

import os
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

import torch

from genood.training.distributed import World, joined

_SECONDS = 60
_PRELOADED = ["torch._dynamo", "genood.training.loop", "genood.bundle", "genood.making.build"]
"""Imported once, in the process that the others are forked from."""


def in_ranks(size: int, work: Callable[..., Any], *arguments: Any) -> list[Any]:
    """What a function returns in each process, given its `World` and the arguments; or what it raised.

    None for a process that was killed.
    """
    context = get_context("forkserver")
    context.set_forkserver_preload(_PRELOADED)
    # As torchrun, whose own store outlives the processes.
    store = torch.distributed.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    shared = {
        "WORLD_SIZE": str(size),
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": str(store.port),
        "TORCHELASTIC_USE_AGENT_STORE": "True",
    }
    processes, results = [], []
    for rank in range(size):
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_rank, args=({"RANK": str(rank), **shared}, sender, work, arguments))
        process.start()
        sender.close()
        processes.append((process, receiver))
    for process, receiver in processes:
        assert receiver.poll(_SECONDS), "a process hangs"
        try:
            results.append(receiver.recv())
        except EOFError:
            results.append(None)
        process.join(_SECONDS)
    return results


def _rank(
    environment: dict[str, str], sender: Connection, work: Callable[..., Any], arguments: tuple[Any, ...]
) -> None:
    os.environ.update(environment)
    torch.set_num_threads(1)
    world = World.of(os.environ)
    try:
        with joined(world, torch.device("cpu")):
            result = work(world, *arguments)
    except Exception as error:
        result = error
    sender.send(result)
