"""From sequence files to a bundle of a sketch."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import coding_codes, strain_of, write_fasta

from genood.bundle import Bundle
from genood.engine import EngineConfig, Scorer
from genood.errors import BundleError, ConfigError
from genood.making.sketching import SketchingConfig, SketchJob, sketch_bundle
from genood.readers import Read
from genood.sequence import Codes

CONFIG = SketchingConfig(max_size=600_000, num_calibration_reads=400)


@pytest.fixture
def genomes(tmp_path: Path) -> list[Path]:
    """One genome of each of two classes, all genes."""
    return [
        write_fasta(tmp_path / f"{name}__1.fna", {"one": coding_codes(60_000, seed)})
        for seed, name in enumerate(("Alpha", "Beta"))
    ]


@pytest.fixture
def strain(tmp_path: Path) -> Path:
    """Another strain of Alpha's."""
    return write_fasta(tmp_path / "Alpha__2.fna", {"one": strain_of(coding_codes(60_000, 0), 5)})


def sketch(inputs: list[Path], output: Path, config: SketchingConfig = CONFIG, **options: Any) -> Bundle:
    return sketch_bundle(
        SketchJob(inputs=[str(path) for path in inputs], output=str(output), config=config, **options)
    )


def calls(bundle: Bundle, codes: Codes) -> list[str]:
    rows = codes.reshape(-1, 250)
    [scored] = Scorer(bundle, config=EngineConfig()).score(Read(str(i), row) for i, row in enumerate(rows))
    return list(scored.calls)


def test_separates(genomes: list[Path], strain: Path, tmp_path: Path) -> None:
    sketch(genomes, tmp_path / "bundle", validation=[str(strain)])
    bundle = Bundle.load(tmp_path / "bundle")
    assert (bundle.model.kind, bundle.metadata["background"]) == ("sketch", "composition")
    mine = strain_of(coding_codes(60_000, 0), 7)[:30_000]
    assert calls(bundle, mine).count("ood") <= 0.15 * 120
    assert set(calls(bundle, coding_codes(30_000, 9)[:25_000])) == {"ood"}


def test_takes_no_more_room_than_it_is_given(genomes: list[Path], tmp_path: Path) -> None:
    sketch(genomes, tmp_path / "bundle")
    assert sum(path.stat().st_size for path in (tmp_path / "bundle").iterdir()) <= CONFIG.max_size
    with pytest.raises(ConfigError, match="needs more than"):
        sketch(genomes, tmp_path / "too-small", replace(CONFIG, max_size=490_000))
    assert not (tmp_path / "too-small").exists()


def test_says_what_it_is(genomes: list[Path], strain: Path, tmp_path: Path) -> None:
    held_out = sketch(genomes, tmp_path / "held-out")
    assert "nine codons" in held_out.card
    assert "Held-out stretches" in held_out.card
    apart = sketch(genomes, tmp_path / "apart", validation=[str(strain)], command="genood train")
    assert "Held-out stretches" not in apart.card
    assert apart.metadata["command"] == "genood train"
    assert [file["name"] for file in apart.metadata["data"]["files"]] == ["Alpha__1.fna", "Beta__1.fna"]
    rows = [row.split("\t") for row in apart.training_table.splitlines()[1:]]
    losses = {name: metrics["val_nats_per_base"] for name, metrics in apart.metadata["metrics"].items()}
    assert {name: float(loss) for name, loss in rows} == pytest.approx(losses, rel=1e-5)
    assert losses["foreground"] < losses["background"] < np.log(4) + 0.05


def test_the_same_again(genomes: list[Path], tmp_path: Path) -> None:
    one, two = (sketch(genomes, tmp_path / name) for name in ("one", "two"))
    assert one.fingerprint == two.fingerprint


def test_nothing_is_overwritten(genomes: list[Path], tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "notes").write_text("mine")
    with pytest.raises(BundleError, match="not empty"):
        sketch(genomes, tmp_path / "bundle")


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"max_size": 400_000}, "max size must be above 0.46 MiB"),
        ({"read_length": 0}, "read length"),
        ({"held_out_fraction": 1.0}, "held-out fraction"),
        ({"seed": -1}, "seed"),
    ],
)
def test_config_out_of_range(option: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        SketchingConfig(**option)
