"""The sketch as a density model: its background, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from toys import coding_codes, sketch_model, uniform_codes

from genood.errors import ConfigError
from genood.models.sketch import SketchModel
from genood.recipes import NO_BACKGROUND, SKETCH_BACKGROUNDS
from genood.sequence import Codes, mutate, reverse_complement

GENOMES = {name: coding_codes(30_000, seed) for seed, name in enumerate("ABC")}
[BACKGROUND] = SKETCH_BACKGROUNDS


@pytest.fixture(scope="module")
def model() -> SketchModel:
    return sketch_model(**GENOMES)


def ratios(model: SketchModel, *reads: Codes) -> list[float]:
    """Nats per base."""
    codes, lengths = np.stack(reads), np.full(len(reads), len(reads[0]))
    log_p, background = model.log_probs_with_background(codes, lengths, BACKGROUND)
    return (log_p - background).mean(axis=1).tolist()


def test_reads_of_the_reference_stand_out(model: SketchModel) -> None:
    read = GENOMES["A"][3000:3240]
    relative = mutate(read, 0.05, np.random.default_rng(0))
    mine, other_strand, related, foreign = ratios(
        model, read, reverse_complement(read), relative, coding_codes(240, 9)
    )
    assert min(mine, other_strand) > 0.15
    assert mine > related > foreign + 0.02
    assert abs(foreign) < 0.02


def test_background_is_without_windows(model: SketchModel) -> None:
    read, length = GENOMES["B"][None, 600:900], np.array([300])
    log_p, background = model.log_probs_with_background(read, length, BACKGROUND)
    np.testing.assert_array_equal(log_p, model.log_probs(read, length))
    assert background.mean() == pytest.approx(-np.log(4), abs=0.05)
    assert not model.log_probs_with_background(read, length, NO_BACKGROUND)[1].any()


def test_untrained_gives_every_base_the_same_chance() -> None:
    result = SketchModel.from_config({}).log_probs(uniform_codes(100, 1)[None], np.array([100]))
    np.testing.assert_allclose(np.exp(result), np.full((1, 100), 0.25), rtol=1e-6)


def test_it_does_not_know_files_and_classes(model: SketchModel) -> None:
    read, length = uniform_codes(40, 1)[None], np.array([40])
    for arguments in ((BACKGROUND, np.array([0])), (BACKGROUND, None, np.array([0])), ("low-order",)):
        with pytest.raises(NotImplementedError):
            model.log_probs_with_background(read, length, *arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"num_classes": 0}, "num_classes"),
        ({"class_order": 7}, "class_order"),
        ({"threshold": -1}, "threshold"),
        ({"num_windows": "many"}, "num_windows"),
    ],
)
def test_config_out_of_range(config: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        SketchModel.from_config(config)


def test_weights_that_do_not_fit(model: SketchModel) -> None:
    config, weights = model.config(), model.weights()
    with pytest.raises(RuntimeError, match="windows is of shape"):
        SketchModel.from_weights(config, weights | {"windows": weights["windows"][1:]})
    with pytest.raises(RuntimeError, match="not of a sketch: by_class"):
        SketchModel.from_weights(config, {k: v for k, v in weights.items() if k != "by_class"})
