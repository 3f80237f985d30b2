"""The importer of the published benchmark."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tfrecord.writer import TFRecordWriter

from data_prep.published import read_labels, read_published, write_published
from genood.errors import ConfigError, InputError

# The library leaves its file open where reading fails.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed file:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

LABELS = {0: "Bacillus", 1: "Burkholderia"}
ORIGIN = b"CP000721.1 Bacillus subtilis, complete genome_pos3-6"


def shard(path: Path, *records: tuple[bytes, int, bytes]) -> Path:
    writer = TFRecordWriter(str(path))
    for x, y, z in records:
        writer.write({"x": (x, "byte"), "y": (y, "int"), "z": (z, "byte")})
    writer.close()
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    other = b"AB1.1 Burkholderia cepacia_posterior, plasmid_pos10-12"
    return shard(tmp_path / "s.tfrecord", (b"0 1 2 3", 0, ORIGIN), (b"3 3 0", 1, other))


def test_records(small: Path) -> None:
    first, second = read_published(small, LABELS)
    assert first[:3] == ("CP000721.1:3-6", "Bacillus", "Bacillus subtilis, complete genome")
    assert first.codes.tolist() == [0, 1, 2, 3]
    assert second[:3] == ("AB1.1:10-12", "Burkholderia", "Burkholderia cepacia_posterior, plasmid")
    assert second.codes.dtype == np.uint8


def test_fasta_without_a_class(small: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.fasta"
    counts = write_published([str(small)], LABELS, str(output), excluded=["Burkholderia"])
    assert counts == {"Bacillus": 1}
    header = ">CP000721.1:3-6 class=Bacillus Bacillus subtilis, complete genome"
    assert output.read_text() == f"{header}\nACGT\n"


def test_unknown_class_to_leave_out(small: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="Yersinia: no such class"):
        write_published([str(small)], LABELS, str(tmp_path / "o"), excluded=["Yersinia"])


@pytest.mark.parametrize(
    ("record", "message"),
    [
        ((b"0 1 4", 0, ORIGIN), "bases or origin"),
        ((b"0 x", 0, ORIGIN), "a field"),
        ((b"", 0, ORIGIN), "bases or origin"),
        ((b"0 1", 0, b"nowhere"), "bases or origin"),
        ((b"0 1", 7, ORIGIN), "class 7 is not in the table"),
    ],
)
def test_bad_record(tmp_path: Path, record: tuple[bytes, int, bytes], message: str) -> None:
    path = shard(tmp_path / "bad.tfrecord", (b"0", 0, ORIGIN), record)
    with pytest.raises(InputError, match=f"bad.tfrecord, record 2: .*{message}"):
        list(read_published(path, LABELS))


def test_truncated(small: Path) -> None:
    small.write_bytes(small.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"s\.tfrecord, record 2"):
        list(read_published(small, LABELS))


def test_garbage(tmp_path: Path) -> None:
    path = tmp_path / "garbage"
    path.write_bytes(b"not a record at all" * 50)
    with pytest.raises(InputError, match="garbage, record 1: is no TFRecord"):
        list(read_published(path, LABELS))


def test_labels(tmp_path: Path) -> None:
    path = tmp_path / "labels.json"
    path.write_text(json.dumps({"Bacillus": 0, "Burkholderia": 1}))
    assert read_labels(path) == LABELS
    for bad in ('["a"]', '{"a": "b"}', "{"):
        path.write_text(bad)
        with pytest.raises(InputError, match="does not map"):
            read_labels(path)
    path.write_text('{"a": 1, "b": 1}')
    with pytest.raises(InputError, match="the same number"):
        read_labels(path)


def test_command(small: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.json"
    labels.write_text(json.dumps({name: number for number, name in LABELS.items()}))
    program = Path(sys.executable).with_name("genood-prep")
    output = tmp_path / "o.fasta"
    command = [program, "published", small, "--labels", labels, "-o", output]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "class\treads\nBacillus\t1\nBurkholderia\t1\n"
    command[2] = tmp_path / "missing"
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr == f"genood-prep: error: {tmp_path / 'missing'}: no such file\n"


def test_command_without_its_extra(small: Path) -> None:
    code = (
        "import sys; sys.modules['tfrecord'] = None; "
        f"sys.argv = ['genood-prep', 'published', {str(small)!r}, '--labels', 'l', '-o', 'o']; "
        "from data_prep.cli import main; main()"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert result.returncode == 1
    assert result.stderr.endswith("pip install 'genood[prep]'\n")
    assert len(result.stderr.splitlines()) == 1


def test_a_shard_is_not_overwritten(small: Path) -> None:
    before = small.read_bytes()
    with pytest.raises(ConfigError, match="is both an input and an output"):
        write_published([str(small)], LABELS, str(small))
    assert small.read_bytes() == before
