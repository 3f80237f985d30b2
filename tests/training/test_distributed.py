"""Training in several processes: the same numbers, one writer, a common end."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rank_work
import torch
from rank_work import CNN, DEEP, LSTM, Trained
from ranks import in_ranks
from safetensors import safe_open

from genood.errors import ConfigError, InputError, TrainingError
from genood.training.distributed import ALONE, ProcessLostError, ToldElsewhereError, World, local_device
from genood.training.recovery import Recovery

TOLERANCE = 1e-5
"""Relative, of losses in 30 steps: sums of 30 reads in another order."""


def alone(shape: dict[str, Any], folder: Path, stop_after: int = 1000) -> Trained:
    folder.mkdir(exist_ok=True)
    return rank_work.train(ALONE, shape, str(folder / "alone"), stop_after)


def assert_close(one: Trained, other: Trained) -> None:
    np.testing.assert_allclose(one.losses, other.losses, rtol=TOLERANCE)
    assert [row.step for row in one.history] == [row.step for row in other.history]
    for first, second in zip(one.history, other.history, strict=True):
        np.testing.assert_allclose([*first.values.values()], [*second.values.values()], rtol=TOLERANCE)
    for name, weights in one.weights.items():
        np.testing.assert_allclose(other.weights[name], weights, atol=1e-4, rtol=0, err_msg=name)


def assert_same(one: Trained, other: Trained) -> None:
    assert (one.losses, one.history) == (other.losses, other.history)
    assert all(np.array_equal(weights, other.weights[name]) for name, weights in one.weights.items())


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> list[Trained]:
    """What two processes have that have trained an LSTM."""
    return in_ranks(2, rank_work.train, LSTM, str(tmp_path_factory.mktemp("pair") / "c"))


def test_two_processes_have_the_same_losses_as_one(pair: list[Trained], tmp_path: Path) -> None:
    """With dropout and mutated reads."""
    assert len(pair[0].losses) == 30
    assert_close(alone(LSTM, tmp_path), pair[0])
    assert_same(*pair)


def test_four_processes_train_a_classifier(tmp_path: Path) -> None:
    """Of the 40 reads and mutated reads of a step, each has 10."""
    expected = alone(CNN, tmp_path)
    first, *others = in_ranks(4, rank_work.train, CNN, str(tmp_path / "together"))
    assert_close(expected, first)
    for other in others:
        assert_same(first, other)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "together", "training.tsv"]


@pytest.mark.parametrize("shape", [LSTM, CNN], ids=["lstm", "cnn"])
def test_parts_that_torch_draws_are_those_of_the_whole(shape: dict[str, Any], tmp_path: Path) -> None:
    """Each process draws its own reads and no others; losses are read late, as on GPUs."""
    expected = rank_work.train(ALONE, shape, str(tmp_path / "alone"), drawing="torch-held")
    numpy_drew = alone(shape, tmp_path / "numpy")
    assert expected.losses != numpy_drew.losses
    together = in_ranks(3, rank_work.train, shape, str(tmp_path / "c"), 1000, "torch-held", True)
    assert_close(expected, together[0])
    assert_same(together[0], together[2])


def test_dropout_between_layers_is_of_each_process(tmp_path: Path) -> None:
    """Torch draws it: losses are those of other draws than of one process, but the same in each."""
    expected = alone(DEEP, tmp_path)
    first, second = in_ranks(2, rank_work.train, DEEP, str(tmp_path / "together"))
    assert_same(first, second)
    assert first.losses != expected.losses
    np.testing.assert_allclose(first.losses, expected.losses, rtol=0.05)


def test_resumed_in_other_numbers_of_processes(pair: list[Trained], tmp_path: Path) -> None:
    """Two processes stop, as the last one was told to; two go on, exactly; or one does, nearly."""
    checkpoint, copy = str(tmp_path / "together"), tmp_path / "copy"
    begun = in_ranks(2, rank_work.train, LSTM, checkpoint, 17)[0]
    copy.write_bytes(Path(checkpoint).read_bytes())
    ended_alone = rank_work.train(ALONE, LSTM, str(copy))
    assert [len(part.losses) for part in (begun, ended_alone)] == [17, 13]
    assert_close(pair[0], ended_alone._replace(losses=[*begun.losses, *ended_alone.losses]))
    ended = in_ranks(2, rank_work.train, LSTM, checkpoint)[0]
    assert_same(pair[0], ended._replace(losses=[*begun.losses, *ended.losses]))


def test_begun_by_one_process(pair: list[Trained], tmp_path: Path) -> None:
    checkpoint = str(tmp_path / "together")
    begun = rank_work.train(ALONE, LSTM, checkpoint, 13)
    ended = in_ranks(4, rank_work.train, LSTM, checkpoint)[0]
    assert_close(pair[0], ended._replace(losses=[*begun.losses, *ended.losses]))


def test_all_step_back_together(tmp_path: Path) -> None:
    first, second = in_ranks(2, rank_work.train_with_a_nan, str(tmp_path / "c"))
    assert first.recoveries == second.recoveries == [Recovery(15, "background", "nan", 10)]
    assert_same(first, second)


@pytest.mark.parametrize(("victim", "step"), [(0, 10), (1, 17)])
def test_killed_process(victim: int, step: int, tmp_path: Path) -> None:
    """The first one leaves a checkpoint of the last whole step, if it is left; else there is an older one."""
    results = in_ranks(2, rank_work.train_until_killed, str(tmp_path / "c"), victim)
    assert results[victim] is None
    error = results[1 - victim]
    assert isinstance(error, ProcessLostError)
    ended = "another process of the training has ended, after step 17"
    assert str(error) == f"{ended}; go on with --resume from step {step}"
    with safe_open(tmp_path / "c", framework="np") as checkpoint:
        assert json.loads(checkpoint.metadata()["genood"])["step"] == step
    whole = alone(LSTM, tmp_path)
    ended_alone = rank_work.train(ALONE, LSTM, str(tmp_path / "c"))
    np.testing.assert_allclose(ended_alone.losses, whole.losses[step:], rtol=TOLERANCE)


def test_processes_that_disagree(tmp_path: Path) -> None:
    first, second = in_ranks(2, rank_work.train_another, str(tmp_path / "c"))
    assert isinstance(first, TrainingError)
    assert str(first).startswith(
        "process 1 of 2 has other sequences, options or checkpoints than the first one;"
    )
    assert isinstance(second, ToldElsewhereError)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("ranks", "says"),
    [((0, 1, 2), "genome.fna: is no FASTA file"), ((1,), "process 1 of 3: genome.fna: is no FASTA file")],
)
def test_one_process_says_what_is_wrong(ranks: tuple[int, ...], says: str) -> None:
    """The first one, if it can; else its number is said, too."""
    results = in_ranks(3, rank_work.fail_in, ranks)
    teller = 0 if 0 in ranks else ranks[0]
    assert isinstance(results[teller], InputError if teller == 0 else TrainingError)
    assert str(results[teller]) == says
    assert all(isinstance(x, ToldElsewhereError) for rank, x in enumerate(results) if rank != teller)


def test_fewer_reads_than_processes() -> None:
    message = "31 processes cannot share the 30 reads of a step; give --batch-size 31 or more"
    with pytest.raises(ConfigError, match=message):
        rank_work.trainer_of(World(rank=0, size=31), LSTM)


@pytest.mark.parametrize("number", [4, 30, 31, 101])
@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_parts(number: int, size: int) -> None:
    parts = [range(number)[World(rank=rank, size=size).part(number)] for rank in range(size)]
    assert [row for part in parts for row in part] == list(range(number))
    assert {len(part) for part in parts} <= {number // size, number // size + 1}


@pytest.mark.parametrize(
    ("environment", "world"),
    [
        ({}, World()),
        ({"WORLD_SIZE": "4"}, World()),
        ({"RANK": "1", "WORLD_SIZE": "2"}, World(rank=1, size=2)),
        (
            {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "TORCHELASTIC_RESTART_COUNT": "2"},
            World(rank=5, size=8, local_rank=1, num_restarts=2),
        ),
    ],
)
def test_world_of_environment(environment: Mapping[str, str], world: World) -> None:
    assert World.of(environment) == world
    assert world.writes == (world.rank == 0)


def test_environment_that_is_no_number() -> None:
    with pytest.raises(ConfigError, match=r"RANK, WORLD_SIZE and LOCAL_RANK must be numbers: .* 'x'"):
        World.of({"RANK": "x", "WORLD_SIZE": "2"})


def test_device_of_each_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU each, by their numbers on the machine."""
    assert local_device("cpu", World(rank=5, size=8, local_rank=1)) == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    second = World(rank=5, size=8, local_rank=1)
    assert local_device("auto", second) == local_device("cuda", second) == torch.device("cuda", 1)
    assert local_device("cuda:1", ALONE) == torch.device("cuda", 1)
    with pytest.raises(ConfigError, match="give --device cuda, not cuda:1"):
        local_device("cuda:1", second)
    with pytest.raises(
        ConfigError, match="process 2 of this machine has no GPU, as there are 2; start fewer"
    ):
        local_device("cuda", World(rank=2, size=4, local_rank=2))
