"""The mixing weights: those that come with genood, plain ones, and fitting."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from toys import uniform_codes

from genood.context.fitting import Observations, fit, tensors_of
from genood.context.mixer import SHAPES, default_mixer, plain_mixer
from genood.context.tables import Tables
from genood.context.votes import NO_EXPERT
from genood.sequence import Codes, mutate


def made_up(num_reads: int, length: int, seed: int) -> Observations:
    """An expert that is right as often as its run is long; every tenth base has none."""
    generator = np.random.default_rng(seed)
    shape = (num_reads, length)
    codes = generator.integers(0, 4, shape, dtype=np.uint8)
    states = np.zeros((*shape, 2, 5), dtype=np.uint8)
    states[:, :, 0, 4] = generator.integers(0, 10, shape)
    states[:, :, 1, 0] = NO_EXPERT
    states[:, ::10, 0, 0] = NO_EXPERT
    right = generator.random(shape) < states[:, :, 0, 4] / 10
    expected = np.where(right, codes, generator.integers(0, 4, shape))
    packed = np.zeros((*shape, 2), dtype=np.uint16)
    for base in range(4):
        packed[:, :, 0] |= (np.where(expected == base, 0, 4) << (3 * base)).astype(np.uint16)
    logs = np.log(generator.dirichlet([2.0] * 4, (*shape, 2))).reshape(*shape, 8).astype(np.float32)
    return Observations(codes, states, packed, logs)


def test_weights_that_come_with_genood() -> None:
    mixer = default_mixer()
    assert {name: tuple(tensor.shape) for name, tensor in mixer.items()} == SHAPES
    assert SHAPES == {"weights": (2, 4, 7, 17, 5), "gates": (7, 10, 2), "no_expert_gates": (2,)}
    for array in mixer.values():
        assert array.dtype == np.float32
        assert np.isfinite(array).all()
        assert np.abs(array).max() < 20


def test_plain_weights_trust_the_table_over_all_classes_alone() -> None:
    seen = made_up(5, 40, 1)
    expected = torch.log_softmax(seen.logs[:, :4], dim=1).gather(1, seen.bases[:, None])[:, 0]
    torch.testing.assert_close(seen.log_probs(tensors_of(plain_mixer())), expected)


def test_log_probs_by_hand() -> None:
    """One expert expecting C, in state (2; 3, 4, 5; 6), where the other bases are of categories 4, 3, 4."""
    states = np.array([[[[2, 3, 4, 5, 6], [NO_EXPERT, 0, 0, 0, 0]]]], dtype=np.uint8)
    packed = np.array([[[4 | 4 << 6 | 3 << 9, 0]]], dtype=np.uint16)
    logs = np.log(np.array([[[0.1, 0.2, 0.3, 0.4, 0.25, 0.25, 0.4, 0.1]]], dtype=np.float32))
    mixer = plain_mixer()
    mixer["gates"][2, 6] = [0.5, 2.0]
    mixer["weights"][0, :, 2][np.arange(4), [3, 4, 5, 6], 0] = [1.0, 0.5, 0.25, 2]
    mixer["weights"][0, 1, 2, 4, 3] = -1.0
    mixer["weights"][1] = 9.0
    logits = 0.5 * logs[0, 0, :4] + 2.0 * logs[0, 0, 4:] + np.array([0, 3.75, 0, -1.0])
    expected = logits - np.log(np.exp(logits).sum())
    for base in range(4):
        seen = Observations(np.array([[base]], dtype=np.uint8), states, packed, logs)
        assert seen.log_probs(tensors_of(mixer)).item() == pytest.approx(expected[base], abs=1e-5)


def test_unknown_bases_are_left_out() -> None:
    codes = np.array([[0, 4, 3]], dtype=np.uint8)
    states = np.full((1, 3, 2, 5), NO_EXPERT, dtype=np.uint8)
    logs = np.arange(24, dtype=np.float32).reshape(1, 3, 8)
    seen = Observations(codes, states, np.zeros((1, 3, 2), dtype=np.uint16), logs)
    assert seen.bases.tolist() == [0, 3]
    assert seen.logs[:, 0].tolist() == [0, 16]
    assert not seen.present.any()


def test_fit_lowers_the_loss() -> None:
    seen, unseen = made_up(20, 200, 2), made_up(20, 200, 3)
    start = plain_mixer()
    mixer = fit(seen, start)
    for observations in (seen, unseen):
        before, after = (observations.log_probs(tensors_of(weights)).mean() for weights in (start, mixer))
        assert after > before + 0.3
    # Long runs are believed more.
    votes = mixer["weights"][0, 3, 0, :, 0] - mixer["weights"][0, 3, 0, :, 4]
    assert votes[9] > votes[5] > votes[0]
    # What was never seen stays.
    assert not mixer["weights"][1].any()
    assert not start["weights"].any()


def test_fit_is_repeatable_and_held_by_the_ridge() -> None:
    start = default_mixer()
    first, again = (fit(made_up(5, 100, 4), start, iterations=8) for _ in range(2))
    held = fit(made_up(5, 100, 4), start, iterations=8, ridge=10.0)
    for name in SHAPES:
        np.testing.assert_array_equal(first[name], again[name])
        np.testing.assert_allclose(held[name], start[name], atol=0.05)


def test_observations_give_what_scoring_gives(
    tables: Tables, read_of: Callable[[int, int, int], Codes]
) -> None:
    reads = [mutate(read_of(file, 3000 * file + 9000 * (file < 2), 600), 0.05, file) for file in range(3)]
    codes = np.stack([*reads, uniform_codes(600, 1001), read_of(0, 12_000, 600)])
    codes[1, [0, 77, 300]] = 4
    seen = Observations(codes, *tables.observe(codes))
    assert seen.present[:, 0].float().mean() > 0.5
    assert seen.present[:, 1].any()
    found = tables.score(codes, np.full(5, 600))[0].log_p
    mixer = tensors_of({name: getattr(tables, name) for name in SHAPES})
    np.testing.assert_allclose(seen.log_probs(mixer).numpy(), found[codes < 4], atol=1e-4)
