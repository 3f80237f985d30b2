"""Weights in safetensors files, as NumPy arrays."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open

Arrays = Mapping[str, npt.NDArray[Any]]

_DTYPES = {
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "U16": np.uint16,
    "I16": np.int16,
    "F16": np.float16,
    "U32": np.uint32,
    "I32": np.int32,
    "F32": np.float32,
    "U64": np.uint64,
    "I64": np.int64,
    "F64": np.float64,
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}
_SIZE_BYTES = 8
"""What a file begins with: the bytes of its header."""
_LINE_BYTES = 64
"""Of a cache, in most processors."""


def write_tensors(path: Path, tensors: Arrays, metadata: Mapping[str, str] | None = None) -> None:
    """Write a safetensors file whose tensors, once mapped, lie as processors read them best.

    Those of whole lines of a cache come first and start at one, which the library does not see to: a bucket
    of a hashed table would lie in two.

    Raises
    ------
    OSError
        What the disk refuses, with the path.
    """
    arrays = {name: np.ascontiguousarray(array).reshape(array.shape) for name, array in tensors.items()}
    names = sorted(arrays, key=lambda n: (arrays[n].nbytes % _LINE_BYTES != 0, -arrays[n].itemsize, n))
    header: dict[str, Any] = {} if metadata is None else {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        start, end = end, end + arrays[name].nbytes
        dtype = _NAMES[arrays[name].dtype.type]
        header[name] = {"dtype": dtype, "shape": arrays[name].shape, "data_offsets": [start, end]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-(_SIZE_BYTES + len(text)) % _LINE_BYTES)
    try:
        with open(path, "wb") as stream:
            stream.write(len(text).to_bytes(_SIZE_BYTES, "little"))
            stream.write(text)
            for name in names:
                stream.write(arrays[name].reshape(-1).view(np.uint8).data)
    except OSError as error:  # that of a full disk has no name
        raise OSError(error.errno, error.strerror, os.fspath(path)) from error


def map_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    """The tensors of a safetensors file, mapped: what of them is used is read when it is used.

    Parameters
    ----------
    path
        The file; it must stay as it is while the arrays are in use.

    Returns
    -------
    tensors
        By name. They can be written to, which changes neither the file nor what others map of it.

    Raises
    ------
    SafetensorError
        The file is damaged, or holds numbers of a type that NumPy has not.
    OSError
        It cannot be read.
    """
    with safe_open(path, framework="np"):
        pass  # It checks the header whole, and would copy the tensors.
    whole = np.memmap(path, dtype=np.uint8, mode="c").view(np.ndarray)
    start = _SIZE_BYTES + int.from_bytes(whole[:_SIZE_BYTES].tobytes(), "little")
    header = json.loads(whole[_SIZE_BYTES:start].tobytes())
    header.pop("__metadata__", None)
    tensors = {}
    for name, entry in header.items():
        if entry["dtype"] not in _DTYPES:
            raise SafetensorError(f"{name} is of type {entry['dtype']}")
        first, end = (start + offset for offset in entry["data_offsets"])
        tensors[name] = whole[first:end].view(_DTYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors
