"""Weights in safetensors files."""

from __future__ import annotations

import resource
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from genood.files.tensors import map_tensors, write_tensors

TYPES = ("bool", "uint8", "int8", "uint16", "int16", "float16", "uint32", "int32", "float32")
WIDE_TYPES = ("uint64", "int64", "float64")


def arrays() -> dict[str, np.ndarray]:
    """One of each type, of odd sizes, so that not all are aligned; one number alone, and nothing."""
    made = {name: (np.arange(7) % 2).astype(name) for name in (*TYPES, *WIDE_TYPES)}
    return made | {"number": np.array(2.5), "nothing": np.zeros((0, 3), dtype=np.int32)}


def test_what_is_written_is_mapped(tmp_path: Path) -> None:
    turned = np.arange(6, dtype=np.int64).reshape(2, 3).T
    write_tensors(tmp_path / "w", {**arrays(), "turned": turned}, {"about": "them"})
    found = map_tensors(tmp_path / "w")
    assert found.keys() == {*arrays(), "turned"}
    np.testing.assert_array_equal(found["turned"], [[0, 3], [1, 4], [2, 5]])
    for name, array in arrays().items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    with safe_open(tmp_path / "w", framework="np") as file:
        assert file.metadata() == {"about": "them"}


def test_files_are_exchanged_with_torch(tmp_path: Path) -> None:
    tensors = {name: torch.from_numpy(array) for name, array in arrays().items()}
    save_file(tensors, tmp_path / "torch")
    write_tensors(tmp_path / "numpy", arrays())
    found = load_file(tmp_path / "numpy")
    assert found.keys() == tensors.keys()
    for name, tensor in found.items():
        np.testing.assert_array_equal(tensor.numpy(), arrays()[name], strict=True)
        np.testing.assert_array_equal(tensor.numpy(), map_tensors(tmp_path / "torch")[name], strict=True)


def test_whole_lines_of_a_cache_start_at_one(tmp_path: Path) -> None:
    """And all others where numbers of their type may lie."""
    names = ("odd", "few", "zebra", "many", "nothing")
    for metadata in (None, {"some": "x" * 5}):
        made = [
            np.zeros(size, dtype) for size, dtype in ((7, "u1"), (3, "f4"), (8, "i8"), (192, "u1"), (0, "f8"))
        ]
        write_tensors(tmp_path / "w", dict(zip(names, made, strict=True)), metadata)
        found = map_tensors(tmp_path / "w")
        assert [found[name].ctypes.data % 64 for name in ("zebra", "many")] == [0, 0]
        assert all(array.flags.aligned for array in found.values())


def test_nothing_is_read_before_it_is_used(tmp_path: Path) -> None:
    """And what is written to an array stays with it."""
    write_tensors(tmp_path / "w", {"x": np.zeros(2**28, dtype=np.uint8)})
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = map_tensors(tmp_path / "w")["x"]
    found[-1] = 1
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss < before + 2**16  # KiB, a quarter of it
    assert map_tensors(tmp_path / "w")["x"][-1] == 0


@pytest.mark.parametrize("keep", [0, 4, 20, -1])
def test_cut_off(tmp_path: Path, keep: int) -> None:
    write_tensors(tmp_path / "w", arrays())
    (tmp_path / "w").write_bytes((tmp_path / "w").read_bytes()[:keep])
    with pytest.raises(SafetensorError):
        map_tensors(tmp_path / "w")


def test_numbers_that_numpy_has_not(tmp_path: Path) -> None:
    save_file({"x": torch.zeros(1, dtype=torch.bfloat16)}, tmp_path / "w")
    with pytest.raises(SafetensorError, match="x is of type BF16"):
        map_tensors(tmp_path / "w")


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        map_tensors(tmp_path / "w")


def test_weights_that_do_not_fit_the_disk(tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        with pytest.raises(OSError, match="File too large") as caught:
            write_tensors(tmp_path / "weights", {"x": np.zeros(2**20)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(tmp_path / "weights")
