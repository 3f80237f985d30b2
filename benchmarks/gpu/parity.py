"""Scores on a CPU in float32 beside those on a GPU in float32 and bfloat16: how far apart, and how good.

Trains a bundle for some steps unless one is given, and scores the same reads with both models. Without
`--data`, OOD reads are the reference's with a fifth of their bases substituted, and the AUROC says little.
Without a GPU, float32 is compared with bfloat16 on the CPU.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from measuring import ROOT, block_of, device_of, files_of, genomes_of, genood, parser_of, written

from genood.bundle import Bundle
from genood.metrics import separation
from genood.models.network import DensityNetwork
from genood.reference.sampling import ReadSampler
from genood.sequence import mutate

BATCH = 200


def main() -> None:
    arguments = parse_arguments()
    device = device_of(arguments)
    bundle = arguments.bundle or trained(arguments)
    reads = reads_of(arguments)
    wanted = [("cpu", "fp32"), *((str(device), precision) for precision in ("fp32", "bf16"))]
    wanted = list(dict.fromkeys(wanted))
    scores = {where: llr_per_base(bundle, reads, *where) for where in wanted}
    expected = scores["cpu", "fp32"]
    half = len(reads) // 2
    found = {}
    for (name, precision), llr in scores.items():
        apart = np.abs(llr - expected)
        found[f"{name} {precision}"] = {
            "largest difference": float(apart.max()),
            "mean difference": float(apart.mean()),
            "auroc": separation(-llr[:half], -llr[half:]).auroc,
        }
    report = {
        "reads": len(reads),
        "read_length": arguments.read_length,
        "unit": "llr per base, nats",
        "spread of the llr per base": float(expected.std()),
        "ood": "val_ood" if arguments.data else "substituted",
        "of": found,
    }
    written("parity", report, arguments)
    print(json.dumps(found, indent=2))


def parse_arguments() -> argparse.Namespace:
    parser = parser_of(__doc__)
    parser.add_argument("--bundle", type=Path)
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=500, help="of a bundle that is trained for this")
    parser.add_argument("--reads", type=int, default=4000, help="half of them OOD")
    return parser.parse_args()


def trained(arguments: argparse.Namespace) -> Path:
    """A bundle, trained on the device unless it is there already."""
    length, units, steps = arguments.read_length, arguments.hidden_size, arguments.steps
    bundle = ROOT / "bench-out" / "gpu" / f"parity-{units}-{steps}-{length}"
    if not (bundle / "genood.json").is_file():
        shape = ["--hidden-size", units, "--read-length", length]
        how = ["--preset", "demo", "--steps", steps, "--device", arguments.device, "-q"]
        genood("train", *files_of(arguments), "-o", bundle, "--model", "lstm", *shape, *how)
    return bundle


def reads_of(arguments: argparse.Namespace) -> np.ndarray:
    """Codes, uint8: in-distribution reads, then as many OOD ones."""
    half, length = arguments.reads // 2, arguments.read_length
    splits = ("val_in", "val_ood") if arguments.data else ("train_in", "train_in")
    parts = [
        ReadSampler(genomes_of(arguments, split), length, (0, number)).sample(0, half).codes
        for number, split in enumerate(splits)
    ]
    if not arguments.data:
        parts[1] = mutate(parts[1], 0.2, 0)
    return np.concatenate(parts)


def llr_per_base(bundle: Path, reads: np.ndarray, device: str, precision: str) -> np.ndarray:
    """Of each read, float64."""
    loaded = Bundle.load(bundle)
    totals = []
    for model in (loaded.foreground, loaded.background):
        assert isinstance(model, DensityNetwork), "parity is of models that are networks"
        network = model.on(device).eval()
        parts = []
        for start in range(0, len(reads), BATCH):
            codes = torch.from_numpy(reads[start : start + BATCH]).to(device)
            lengths = torch.full((len(codes),), codes.shape[1], device=device)
            with torch.inference_mode(), block_of(torch.device(device), precision):
                parts.append(network(codes, lengths).double().sum(dim=1).cpu().numpy())
        totals.append(np.concatenate(parts))
    return (totals[0] - totals[1]) / reads.shape[1]


if __name__ == "__main__":
    main()
