"""What models in training are fed: the same examples whoever draws them, and whenever."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from rank_work import CNN, CONFIG, LSTM, trainer_of
from torch import Tensor

from genood.errors import ConfigError
from genood.models.examples import Examples
from genood.training.distributed import ALONE, World
from genood.training.feeding import Drawing, Feed, FeedAhead, Seen, feed_of
from genood.training.learners import Learner
from genood.training.loop import Trainer

CPU = torch.device("cpu")
VARIANTS = ["plain", "binary", "noise-class", "calibrated"]


def trainer(shape: dict[str, Any], **changes: Any) -> Trainer:
    return trainer_of(ALONE, shape, replace(CONFIG, **changes))


def feed(trainer: Trainer, drawing: Drawing, world: World = ALONE) -> Feed:
    return feed_of(trainer.training, trainer.learners, CONFIG.batch_size, CPU, world, drawing)


def drawn(feed: Feed, roles: Any, step: int = 5, again: tuple[int, ...] = ()) -> dict[str, Examples]:
    seen = feed.step(step, again)
    try:
        return {role: seen(role) for role in roles}
    finally:
        feed.close()


def assert_same(one: Examples, other: Examples) -> None:
    for first, second in zip(one[:2], other[:2], strict=True):
        np.testing.assert_array_equal(np.asarray(first), np.asarray(second))


@pytest.mark.parametrize("shape", [LSTM, *({**CNN, "variant": name} for name in VARIANTS)], ids=str)
def test_torch_shows_models_what_numpy_shows_them(shape: dict[str, Any]) -> None:
    """Reads are others, but as many, with labels of the same kind, and as often mutated."""
    made = trainer(shape, mutation_rate=0.3)
    by_numpy, by_torch = (drawn(feed(made, name), made.learners) for name in ("numpy", "torch-held"))
    for role, learner in made.learners.items():
        one, other = by_numpy[role], by_torch[role]
        assert one.codes.shape == other.codes.shape
        assert isinstance(other.codes, Tensor)
        assert other.codes.dtype == torch.uint8
        view = learner.view(CONFIG.batch_size)
        expected = {-1} if view.mutated_label is None else {view.mutated_label}
        assert len(other.codes) == view.num_examples
        if view.mutated_label is not None:
            for labels in (one.labels, other.labels):
                assert set(labels[view.num_plain :].tolist()) == expected
        for labels in (one.labels, other.labels):
            assert set(labels[: view.num_plain].tolist()) <= (set(range(3)) if view.by_class else {0})
        if view.num_plain and view.num_mutated:
            kept = other.codes[view.num_plain :] == other.codes[: view.num_mutated]
            assert float(kept.float().mean()) == pytest.approx(0.7, abs=0.1)


def test_both_models_see_the_same_reads_the_background_mutated() -> None:
    made = trainer(LSTM, mutation_rate=0.3)
    examples = drawn(feed(made, "torch-held"), made.learners)
    same = np.asarray(examples["foreground"].codes) == np.asarray(examples["background"].codes)
    assert same.mean() == pytest.approx(0.7, abs=0.05)


@pytest.mark.parametrize("shape", [LSTM, CNN], ids=["lstm", "cnn"])
@pytest.mark.parametrize("size", [2, 3])
def test_parts_are_those_of_the_whole(shape: dict[str, Any], size: int) -> None:
    made = trainer(shape)
    whole = drawn(feed(made, "torch-held"), made.learners)
    for role, expected in whole.items():
        parts = [
            drawn(feed(made, "torch-held", World(rank=rank, size=size)), made.learners)[role]
            for rank in range(size)
        ]
        joined = Examples(*(np.concatenate([np.asarray(part[i]) for part in parts]) for i in range(2)))
        assert_same(joined, expected)
        assert [part.share for part in parts] == [
            (World(rank=rank, size=size).part(len(expected.codes)).start, len(expected.codes))
            for rank in range(size)
        ]


def test_held_genomes_or_not_models_see_the_same() -> None:
    made = trainer(CNN)
    [held] = drawn(feed(made, "torch-held"), made.learners).values()
    [looked_up] = drawn(feed(made, "torch"), made.learners).values()
    assert_same(held, looked_up)


def test_a_step_taken_again_has_other_reads() -> None:
    made = trainer(LSTM)
    first, again = (drawn(feed(made, "torch-held"), ["background"], 5, x)["background"] for x in ((), (1,)))
    assert not torch.equal(torch.as_tensor(first.codes), torch.as_tensor(again.codes))


class Counting:
    """A feed that counts what it draws, and in which thread; it fails at one step."""

    def __init__(self, feed: Feed, fails_at: int = -1) -> None:
        self.feed, self.fails_at = feed, fails_at
        self.steps: list[int] = []
        self.threads: set[str] = set()
        self.drawn = threading.Semaphore(0)

    def step(self, step: int, again: tuple[int, ...]) -> Seen:
        self.steps.append(step)
        self.threads.add(threading.current_thread().name)
        self.drawn.release()
        if step == self.fails_at:
            raise OSError("the disk is gone")
        return self.feed.step(step, again)

    def close(self) -> None:
        pass


@pytest.fixture
def learners() -> dict[str, Learner[Any]]:
    return trainer(LSTM).learners


def test_drawn_ahead_is_the_same_and_only_one_step_ahead(learners: dict[str, Learner[Any]]) -> None:
    """Also back to an earlier step, as after a recovery, and on from there."""
    plain = feed(trainer(LSTM), "numpy")
    counting = Counting(plain)
    ahead = FeedAhead(counting, learners, pinned=False)
    asked: list[tuple[int, tuple[int, ...]]] = [(1, ()), (2, ()), (3, ()), (2, (1,)), (3, (1,)), (9, (1,))]
    for step, again in asked:
        seen, expected = ahead.step(step, again), plain.step(step, again)
        for role in learners:
            assert_same(seen(role), expected(role))
    for _ in range(9):
        assert counting.drawn.acquire(timeout=10)
    ahead.close()
    assert counting.steps == [1, 2, 3, 4, 2, 3, 4, 9, 10]
    assert threading.main_thread().name not in counting.threads


def test_what_fails_ahead_is_raised_in_its_turn(learners: dict[str, Learner[Any]]) -> None:
    ahead = FeedAhead(Counting(feed(trainer(LSTM), "numpy"), fails_at=3), learners, pinned=False)
    ahead.step(1, ())
    ahead.step(2, ())
    with pytest.raises(OSError, match="the disk is gone"):
        ahead.step(3, ())
    ahead.close()
    ahead.close()


def test_who_draws_has_to_be_known() -> None:
    with pytest.raises(
        ConfigError, match="drawing must be one of auto, numpy, torch, torch-held, not 'dice'"
    ):
        feed(trainer(LSTM), "dice")  # type: ignore[arg-type]
