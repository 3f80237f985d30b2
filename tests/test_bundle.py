"""The bundle directory: written whole, checked when loaded, code never run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import context_model, uniform_codes

from genood.bundle import Bundle, prepare
from genood.engine import Scorer
from genood.errors import BundleError, ConfigError
from genood.files import sha256_ahead, sha256_of, write_json
from genood.models.cnn import CNN
from genood.models.context import ContextModel
from genood.models.lstm import LSTM, LSTMConfig


@pytest.fixture
def copy(bundle_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(bundle_dir, tmp_path / "bundle"))


METADATA = {"classes": ["A"], "seed": 1, "command": "", "data": {}, "metrics": {}}


@pytest.fixture
def context_copy(context_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(context_dir, tmp_path / "bundle"))


def edit(bundle: Path, **changes: object) -> None:
    path = bundle / "genood.json"
    write_json(path, {**json.loads(path.read_text()), **changes})


def test_round_trip(tmp_path: Path) -> None:
    torch.manual_seed(0)
    made = Bundle(
        foreground=LSTM(LSTMConfig(hidden_size=5)),
        background=LSTM(LSTMConfig(hidden_size=7)),
        metadata={**METADATA, "background": "mutated"},
        calibration={"detectors": {}},
        training_table="step\n",
        card="# Card, μ\n",
    ).save(tmp_path / "bundle")
    loaded = Bundle.load(tmp_path / "bundle")
    assert loaded.fingerprint == made.fingerprint == sha256_of(tmp_path / "bundle" / "genood.json")
    assert (loaded.card, loaded.training_table) == ("# Card, μ\n", "step\n")
    assert loaded.metadata == made.metadata
    codes, lengths = uniform_codes(40, 1)[None], np.array([40])
    for first, second in zip(made.log_probs(codes, lengths), loaded.log_probs(codes, lengths), strict=True):
        np.testing.assert_array_equal(first, second)
    assert not loaded.foreground.training


def test_a_bundle_of_before_backgrounds_had_names(copy: Path) -> None:
    content = json.loads((copy / "genood.json").read_text())
    del content["background"]
    (copy / "genood.json").write_text(json.dumps(content))
    assert Bundle.load(copy).metadata["background"] == "mutated"


def test_round_trip_without_a_background_model(tmp_path: Path) -> None:
    made = Bundle(
        foreground=context_model(A=uniform_codes(3000, 1), B=uniform_codes(3000, 2)),
        background=None,
        metadata={**METADATA, "background": "other-classes"},
        calibration={"detectors": {}},
    ).save(tmp_path / "bundle")
    assert not (tmp_path / "bundle" / "background.safetensors").exists()
    loaded = Bundle.load(tmp_path / "bundle")
    assert loaded.background is None
    assert loaded.metadata == made.metadata
    assert loaded.device == "cpu"
    codes, lengths = uniform_codes(40, 1)[None], np.array([40])
    for without in (None, np.array([0])):
        first, second = (bundle.log_probs(codes, lengths, without) for bundle in (made, loaded))
        np.testing.assert_array_equal(first, second)


def classifier_bundle(variant: str) -> Bundle:
    torch.manual_seed(0)
    shape = {"num_classes": 3, "variant": variant, "num_filters": 5, "filter_length": 4, "hidden_size": 6}
    return Bundle(classifier=CNN.from_config(shape), metadata={**METADATA}, calibration={"detectors": {}})


@pytest.mark.parametrize(("variant", "gives"), [("plain", set()), ("noise-class", {"mutated-class"})])
def test_round_trip_of_a_classifier(tmp_path: Path, variant: str, gives: set[str]) -> None:
    made = classifier_bundle(variant).save(tmp_path / "bundle")
    weights = {path.name for path in (tmp_path / "bundle").glob("*.safetensors")}
    assert weights == {"classifier.safetensors"}
    loaded = Bundle.load(tmp_path / "bundle")
    assert loaded.metadata == made.metadata
    assert (loaded.metadata["kind"], loaded.device) == ("cnn", "cpu")
    assert loaded.gives == made.gives == {"logits", "features"} | gives
    codes, lengths = uniform_codes(40, 1)[None], np.array([40])
    first, second = (bundle.classify(codes, lengths) for bundle in (made, loaded))
    np.testing.assert_array_equal(first.logits, second.logits)
    with pytest.raises(BundleError, match="a bundle of a classifier gives no likelihood"):
        loaded.log_probs(codes, lengths)


def test_density_models_do_not_classify(bundle_dir: Path) -> None:
    with pytest.raises(BundleError, match="a bundle of density models gives no classes"):
        Bundle.load(bundle_dir).classify(uniform_codes(40, 1)[None], np.array([40]))


def test_any_part_of_a_classifier_replaced(tmp_path: Path) -> None:
    """It is refused in one line, or the classifier is still whole."""
    classifier_bundle("plain").save(tmp_path / "bundle")
    whole = json.loads((tmp_path / "bundle" / "genood.json").read_text())
    num_refused = 0
    for place in ("kind", *places(whole["model"], ("model",))):
        for odd in (None, -1, "x", 1.5, [1], {"a": 1}):
            changed = json.loads(json.dumps(whole))
            *above, last = (place,) if isinstance(place, str) else place
            part = changed
            for key in above:
                part = part[key]
            part[last] = odd
            write_json(tmp_path / "bundle" / "genood.json", changed)
            try:
                found = Bundle.load(tmp_path / "bundle").classify(uniform_codes(9, 1)[None], np.array([9]))
                assert found.logits.shape == (1, 3)
            except BundleError as error:
                assert "\n" not in str(error)  # noqa: PT017
                num_refused += 1
    assert num_refused > 30


def test_saving_over_a_bundle_is_refused(copy: Path) -> None:
    bundle = Bundle.load(copy)
    before = {path.name: path.read_bytes() for path in copy.iterdir()}
    with pytest.raises(BundleError, match="there is a bundle already"):
        bundle.save(copy)
    assert before == {path.name: path.read_bytes() for path in copy.iterdir()}
    bundle.save(copy, replace=True)
    assert Bundle.load(copy).fingerprint == bundle.fingerprint


def test_newer_format_names_the_version_that_reads_it(copy: Path) -> None:
    edit(copy, format_version=2, readable_from="7.1.0")
    with pytest.raises(BundleError, match=r"format 2 needs genood 7\.1\.0 or later"):
        Bundle.load(copy)


@pytest.mark.parametrize("name", ["foreground.safetensors", "calibration.json", "training.tsv"])
def test_flipped_byte(copy: Path, name: str) -> None:
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(content)
    with pytest.raises(BundleError, match=f"{name}: differs from the sha256"):
        Bundle.load(copy)


def test_flipped_byte_of_a_context_model(context_copy: Path) -> None:
    """In the middle, at the end and in the header of the tables."""
    path = context_copy / "foreground.safetensors"
    content = path.read_bytes()
    for place in (20, len(content) // 2, -1):
        changed = bytearray(content)
        changed[place] ^= 1
        path.write_bytes(changed)
        with pytest.raises(BundleError, match=r"foreground\.safetensors: differs from the sha256"):
            Bundle.load(context_copy)


CONTEXT_SIZES = ("num_positions", "num_segments", "num_classes", "nuc_buckets", "aa_buckets")


@pytest.mark.parametrize("size", CONTEXT_SIZES)
@pytest.mark.parametrize("change", [1, -1, 10**12])
def test_other_sizes_of_a_context_model(context_copy: Path, size: str, change: int) -> None:
    """A size that no memory would hold takes none either."""
    model = json.loads((context_copy / "genood.json").read_text())["model"]
    model["foreground"][size] += change
    edit(context_copy, model=model)
    with pytest.raises(BundleError, match="weights do not fit the configuration") as caught:
        Bundle.load(context_copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("size", "value"), [("num_segments", -1), ("num_classes", "3"), ("nuc_sampling", 64), ("colour", 1)]
)
def test_odd_sizes_of_a_context_model(context_copy: Path, size: str, value: object) -> None:
    model = json.loads((context_copy / "genood.json").read_text())["model"]
    model["foreground"][size] = value
    edit(context_copy, model=model)
    with pytest.raises(BundleError, match=r"bundle: .*(num_segments|num_classes|samplings|colour)"):
        Bundle.load(context_copy)


@pytest.mark.parametrize("name", ["background.safetensors", "MODEL_CARD.md"])
def test_missing_file(copy: Path, name: str) -> None:
    (copy / name).unlink()
    with pytest.raises(BundleError, match=f"{name}: .* not there"):
        Bundle.load(copy)


def test_file_outside_the_bundle(copy: Path) -> None:
    files = json.loads((copy / "genood.json").read_text())["files"]
    edit(copy, files={**files, "../secret": "0"})
    with pytest.raises(BundleError, match="not there"):
        Bundle.load(copy)


def test_weights_of_another_shape(copy: Path) -> None:
    model = json.loads((copy / "genood.json").read_text())["model"]
    model["foreground"]["hidden_size"] += 1
    edit(copy, model=model)
    with pytest.raises(BundleError, match="weights do not fit the configuration") as caught:
        Bundle.load(copy)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "oracle"}, "unknown kind of model 'oracle'"),
        ({"model": {}}, "no configuration of the foreground model"),
        ({"model": {"background": {}}}, "no configuration of the foreground model"),
        ({"model": {"foreground": {}}}, "no configuration of the background model"),
        ({"model": {"foreground": {}, "background": {}, "third": {}}}, "no configuration of the foreground"),
        ({"model": {"foreground": {"hidden_size": 0}, "background": {}}}, "hidden size must be at least 1"),
        ({"format_version": None}, "no format version"),
    ],
)
def test_broken_metadata(copy: Path, changes: dict[str, object], message: str) -> None:
    edit(copy, **changes)
    with pytest.raises(BundleError, match=message):
        Bundle.load(copy)


def test_metadata_that_is_no_json(copy: Path) -> None:
    (copy / "genood.json").write_text("{")
    with pytest.raises(BundleError, match="cannot be read as JSON"):
        Bundle.load(copy)


def test_metadata_without_a_part(copy: Path) -> None:
    content = json.loads((copy / "genood.json").read_text())
    del content["classes"], content["seed"]
    (copy / "genood.json").write_text(json.dumps(content))
    with pytest.raises(BundleError, match="lacks classes, seed"):
        Bundle.load(copy)


def places(value: object, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Where there is something in a JSON value; of lists only at the start."""
    items = (
        value.items() if isinstance(value, dict) else enumerate(value[:1]) if isinstance(value, list) else ()
    )
    for key, item in items:
        yield (*place, key)
        yield from places(item, (*place, key))


@pytest.mark.parametrize("name", ["genood.json", "calibration.json"])
def test_any_part_of_the_json_replaced(copy: Path, name: str) -> None:
    """With sha256 that say it is right: it is refused, or what is of use in it is still whole."""
    metadata = json.loads((copy / "genood.json").read_text())
    whole = (copy / name).read_text()
    num_refused = 0
    for place in places(json.loads(whole)):
        for odd in (None, -1, "x", [1], {"a": 1}):
            changed = json.loads(whole)
            part = changed
            for key in place[:-1]:
                part = part[key]
            part[place[-1]] = odd
            (copy / name).write_text(json.dumps(changed))
            if name != "genood.json":
                metadata["files"][name] = sha256_of(copy / name)
                (copy / "genood.json").write_text(json.dumps(metadata))
            try:
                Scorer(Bundle.load(copy))
            except BundleError as error:
                assert "\n" not in str(error)  # noqa: PT017
                num_refused += 1
    assert num_refused > 20


@pytest.mark.parametrize(
    "name", ["background.safetensors", "calibration.json", "training.tsv", "MODEL_CARD.md"]
)
def test_tampered_with(copy: Path, name: str) -> None:
    path = copy / name
    content = path.read_bytes()
    secret = copy.parent / "secret"
    secret.write_text("no part of it")
    for make in (
        lambda: path.write_bytes(content[:-1]),
        lambda: path.write_bytes(content + b"\n"),
        path.touch,
        lambda: path.symlink_to(secret),
        lambda: path.symlink_to("nowhere"),
        path.mkdir,
    ):
        path.unlink()
        make()
        with pytest.raises(
            BundleError, match=rf"{name}: (differs from the sha256|the bundle names this file)"
        ):
            Bundle.load(copy)
    path.rmdir()
    path.symlink_to(copy.parent / "elsewhere")
    (copy.parent / "elsewhere").write_bytes(content)
    (copy / "notes.txt").write_text("more files do no harm, nor does a link to the right one")
    Bundle.load(copy)


def test_tables_that_are_not_text(copy: Path) -> None:
    (copy / "training.tsv").write_bytes(b"\xff")
    files = json.loads((copy / "genood.json").read_text())["files"]
    edit(copy, files={**files, "training.tsv": sha256_of(copy / "training.tsv")})
    with pytest.raises(BundleError, match=r"training\.tsv: is no text"):
        Bundle.load(copy)


def test_no_bundle(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match="is not a bundle"):
        Bundle.load(tmp_path)
    (tmp_path / "checkpoint.safetensors").touch()
    with pytest.raises(BundleError, match="training has not finished"):
        Bundle.load(tmp_path)


def test_devices(bundle_dir: Path, context_dir: Path) -> None:
    assert Bundle.load(bundle_dir, "auto").device == str(LSTM(LSTMConfig()).on("auto").device)
    with pytest.raises(ConfigError, match="'cuda:99' is not on this machine"):
        Bundle.load(bundle_dir, "cuda:99")
    for device in ("auto", "cuda:99"):  # It runs on CPUs alone.
        assert Bundle.load(context_dir, device).device == "cpu"


def test_prepare(context_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It needs no weights."""
    prepared: list[bool] = []
    monkeypatch.setattr(ContextModel, "prepare", lambda: prepared.append(True))
    shutil.copy(context_dir / "genood.json", tmp_path)
    prepare(tmp_path)
    assert prepared == [True]
    (tmp_path / "genood.json").unlink()
    with pytest.raises(BundleError, match="is not a bundle"):
        prepare(tmp_path)


def test_hashes_begun_before_are_checked_too(copy: Path) -> None:
    Bundle.load(copy, hashes=sha256_ahead(copy.glob("*ground.safetensors")))
    weights = copy / "foreground.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"?")
    with pytest.raises(BundleError, match=r"foreground\.safetensors: differs from the sha256"):
        Bundle.load(copy, hashes=sha256_ahead(copy.glob("*ground.safetensors")))
