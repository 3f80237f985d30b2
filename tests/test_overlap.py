"""Stages that work at the same time: order, errors, bounds."""

from __future__ import annotations

import time
from collections.abc import Iterator
from threading import Barrier, Event

import pytest

from genood.overlap import ahead, apply_ahead


def counted(taken: list[int], number: int) -> Iterator[int]:
    """Numbers from 0, noted as they are taken."""
    for i in range(number):
        taken.append(i)
        yield i


def square(x: int) -> int:
    if x == 5:
        raise ValueError("five")
    return x * x


def test_ahead_keeps_order_and_takes_one_more() -> None:
    taken: list[int] = []
    items = ahead(counted(taken, 4))
    assert next(items) == 0
    assert list(items) == [1, 2, 3]
    assert taken == [0, 1, 2, 3]
    assert list(ahead([])) == []


def test_ahead_raises_in_its_turn() -> None:
    items = ahead(map(square, range(9)))
    assert [next(items) for _ in range(5)] == [0, 1, 4, 9, 16]
    with pytest.raises(ValueError, match="five"):
        next(items)


@pytest.mark.parametrize("num_threads", [1, 2, 4])
def test_results_keep_the_order_of_items(num_threads: int) -> None:
    first_may_end = Event()

    def work(x: int) -> int:
        if x == 0:
            assert num_threads == 1 or first_may_end.wait(10)
        elif x == 1:
            first_may_end.set()
        return -x

    taken: list[int] = []
    assert list(apply_ahead(work, counted(taken, 9), num_threads)) == [-x for x in range(9)]
    assert taken == list(range(9))
    assert list(apply_ahead(work, [], num_threads)) == []


def test_threads_work_at_the_same_time() -> None:
    meeting = Barrier(3)
    assert sorted(apply_ahead(lambda _: meeting.wait(10), range(3), 3)) == [0, 1, 2]


def test_no_more_items_are_taken_than_threads_and_two() -> None:
    """One waits, and one is made."""
    taken: list[int] = []
    results = apply_ahead(square, counted(taken, 100), 2)
    assert next(results) == 0
    assert len(taken) <= 4
    results.close()
    assert len(taken) <= 4


def test_a_result_does_not_wait_for_an_item() -> None:
    may_go_on = Event()

    def slowly() -> Iterator[int]:
        yield from range(2)
        assert may_go_on.wait(10)
        yield 2

    results = apply_ahead(square, slowly(), 4)
    assert [next(results) for _ in range(2)] == [0, 1]
    assert not may_go_on.is_set()
    may_go_on.set()
    assert list(results) == [4]


@pytest.mark.parametrize("num_threads", [1, 2, 4])
def test_what_is_to_be_alone_is(num_threads: int) -> None:
    """Neither another of its kind nor what comes before or after it is at work beside it."""
    at_work: set[int] = set()
    met: dict[int, set[int]] = {}
    first_pair = Barrier(min(num_threads, 2))

    def work(x: int) -> int:
        at_work.add(x)
        if x < first_pair.parties:
            first_pair.wait(10)
        time.sleep(0.01)
        met[x] = at_work - {x}
        at_work.discard(x)
        return -x

    large = {2, 5, 6, 9}
    taken: list[int] = []
    results = apply_ahead(work, counted(taken, 10), num_threads, lambda x: x in large)
    for number, result in enumerate(results):
        assert result == -number
        assert len(taken) - number <= num_threads + 2
    assert taken == list(range(10))
    assert all(not others & large for others in met.values())
    assert [met[x] for x in sorted(large)] == [set()] * 4
    assert (met[0] | met[1] == set()) == (num_threads == 1)


def test_an_error_beside_one_that_is_to_be_alone() -> None:
    results = apply_ahead(square, range(9), 3, lambda x: x == 6)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    with pytest.raises(ValueError, match="five"):
        next(results)


def test_an_error_comes_in_its_turn() -> None:
    results = apply_ahead(square, range(9), 3)
    assert [next(results) for _ in range(5)] == [0, 1, 4, 9, 16]
    with pytest.raises(ValueError, match="five"):
        next(results)


def test_an_error_of_the_items_comes_after_the_results_before() -> None:
    for num_threads in (1, 3):
        results = apply_ahead(lambda x: -x, map(square, range(9)), num_threads)
        assert [next(results) for _ in range(5)] == [0, -1, -4, -9, -16]
        with pytest.raises(ValueError, match="five"):
            next(results)


def test_closing_waits_for_what_is_at_work_and_drops_the_rest() -> None:
    second_is_made, started, finished = Event(), Event(), []

    def items() -> Iterator[int]:
        for i in range(9):
            if i == 2:
                second_is_made.set()  # as the third is asked for when the second is taken
            yield i

    def work(x: int) -> int:
        if x == 0:
            assert second_is_made.wait(10)
        elif x == 1:
            started.set()
        finished.append(x)
        return x

    stopped = Event()
    results = apply_ahead(work, items(), 1, stopped=stopped)
    assert next(results) == 0
    assert started.wait(10)
    assert not stopped.is_set()
    results.close()
    assert stopped.is_set()
    assert finished[:2] == [0, 1]
    assert len(finished) <= 3
