"""Which detectors a bundle serves."""

from __future__ import annotations

import pytest

from genood.detectors import DETECTORS
from genood.detectors.base import NEEDS
from genood.detectors.serving import _GIVEN_BY, check_served, default_detector, is_served, served
from genood.errors import ConfigError

DENSITY = frozenset({"likelihood", "background"})


def test_by_what_is_given() -> None:
    assert is_served("llr", DENSITY)
    assert not is_served("llr", {"likelihood"})
    assert is_served("likelihood", {"likelihood"})
    assert served(set(NEEDS)) == list(DETECTORS)
    assert served(()) == []


def test_defaults() -> None:
    assert default_detector(DENSITY) == "llr"
    assert default_detector({"likelihood"}) == "likelihood"
    with pytest.raises(ConfigError, match="no detector is served by what the bundle gives: nothing"):
        default_detector(())


def test_says_which_bundle_would_serve() -> None:
    check_served(["llr", "likelihood"], DENSITY)
    with pytest.raises(ConfigError, match=r"'llr' needs a bundle of density models \(genood train --model"):
        check_served(["llr"], {"logits", "features"})
    with pytest.raises(ConfigError, match="'llr' needs a bundle of density models with a background"):
        check_served(["likelihood", "llr"], {"likelihood"})
    with pytest.raises(ConfigError, match="'rose-diagonal' needs a bundle of density models trained by grad"):
        check_served(["rose-diagonal"], {"logits", "features"})


def test_every_need_has_a_bundle_that_gives_it() -> None:
    assert set(_GIVEN_BY) == set(NEEDS)
