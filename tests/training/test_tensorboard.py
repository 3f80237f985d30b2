"""Event files for TensorBoard: read back as protocol buffers, record by record."""

from __future__ import annotations

import struct
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from tensorboardX.proto.event_pb2 import Event

from genood.errors import ConfigError
from genood.training.following import Validated
from genood.training.tensorboard import beside


class Heard:
    """Progress that keeps what it is told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def step(self, step: int, losses: Mapping[str, float]) -> None:
        self.told.append((step, dict(losses)))

    def validated(self, row: Validated) -> None:
        self.told.append(row)


def events_in(directory: Path) -> list[Event]:
    """All events of all files, in the order of their names: length, its checksum, content, its checksum."""
    events = []
    for path in sorted(directory.iterdir()):
        content = path.read_bytes()
        while content:
            (size,) = struct.unpack("<Q", content[:8])
            events.append(Event.FromString(content[12 : 12 + size]))
            content = content[16 + size :]
    return events


def scalars_in(directory: Path) -> dict[tuple[str, int], float]:
    return {
        (value.tag, event.step): value.simple_value
        for event in events_in(directory)
        for value in event.summary.value
    }


def test_losses(tmp_path: Path) -> None:
    heard = Heard()
    row = Validated(2, {"foreground_train_loss": 1.25, "foreground_val_loss": 1.5, "foreground_val_x_y": 0.5})
    with beside(heard, str(tmp_path / "new" / "board"), 4) as progress:
        progress.step(1, {"foreground": 1.0})
        progress.step(2, {"foreground": 0.5})
        progress.validated(row)
    assert heard.told == [(1, {"foreground": 1.0}), (2, {"foreground": 0.5}), row]
    assert scalars_in(tmp_path / "new" / "board") == {
        ("train_loss/foreground", 1): 1.0,
        ("train_loss/foreground", 2): 0.5,
        ("val_loss/foreground", 2): 1.5,
        ("val_x_y/foreground", 2): 0.5,
    }


def test_of_many_steps_means_are_written(tmp_path: Path) -> None:
    """Of 40,000 steps each fourth; the mean of those since."""
    with beside(Heard(), str(tmp_path), 40_000) as progress:
        for step in range(3, 10):
            progress.step(step, {"classifier": float(step)})
    assert scalars_in(tmp_path) == {
        ("train_loss/classifier", 4): 3.5,
        ("train_loss/classifier", 8): 6.5,
    }


def test_what_is_taken_again_replaces_what_was_written(tmp_path: Path) -> None:
    with beside(Heard(), str(tmp_path), 40) as progress:
        progress.step(7, {"foreground": 1.0})
    starts = [event.step for event in events_in(tmp_path) if event.session_log.status == 1]
    assert starts == [7], "TensorBoard drops step 7 and later ones of earlier files"


def test_resumed_where_a_validation_is_due(tmp_path: Path) -> None:
    """As after a process was lost in it; the step before keeps its loss."""
    row = Validated(7, {"foreground_train_loss": 1.0, "foreground_val_loss": 1.5})
    with beside(Heard(), str(tmp_path), 40) as progress:
        progress.validated(row)
        progress.step(8, {"foreground": 1.0})
    assert scalars_in(tmp_path) == {("val_loss/foreground", 7): 1.5, ("train_loss/foreground", 8): 1.0}
    starts = [event.step for event in events_in(tmp_path) if event.session_log.status == 1]
    assert starts == [8]


@pytest.mark.parametrize(("num_steps", "number"), [(9_999, 9_999), (10_001, 5_000), (19_999, 9_999)])
def test_losses_are_written_so_many_times_at_most(tmp_path: Path, num_steps: int, number: int) -> None:
    with beside(Heard(), str(tmp_path), num_steps) as progress:
        for step in range(1, num_steps + 1):
            progress.step(step, {"foreground": 1.0})
    assert len(scalars_in(tmp_path)) == number


def test_no_directory_no_board() -> None:
    heard = Heard()
    with beside(heard, None, 4) as progress:
        assert progress is heard


def test_without_the_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with (
        pytest.raises(ConfigError, match=r"^--tensorboard needs tensorboardX: pip install tensorboardX, or "),
        beside(Heard(), str(tmp_path / "board"), 4),
    ):
        pass
    assert list(tmp_path.iterdir()) == []
