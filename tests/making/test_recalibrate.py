"""A null of in-distribution reads that the user gives."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path

import numpy as np
import pytest
from conftest import Genood
from toys import strain_of, uniform_codes, write_fasta

from genood.bundle import Bundle
from genood.calibration import Calibration
from genood.engine import Scorer
from genood.errors import BundleError, ConfigError, InputError
from genood.making import recalibrate
from genood.making.recalibrate import MIN_READS, CalibrateJob, recalibrate_bundle
from genood.readers import Read, ReadBlock
from genood.reference.genomes import load_genomes
from genood.sequence import Codes, decode

CPU = ("--device", "cpu", "--threads", "1")
FAR = strain_of(uniform_codes(24_000, 1), 5, 0.1)
"""A strain of Beta that a tenth of the bases set apart, further than the bundle's own null knows."""


def cut(codes: Codes, length: int, step: int | None = None) -> dict[str, Codes]:
    step = length if step is None else step
    starts = range(0, len(codes) - length + 1, step)
    return {f"r{start}": codes[start : start + length] for start in starts}


@pytest.fixture(scope="module")
def negatives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Reads of 120 bases of the first two thirds of `FAR`."""
    return write_fasta(tmp_path_factory.mktemp("negatives") / "negatives.fa", cut(FAR[:16_000], 120, 40))


@pytest.fixture(scope="module")
def calibrated(genood: Genood, context_dir: Path, negatives: Path) -> Path:
    output = negatives.with_name("calibrated")
    result = genood("calibrate", "-m", context_dir, negatives, "-o", output, "--quiet", *CPU)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    return output


def p_values(bundle: Path, length: int) -> np.ndarray:
    """Of reads of the last third of `FAR`."""
    reads = [Read(name, codes) for name, codes in cut(FAR[16_000:], length, 25).items()]
    return np.concatenate([scored.p_values for scored in Scorer(Bundle.load(bundle)).score(reads)])


@pytest.mark.parametrize("length", [30, 80, 120])
def test_p_values_hold_for_reads_like_those_given(context_dir: Path, calibrated: Path, length: int) -> None:
    before, after = p_values(context_dir, length), p_values(calibrated, length)
    for alpha in (0.1, 0.3, 0.5):
        assert (after <= alpha).mean() == pytest.approx(alpha, abs=0.1)
    assert (before <= 0.1).mean() > 0.2
    assert before.mean() < after.mean() - 0.1


def test_a_null_too_far_is_noticed_and_mended(
    genood_here: Genood,
    context_dir: Path,
    strain_files: list[Path],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Fresh reads of the very genomes that the bundle remembers."""
    genome = load_genomes(strain_files[:1], min_length=250).codes
    fresh = write_fasta(tmp_path / "fresh.fa", cut(genome, 100, 30))
    mended = tmp_path / "mended"
    assert genood_here("calibrate", "-m", context_dir, fresh, "-o", mended, *CPU).returncode == 0
    fits = []
    for bundle in (context_dir, mended):
        caplog.clear()
        summary = tmp_path / "summary.json"
        result = genood_here(
            "score", "-m", bundle, fresh, "-o", tmp_path / "table.tsv", "--summary", summary, *CPU
        )
        assert result.returncode == 0
        fits.append(json.loads(summary.read_text())["ood_fraction"]["null_fits"])
        assert ("p-values pile up near 1" in caplog.text) is not fits[-1]
    assert fits == [False, True]


def test_only_the_null_changes(context_dir: Path, calibrated: Path) -> None:
    old, new = Bundle.load(context_dir), Bundle.load(calibrated)
    weights = "foreground.safetensors"
    assert (calibrated / weights).read_bytes() == (context_dir / weights).read_bytes()
    assert set(new.metadata) == {*old.metadata, "calibration"}
    changing = {"calibration", "files"}
    assert {k: v for k, v in new.metadata.items() if k not in changing} == {
        k: v for k, v in old.metadata.items() if k not in changing
    }
    assert new.fingerprint != old.fingerprint
    assert new.training_table == old.training_table
    nulls = Calibration.from_json(new.calibration).nulls
    assert set(nulls) == set(Calibration.from_json(old.calibration).nulls)
    assert nulls["llr"].lengths == (1, 2, 5, 10, 25, 50, 75, 100, 120)


def test_the_bundle_says_what_it_was_calibrated_on(context_dir: Path, calibrated: Path) -> None:
    bundle = Bundle.load(calibrated)
    record = bundle.metadata["calibration"]
    reads = list(cut(FAR[:16_000], 120, 40).values())
    digest = hashlib.sha256(b"".join(b"120\0" + codes.tobytes() for codes in reads))
    assert record["source"] == bundle.calibration["source"] == "negatives.fa"
    assert (record["reads"], record["bases"]) == (398, 398 * 120)
    assert record["sha256"] == digest.hexdigest()
    assert (record["kept_share"], record["max_reads"], record["seed"]) == (1.0, 10_000, 0)
    assert record["bundle"] == Bundle.load(context_dir).fingerprint
    assert record["command"].startswith("genood calibrate -m ")
    assert "Calibrated on reads from negatives.fa" in bundle.card
    assert "| 120 | 398 |" in bundle.card
    assert bundle.card.count("## p-values") == 1
    above = Bundle.load(context_dir).card.partition("## p-values")[0]
    assert bundle.card.partition("## p-values")[0] == above


def test_it_can_be_calibrated_again(calibrated: Path, tmp_path: Path) -> None:
    longer = write_fasta(tmp_path / "longer.fa", cut(FAR, 200))
    job = CalibrateJob(bundle=str(calibrated), inputs=[str(longer)], output=str(tmp_path / "again"))
    again = recalibrate_bundle(job, device=Bundle.load(calibrated).device)
    assert again.metadata["calibration"]["source"] == "longer.fa"
    assert again.card.count("## p-values") == 1
    assert max(Calibration.from_json(again.calibration).nulls["llr"].lengths) == 200


def test_seed_decides_and_threads_do_not(
    genood: Genood, context_dir: Path, negatives: Path, tmp_path: Path
) -> None:
    made = {}
    for name, options in {
        "one": ("--threads", "1"),
        "two": ("--threads", "2"),
        "seed": ("--threads", "1", "--seed", "1"),
    }.items():
        few = ("--max-reads", "150", "--device", "cpu", "-q")
        result = genood(
            "calibrate", "-m", context_dir, "-", "-o", tmp_path / name, *few, *options,
            stdin=negatives.read_bytes(),
        )  # fmt: skip
        assert result.returncode == 0, result.stderr
        made[name] = json.loads((tmp_path / name / "calibration.json").read_text())["detectors"]
        source = Bundle.load(tmp_path / name).metadata["calibration"]["source"]
        assert source == "standard input"
    assert made["one"] == made["two"] != made["seed"]
    assert set(made["one"]["llr"]["num_independent"]) == {150.0}


def test_too_few_reads(genood_here: Genood, context_dir: Path, tmp_path: Path) -> None:
    few = write_fasta(tmp_path / "few.fa", cut(FAR, 300)).read_text().split(">")[1:81]
    (tmp_path / "few.fa").write_text("".join(f">{record}" for record in few))
    result = genood_here("calibrate", "-m", context_dir, tmp_path / "few.fa", "-o", tmp_path / "new", *CPU)
    assert result.returncode == 1
    assert result.stderr == (
        f"genood: error: {tmp_path / 'few.fa'}: too few to calibrate on: 80 reads or parts of reads of 250 "
        f"known bases; give at least {MIN_READS}, better some thousands\n"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["few.fa"]


@pytest.mark.parametrize("text", ["", ">n\nNNNN\n"])
def test_nothing_to_calibrate_on(context_dir: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "none.fa").write_text(text)
    job = CalibrateJob(
        bundle=str(context_dir), inputs=[str(tmp_path / "none.fa")], output=str(tmp_path / "new")
    )
    with pytest.raises(InputError, match="too few to calibrate on: 0 reads"):
        recalibrate_bundle(job, device=Bundle.load(context_dir).device)


def test_few_reads_are_told(
    context_dir: Path, negatives: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    job = CalibrateJob(bundle=str(context_dir), inputs=[str(negatives)], output=str(tmp_path / "new"))
    with caplog.at_level(logging.WARNING, logger="genood.making.recalibrate"):
        recalibrate_bundle(job, device=Bundle.load(context_dir).device)
    assert "398 reads of 120 bases to calibrate on: no p-value will be below 0.0025" in caplog.text


def test_a_failure_leaves_nothing(
    context_dir: Path, negatives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Bundle, directory: Path) -> Bundle:
        (directory / "foreground.safetensors").touch()
        raise OSError("No space left on device")

    monkeypatch.setattr(Bundle, "save", full)
    job = CalibrateJob(bundle=str(context_dir), inputs=[str(negatives)], output=str(tmp_path / "new"))
    with pytest.raises(OSError, match="No space"):
        recalibrate_bundle(job, device=Bundle.load(context_dir).device)
    assert not list(tmp_path.iterdir())


def test_no_file_counts_twice(context_dir: Path, negatives: Path, tmp_path: Path) -> None:
    (tmp_path / "other.fa").symlink_to(negatives)
    inputs = [str(negatives), str(tmp_path / "other.fa")]
    job = CalibrateJob(bundle=str(context_dir), inputs=inputs, output=str(tmp_path / "new"))
    with pytest.raises(InputError, match="is named twice"):
        recalibrate_bundle(job)


def test_a_bundle_is_not_overwritten(context_dir: Path, negatives: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in context_dir.iterdir()}
    job = CalibrateJob(bundle=str(context_dir), inputs=[str(negatives)], output=str(context_dir))
    with pytest.raises(BundleError, match="there is a bundle already"):
        recalibrate_bundle(job, device=Bundle.load(context_dir).device)
    assert {path.name: path.stat().st_mtime_ns for path in context_dir.iterdir()} == before


def test_another_run_with_the_same_output_was_faster(
    context_dir: Path, negatives: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = CalibrateJob(bundle=str(context_dir), inputs=[str(negatives)], output=str(tmp_path / "new"))
    device = Bundle.load(context_dir).device
    save = Bundle.save

    def save_later(bundle: Bundle, directory: Path) -> Bundle:
        monkeypatch.undo()
        recalibrate_bundle(job, device=device)
        return save(bundle, directory)

    monkeypatch.setattr(Bundle, "save", save_later)
    with pytest.raises(BundleError, match="new: there is a bundle already"):
        recalibrate_bundle(job, device=device)
    Bundle.load(tmp_path / "new")
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def test_weak_bases_are_masked(
    genood_here: Genood, context_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Of reads of 60 bases the last ten are weak: runs of 50 remain."""
    reads = tmp_path / "reads.fq"
    letters = {name: decode(codes) for name, codes in cut(FAR, 60, 150).items()}
    reads.write_text("".join(f"@{name}\n{text}\n+\n{'I' * 50}{'#' * 10}\n" for name, text in letters.items()))
    result = genood_here(
        "calibrate", "-m", context_dir, reads, "-o", tmp_path / "new", "--min-quality", "10", *CPU
    )
    assert result.returncode == 0, result.stderr
    bundle = Bundle.load(tmp_path / "new")
    assert bundle.metadata["calibration"]["min_quality"] == 10
    assert Calibration.from_json(bundle.calibration).nulls["llr"].lengths[-1] == 50
    for quality, is_told in ((10, False), (0, True)):
        caplog.clear()
        options = ("--min-quality", str(quality), "-o", tmp_path / "scores.tsv")
        assert genood_here("score", "-m", tmp_path / "new", reads, *options, *CPU).returncode == 0
        message = (
            f"calibrated with --min-quality 10, and reads are scored with {quality}: p-values may be off"
        )
        assert (message in caplog.text) == is_told


def test_max_reads_too_small() -> None:
    with pytest.raises(ConfigError, match="at least 100 reads of a length, not 99"):
        CalibrateJob(bundle="bundle", inputs=["reads.fa"], output="new", max_reads=99)


def sample_of(*sequences: Codes) -> recalibrate._ReadSample:
    sample = recalibrate._ReadSample(np.random.default_rng(0))
    for codes in sequences:
        sample.add(ReadBlock.of([Read("r", codes)]))
    return sample


def test_runs_and_lengths_by_hand() -> None:
    """Reads of 7, 3 + 4 and no known bases: three runs; 2 + 1 + 1 pieces of three bases."""
    gapped = np.array([0, 1, 2, 4, 3, 3, 3, 3], dtype=np.uint8)
    runs = sample_of(np.arange(7, dtype=np.uint8) % 4, gapped, np.full(5, 4, dtype=np.uint8)).runs()
    assert runs.lengths.tolist() == [7, 3, 4]
    assert [runs.codes[start] for start in runs.starts] == [0, 0, 3]
    assert (runs.num_pieces(3), runs.num_pieces(5), runs.num_pieces(8)) == (4, 1, 0)


def test_pieces_do_not_overlap_and_stay_inside() -> None:
    runs = sample_of(*(uniform_codes(length, length) for length in (100, 250, 37, 999, 8))).runs()
    for length, most in ((8, 1000), (8, 20), (37, 1000), (999, 5)):
        starts = runs.pieces(length, most, np.random.default_rng(1))
        assert len(starts) == min(most, runs.num_pieces(length))
        assert (np.diff(starts) >= length).all()
        assert runs.codes[starts[:, None] + np.arange(length)].max() < 4


def test_all_pieces_are_chosen_as_often() -> None:
    runs = sample_of(uniform_codes(50, 1), uniform_codes(30, 2)).runs()
    chosen = [runs.pieces(10, 2, np.random.default_rng(seed)) for seed in range(2000)]
    counts = np.unique(np.concatenate(chosen), return_counts=True)[1]
    # Eight pieces, each 500 times; five standard deviations.
    assert len(counts) == 8
    assert abs(counts - 500).max() < 5 * np.sqrt(2000 * 0.25 * 0.75)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recalibrate, "_KEPT_BASES", 10_000)
    monkeypatch.setattr(recalibrate, "_PIECE_BASES", 500)
    whole = sample_of(*(uniform_codes(200, seed) for seed in range(1000)), uniform_codes(100_000, 1))
    assert whole._kept_bases <= 10_000
    assert (whole.num_reads, whole.num_bases) == (1001, 300_000)
    assert whole.kept_share in (1 / 32, 1 / 64)
    runs = whole.runs()
    assert runs.lengths.sum() > 3_000
    assert set(runs.lengths) == {200, 500}


def test_a_sample_does_not_depend_on_blocks() -> None:
    reads = [Read(str(i), uniform_codes(50, i)) for i in range(40)]
    one = recalibrate._ReadSample(np.random.default_rng(0))
    one.add(ReadBlock.of(reads))
    many = sample_of(*(read.codes for read in reads))
    assert one.digest.hexdigest() == many.digest.hexdigest()
    np.testing.assert_array_equal(one.runs().codes, many.runs().codes)
