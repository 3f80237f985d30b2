"""Random numbers by their number: what they are, on any device, and that they are random enough."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genood.training.draws import below, fractions, key_of, low_below, random_bits


def test_numbers_are_those_of_splitmix64() -> None:
    """As published for the seed 1234567, among others on rosettacode.org."""
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431]
    bits = random_bits(1234567, torch.arange(1, 5))
    assert bits.numpy().view(np.uint64).tolist() == expected


def test_numpy_computes_the_same() -> None:
    """With unsigned integers, which torch does not have for this."""
    key, places = key_of(3, 4), np.arange(10_000, dtype=np.uint64)
    bits = places * np.uint64(0x9E3779B97F4A7C15) + np.array(key).view(np.uint64)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    found = random_bits(key, torch.arange(10_000))
    np.testing.assert_array_equal(found.numpy().view(np.uint64), bits)
    assert fractions(found).tolist() == ((bits >> np.uint64(11)) / 2**53).tolist()
    assert below(found, 7).tolist() == (((bits >> np.uint64(32)) * np.uint64(7)) >> np.uint64(32)).tolist()
    lower = bits & np.uint64(2**32 - 1)
    assert low_below(found, 7).tolist() == ((lower * np.uint64(7)) >> np.uint64(32)).tolist()


def test_ends_of_the_range_by_hand() -> None:
    """The bits -1 are all set, and 0 none."""
    bits = torch.tensor([-1, 0])
    assert below(bits, 5).tolist() == low_below(bits, 5).tolist() == [4, 0]
    assert fractions(bits).tolist() == [1 - 2.0**-53, 0.0]


def test_any_part_can_be_drawn_by_itself() -> None:
    whole = random_bits(5, torch.arange(100))
    assert torch.equal(random_bits(5, torch.arange(40, 60)), whole[40:60])


@pytest.mark.parametrize("other", [(1, 2, 4), (1, 2), (2, 2, 3)])
def test_keys_are_apart(other: tuple[int, ...]) -> None:
    """Of bits of two keys, half are the same, give or take five deviations."""
    one, two = (random_bits(key, torch.arange(1000)) for key in (key_of(1, 2, 3), key_of(*other)))
    number = sum(int(((one ^ two) >> bit & 1).sum()) for bit in range(64))
    assert number == pytest.approx(32_000, abs=5 * np.sqrt(64_000 / 4))


def test_numbers_are_uniform() -> None:
    """Chi-square of 100 bins, within five deviations of its mean."""
    bits = random_bits(key_of(7), torch.arange(200_000))
    for drawn in (below(bits, 100), low_below(bits, 100), (fractions(bits) * 100).long()):
        counts = torch.bincount(drawn, minlength=100).double()
        chi_square = float(((counts - 2000) ** 2 / 2000).sum())
        assert chi_square == pytest.approx(99, abs=5 * np.sqrt(2 * 99))
