"""Random numbers by their number: the same on every device, in any order, for any part of a step.

A number is a hash of a key and of its place, so that nothing has to be drawn before it, and no state is
kept: what a step draws is the same wherever and in however many parts it is drawn.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def _signed(number: int) -> int:
    """The int64 of the same bits as a uint64."""
    return number - 2**64 if number >= 2**63 else number


_STEP = _signed(0x9E3779B97F4A7C15)
_FIRST, _SECOND = _signed(0xBF58476D1CE4E5B9), _signed(0x94D049BB133111EB)
_HALF = 32
_LOW_HALF = 2**_HALF - 1
_MANTISSA = 53
"""Bits of a float64 between 0 and 1 that are evenly spaced."""


def key_of(*numbers: int) -> int:
    """A key, an int64, of numbers that are not negative; keys of other numbers are independent."""
    return _signed(int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0]))


def random_bits(key: int, places: Tensor) -> Tensor:
    """64 random bits for each place.

    Parameters
    ----------
    key
        Of `key_of`.
    places
        int64, any shape.

    Returns
    -------
    bits
        int64, the shape and the device of `places`.

    Notes
    -----
    Source: SplitMix64; Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators", with
    the constants of Vigna's `splitmix64.c`. Place p is the p-th number, from 1, of its generator started at
    the key. Products and sums of int64 are modulo 2**64.
    """
    bits = places * _STEP + key
    bits = (bits ^ _shifted(bits, 30)) * _FIRST
    bits = (bits ^ _shifted(bits, 27)) * _SECOND
    return bits ^ _shifted(bits, 31)


def below(bits: Tensor, bound: int) -> Tensor:
    """Integers from 0 to `bound` - 1, int64, of the upper halves of `random_bits`; `bound` up to 2**31.

    None is more likely than another by more than `bound` / 2**32.
    """
    return (_shifted(bits, _HALF) * bound) >> _HALF


def low_below(bits: Tensor, bound: int) -> Tensor:
    """As `below`, of the lower halves, which do not depend on the upper ones."""
    return ((bits & _LOW_HALF) * bound) >> _HALF


def fractions(bits: Tensor) -> Tensor:
    """Numbers from 0 to below 1, float64, of the upper 53 of `random_bits`."""
    return _shifted(bits, 64 - _MANTISSA).to(torch.float64) * 2.0**-_MANTISSA


def _shifted(bits: Tensor, by: int) -> Tensor:
    """Bits moved to the right, with zeros from the left; of an int64, torch moves the sign in."""
    return (bits >> by) & (2 ** (64 - by) - 1)
