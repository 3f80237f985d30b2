"""The work of a training step: launched for all models before anything is waited for.

On a GPU, work is queued: whoever launches it goes on at once, and waits only where a value is read. Each
model has a queue of its own, and of a step only the losses are read, when the next step is queued behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genood.recipes import Stream
from genood.training.distributed import World
from genood.training.feeding import Feed
from genood.training.learners import Learner
from genood.training.randomness import torch_seed


class Queue:
    """Where one model's work is queued: on CUDA a stream of its own; elsewhere it is done at once."""

    def __init__(self, device: torch.device) -> None:
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None  # type: ignore[no-untyped-call]

    @contextmanager
    def used(self, *tensors: Any) -> Iterator[None]:
        """A block whose work is queued here, behind all that is queued by now where it is entered.

        Parameters
        ----------
        tensors
            Made outside, and used in the block: their memory is not given away before it is done. All
            else is passed over.
        """
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        for tensor in tensors:
            if isinstance(tensor, Tensor) and tensor.is_cuda:
                tensor.record_stream(self._stream)
        with torch.cuda.stream(self._stream):
            yield

    def read_later(self, value: Tensor) -> Callable[[], float]:
        """What waits for a number that is queued by now, but for nothing that is queued after it."""
        if self._stream is None:
            return lambda: float(value)
        copy = torch.empty((), dtype=value.dtype, pin_memory=True)
        with torch.cuda.stream(self._stream):
            copy.copy_(value.reshape(()), non_blocking=True)
            arrived = torch.cuda.Event()  # type: ignore[no-untyped-call]
            arrived.record(self._stream)

        def read() -> float:
            arrived.synchronize()
            return float(copy)

        return read


class Launched(NamedTuple):
    """A step whose gradients are queued: its number; by role what waits for the loss, and the gradients."""

    step: int
    losses: Mapping[str, Callable[[], float]]
    gradients: Mapping[str, Sequence[Tensor]]

    def read(self) -> dict[str, float]:
        """The losses, by role."""
        return {role: read() for role, read in self.losses.items()}


class Stepper:
    """Launches steps.

    Parameters
    ----------
    learners
        The models by role.
    feed
        What they are fed.
    seed
        Of the training.
    device
        Of the models.
    world
        The processes that share a step.
    """

    def __init__(
        self,
        learners: Mapping[str, Learner[Any]],
        feed: Feed,
        seed: int,
        device: torch.device,
        world: World,
    ) -> None:
        self._learners = learners
        self._feed = feed
        self._seed = seed
        self._device = device
        self._world = world
        self._queues = {role: Queue(device) for role in learners}

    def launch(self, step: int, again: tuple[int, ...]) -> Launched:
        """Queue the gradients of a step; `again` tells apart the draws of one that is taken again."""
        seen = self._feed.step(step, again)
        begun = {}
        for role, learner in self._learners.items():
            apart = () if self._world.size == 1 or learner.model.drops_by_read else (self._world.rank,)
            seed = torch_seed(self._seed, Stream.DROPOUT, learner.number, step, *again, *apart)
            mine = seen(role)  # in the stream of the caller, beside what the models are at
            with self._queues[role].used(mine.codes, mine.labels):
                torch.manual_seed(seed)
                loss, gradients = learner.gradients(mine)
                weight = 1.0 if mine.share is None else len(mine.codes) / mine.share.total
                begun[role] = self._world.start_sum([loss.reshape(1), *gradients], weight)
        # All sums are waited for before a model changes: if a process is lost, none has taken the step.
        losses, summed = {}, {}
        for role, wait in begun.items():
            with self._queues[role].used():
                loss, *summed[role] = wait()
            losses[role] = self._queues[role].read_later(loss)
        return Launched(step, losses, summed)

    def update(self, launched: Launched, learning_rate: float) -> None:
        """Queue the step itself, along its gradients."""
        for role, learner in self._learners.items():
            with self._queues[role].used():
                learner.update(launched.gradients[role], learning_rate)

    def settle(self) -> None:
        """Wait for all that is queued, so that others can use the models, or have changed them."""
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)

    def close(self) -> None:
        """End what is drawn ahead."""
        self._feed.close()
