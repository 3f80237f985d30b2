"""Several processes that train together, as torchrun starts them: who is who, sums over all, a common end.

Each process has the same models and takes its part of the reads of each step; gradients are summed over all,
so that the models stay the same everywhere. Nothing that is drawn depends on how many processes there are.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch import distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous

from genood.errors import ConfigError, GenoodError, TrainingError
from genood.models.device import resolve_device

_TOLD = "told"
"""Key of the process that says what has ended the training."""
_FIRST_SAYS = 2.0
"""Seconds that others give the first process, as all may have the same to say."""
_OTHERS_SAY = 5.0
"""The same where a process is gone, which may be the first one."""
_LOOK_EVERY = 0.05


class ProcessLostError(TrainingError):
    """Another process of the training has ended, or cannot be reached any more."""


class ToldElsewhereError(GenoodError):
    """Training has ended, and another process says why."""


@dataclass(frozen=True, kw_only=True)
class World:
    """The processes of a training, and which of them this is.

    Attributes
    ----------
    rank
        Number of this process, from 0; the first one writes files and talks.
    size
        How many there are.
    local_rank
        Number of this process among those of its machine.
    num_restarts
        How often torchrun has started them again.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    num_restarts: int = 0

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> World:
        """As torchrun, or whatever else sets ``RANK`` and ``WORLD_SIZE``, says; alone where nothing does.

        Raises
        ------
        ConfigError
            What it says is no number.
        """
        if not {"RANK", "WORLD_SIZE"} <= set(environment):
            return cls()
        try:
            return cls(
                rank=int(environment["RANK"]),
                size=int(environment["WORLD_SIZE"]),
                local_rank=int(environment.get("LOCAL_RANK", 0)),
                num_restarts=int(environment.get("TORCHELASTIC_RESTART_COUNT", 0)),
            )
        except ValueError as error:
            raise ConfigError(f"RANK, WORLD_SIZE and LOCAL_RANK must be numbers: {error}") from error

    @property
    def writes(self) -> bool:
        """Whether this process writes files and says how far it is."""
        return self.rank == 0

    def part(self, number: int) -> slice:
        """Which of so many reads are this process's; parts differ by one read at most."""
        return slice(self.rank * number // self.size, (self.rank + 1) * number // self.size)

    def sum(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """The sum over all processes, in each."""
        if self.size == 1:
            return values
        total = torch.from_numpy(values.copy())
        with _together():
            dist.all_reduce(total)
        return total.numpy()

    def any(self, here: bool) -> bool:
        """Whether it is so in one of the processes at least."""
        return here if self.size == 1 else bool(self.sum(np.array([float(here)]))[0])

    def check_same(self, parts: Iterable[bytes]) -> None:
        """Raise TrainingError if another process has other bytes."""
        if self.size == 1:
            return
        digest = hashlib.sha256()
        for part in parts:
            digest.update(part)
        values = np.zeros(self.size)
        values[self.rank] = int.from_bytes(digest.digest()[:6], "big")  # as much as a float64 holds
        values = self.sum(values)
        for rank in np.flatnonzero(values != values[0]).tolist():
            raise TrainingError(
                f"process {rank} of {self.size} has other sequences, options or checkpoints than "
                "the first one; all need the same files, of one directory or of copies"
            )

    def start_sum(self, tensors: Sequence[Tensor], weight: float) -> Callable[[], Sequence[Tensor]]:
        """Begin to sum tensors over all processes, each process's weighted; what waits for the sums.

        Parameters
        ----------
        tensors
            Of one type, on the device of the models.
        weight
            Of this process; those of all add up to 1.
        """
        if self.size == 1:
            return lambda: tensors
        flat = torch.cat([tensor.reshape(-1) for tensor in tensors]).mul_(weight)
        with _together():
            work = dist.all_reduce(flat, async_op=True)

        def wait() -> Sequence[Tensor]:
            with _together():
                work.wait()
            parts = torch.split(flat, [tensor.numel() for tensor in tensors])
            return [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]

        return wait


ALONE = World()
"""One process."""


def local_device(name: str, world: World) -> torch.device:
    """The device of a process: of several on one machine, each has a GPU of its own.

    Raises
    ------
    ConfigError
        There is no such device, or there are fewer than processes.
    """
    device = resolve_device(name)
    if world.size == 1 or device.type == "cpu":
        return device
    if device.type == "mps":
        if name == "auto":
            return torch.device("cpu")
        raise ConfigError("several processes cannot share --device mps; give --device cpu, or train in one")
    if name not in ("auto", "cuda"):
        raise ConfigError(f"each process has a GPU of its own; give --device cuda, not {name}")
    if world.local_rank >= torch.cuda.device_count():
        raise ConfigError(
            f"process {world.local_rank} of this machine has no GPU, as there are "
            f"{torch.cuda.device_count()}; start fewer with --nproc-per-node"
        )
    return torch.device("cuda", world.local_rank)


@contextmanager
def joined(world: World, device: torch.device) -> Iterator[None]:
    """A block in which the processes can sum; one that fails ends all, and one says why.

    Raises
    ------
    TrainingError
        The others cannot be reached.
    ToldElsewhereError
        It has failed, and another process says why.
    """
    if world.size == 1:
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        found, _, _ = next(rendezvous("env://", world.rank, world.size))
        # torchrun keeps the store when it starts processes again, with what those before them said in it.
        store = PrefixStore(f"genood {world.num_restarts}", found)
        backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
        group_store = PrefixStore("group", store)
        dist.init_process_group(backend, store=group_store, rank=world.rank, world_size=world.size)
    except (RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise TrainingError(f"the processes of the training cannot reach each other: {reason}") from error
    try:
        yield
    except BaseException as error:
        if not _is_to_tell(PrefixStore("end", store), world, error):
            raise ToldElsewhereError("another process says what is wrong") from error
        if isinstance(error, ProcessLostError) or not isinstance(error, GenoodError) or world.writes:
            raise
        raise TrainingError(f"process {world.rank} of {world.size}: {error}") from error
    dist.destroy_process_group()


def _is_to_tell(store: Store, world: World, error: BaseException) -> bool:
    """Whether this process is the one that says what has ended the training: the first one, if it can."""
    if not world.writes:
        patience = _OTHERS_SAY if isinstance(error, ProcessLostError) else _FIRST_SAYS
        deadline = time.monotonic() + patience
        with suppress(RuntimeError, KeyboardInterrupt):  # torchrun interrupts those that are left
            while time.monotonic() < deadline:
                if store.check([_TOLD]):
                    return False
                time.sleep(_LOOK_EVERY)
    told = mine = str(world.rank).encode()
    with suppress(RuntimeError):  # the store is gone, with whoever held it
        told = store.compare_set(_TOLD, "", mine.decode())
    return bool(told == mine)


@contextmanager
def _together() -> Iterator[None]:
    """A block in which all processes take part."""
    try:
        yield
    except RuntimeError as error:
        raise ProcessLostError("another process of the training has ended") from error
