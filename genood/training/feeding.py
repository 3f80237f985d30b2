"""What models in training are fed: the examples of each step, drawn on the host or where they are trained."""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, Literal, NamedTuple, Protocol, get_args

import torch
from torch import Tensor

from genood.errors import ConfigError
from genood.models.examples import Examples, Share, View
from genood.overlap import ahead
from genood.recipes import Stream
from genood.reference.sampling import ReadSampler
from genood.training.device_reads import (
    DeviceSampler,
    DrawnReads,
    HostCodes,
    PackedCodes,
    holds,
    mutate_on_device,
)
from genood.training.distributed import World
from genood.training.draws import key_of
from genood.training.learners import Learner

logger = logging.getLogger(__name__)

Drawing = Literal["auto", "numpy", "torch", "torch-held"]
"""Who draws reads: NumPy; torch, on the CPU; torch, from genomes held on the device of the models.

The latter two draw the same. ``auto`` is NumPy but on a GPU, where it is torch, from genomes held there if
they take a quarter of its memory at most (`genood.training.device_reads.holds`), else a step ahead in a
thread.
"""

Seen = Callable[[str], Examples]
"""By the role of a model, this process's part of the examples that it sees at a step."""


class Feed(Protocol):
    """Gives the examples of steps, which depend on a step's number and the recoveries before it alone."""

    def step(self, step: int, again: tuple[int, ...]) -> Seen:
        """The examples of a step; `again` tells apart the draws of one that is taken again."""

    def close(self) -> None:
        """End what is drawn ahead."""


class NumpyFeed(NamedTuple):
    """Reads and mutations that NumPy draws, of all of a step in each process."""

    sampler: ReadSampler
    learners: Mapping[str, Learner[Any]]
    num_reads: int
    world: World

    def step(self, step: int, again: tuple[int, ...]) -> Seen:
        """See `Feed.step`."""
        reads = self.sampler.sample(step, self.num_reads, *again)

        def seen(role: str) -> Examples:
            learner = self.learners[role]
            examples = learner.seen(reads, Stream.MUTATION, learner.number, step, *again)
            return examples if self.world.size == 1 else examples.part(self.world.part(len(examples.codes)))

        return seen

    def close(self) -> None:
        """See `Feed.close`."""


class TorchFeed:
    """Reads and mutations that torch draws, where the sampler's genomes are, of this process's part alone.

    Parameters
    ----------
    sampler
        Where to draw reads.
    learners, num_reads, world
        See `feed_of`.
    """

    def __init__(
        self, sampler: DeviceSampler, learners: Mapping[str, Learner[Any]], num_reads: int, world: World
    ) -> None:
        self._sampler = sampler
        self._learners = learners
        self._num_reads = num_reads
        self._world = world

    def step(self, step: int, again: tuple[int, ...]) -> Seen:
        """See `Feed.step`; what is drawn is queued in the stream that is current when it is asked for."""
        drawn: dict[tuple[range, range], tuple[Tensor, DrawnReads]] = {}

        def seen(role: str) -> Examples:
            learner = self._learners[role]
            view = learner.view(self._num_reads)
            rows = self._world.part(view.num_examples)
            share = None if self._world.size == 1 else Share(rows.start, view.num_examples)
            plain, mutated = _reads_of(view, rows)
            # Models that see the same reads, if only mutated, share their draws.
            key = (plain, mutated) if plain and mutated else (plain or mutated, range(0))
            if key not in drawn:
                numbers = torch.cat([torch.arange(x.start, x.stop, device=self._sampler.device) for x in key])
                drawn[key] = numbers, self._sampler.reads(step, numbers, *again)
            numbers, (codes, labels) = drawn[key]
            labels = labels if view.by_class else torch.zeros_like(labels)
            if mutated:
                split = len(plain)
                seed = key_of(learner.config.seed, Stream.MUTATION, learner.number, step, *again)
                changed = mutate_on_device(codes[split:], learner.mutation_rate, seed, numbers[split:])
                codes = torch.cat([codes[:split], changed])
                if view.mutated_label is not None:
                    labels = torch.cat([labels[:split], torch.full_like(labels[split:], view.mutated_label)])
            return Examples(codes, labels, share)

        return seen

    def close(self) -> None:
        """See `Feed.close`."""


class FeedAhead:
    """Another feed, whose next step is drawn in a thread while the models learn from the last one.

    Whatever is asked for is what the other feed gives: if it is not the next step, what was drawn ahead is
    thrown away.

    Parameters
    ----------
    feed
        The other one; nothing else may use it.
    roles
        Of the models.
    pinned
        Whether to put examples where a GPU can fetch them without waiting.
    """

    def __init__(self, feed: Feed, roles: Mapping[str, Any], *, pinned: bool) -> None:
        self._feed = feed
        self._roles = tuple(roles)
        self._pinned = pinned
        self._next: tuple[int, tuple[int, ...]] | None = None
        self._drawn: Generator[Mapping[str, Examples]] | None = None

    def step(self, step: int, again: tuple[int, ...]) -> Seen:
        """See `Feed.step`."""
        if self._next != (step, again) or self._drawn is None:
            self.close()
            self._drawn = ahead(self._from(step, again))
        self._next = None  # nothing is next if drawing fails
        examples = next(self._drawn)
        self._next = (step + 1, again)
        return examples.__getitem__

    def close(self) -> None:
        """See `Feed.close`."""
        if self._drawn is not None:
            self._drawn.close()
            self._drawn = None

    def _from(self, step: int, again: tuple[int, ...]) -> Iterator[Mapping[str, Examples]]:
        while True:
            seen = self._feed.step(step, again)
            examples = {role: seen(role) for role in self._roles}
            yield {role: _pinned(found) for role, found in examples.items()} if self._pinned else examples
            step += 1


def feed_of(
    sampler: ReadSampler,
    learners: Mapping[str, Learner[Any]],
    num_reads: int,
    device: torch.device,
    world: World,
    drawing: Drawing = "auto",
) -> Feed:
    """What gives models their examples.

    Parameters
    ----------
    sampler
        Where to draw reads.
    learners
        The models by role, in training.
    num_reads
        Reads of a step, of all processes together.
    device
        Of the models.
    world
        The processes that share a step.
    drawing
        Who draws.
    """
    if drawing not in get_args(Drawing):
        raise ConfigError(f"drawing must be one of {', '.join(get_args(Drawing))}, not {drawing!r}")
    if drawing == "auto":
        drawing = "torch" if device.type == "cuda" else "numpy"
        if holds(device, len(sampler.genomes.codes)):
            drawing = "torch-held"
    logger.debug("reads are drawn by %s", drawing)
    if drawing == "numpy":
        return NumpyFeed(sampler, learners, num_reads, world)
    codes = sampler.genomes.codes
    store = PackedCodes(codes, device) if drawing == "torch-held" else HostCodes(codes)
    feed = TorchFeed(DeviceSampler(sampler, store), learners, num_reads, world)
    if drawing == "torch-held":
        return feed
    return FeedAhead(feed, learners, pinned=device.type == "cuda")


def _pinned(examples: Examples) -> Examples:
    """The same in memory that a GPU can fetch from while all else goes on."""
    codes, labels = (torch.as_tensor(each).pin_memory() for each in (examples.codes, examples.labels))
    return examples._replace(codes=codes, labels=labels)


def _reads_of(view: View, rows: slice) -> tuple[range, range]:
    """Numbers of the reads that some of a model's examples are of: as they are, and mutated."""
    return (
        range(min(rows.start, view.num_plain), min(rows.stop, view.num_plain)),
        range(max(rows.start - view.num_plain, 0), max(rows.stop - view.num_plain, 0)),
    )
