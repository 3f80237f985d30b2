"""The forward pass: what is asked for where single bases do not count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toy_runs import chains, mixed_reads
from toys import uniform_codes

from genood.bundle import Bundle
from genood.detectors.base import ScoreBatch
from genood.detectors.likelihood import Likelihood
from genood.engine import EngineConfig, Scorer
from genood.forward import forward
from genood.readers import Read
from genood.recipes import NO_BACKGROUND
from genood.sequence import encode


@pytest.fixture(scope="module")
def bundle(bundle_dir: Path) -> Bundle:
    return Bundle.load(bundle_dir)


@pytest.mark.parametrize("model", ["lstm", "chain"])
def test_positions_that_are_kept_change_nothing(bundle: Bundle, model: str) -> None:
    """Without them sums alone are asked for, but where a piece has a lead."""
    reads = [*mixed_reads(40), Read("n", encode("NNNN")), Read("long", uniform_codes(5000, 9))]
    asked = bundle if model == "lstm" else chains(bundle)
    config = EngineConfig(batch_bases=2000, piece_bases=1500)
    detectors = ["llr", "likelihood"]
    [kept], [summed] = (
        Scorer(asked, detectors=detectors, config=config, keep_positions=keeps).score(reads)
        for keeps in (True, False)
    )
    assert summed.positions is None
    for name in ("num_scored", "log_likelihood", "background_log_likelihood", "llr", "llr_per_base", "gc"):
        np.testing.assert_array_equal(getattr(kept, name), getattr(summed, name))
    for name in detectors:
        np.testing.assert_array_equal(kept.ood_scores[name], summed.ood_scores[name])


@pytest.mark.parametrize("each_base", [False, True])
def test_bases_are_asked_for_where_a_detector_looks_at_them(
    bundle: Bundle, monkeypatch: pytest.MonkeyPatch, each_base: bool
) -> None:
    monkeypatch.setattr(Likelihood, "each_base", each_base)
    seen: list[bool] = []

    def spied(detector: Likelihood, batch: ScoreBatch) -> Any:
        seen.append(bool(np.isnan(batch.log_p).any()))
        return original(detector, batch)

    original = Likelihood.score
    monkeypatch.setattr(Likelihood, "score", spied)
    [scored] = Scorer(bundle, detectors=["llr", "likelihood"]).score(mixed_reads(5))
    assert set(seen) == {not each_base}
    assert not np.isnan(scored.ood_scores["likelihood"]).any()


def test_sums_alone_cannot_be_cut(bundle: Bundle) -> None:
    batch = forward(bundle, encode("ACGT")[None], np.array([4]), each_base=False)
    with pytest.raises(AssertionError, match="not asked for"):
        batch.without_leads(np.array([1]))


def test_sums_of_a_bundle_without_a_background(bundle: Bundle) -> None:
    alone = chains(bundle)
    alone = Bundle(
        foreground=alone.foreground,
        metadata={"background": NO_BACKGROUND, "classes": ["x"]},
        calibration=bundle.calibration,
    )
    batch = forward(alone, encode("ACGT")[None], np.array([4]), each_base=False)
    assert batch.log_likelihood[0] < 0
    assert np.isnan(batch.background_log_likelihood).all()
