"""The greedy search, on quantities whose best substitutions are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_victims import Weights, attempt, pairs
from toys import uniform_codes

from genood.attack.search import RandomRanking, Search, Trajectory, with_edits

LENGTH = 12
WEIGHTS = np.zeros((LENGTH, 4))
WEIGHTS[3, 2] = 5.0
WEIGHTS[7, 1] = 3.0
WEIGHTS[9, 0] = 1.0


def search(victim: Weights, **options: float) -> Search:
    given = {"candidates": 3 * LENGTH, "tries": 2, "near": 0.0, **options}
    return Search(victim, RandomRanking(1), **given)  # type: ignore[arg-type]


def attack(codes: list[int], target: float, budget: int, **options: float) -> Trajectory:
    return search(Weights(WEIGHTS), **options).run([attempt(codes, target, budget)])[0]


def test_one_edit_is_the_best() -> None:
    trajectory = attack([3] * LENGTH, 9.0, 1)
    assert pairs(trajectory) == [(3, 2)]
    assert trajectory.distances == [9.0, 4.0]
    assert trajectory.percentage_errors == pytest.approx([1.0, 4 / 9])


def test_edits_go_on_until_the_target() -> None:
    trajectory = attack([3] * LENGTH, 9.0, 10)
    assert pairs(trajectory) == [(3, 2), (7, 1), (9, 0)]
    assert trajectory.distances == [9.0, 4.0, 1.0, 0.0]


def test_a_target_below_is_reached_too() -> None:
    codes = [3] * LENGTH
    codes[3], codes[7] = 2, 1
    # 8 by now, and 3 wanted.
    assert [position for position, _ in pairs(attack(codes, 3.0, 5))] == [3]


def test_near_enough_is_left() -> None:
    assert pairs(attack([3] * LENGTH, 9.0, 10, near=4.0)) == [(3, 2)]
    assert pairs(attack([3] * LENGTH, 9.0, 10, near=9.0)) == []


def test_no_edit_makes_it_worse() -> None:
    assert pairs(attack([3] * LENGTH, -1.0, 5)) == []


def test_budget_of_none() -> None:
    victim = Weights(WEIGHTS)
    trajectory = search(victim).run([attempt([3] * LENGTH, 9.0, 0)])[0]
    assert pairs(trajectory) == []
    assert victim.num_asked == 1


def test_unknown_bases_stay() -> None:
    codes = [3] * LENGTH
    codes[3] = 4
    assert pairs(attack(codes, 9.0, 2)) == [(7, 1), (9, 0)]
    assert pairs(attack([4] * LENGTH, 9.0, 2)) == []


def test_candidates_that_miss_are_followed_by_others() -> None:
    """With one at a time and tries enough, any that comes closer is found."""
    trajectory = attack([3] * LENGTH, 9.0, 3, candidates=1, tries=3 * LENGTH)
    assert sorted(pairs(trajectory)) == [(3, 2), (7, 1), (9, 0)]


def test_tries_are_bounded() -> None:
    victim = Weights(np.zeros((LENGTH, 4)))
    assert pairs(search(victim, candidates=5, tries=3).run([attempt([3] * LENGTH, 9.0, 4)])[0]) == []
    # The read itself, and three times five candidates.
    assert victim.num_asked == 1 + 15


def test_progress_counts_all_reads() -> None:
    told: list[int] = []
    attempts = [attempt([3] * LENGTH, target, 3, number) for number, target in enumerate((9.0, 0.0, -1.0))]
    search(Weights(WEIGHTS)).run(attempts, told.append)
    assert sum(told) == 3


def test_memory_bounds_the_candidates_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = [attempt([3] * LENGTH, 9.0, 3, number) for number in range(5)]
    together = search(Weights(WEIGHTS)).run(attempts)
    monkeypatch.setattr("genood.attack.search._TRIED_BASES", 1)
    assert [t.edits for t in search(Weights(WEIGHTS)).run(attempts)] == [t.edits for t in together]


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    lengths=st.lists(st.integers(1, 30), min_size=1, max_size=4),
    budget=st.integers(0, 6),
    candidates=st.integers(1, 40),
)
def test_invariants(seed: int, lengths: list[int], budget: int, candidates: int) -> None:
    """Few enough edits, each elsewhere and never of an unknown base; each closer; alone as together."""
    generator = np.random.default_rng(seed)
    victim = Weights(generator.normal(size=(30, 4)))
    reads = [uniform_codes(length, seed + i) for i, length in enumerate(lengths)]
    for codes in reads:
        codes[generator.random(len(codes)) < 0.2] = 4
    attempts = [attempt(list(codes), 2.0, min(budget, len(codes)), i) for i, codes in enumerate(reads)]
    chosen = Search(victim, RandomRanking(seed), candidates=candidates, tries=2)
    trajectories = chosen.run(attempts)
    for codes, made, alone in zip(reads, trajectories, attempts, strict=True):
        changed = with_edits(codes, made.edits)
        assert set(np.flatnonzero(changed != codes)) == {edit.position for edit in made.edits}
        assert len(made.edits) <= min(budget, len(codes))
        assert (changed[codes == 4] == 4).all()
        assert all(after < before for before, after in zip(made.distances, made.distances[1:], strict=False))
        assert len(made.distances) == len(made.percentage_errors) == len(made.edits) + 1
        again = chosen.run([alone])[0]
        assert (made.edits, made.distances) == (again.edits, again.distances)


def test_seeds_matter_and_nothing_else() -> None:
    victim = Weights(np.random.default_rng(0).normal(size=(LENGTH, 4)))
    attempts = [attempt([3] * LENGTH, 4.0, 3)]
    runs = [Search(victim, RandomRanking(seed), candidates=4, tries=2).run(attempts) for seed in (1, 1, 2)]
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
