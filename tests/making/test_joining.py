"""`genood join`: bundles of different models in one ensemble, and the reads that it is calibrated on."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from conftest import Genood, run_genood
from toys import Composition, composition_bundle, markov_codes, strain_of, uniform_codes, write_fasta

from genood.bundle import Bundle
from genood.engine import EngineConfig
from genood.ensemble import EnsembleBundle, load_bundle
from genood.errors import BundleError, ConfigError
from genood.forward import forward
from genood.making.counting import CountConfig, CountJob, count_bundle
from genood.making.joining import JoinJob, join_bundles, null_for
from genood.making.null_reads import Null
from genood.models.markov import MarkovConfig
from genood.reference.genomes import Genomes
from genood.reference.loading import load_training
from genood.sequence import Codes, encode

Train = Callable[..., Path]


@pytest.fixture(scope="module")
def train(strain_files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Train:
    """Make a Markov chain of the strains, or of other files, with options of `CountConfig`; each once."""
    home = tmp_path_factory.mktemp("markov")
    made: dict[str, Path] = {}

    def train(files: list[Path] = strain_files, validation: Sequence[Path] = (), **options: Any) -> Path:
        key = repr((files, validation, options))
        if key not in made:
            made[key] = home / str(len(made))
            config = CountConfig(**{"model": MarkovConfig(order=2), "held_out_fraction": 0.4, **options})
            job = CountJob(
                inputs=list(map(str, files)),
                validation=list(map(str, validation)),
                output=str(made[key]),
                config=config,
                command=f"genood train {len(made)}",
            )
            count_bundle(job)
        return made[key]

    return train


@pytest.fixture(scope="module")
def mixed_dir(context_dir: Path, train: Train, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A context model and a Markov chain, joined by the command; tests must not change it."""
    output = tmp_path_factory.mktemp("mixed") / "bundle"
    done = run_genood("join", context_dir, train(), "-o", output)
    assert done.returncode == 0, done.stderr
    assert "held-out stretches of the reference" in done.stderr
    return output


def mixture(*members: Bundle) -> EnsembleBundle:
    return EnsembleBundle(members=members, by="model", metadata={}, calibration={})


def test_a_mixture_is_the_mean_of_probabilities() -> None:
    """Of A 1/2, 1/4 and 3/4, that is 1/2; of the uniform backgrounds 1/4; so that the ratio is log 2."""
    bundles = [composition_bundle(p, *[(1 - p) / 3] * 3) for p in (1 / 2, 1 / 4, 3 / 4)]
    batch = forward(mixture(*bundles), encode("AA")[None], np.array([2]))
    assert batch.log_likelihood[0] == pytest.approx(2 * math.log(1 / 2))
    assert batch.llr[0] == pytest.approx(2 * math.log(2))


class Forgetful(Composition):
    """Has an A of 1/2, or of 1/8 when it is to do without a file; and names the class 1."""

    leaves_files_out = True
    names_classes = True

    def log_probs_with_background(
        self,
        codes: Codes,
        lengths: npt.NDArray[np.int64],
        background: str,
        without_files: npt.NDArray[np.int64] | None = None,
        leading: npt.NDArray[np.int64] | None = None,
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """See `DensityModel.log_probs_with_background`."""
        if leading is not None:
            leading[:] = 1
        model = self if without_files is None else Composition([1 / 8, 7 / 24, 7 / 24, 7 / 24])
        return model.log_probs(codes, lengths), np.zeros(codes.shape, dtype=np.float32)


def test_each_member_is_asked_for_what_it_can() -> None:
    """A file is left out by who knows files, a class is named by who knows classes: 1/8 and 1/4 are 3/16."""
    forgetful = composition_bundle(1 / 4, 1 / 4, 1 / 4, 1 / 4)
    forgetful.foreground = Forgetful([1 / 2, 1 / 6, 1 / 6, 1 / 6])
    forgetful.background = None
    bundle = mixture(composition_bundle(1 / 4, 1 / 4, 1 / 4, 1 / 4), forgetful)
    assert bundle.names_classes
    batch = forward(bundle, encode("A")[None], np.array([1]), np.array([0]), names=True)
    assert batch.log_likelihood[0] == pytest.approx(math.log(3 / 16))
    assert batch.leading is not None
    assert batch.leading.tolist() == [1]


def test_a_mixture_is_asked_as_all_members_can_be(context_dir: Path, bundle_dir: Path) -> None:
    """An LSTM takes fewer bases at a time than a context model, which takes sequences in pieces."""
    context, lstm = (Bundle.load(path) for path in (context_dir, bundle_dir))
    for bundle in (mixture(context, lstm), mixture(lstm, context)):
        config = EngineConfig.suiting(bundle, alpha=0.05, num_threads=2)
        assert config.batch_bases == lstm.model.batch_bases // 2 < context.model.batch_bases
        assert config.piece_bases == 16_384  # so that a batch is of several, which the cores share
        assert config.overlap == 1
    config = EngineConfig.suiting(mixture(context, context), alpha=0.05, num_threads=2)
    assert config.batch_bases == context.model.batch_bases // 2  # what both say is kept at a time
    assert config.piece_bases == context.model.piece_bases
    assert config.overlap == 2
    mixture(context, lstm).compute_in("bf16")
    with pytest.raises(ConfigError, match="a context model has no matrix products"):
        mixture(context, context).compute_in("bf16")
    assert mixture(context, lstm).kinds == "context+lstm"
    assert mixture(context, lstm).gives == {"likelihood", "background"}


def null_of(*bundles: Path) -> Null:
    members = {str(path): Bundle.load(path) for path in bundles}
    return null_for(JoinJob(bundles=["one", "two"], output="x"), members, 250)


def stretches_of(genomes: Genomes) -> list[tuple[int, bytes]]:
    return [
        (label, genomes.codes[start : start + length].tobytes())
        for start, length, label in zip(genomes.starts, genomes.lengths, genomes.labels, strict=True)
    ]


@pytest.mark.parametrize("backwards", [False, True])
def test_it_is_calibrated_on_what_the_others_held_out(
    context_dir: Path, train: Train, strain_files: list[Path], backwards: bool
) -> None:
    """To the base, though all that is left of it is the context model's memory, in an order of its own."""
    files = strain_files[::-1] if backwards else strain_files
    null = null_of(context_dir, train(files=files))
    held_out = load_training(
        [str(path) for path in files],
        read_length=250,
        classes=None,
        validation=(),
        held_out_fraction=0.4,
        seed=0,
    ).validation.genomes

    assert sorted(stretches_of(null.genomes)) == sorted(stretches_of(held_out))
    assert 0.3 < null.genomes.lengths.sum() / sum(f.usable_bases for f in null.genomes.files) < 0.5
    # Files have the numbers that the context model knows them by; those of classes with two are left out.
    names = [file.name for file in null.genomes.files]
    assert names == [path.name for path in strain_files]
    assert {names[number] for number in null.leave_out} == {name for name in names if "Gamma" not in name}


def test_context_models_alone_leave_files_out(context_dir: Path, train: Train) -> None:
    alone = null_of(context_dir)
    assert alone.source.startswith("the reference, each read judged without the file")
    assert alone.genomes.lengths.sum() > null_of(context_dir, train()).genomes.lengths.sum()


def test_the_bundle(mixed_dir: Path, context_dir: Path, train: Train) -> None:
    """Members are byte by byte what was joined; together they have a calibration and metrics of their own."""
    assert sorted(path.name for path in mixed_dir.iterdir()) == [
        *("MODEL_CARD.md", "calibration.json", "genood.json", "member-1", "member-2")
    ]
    for number, source in enumerate((context_dir, train()), 1):
        for path in (mixed_dir / f"member-{number}").iterdir():
            assert path.read_bytes() == (source / path.name).read_bytes()
    bundle = load_bundle(mixed_dir)
    assert isinstance(bundle, EnsembleBundle)
    assert (bundle.by, bundle.kinds) == ("model", "context+markov")
    losses = [member.metadata["metrics"]["foreground"]["val_nats_per_base"] for member in bundle.members]
    loss = bundle.metadata["metrics"]["foreground"]["val_nats_per_base"]
    assert min(losses) < loss < max(losses)
    assert set(bundle.calibration["detectors"]) == {"llr", "likelihood", "input-complexity"}
    assert "| member-1 | context | 0 | Beta, Delta, Gamma |" in bundle.card
    assert "without the file that it\nis from" in bundle.card


def test_all_that_can_be_done_with_it(genood_here: Genood, mixed_dir: Path, tmp_path: Path) -> None:
    """Score with every output, in a process of its own; info, calibrate, a page."""
    reads = write_fasta(tmp_path / "reads.fa", {f"r{i}": uniform_codes(300, 50 + i) for i in range(20)})
    outputs = {
        "--summary": "s.json",
        "--per-position": "p.tsv",
        "--window-table": "w.tsv",
        "--regions": "r.bed",
        "--bam-out": "r.bam",
        "--report": "r.html",
        "--ood-out": "ood.fa",
        "--kraken-report": "k.txt",
    }
    options = [word for option, name in outputs.items() for word in (option, str(tmp_path / name))]
    done = run_genood("score", "-m", mixed_dir, reads, *options, "--predicted-class", "-t", "1")
    assert done.returncode == 0, done.stderr
    header, *rows = (line.split("\t") for line in done.stdout.splitlines())
    assert len(rows) == 20
    assert {row[header.index("predicted_class")] for row in rows} <= {"Beta", "Delta", "Gamma"}
    assert all((tmp_path / name).stat().st_size for name in outputs.values())
    assert "An ensemble of 2 bundles (context+markov)" in genood_here("info", mixed_dir).stdout
    page = genood_here("report", mixed_dir, "-o", tmp_path / "bundle.html")
    assert page.returncode == 0, page.stderr
    assert "an ensemble of 2 bundles by model: context+markov" in (tmp_path / "bundle.html").read_text()
    negatives = write_fasta(tmp_path / "n.fa", {f"n{i}": uniform_codes(250, i) for i in range(120)})
    again = genood_here("calibrate", "-m", mixed_dir, negatives, "-o", tmp_path / "again")
    assert again.returncode == 0, again.stderr
    assert load_bundle(tmp_path / "again").metadata["by"] == "model"


def joined(*bundles: Path, output: Path, val: tuple[Path, ...] = ()) -> EnsembleBundle:
    job = JoinJob(
        bundles=list(map(str, bundles)),
        output=str(output),
        validation=list(map(str, val)),
        command="genood join",
    )
    return join_bundles(job, device="cpu")


@pytest.fixture
def others(tmp_path: Path) -> list[Path]:
    """Other genomes of the classes."""
    return [
        write_fasta(tmp_path / f"{name}__other.fna", {"one": strain_of(uniform_codes(12_000, seed), 99)})
        for name, seed in (("Beta", 1), ("Gamma", 2), ("Delta", 3))
    ]


def test_calibrated_on_other_genomes(train: Train, others: list[Path], tmp_path: Path) -> None:
    """Which chains need, as they do not hold their reference; these have held out other stretches of it."""
    first, second = train(), train(model=MarkovConfig(order=3), seed=5)
    with pytest.raises(ConfigError, match=r"no bundle holds its reference, .* give sequences .* with --val"):
        joined(first, second, output=tmp_path / "none")
    bundle = joined(first, second, output=tmp_path / "mixed", val=tuple(others))
    data = bundle.metadata["data"]
    assert [file["name"] for file in data["validation_files"]] == [path.name for path in others]
    assert data["files"] == Bundle.load(first).metadata["data"]["files"]
    assert bundle.kinds == "markov"
    assert "without the file" not in bundle.card
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == ["mixed"]


def test_sequences_to_calibrate_on_are_new(
    train: Train, context_dir: Path, strain_files: list[Path], tmp_path: Path
) -> None:
    copy = shutil.copy(strain_files[0], tmp_path / "Beta__renamed.fna")
    with pytest.raises(ConfigError, match=r"Beta__renamed\.fna: holds the same sequences as Beta__.*; --val"):
        joined(context_dir, train(), output=tmp_path / "x", val=(copy,))


def test_held_out_stretches_that_cannot_be_found_again(
    context_dir: Path, train: Train, others: list[Path], tmp_path: Path
) -> None:
    """A chain with another seed has others, but as the only one it decides; with a second one it does not."""
    assert null_of(context_dir, train(seed=5)).genomes.lengths.sum() > 0
    for bundles, problem in (
        ((train(), train(seed=5)), "held other stretches out of training than"),
        ((train(read_length=60),), "used other stretches of the same files than the others"),
        ((train(validation=others),), "held nothing of its reference out of training"),
    ):
        match = f"^{bundles[-1]}: {problem}.*; give sequences that no bundle was trained on with --val"
        with pytest.raises(ConfigError, match=match):
            joined(context_dir, *bundles, output=tmp_path / "x")
    part = {"name": "toy", "split": "train_in", "sha256": {}}
    data = json.loads((context_dir / "genood.json").read_text())["data"] | {"datasets": [part]}
    of_dataset = changed(context_dir, tmp_path / "of_dataset", data=data)
    with pytest.raises(ConfigError, match=f"^{of_dataset}: was made of a dataset, whose reads overlap; give"):
        joined(of_dataset, train(), output=tmp_path / "x")
    assert not (tmp_path / "x").exists()


def changed(bundle: Path, copy: Path, **metadata: object) -> Path:
    shutil.copytree(bundle, copy)
    path = copy / "genood.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | metadata))
    return copy


def test_bundles_that_do_not_go_together(
    context_dir: Path,
    bundle_dir: Path,
    mixed_dir: Path,
    train: Train,
    strain_files: list[Path],
    tmp_path: Path,
) -> None:
    metadata = json.loads((context_dir / "genood.json").read_text())
    half = changed(context_dir, tmp_path / "half", training=metadata["training"] | {"half": True})
    silent = changed(context_dir, tmp_path / "silent", training={})
    copy = shutil.copytree(context_dir, tmp_path / "copy")
    fewer = train(files=[path for path in strain_files if path.stem != "Delta__1"])
    for other, problem in (
        (bundle_dir, "knows other classes than .*; train both on the same files"),
        (fewer, "was trained on other sequences than .*; train both on the same files"),
        (mixed_dir, "is an ensemble, and no single bundle; name one of its members"),
        (half, "knows a half of its reference, as a member of an ensemble"),
        (silent, "does not say how it was trained; train it again"),
        (copy, "is a copy of"),
        (tmp_path, "is not a bundle"),
    ):
        with pytest.raises(BundleError, match=f"^{other}: {problem}"):
            joined(context_dir, other, output=tmp_path / "x")
    with pytest.raises(BundleError, match=f"^{copy}: is a copy of {context_dir}"):
        joined(train(), context_dir, copy, output=tmp_path / "x")
    with pytest.raises(ConfigError, match="a bundle is named twice"):
        joined(context_dir, context_dir, output=tmp_path / "x")
    with pytest.raises(BundleError, match="is not empty; give a new directory"):
        joined(context_dir, train(), output=tmp_path)
    assert not (tmp_path / "x").exists()


def test_an_lstm_and_a_context_model(
    genood_here: Genood, bundle_dir: Path, genome_files: list[Path], tmp_path: Path
) -> None:
    """The LSTM was trained on shorter reads; and its checkpoint stays where it is."""
    context, mixed = tmp_path / "context", tmp_path / "mixed"
    done = genood_here("train", *genome_files, "-o", context, "--model", "context", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    done = genood_here("join", bundle_dir, context, "-o", mixed, "--device", "cpu")
    assert done.returncode == 0, done.stderr
    names = {path.name for path in bundle_dir.iterdir()}
    assert {path.name for path in (mixed / "member-1").iterdir()} == names - {"checkpoint.safetensors"}
    codes = {"one": markov_codes(4000, 1)[:300], "none": encode("N" * 50)}
    reads = write_fasta(tmp_path / "reads.fa", codes)
    done = genood_here("score", "-m", mixed, reads, "--device", "cpu", "--predicted-class")
    header, *rows = (line.split("\t") for line in done.stdout.splitlines())
    assert [row[header.index("call")] for row in rows] == ["in", "na"]
    assert [row[header.index("predicted_class")] for row in rows] == ["Alpha", ""]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("join", "one", "-o", "x"), "there is nothing to join: name two bundles or more"),
        (("join", "one", "two", "-o", "x", "--classes", "t.tsv"), "--classes is for the files of --val"),
    ],
)
def test_usage(genood_here: Genood, arguments: tuple[str, ...], problem: str) -> None:
    done = genood_here(*arguments)
    assert done.returncode == 2
    assert problem in " ".join(done.stderr.split())
