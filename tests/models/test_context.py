"""The context model as a density model: its buffers, its backgrounds, what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from toys import context_model, strain_of, uniform_codes

from genood.errors import ConfigError
from genood.models.context import ContextModel
from genood.sequence import pad

GENOMES = {name: uniform_codes(6000, seed) for seed, name in enumerate("ABC")}


@pytest.fixture(scope="module")
def model() -> ContextModel:
    return context_model(**GENOMES)


def nats_per_base(log_probs: np.ndarray) -> list[float]:
    return (-log_probs.mean(axis=1)).tolist()


def batch() -> tuple[np.ndarray, np.ndarray]:
    """A read of A, one of a strain of A, and one of nothing that is known; 200 bases each."""
    strain = strain_of(GENOMES["A"], 5, 0.05)
    return pad([GENOMES["A"][1000:1200], strain[3000:3200], uniform_codes(200, 9)])


def test_untrained_gives_every_base_the_same_chance() -> None:
    result = ContextModel.from_config({}).log_probs(uniform_codes(100, 1)[None], np.array([100]))
    np.testing.assert_allclose(np.exp(result), np.full((1, 100), 0.25), rtol=1e-6)


def test_what_is_remembered_is_likely(model: ContextModel) -> None:
    known, strain, unknown = nats_per_base(model.log_probs(*batch()))
    assert known < 0.3 < strain < 0.9
    # ln 4 = 1.386 for those who know that they know nothing.
    assert unknown == pytest.approx(1.386, abs=0.1)


def test_both_strands_are_remembered(model: ContextModel) -> None:
    codes = 3 - GENOMES["B"][2000:2300][::-1]
    [loss] = nats_per_base(model.log_probs(codes[None], np.array([300])))
    assert loss < 0.3


def test_backgrounds(model: ContextModel) -> None:
    codes, lengths = batch()
    alone = model.log_probs(codes, lengths)
    for background in ("other-classes", "low-order", "read-chain"):
        log_p, background_log_p = model.log_probs_with_background(codes, lengths, background)
        np.testing.assert_array_equal(log_p, alone)
        # None of them has A's genome to copy from.
        np.testing.assert_allclose(nats_per_base(background_log_p), 1.386, atol=0.2)


def test_background_of_other_classes_knows_their_genomes() -> None:
    """A read that two classes share is no evidence for either."""
    shared = uniform_codes(6000, 20)
    model = context_model(A=shared, B=strain_of(shared, 1, 0.02), C=uniform_codes(6000, 21))
    codes, lengths = pad([shared[100:400]])
    _, background_log_p = model.log_probs_with_background(codes, lengths, "other-classes")
    assert nats_per_base(background_log_p)[0] < 0.8


def test_a_file_can_be_left_out(model: ContextModel) -> None:
    codes, lengths = batch()
    reads = np.repeat(codes[:1], 3, axis=0)
    lengths = np.repeat(lengths[:1], 3)
    log_p, _ = model.log_probs_with_background(reads, lengths, "low-order", np.array([-1, 0, 1]))
    np.testing.assert_array_equal(log_p[0], log_p[2])
    assert nats_per_base(log_p)[1] > nats_per_base(log_p)[0] + 0.1


@pytest.mark.parametrize("background", ["other-classes", "low-order", "read-chain"])
def test_unknown_bases_padding_and_empty_reads(model: ContextModel, background: str) -> None:
    gaps = GENOMES["C"][:60].copy()
    gaps[[0, 30, 31, 59]] = 4
    reads = [gaps, np.full(20, 4, dtype=np.uint8), gaps[:0], GENOMES["C"][:1]]
    codes, lengths = pad(reads)
    for log_p in model.log_probs_with_background(codes, lengths, background):
        assert np.isfinite(log_p).all()
        assert np.flatnonzero(log_p[0]).tolist() == [i for i in range(60) if i not in (0, 30, 31, 59)]
        assert not log_p[1:3].any()
        assert not log_p[3, 1:].any()
        for row, read in zip(log_p, reads, strict=True):
            alone = model.log_probs_with_background(*pad([read]), background)
            assert any(np.array_equal(row[: len(read)], part[0]) for part in alone)


def test_threads_change_nothing(model: ContextModel) -> None:
    rows = np.stack([strain_of(GENOMES["B"], i, 0.03)[: 50 * 40].reshape(-1, 40) for i in range(3)])
    codes = rows.reshape(-1, 40)
    lengths = np.random.default_rng(0).integers(0, 41, len(codes))
    results = [model.tables().score(codes, lengths, num_threads=number)[0] for number in (1, 2, 7)]
    for result in results[1:]:
        np.testing.assert_array_equal(result.log_p, results[0].log_p)
        np.testing.assert_array_equal(result.sums, results[0].sums)


def test_weights_are_shared_not_copied(model: ContextModel) -> None:
    weights = model.weights()
    again = ContextModel.from_weights(model.config(), weights).weights()
    assert again.keys() == weights.keys()
    for name, array in weights.items():
        assert again[name] is array or np.shares_memory(again[name], array), name


def test_large_tables_stay_where_they_are(model: ContextModel) -> None:
    model.log_probs(*batch())
    for name in ("aa", "nuc", "reference"):
        assert np.shares_memory(getattr(model._tables, name), model.weights()[name]), name


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("labels", np.zeros(3, dtype=np.int32), "labels is int32, not int64"),
        (
            "gates",
            np.zeros((7, 10, 3), dtype=np.float32),
            r"gates is of shape \(7, 10, 3\), not \(7, 10, 2\)",
        ),
        ("labels", np.array([0, 1, 3]), "labels are not of 3 classes"),
        ("labels", np.array([0, -1, 2]), "labels are not of 3 classes"),
        ("labels", None, "missing, or not of a context model: labels"),
        ("colours", np.zeros(1), "missing, or not of a context model: colours"),
    ],
)
def test_other_weights_are_refused(
    model: ContextModel, name: str, array: np.ndarray | None, message: str
) -> None:
    weights = model.weights() | {name: array}
    if array is None:
        del weights[name]
    with pytest.raises(RuntimeError, match=message):
        ContextModel.from_weights(model.config(), weights)


@pytest.mark.parametrize(
    "option",
    [
        {"num_positions": -1},
        {"num_classes": 0},
        {"nuc_buckets": 0},
        {"nuc_buckets": 1.5},
        {"aa_sampling": 63},
        {"class_order": 12},
        {"num_segments": "1"},
    ],
)
def test_config_out_of_range(option: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        ContextModel.from_config(option)
