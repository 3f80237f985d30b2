"""From sequence files to a context bundle whose p-values hold, and adding files to one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import strain_of, uniform_codes, write_fasta

from genood.bundle import Bundle
from genood.calibration import MIN_INDEPENDENT_READS, Calibration
from genood.engine import EngineConfig, ScoredReads, Scorer
from genood.errors import BundleError, ConfigError, TrainingError
from genood.making.remember import RememberConfig, RememberJob, genomes_of, remember_bundle
from genood.models.lstm import LSTM, LSTMConfig
from genood.readers import Read
from genood.recipes import CONTEXT_BACKGROUNDS, MUTATED
from genood.reference.genomes import load_genomes
from genood.sequence import Codes

CONFIG = RememberConfig(num_calibration_reads=400)
WEIGHTS = "foreground.safetensors"


def remember(inputs: Sequence[Path], output: Path, config: RememberConfig = CONFIG, **options: Any) -> Bundle:
    return remember_bundle(
        RememberJob(inputs=[str(path) for path in inputs], output=str(output), config=config, **options)
    )


def reads_of(codes: Codes, length: int = 250) -> list[Read]:
    """Cut into reads that do not overlap."""
    rows = codes[: len(codes) // length * length].reshape(-1, length)
    return [Read(str(i), row) for i, row in enumerate(rows)]


def score(bundle: Bundle, reads: list[Read], **config: float) -> ScoredReads:
    [scored] = Scorer(bundle, config=EngineConfig(**config)).score(reads)
    return scored


@pytest.fixture(scope="module")
def bundle(context_dir: Path) -> Bundle:
    return Bundle.load(context_dir)


@pytest.mark.parametrize("background", CONTEXT_BACKGROUNDS)
def test_every_background_separates(strain_files: list[Path], tmp_path: Path, background: str) -> None:
    made = remember(strain_files, tmp_path / "bundle", replace(CONFIG, background=background))
    loaded = Bundle.load(tmp_path / "bundle")
    assert loaded.metadata == made.metadata
    assert loaded.metadata["background"] == background
    assert (loaded.background is not None) == (background == "mutated")
    mine = reads_of(strain_of(uniform_codes(24_000, 1), 99))
    np.testing.assert_array_equal(score(loaded, mine).llr, score(made, mine).llr)
    # Two strains' mutated copies make up for each other; the null knows the mutated copy of one.
    tolerated = 0.35 if background == "mutated" else 0.15
    assert score(loaded, mine).calls.count("ood") <= tolerated * len(mine)
    assert set(score(loaded, reads_of(uniform_codes(10_000, 50))).calls) == {"ood"}


def test_probabilities_of_a_mutated_background_are_of_the_mutated(
    strain_files: list[Path], tmp_path: Path
) -> None:
    made = {
        rate: remember(
            strain_files, tmp_path / str(rate), replace(CONFIG, background="mutated", mutation_rate=rate)
        )
        for rate in (0.0, 0.1)
    }
    mine = reads_of(uniform_codes(5_000, 2))
    assert not score(made[0.0], mine).llr.any()
    assert (score(made[0.1], mine).llr > 0).all()


@pytest.mark.parametrize(("seed", "divergence"), [(1, 0.01), (2, 0.02), (3, 0.01)])
def test_p_values_hold_for_another_strain(bundle: Bundle, seed: int, divergence: float) -> None:
    """Of a class of two strains, judged as a held-out one is; of one strain, at the divergence assumed."""
    strain = strain_of(uniform_codes(24_000, seed), 77, divergence)
    scored = score(bundle, reads_of(strain, 150))
    # The null pools the classes, and their dense tables know the reads; so small a sample is rough.
    assert (scored.p_values <= 0.05).mean() <= 0.15
    assert (scored.p_values <= 0.2).mean() <= 0.4
    assert 0.3 < scored.p_values.mean() < 0.8


@pytest.mark.parametrize("background", ["low-order", MUTATED])
def test_calibration_does_without_the_file_that_a_read_is_from(
    strain_files: list[Path], tmp_path: Path, background: str
) -> None:
    """Judged by all that is remembered, its reads lose less."""
    made = remember(strain_files[:2], tmp_path / "bundle", replace(CONFIG, background=background))
    scored = score(made, reads_of(load_genomes(strain_files[:2], min_length=250).codes))
    seen = -scored.log_likelihood.sum() / scored.num_scored.sum()
    # The strains differ by 2 %: two bases in a hundred cost some ln(1/0.02) nats.
    assert made.metadata["metrics"]["foreground"]["val_nats_per_base"] > seen + 0.05
    if background == "low-order":
        assert (scored.p_values > 0.5).mean() > 0.9


def test_validation_files_are_calibrated_on(strain_files: list[Path], tmp_path: Path) -> None:
    validation = write_fasta(tmp_path / "Beta__val.fna", {"v": strain_of(uniform_codes(24_000, 1), 5, 0.1)})
    near = remember(strain_files, tmp_path / "near")
    far = remember(strain_files, tmp_path / "far", validation=[str(validation)])
    assert near.metadata["data"]["validation_files"] == []
    assert near.metadata["data"]["validation"] == (
        "the reference, each read judged without the file that it is from; "
        "classes of one file, with 2% of the bases substituted"
    )
    assert far.metadata["data"]["validation"] == "validation sequences"
    assert [file["name"] for file in far.metadata["data"]["validation_files"]] == ["Beta__val.fna"]
    assert (tmp_path / "near" / WEIGHTS).read_bytes() == (tmp_path / "far" / WEIGHTS).read_bytes()
    reads = reads_of(strain_of(uniform_codes(24_000, 1), 6, 0.1))
    assert score(near, reads).p_values.mean() < 0.05
    assert 0.3 < score(far, reads).p_values.mean() < 0.7


def test_bins_have_reads_that_do_not_overlap(bundle: Bundle) -> None:
    null = Calibration.from_json(bundle.calibration).nulls["llr"]
    assert {25, 250, 500} <= set(null.lengths)
    assert min(null.num_independent) >= MIN_INDEPENDENT_READS
    # Classes weigh equally, and those of two files have 48,000 bases: 3² / (2 / 48,000 + 1 / 24,000).
    for length, number in zip(null.lengths, null.num_independent, strict=True):
        assert number <= 108_000 / length


def test_scores_do_not_depend_on_the_batch(bundle: Bundle) -> None:
    lengths = np.random.default_rng(0).integers(1, 600, 60)
    reads = [
        Read(str(i), uniform_codes(24_000, 1 + i % 4)[100 * i : 100 * i + n]) for i, n in enumerate(lengths)
    ]
    whole, alone = score(bundle, reads), score(bundle, reads, batch_bases=1)
    np.testing.assert_array_equal(whole.llr, alone.llr)
    np.testing.assert_array_equal(whole.p_values, alone.p_values)


def test_known_runs_of_a_read_are_recognised(bundle: Bundle) -> None:
    """A read of a genome with unknown bases in it, and one of unknown bases alone."""
    codes = uniform_codes(24_000, 2)[:250].copy()
    codes[[0, 100, 101, 249]] = 4
    scored = score(bundle, [Read("gaps", codes), Read("blank", np.full(40, 4, dtype=np.uint8))])
    assert scored.num_scored.tolist() == [246, 0]
    assert scored.calls == ["in", "na"]


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17])
def test_short_reads(bundle: Bundle, length: int) -> None:
    scored = score(bundle, [Read("short", uniform_codes(24_000, 2)[:length])])
    assert np.isfinite(scored.llr).all()
    assert ((scored.p_values > 0) & (scored.p_values <= 1)).all()


def test_a_read_longer_than_a_genome(bundle: Bundle) -> None:
    ends = uniform_codes(24_000, 1), uniform_codes(100_000, 60), uniform_codes(24_000, 3)
    scored = score(bundle, [Read("long", np.concatenate(ends)), Read("short", ends[0][:50])])
    assert scored.num_scored.tolist() == [148_000, 50]
    assert scored.llr[0] > 0


def test_reference_is_given_back(bundle: Bundle, strain_files: list[Path]) -> None:
    loaded = load_genomes(strain_files, min_length=250)
    again = genomes_of(bundle)
    assert (again.classes, again.files) == (loaded.classes, loaded.files)
    assert again.fingerprint == loaded.fingerprint
    for name in ("codes", "starts", "lengths", "labels", "file_ends"):
        np.testing.assert_array_equal(getattr(again, name), getattr(loaded, name))


@pytest.mark.parametrize(
    ("counts", "background"),
    [((4, 1), "other-classes"), ((1, 2, 2), "other-classes"), ((1, 4), "mutated")],
    ids=str,
)
def test_adding_is_the_same_as_all_at_once(
    strain_files: list[Path], tmp_path: Path, counts: tuple[int, ...], background: str
) -> None:
    """Beta, Gamma and Delta come after each other, so that new classes sort between those there."""
    config = replace(CONFIG, background=background, seed=3)
    before: Path | None = None
    rest = list(strain_files)
    for number, count in enumerate(counts):
        now, rest = rest[:count], rest[count:]
        is_last = not rest
        # Before the last, one class may be all there is.
        step = config if is_last else replace(config, background="low-order")
        output = tmp_path / str(number)
        added = remember(now, output, step, add=None if before is None else str(before))
        before = output
    assert before is not None
    whole = remember(strain_files, tmp_path / "whole", config)
    for name in added.metadata["files"]:
        if name != "MODEL_CARD.md":
            assert (before / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name
    assert added.metadata == {**whole.metadata, "files": added.metadata["files"]}


def test_same_seed_same_bundle(strain_files: list[Path], tmp_path: Path) -> None:
    made = {
        name: remember(strain_files[:3], tmp_path / name, replace(CONFIG, seed=seed))
        for name, seed in (("a", 0), ("b", 0), ("c", 1))
    }
    assert made["a"].metadata == made["b"].metadata
    assert made["a"].calibration != made["c"].calibration
    assert made["a"].metadata["files"][WEIGHTS] == made["c"].metadata["files"][WEIGHTS]


def check_refused(
    error: type[Exception], says: str, inputs: list[Path], output: Path, **options: Any
) -> None:
    with pytest.raises(error, match=says) as caught:
        remember(inputs, output, **options)
    assert "\n" not in str(caught.value)
    assert not output.exists()


def test_adding_a_file_twice(context_dir: Path, strain_files: list[Path], tmp_path: Path) -> None:
    """By its content, not by its name."""
    renamed = tmp_path / "Other__name.fna"
    renamed.write_bytes(strain_files[1].read_bytes())
    check_refused(
        TrainingError,
        r"Other__name\.fna: is there already, as Beta__1\.fna",
        [renamed],
        tmp_path / "bundle",
        add=str(context_dir),
    )


def test_adding_with_another_read_length(context_dir: Path, strain_files: list[Path], tmp_path: Path) -> None:
    new = write_fasta(tmp_path / "New.fna", {"n": uniform_codes(10_000, 9)})
    check_refused(
        ConfigError,
        "made with --read-length 250; give the same",
        [new],
        tmp_path / "bundle",
        config=replace(CONFIG, read_length=100),
        add=str(context_dir),
    )


def test_adding_to_another_kind(strain_files: list[Path], tmp_path: Path) -> None:
    lstm = LSTM(LSTMConfig(hidden_size=2))
    data = {"files": []}
    Bundle(
        foreground=lstm,
        background=lstm,
        metadata={"background": "mutated", "classes": [], "seed": 0, "command": "", "metrics": {}}
        | {"data": data, "training": {"read_length": 250}},
        calibration={},
    ).save(tmp_path / "lstm")
    check_refused(
        BundleError,
        "of kind lstm does not hold its reference; --add takes context bundles",
        strain_files,
        tmp_path / "bundle",
        add=str(tmp_path / "lstm"),
    )


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda metadata: metadata["data"].pop("files"), "do not list the files of the reference"),
        (lambda metadata: metadata["data"]["files"][0].pop("sha256"), "do not list the files"),
        (lambda metadata: metadata["data"]["files"].pop(), "other files or classes than the model remembers"),
        (lambda metadata: metadata["classes"].append("More"), "other files or classes"),
    ],
)
def test_adding_to_damaged_metadata(
    context_dir: Path,
    tmp_path: Path,
    damage: Callable[[dict[str, Any]], object],
    says: str,
) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(context_dir, copy)
    metadata = json.loads((copy / "genood.json").read_text())
    damage(metadata)
    (copy / "genood.json").write_text(json.dumps(metadata))
    new = write_fasta(tmp_path / "New.fna", {"n": uniform_codes(10_000, 9)})
    check_refused(BundleError, says, [new], tmp_path / "bundle", add=str(copy))


def test_unknown_background(context_dir: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(context_dir, copy)
    text = (copy / "genood.json").read_text()
    (copy / "genood.json").write_text(text.replace('"background": "other-classes"', '"background": "new"'))
    with pytest.raises(BundleError, match="unknown background 'new'"):
        Bundle.load(copy)


def test_adding_to_no_bundle(strain_files: list[Path], tmp_path: Path) -> None:
    check_refused(BundleError, "is not a bundle", strain_files, tmp_path / "bundle", add=str(tmp_path))


def test_too_little_memory(strain_files: list[Path], tmp_path: Path) -> None:
    check_refused(
        ConfigError,
        r"[\d,]+ bases need \d\.\d\d GB even with the fewest contexts \(\d\.\d\d GB with all\), "
        r"more than the 0\.10 GB of --memory; give more, or fewer genomes",
        strain_files,
        tmp_path / "bundle",
        config=replace(CONFIG, memory=100_000_000),
    )


def test_other_classes_need_two(strain_files: list[Path], tmp_path: Path) -> None:
    check_refused(
        ConfigError,
        "other-classes needs two classes or more; give --background low-order",
        strain_files[:2],
        tmp_path / "bundle",
        config=replace(CONFIG, background="other-classes"),
    )


def test_one_class_is_compared_with_its_composition(strain_files: list[Path], tmp_path: Path) -> None:
    made = remember(strain_files[:1], tmp_path / "bundle")
    assert made.metadata["background"] == made.metadata["training"]["background"] == "low-order"
    assert made.metadata["data"]["validation"] == "classes of one file, with 2% of the bases substituted"


def test_too_little_to_calibrate_on(tmp_path: Path) -> None:
    short = write_fasta(tmp_path / "Short.fna", {"s": uniform_codes(12, 1)})
    check_refused(
        TrainingError,
        "too few to calibrate on",
        [short],
        tmp_path / "bundle",
        config=replace(CONFIG, read_length=10),
    )


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ({"background": "none"}, "background must be of other-classes, low-order, "),
        ({"mutation_rate": 1.5}, "mutation rate must lie between 0 and 1"),
        ({"read_length": 0}, "read length must be at least 1"),
        ({"seed": -1}, "seed must not be negative"),
    ],
)
def test_config_out_of_range(option: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        RememberConfig(**option)


def test_what_is_recorded(bundle: Bundle, context_dir: Path, strain_files: list[Path]) -> None:
    metadata = bundle.metadata
    assert metadata == json.loads((context_dir / "genood.json").read_text())
    assert (metadata["kind"], metadata["background"]) == ("context", "other-classes")
    assert metadata["classes"] == ["Beta", "Delta", "Gamma"]
    assert [file["name"] for file in metadata["data"]["files"]] == [path.name for path in strain_files]
    assert metadata["model"]["foreground"]["num_classes"] == 3
    losses = metadata["metrics"]
    assert losses["foreground"]["val_nats_per_base"] < 0.4
    assert losses["background"]["val_nats_per_base"] == pytest.approx(1.386, abs=0.2)
    assert "| Gamma | 1 | 23,899 |" in bundle.card
