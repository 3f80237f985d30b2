"""What is kept of a reference, by hand."""

from __future__ import annotations

from itertools import pairwise

import pytest

from genood.context.plan import LEAST_SAMPLING, MAX_SAMPLING, class_order, make_plan
from genood.errors import ConfigError


@pytest.mark.parametrize(
    ("num_classes", "order"),
    [(1, 8), (128, 8), (129, 7), (512, 7), (513, 6), (10_000, 6)],
)
def test_class_order(num_classes: int, order: int) -> None:
    """Orders 0 to 8 take 4 + 16 + ... + 4^9 = 349,524 bytes a class; 45 MB hold 128 of these."""
    assert class_order(num_classes) == order


def test_small_reference_keeps_the_most() -> None:
    plan = make_plan(1000, 1, 0, 2_000_000_000)
    assert (plan.nuc_sampling, plan.aa_sampling, plan.class_order) == (2, 1, 8)
    assert (plan.nuc_sampling, plan.aa_sampling) == (LEAST_SAMPLING["nuc"], LEAST_SAMPLING["aa"])


def test_memory_by_base() -> None:
    """A million bases more: two bytes each, and for every fourth a slot of 6.4 bytes, not all used."""
    few, many = (make_plan(number, 1, 0, 2_000_000_000).peak_bytes for number in (10**6, 2 * 10**6))
    assert 2 * 10**6 + 10**6 / 4 * 6.4 < many - few < 2 * 10**6 + 10**6 / 4 * 6.4 * 2


def test_samplings_rise_as_memory_falls() -> None:
    plans = []
    for megabytes in range(8000, 900, -20):
        try:
            plans.append(make_plan(300_000_000, 50, 250_000_000, megabytes * 10**6))
        except ConfigError:
            break
        assert plans[-1].peak_bytes <= megabytes * 10**6
    for more, less in pairwise(plans):
        assert more.nuc_sampling <= less.nuc_sampling
        assert more.aa_sampling <= less.aa_sampling
    assert (plans[0].nuc_sampling, plans[0].aa_sampling) == (2, 1)
    assert (plans[-1].nuc_sampling, plans[-1].aa_sampling) == (MAX_SAMPLING, MAX_SAMPLING)
    assert len({(plan.nuc_sampling, plan.aa_sampling) for plan in plans}) > 5


def test_the_larger_table_gives_way() -> None:
    """Of 300 M bases a quarter, of 100 M translated contexts half are kept at first: 75 M and 50 M."""
    every = make_plan(300_000_000, 1, 100_000_000, 10**11)
    less = make_plan(300_000_000, 1, 100_000_000, every.peak_bytes - 1)
    assert (less.nuc_sampling, less.aa_sampling) == (3, 1)
    least = make_plan(300_000_000, 1, 100_000_000, less.peak_bytes - 1)
    assert (least.nuc_sampling, least.aa_sampling) == (3, 2)


def test_too_little_memory() -> None:
    every = make_plan(300_000_000, 1, 300_000_000, 10**11).peak_bytes
    message = r"^300,000,000 bases need 1\.\d\d GB even with .* than the 1\.00 GB of --memory"
    with pytest.raises(ConfigError, match=message) as caught:
        make_plan(300_000_000, 1, 300_000_000, 10**9)
    assert f"({every / 1e9:.2f} GB with all)" in str(caught.value)
