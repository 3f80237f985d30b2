"""How fast the published benchmark is imported, and in how much memory, beside the `tfrecord` package.

Repeats the released training reads to a shard of a million and one of a tenth, imports them with the
command, and reads the smaller one through in this process: with all that genood checks (both checksums of
a record, bases, class and origin), and with `tfrecord`, which checks none of it, in turn. The ratio is of
the medians.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from machine import describe

from data_prep.published_labels import RELEASED_LABELS
from data_prep.published_reads import tfrecord_batches
from data_prep.tfrecord import read_records
from genood.files import write_json

GENOOD_PREP = Path(sys.executable).with_name("genood-prep")
MEASURE = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL)
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)
"""
FEATURES = {"x": "byte", "y": "int", "z": "byte"}


def main() -> None:
    arguments = parse_arguments()
    released = arguments.data / "published" / "before_2011_in_tr.tfrecord"
    if not released.is_file():
        sys.exit(f"{released}: no such file; this benchmark needs the released shards (--data)")
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    few = arguments.reads // 10
    readers = {"genood": read_checked, **({"tfrecord": read_unchecked} if has_tfrecord() else {})}
    runs: dict[str, list[float]] = {name: [] for name in readers}
    commands = {}
    with TemporaryDirectory(dir=out) as scratch:
        for num_reads in (few, arguments.reads):
            shard = Path(scratch) / f"in_tr-{num_reads}.tfrecord"
            repeat(released, num_reads, shard)
            seconds, peak_bytes = import_shard(shard, Path(scratch) / f"dataset-{num_reads}")
            commands[str(num_reads)] = {"seconds": seconds, "peak_bytes": peak_bytes}
        for _ in range(arguments.repeats):
            for name, reader in readers.items():
                runs[name].append(seconds_of(reader, Path(scratch) / f"in_tr-{few}.tfrecord"))
    report: dict[str, Any] = {
        **describe(),
        "import": commands,
        "reads_per_second": {name: few / statistics.median(runs[name]) for name in runs},
    }
    if "tfrecord" in runs:
        medians = {name: statistics.median(seconds) for name, seconds in runs.items()}
        report["reads_per_second_over_tfrecord"] = medians["tfrecord"] / medians["genood"]
    write_json(out / "prep_published.json", report)
    print(json.dumps({key: value for key, value in report.items() if key not in describe()}, indent=2))


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    root = Path(__file__).resolve().parents[1]
    parser.add_argument("--data", type=Path, default=root.parent / "shared" / "data")
    parser.add_argument("--out", type=Path, default=root / "bench-out" / "prep_published")
    parser.add_argument("--reads", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    return parser.parse_args()


def repeat(released: Path, num_reads: int, output: Path) -> None:
    """Write a shard of so many records, those of another over and over."""
    content = released.read_bytes()
    with released.open("rb") as stream:
        offsets = [record.offset for record in read_records(stream, released)]
    whole, rest = divmod(num_reads, len(offsets))
    with output.open("wb") as stream:
        for _ in range(whole):
            stream.write(content)
        stream.write(content[: offsets[rest]])


def import_shard(shard: Path, dataset: Path) -> tuple[float, int]:
    """Wall seconds and peak bytes of the command.

    It is started from a small process, since the peak of a process starts at that of the one it is from.
    """
    command = [str(GENOOD_PREP), "published", str(shard), "-q", "-o", str(dataset)]
    started = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", MEASURE, *command], check=True, capture_output=True)
    return time.perf_counter() - started, int(result.stdout) * 1024


def has_tfrecord() -> bool:
    try:
        import tfrecord.reader  # noqa: F401
    except ModuleNotFoundError:
        return False
    return True


def seconds_of(reader: Callable[[Path], int], shard: Path) -> float:
    started = time.perf_counter()
    reader(shard)
    return time.perf_counter() - started


def read_checked(shard: Path) -> int:
    """Reads of a shard, as the import reads them."""
    with shard.open("rb", buffering=2**20) as stream:
        batches = tfrecord_batches(stream, shard, "train_in", RELEASED_LABELS)
        return sum(len(batch.codes) for batch in batches)


def read_unchecked(shard: Path) -> int:
    """Records of a shard, their three features as `tfrecord` gives them."""
    from tfrecord.reader import tfrecord_loader

    return sum(1 for _ in tfrecord_loader(str(shard), None, FEATURES))


if __name__ == "__main__":
    main()
