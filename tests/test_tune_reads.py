"""The reads that backgrounds are chosen by: of what they are, and of what they must not be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from toy_datasets import write_full_dataset
from toys import uniform_codes, write_fasta

from genood.dataset import Dataset
from genood.errors import ConfigError, GenoodError
from genood.making.remember import RememberConfig
from genood.recipes import TrainConfig
from genood.sequence import Codes
from genood.tune import TuneJob, tune
from genood.tune.reads import ReadSet, real_ood_reads, simulated_ood_reads

READ_LENGTH = 50


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_full_dataset(
        tmp_path_factory.mktemp("reads") / "dataset", num_reads=60, read_length=READ_LENGTH
    )


def test_simulated_reads_are_the_others_mutated() -> None:
    codes = uniform_codes(200 * 50, 1).reshape(200, 50)
    inside = ReadSet(codes=codes, source="toys", without_files=np.arange(200))
    simulated = simulated_ood_reads(inside, 0.1, 0)
    assert (simulated.codes != codes).mean() == pytest.approx(0.1, abs=0.01)
    assert np.array_equal(simulated.without_files, inside.without_files)
    assert np.array_equal(simulated.codes, simulated_ood_reads(inside, 0.1, 0).codes)


def test_a_sample_of_the_ood_reads(dataset: Path) -> None:
    def reads(max_reads: int) -> Codes:
        found = real_ood_reads([], [str(dataset)], [], length=READ_LENGTH, max_reads=max_reads, seed=0)
        assert found is not None
        return found.codes

    everything = Dataset.load(dataset).splits["val_ood"].codes
    assert np.array_equal(reads(10_000), everything)
    places = [np.flatnonzero((everything == row).all(axis=1))[0] for row in reads(30)]
    assert len(places) == 30
    assert places == sorted(set(places))


def test_ood_reads_of_fasta_have_the_length_of_the_others(dataset: Path, tmp_path: Path) -> None:
    codes = uniform_codes(2000, 5)
    path = str(write_fasta(tmp_path / "Zeta__one.fna", {"z": codes}))
    reads = real_ood_reads([path], [str(dataset)], [], length=70, max_reads=1000, seed=0)
    assert reads is not None
    assert reads.codes.shape == (4 * (2000 // 70), 70)  # four for each that does not overlap
    with pytest.raises(ConfigError, match=r"OOD reads have 50 bases and in-distribution ones 70"):
        real_ood_reads([str(dataset)], [path], [], length=70, max_reads=10, seed=0)
    with pytest.raises(GenoodError, match="has no stretch of 3000 known bases"):
        real_ood_reads([path], [], [], length=3000, max_reads=10, seed=0)


@pytest.mark.parametrize(
    ("model", "config"),
    [
        ("context", RememberConfig(read_length=50)),
        ("lstm", TrainConfig(steps=1, batch_size=1, learning_rate=0.1, read_length=50)),
    ],
)
def test_ood_reads_are_not_of_what_is_known(
    model: str, config: RememberConfig | TrainConfig, tmp_path: Path
) -> None:
    """Not of a copy of a genome to train or to validate on either, whatever it is called."""
    paths = [
        str(write_fasta(tmp_path / f"{name}__x.fna", {name: uniform_codes(3000, seed)}))
        for name, seed in [("Alpha", 1), ("Beta", 2), ("Gamma", 3), ("Trained", 1), ("Validated", 3)]
    ]
    for ood, name in ((paths[3], "Alpha"), (paths[4], "Gamma"), (paths[2], "Gamma")):
        job = TuneJob(
            inputs=paths[:2],
            output=str(tmp_path / "tuned"),
            model=model,
            config=config,
            validation=[paths[2]],
            ood=[ood],
        )
        with pytest.raises(ConfigError, match=rf"the same sequences as {name}__x\.fna, which is in-dist"):
            tune(job)
