"""The mixture of classes and the softmax over all experts, by hand and against NumPy in float64."""

from __future__ import annotations

from pathlib import Path

import numba
import numpy as np
import numpy.typing as npt
import pytest
from toys import uniform_codes

from genood.compiling import compiled_to_vectors
from genood.context.classes import mix_classes
from genood.context.dense import CLASS_PROBABILITIES, NEVER, stride_of
from genood.context.mixture import BLOCK, fast_exp, fast_log, read_tables, softmax, softmax_of_all_classes
from genood.sequence import UNKNOWN, Codes, encode

Bytes = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

ORDER, CLASSES = 2, 11
BY_CLASS = np.random.default_rng(1).integers(0, 30, (21, 4, stride_of(CLASSES)), dtype=np.uint8)
BY_CLASS[:, :, CLASSES:] = NEVER
ALMOST_NONE = 17 / 16 * 2.0**-16


@pytest.fixture(scope="module")
def read() -> Codes:
    """Longer than a block."""
    codes = uniform_codes(600, 2)
    codes[[0, 9, 100, 101, 511, 513]] = UNKNOWN
    return codes


def contexts(read: Codes, order: int) -> list[int]:
    """Where the context of each base is in a table of orders up to one; N counts as A."""
    letters = "".join("01230"[base] for base in read)
    found = []
    for t in range(len(read)):
        k = min(t, order)
        found.append(sum(4**lower for lower in range(k)) + int("0" + letters[t - k : t], 4))
    return found


def mix(read: Codes, by_class: Bytes, num_classes: int) -> Floats:
    """What `mix_classes` says of each base, shape (4, L), block by block."""
    stride = by_class.shape[-1]
    posterior = np.full(stride, 7.0, dtype=np.float32)
    least = np.full(stride, 7.0, dtype=np.float32)
    rows = 4 * stride * np.array(contexts(read, ORDER))
    blocks = []
    for start in range(0, len(read), BLOCK):
        block, mixed = np.zeros(BLOCK, dtype=np.int64), np.full((4, BLOCK), -1.0, dtype=np.float32)
        number = min(BLOCK, len(read) - start)
        block[:number] = rows[start : start + number]
        mix_classes(read, start, by_class.ravel(), num_classes, posterior, least, block, mixed)
        assert (mixed[:, number:] == -1.0).all()
        blocks.append(mixed[:, :number])
    return np.concatenate(blocks, axis=1)


def bayes(read: Codes, by_class: Bytes, takes_part: list[int]) -> npt.NDArray[np.float64]:
    """The mixture of classes with Bayes' weights, normalised over the four bases."""
    chances = CLASS_PROBABILITIES.astype(np.float64)[by_class[contexts(read, ORDER)]][:, :, takes_part]
    log_weights = np.zeros(len(takes_part))
    mixed = np.empty((4, len(read)))
    for t, base in enumerate(read):
        mixed[:, t] = chances[t] @ np.exp(log_weights - log_weights.max())
        if base != UNKNOWN:
            log_weights += np.log(chances[t, base])
    return mixed / mixed.sum(axis=0)


@pytest.mark.parametrize(("low_order", "class_order"), [(3, 2), (1, 4), (5, 0)])
def test_tables_are_read(read: Codes, low_order: int, class_order: int) -> None:
    low_table = np.random.default_rng(3).integers(0, 2**32, 4**6, dtype=np.uint32)
    by_class = np.zeros(4**5 * 4 * 16, dtype=np.uint8)
    history = 0
    for start in (0, BLOCK):
        number = min(BLOCK, 600 - start)
        low, rows = np.full(BLOCK, 5, dtype=np.uint32), np.full(BLOCK, 5, dtype=np.int64)
        history = read_tables(
            read, start, history, low_table, low_order, by_class, class_order, 16, low, rows
        )
        mine = slice(start, start + number)
        assert low[:number].tolist() == low_table[contexts(read, low_order)[mine]].tolist()
        assert rows[:number].tolist() == [4 * 16 * at for at in contexts(read, class_order)[mine]]
        assert set(low[number:].tolist()) | set(rows[number:].tolist()) <= {5}
        last = "".join("01230"[base] for base in read[: start + number][-24:])
        assert history == int(last, 4)


def test_mixture_of_classes(read: Codes) -> None:
    takes_part = list(range(CLASSES))
    found = mix(read, BY_CLASS, CLASSES)
    expected = bayes(read, BY_CLASS, takes_part)
    np.testing.assert_allclose(found / found.sum(axis=0), expected, rtol=1e-4)


def test_classes_by_hand() -> None:
    """Of two classes one gives A a half and the other a quarter: after A they weigh 2 to 1."""
    by_class = np.full((21, 4, 8), NEVER, dtype=np.uint8)
    by_class[:, :, :2] = np.array([[16, 32], [32, 32], [48, 32], [48, 32]])
    found = mix(encode("ANAC"), by_class, 2)
    found /= found.sum(axis=0)
    first, second = np.array([4, 2, 1, 1]) / 8, np.full(4, 0.25)
    for column, weight in zip(found.T, [1 / 2, 2 / 3, 2 / 3, 4 / 5], strict=True):
        np.testing.assert_allclose(column, weight * first + (1 - weight) * second, rtol=1e-6)


def test_classes_that_fill_up_do_not_matter(read: Codes) -> None:
    filled = BY_CLASS.copy()
    filled[:, :, CLASSES:] = 0
    assert mix(read, filled, CLASSES).tobytes() == mix(read, BY_CLASS, CLASSES).tobytes()


def test_least_weight() -> None:
    """A class that was wrong often comes back as soon as if it were one in 10^16."""
    by_class = np.full((21, 4, 8), NEVER, dtype=np.uint8)
    by_class[:, 0, 0] = by_class[:, 1, 1] = 0
    a, c = mix(encode("A" * 400 + "C" * 6), by_class, 2)[:2, 400:].astype(np.float64)
    odds = (c - ALMOST_NONE * a) / (a - ALMOST_NONE * c)
    np.testing.assert_allclose(odds[2:], 1e-16 / ALMOST_NONE ** np.arange(2, 6), rtol=1e-3)


def test_mixture_does_not_look_ahead(read: Codes) -> None:
    whole = mix(read, BY_CLASS, CLASSES)
    for t in (1, 2, 15, 16, 17, 30, 511, 512, 513, 599):
        other = np.concatenate([read[:t], uniform_codes(700 - t, 9)])
        assert mix(read[:t], BY_CLASS, CLASSES).tobytes() == whole[:, :t].tobytes()
        assert mix(other, BY_CLASS, CLASSES)[:, :t].tobytes() == whole[:, :t].tobytes()


def test_fast_log_and_exp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba.config, "CACHE_DIR", str(tmp_path))

    @compiled_to_vectors
    def compute(values: Floats, powers: Floats) -> None:
        for i in range(len(values)):
            values[np.uint64(i)] = fast_log(values[np.uint64(i)])
        for i in range(len(powers)):
            powers[np.uint64(i)] = fast_exp(powers[np.uint64(i)])

    every = np.arange(0x00800000, 0x7F800000, 997, dtype=np.uint32)
    near_one = np.arange(0x3F000000, 0x40000000, 97, dtype=np.uint32)
    values = np.concatenate([every, near_one]).view(np.float32)
    powers = np.linspace(-80, 0, 1_000_001).astype(np.float32)
    logs, exps = values.copy(), powers.copy()
    compute(logs, exps)
    expected = np.log(values.astype(np.float64))
    assert (np.abs(logs - expected) / np.maximum(1.0, np.abs(expected))).max() < 2.5e-7
    errors = np.abs(exps / np.exp(powers.astype(np.float64)) - 1)
    assert errors[powers > -1].max() < 2.5e-7
    assert errors.max() < 5e-7
    assert fast_log(np.float32(1.0)) == 0.0
    assert fast_exp(np.float32(0.0)) == 1.0
    assert fast_exp(np.float32(-200.0)) == fast_exp(np.float32(-80.0))


def block_of(seed: int) -> tuple[npt.NDArray[np.uint32], Floats, Floats, Floats]:
    """Rows of the table over all classes, mixture, votes and gates."""
    generator = np.random.default_rng(seed)
    return (
        generator.integers(0, 2**32, BLOCK, dtype=np.uint32),
        np.exp(generator.uniform(-30, 10, (4, BLOCK))).astype(np.float32),
        generator.normal(0, 5, (4, BLOCK)).astype(np.float32),
        generator.uniform(0, 1.5, (2, BLOCK)).astype(np.float32),
    )


def log_p(read: Codes, start: int, power: float | None = None) -> Floats:
    """What `softmax` says of a block, or with a power `softmax_of_all_classes`; 7 where it says nothing.

    Beyond the read is another block.
    """
    out, room = np.full(len(read), 7.0, dtype=np.float32), np.empty((5, BLOCK), dtype=np.float32)
    low, mixed, votes, gates = (
        np.where(np.arange(BLOCK) < len(read) - start, mine, beyond)
        for mine, beyond in zip(block_of(1), block_of(len(read)), strict=True)
    )
    if power is None:
        softmax(read, start, low, mixed, votes, gates, room, out)
    else:
        softmax_of_all_classes(read, start, np.float32(power), low, votes, gates, room, out)
    return out


@pytest.mark.parametrize("power", [None, 1.0, 0.5])
@pytest.mark.parametrize("start", [0, BLOCK])
def test_softmax(read: Codes, power: float | None, start: int) -> None:
    low, mixed, votes, gates = block_of(1)
    table = np.stack([low >> 8 * base & 255 for base in range(4)]) / -32.0
    if power is None:
        logits = votes + gates[0] * table + gates[1] * np.log(mixed.astype(np.float64))
    else:
        logits = votes + gates.sum(axis=0, dtype=np.float64) * power * table
    logits -= np.log(np.exp(logits).sum(axis=0))
    expected = np.full(600, 7.0)
    for t in range(start, min(start + BLOCK, 600)):
        if read[t] != UNKNOWN:
            expected[t] = logits[read[t], t - start]
    np.testing.assert_allclose(log_p(read, start, power), expected, rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("power", [None, 0.5])
def test_softmax_does_not_look_ahead(read: Codes, power: float | None) -> None:
    whole = log_p(read[:BLOCK], 0, power)
    for t in (*range(1, 40), 511):
        assert log_p(read[:t], 0, power).tobytes() == whole[:t].tobytes()
