"""What every density model promises, over all of `MODELS`."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from toys import context_model, genomes_of, markov_codes, markov_model, uniform_codes

from genood import threads
from genood.context.fuse import make_filter
from genood.context.rows import row_sums
from genood.context.sketch import condense
from genood.context.windows import ALL, WINDOW
from genood.errors import ConfigError
from genood.models import MODELS
from genood.models.base import DensityModel
from genood.models.network import DensityNetwork, scored_mask
from genood.models.sketch import SketchModel
from genood.recipes import MUTATED, NO_BACKGROUND, PRESETS
from genood.sequence import UNKNOWN, Codes, pad, reverse_complement

TOLERANCE = 1e-5
"""Nats a base: what the order of float32 sums may change."""


def small_lstm() -> DensityModel:
    torch.manual_seed(0)
    model = MODELS["lstm"].from_config({"hidden_size": 12, "num_layers": 2})
    assert isinstance(model, DensityNetwork)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model.eval()


def small_context() -> DensityModel:
    """Remembers the reads that are asked for here, so that it copies."""
    remembered = np.concatenate([uniform_codes(120, seed) for seed in range(64)])
    return context_model(A=remembered, B=markov_codes(3000, 1))


def small_markov() -> DensityModel:
    """Remembers of what the reads start with what follows, so that every base counts."""
    return markov_model(np.concatenate([uniform_codes(9, seed) for seed in range(200)]), order=6)


def small_sketch() -> DensityModel:
    """Has kept the windows of the reads that are asked for here, in all frames, so that it expects bases."""
    sketch = condense(genomes_of([("A", uniform_codes(3000, 1)), ("B", markov_codes(3000, 1))]), 100_000)
    reads = [uniform_codes(120, seed) for seed in range(64)]
    starts = np.arange(120 - 3 * WINDOW + 1)[:, None] + np.delete(np.arange(3 * WINDOW), np.s_[2::3])
    strands = [strand[starts] for read in reads for strand in (read, reverse_complement(read))]
    digits = 4 ** np.arange(2 * WINDOW, dtype=np.uint64)[::-1]
    keys = np.unique(np.concatenate(strands).astype(np.uint64) @ digits)
    windows, seed = make_filter(keys)
    kept = replace(sketch, windows=windows, num_windows=len(keys), seed=seed, threshold=ALL)
    return SketchModel.from_sketch(kept)


SMALL: dict[str, Callable[[], DensityModel]] = {
    "lstm": small_lstm,
    "context": small_context,
    "markov": small_markov,
    "sketch": small_sketch,
}
"""Makes a small model of each kind that has learned something; a new kind adds its own."""


@pytest.fixture(scope="module", params=list(MODELS))
def model(request: pytest.FixtureRequest) -> DensityModel:
    return SMALL[request.param]()


def log_probs(model: DensityModel, sequences: list[Codes]) -> list[np.ndarray]:
    """Log-probabilities of each sequence, evaluated as one batch."""
    codes, lengths = pad(sequences)
    batch = model.log_probs(codes, lengths)
    return [row[: len(sequence)] for row, sequence in zip(batch, sequences, strict=True)]


def test_shape_and_finite(model: DensityModel) -> None:
    codes, lengths = pad([uniform_codes(30, 1), uniform_codes(7, 2)])
    result = model.log_probs(codes, lengths)
    assert result.shape == (2, 30)
    assert result.dtype == np.float32
    assert np.isfinite(result).all()
    assert (result[0] < 0).all()
    assert (result[1, :7] < 0).all()
    assert (result[1, 7:] == 0).all()


def test_unknown_bases_are_not_scored(model: DensityModel) -> None:
    codes = uniform_codes(20, 1)
    codes[[0, 5, 19]] = UNKNOWN
    [result] = log_probs(model, [codes])
    assert (result[[0, 5, 19]] == 0).all()
    assert (np.delete(result, [0, 5, 19]) < 0).all()


@pytest.mark.parametrize("batch_size", [1, 8, 64])
def test_same_in_any_batch(model: DensityModel, batch_size: int) -> None:
    sequences = [uniform_codes(1 + 7 * i % 90, i) for i in range(64)]
    alone = [log_probs(model, [sequence])[0] for sequence in sequences]
    for start in range(0, 64, batch_size):
        together = log_probs(model, sequences[start : start + batch_size])
        for a, b in zip(alone[start:], together, strict=False):
            np.testing.assert_allclose(a, b, atol=TOLERANCE)


@pytest.mark.parametrize("num_threads", [1, 3])
def test_log_likelihoods_are_the_sums(
    model: DensityModel, monkeypatch: pytest.MonkeyPatch, num_threads: int
) -> None:
    """To the last bit, so that tables do not depend on whether single bases were asked for."""
    monkeypatch.setattr(threads, "_chosen", num_threads)
    codes, lengths = pad([uniform_codes(1 + 37 * i % 400, i) for i in range(64)])
    codes[uniform_codes(codes.size, 9).reshape(codes.shape) * lengths[:, None] % 17 == 5] = UNKNOWN
    other = type(model).from_config(model.config())
    derived = [name for name in model.backgrounds if name != MUTATED]
    for background in (NO_BACKGROUND, other, *derived):
        by_base = model.log_probs_with_background(codes, lengths, background)
        sums = model.log_likelihoods(codes, lengths, background)
        for mine, expected in zip(sums, by_base, strict=True):
            assert mine.tobytes() == row_sums(expected).tobytes()
        assert sums[0].max() < 0
        np.testing.assert_array_equal(by_base[0], model.log_probs(codes, lengths))
        if isinstance(background, DensityModel):
            np.testing.assert_array_equal(by_base[1], background.log_probs(codes, lengths))


@pytest.mark.parametrize("filler", [0, UNKNOWN])
def test_padding_changes_nothing(model: DensityModel, filler: int) -> None:
    codes = uniform_codes(40, 3)
    padded = np.concatenate([codes, np.full(25, filler, dtype=np.uint8)])[None]
    result = model.log_probs(padded, np.array([40]))[0]
    np.testing.assert_allclose(result[:40], log_probs(model, [codes])[0], atol=TOLERANCE)
    assert (result[40:] == 0).all()


def test_never_looks_ahead(model: DensityModel) -> None:
    codes = uniform_codes(50, 4)
    changed = codes.copy()
    changed[30:] = (changed[30:] + 1) % 4
    before, after = log_probs(model, [codes])[0], log_probs(model, [changed])[0]
    np.testing.assert_allclose(before[:30], after[:30], atol=TOLERANCE)
    assert abs(before[30:] - after[30:]).max() > 1e-3


def test_every_base_counts_as_context(model: DensityModel) -> None:
    codes = uniform_codes(50, 5)
    changed = codes.copy()
    changed[0] = (changed[0] + 1) % 4
    assert abs(log_probs(model, [codes])[0][1] - log_probs(model, [changed])[0][1]) > 1e-4


def test_probabilities_of_a_position_sum_to_one(model: DensityModel) -> None:
    codes = uniform_codes(25, 6)
    for position in (0, 1, 13, 24):
        variants = np.repeat(codes[None], 4, axis=0)
        variants[:, position] = np.arange(4)
        chances = [np.exp(row[position]) for row in log_probs(model, list(variants))]
        assert sum(chances) == pytest.approx(1.0, abs=1e-5)


def test_empty_read(model: DensityModel) -> None:
    assert log_probs(model, [uniform_codes(0, 0)])[0].shape == (0,)


def test_saved_and_loaded_scores_equal(model: DensityModel) -> None:
    config = json.loads(json.dumps(model.config()))
    again = type(model).from_weights(config, model.weights())
    codes = uniform_codes(60, 7)
    np.testing.assert_array_equal(log_probs(model, [codes])[0], log_probs(again, [codes])[0])


def test_kind_is_the_registered_name(model: DensityModel) -> None:
    assert MODELS[model.kind] is type(model)


@pytest.mark.parametrize("preset", PRESETS)
@pytest.mark.parametrize("kind", MODELS)
def test_presets_fit_the_models(preset: str, kind: str) -> None:
    with torch.device("meta"):
        assert MODELS[kind].from_config(PRESETS[preset].models[kind]).config()


@pytest.mark.parametrize("kind", MODELS)
def test_unknown_key_is_refused(kind: str) -> None:
    with pytest.raises(ConfigError, match="no_such_key"):
        MODELS[kind].from_config({"no_such_key": 1})


def test_scored_mask() -> None:
    codes = torch.tensor([[0, 4, 2, 3], [1, 1, 4, 4]], dtype=torch.uint8)
    expected = [[True, False, True, True], [True, True, False, False]]
    assert scored_mask(codes, torch.tensor([4, 2])).tolist() == expected
    assert scored_mask(codes, torch.tensor([1, 0])).tolist() == [[True] + [False] * 3, [False] * 4]
