"""What the scripts of this folder share: rates of matrix products, seconds, genomes, where results go."""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent))

from machine import describe  # noqa: E402
from real import genomes_by_split  # noqa: E402

from genood.files import write_json  # noqa: E402
from genood.models.device import resolve_device  # noqa: E402
from genood.reference.genomes import Genomes, load_genomes  # noqa: E402

PRECISIONS = ("fp32", "tf32", "bf16")
EXAMPLES = ROOT / "examples" / "genomes"
_SIDES = {"cuda": 8192, "cpu": 1024}


def parser_of(description: str | None) -> argparse.ArgumentParser:
    """Options that all scripts have."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--out", type=Path, help="folder of the result  [default: this script's; bench-out/gpu without a GPU]"
    )
    parser.add_argument("--read-length", type=int, default=250)
    parser.add_argument("--data", type=Path, help="the project's data folder; else the examples' genome")
    return parser


def with_units(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Further ones of throughputs."""
    parser.add_argument("--hidden-size", type=int, nargs="+", default=[256, 1024, 2000])
    parser.add_argument("--seconds", type=float, default=3.0, help="of each measurement, at least")
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[100, 400, 1000])
    return parser


def device_of(arguments: argparse.Namespace) -> torch.device:
    """Where to run."""
    return resolve_device(arguments.device)


def precisions_of(device: torch.device) -> tuple[str, ...]:
    """TF32 is of GPUs."""
    return PRECISIONS if device.type == "cuda" else ("fp32", "bf16")


def written(item: str, report: dict[str, Any], arguments: argparse.Namespace) -> Path:
    """Write a result, with the machine; only a GPU's lies beside the scripts."""
    device = device_of(arguments)
    folder = arguments.out or (HERE if device.type == "cuda" else ROOT / "bench-out" / "gpu")
    folder.mkdir(parents=True, exist_ok=True)
    about = describe()
    about["versions"] |= {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    path: Path = folder / f"{item}.json"
    write_json(path, {**about, "device": str(device), **report})
    return path


@contextmanager
def block_of(device: torch.device, precision: str) -> Iterator[None]:
    """As `genood.models.device.computing`, which has no TF32."""
    cudnn, products = torch.backends.cudnn, torch.backends.cuda.matmul
    before = cudnn.allow_tf32, products.allow_tf32
    cudnn.allow_tf32 = products.allow_tf32 = precision == "tf32"
    try:
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16"):
            yield
    finally:
        cudnn.allow_tf32, products.allow_tf32 = before


def wait_for(device: torch.device) -> None:
    """Until all that is queued is done."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def seconds_of(work: Callable[[], object], device: torch.device, seconds: float = 1.0) -> float:
    """Of one call: the median of five rows of calls, after one that does not count."""
    work()
    wait_for(device)
    began = time.perf_counter()
    work()
    wait_for(device)
    number = max(1, round(seconds / 5 / max(time.perf_counter() - began, 1e-6)))
    rows = []
    for _ in range(5):
        began = time.perf_counter()
        for _ in range(number):
            work()
        wait_for(device)
        rows.append((time.perf_counter() - began) / number)
    return statistics.median(rows)


def matrix_rates(device: torch.device) -> dict[str, float]:
    """Operations a second of a square matrix product, by precision."""
    side = _SIDES.get(device.type, 1024)
    one, other = (torch.rand(side, side, device=device) for _ in range(2))
    rates = {}
    for precision in precisions_of(device):
        kind = torch.bfloat16 if precision == "bf16" else torch.float32
        first, second = one.to(kind), other.to(kind)
        with block_of(device, precision):
            rates[precision] = 2 * side**3 / seconds_of(lambda a=first, b=second: a @ b, device)
    return rates


def files_of(arguments: argparse.Namespace, split: str = "train_in") -> Sequence[Path]:
    """Genomes to draw from: of a split, or the examples'."""
    if arguments.data is not None:
        return genomes_by_split(arguments.data)[split]
    return sorted(EXAMPLES.glob("*.fna.gz"))


def genomes_of(arguments: argparse.Namespace, split: str = "train_in") -> Genomes:
    """The same, loaded."""
    return load_genomes(files_of(arguments, split), min_length=arguments.read_length)


def genood(*arguments: object) -> float:
    """Run a command of this genood; the seconds it took."""
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "genood", *map(str, arguments)], check=True, cwd=ROOT)
    return time.perf_counter() - began


def uniform_reads(number: int, length: int) -> np.ndarray:
    """Codes of reads of random bases, uint8."""
    return np.random.default_rng(0).integers(0, 4, (number, length), dtype=np.uint8)


def in_memory_of(device: torch.device, work: Callable[[], float]) -> float | None:
    """A measurement, or None if the device has too little memory for it."""
    try:
        return work()
    except torch.OutOfMemoryError:
        if device.type == "cuda":
            torch.cuda.empty_cache()
        return None
