"""Ensembles: what members say together, and the directory that holds them."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_batches import toy_batch
from toys import composition_bundle, uniform_codes

from genood.bundle import Bundle
from genood.detectors.base import Classified, ScoreBatch
from genood.ensemble import By, EnsembleBundle, combined, load_bundle, member_directory
from genood.errors import BundleError
from genood.forward import forward
from genood.sequence import UNKNOWN, encode

METADATA = {"classes": [], "seed": 0, "command": "", "data": {}, "metrics": {}}


def batch_of(codes: str, bundle: Bundle | EnsembleBundle) -> ScoreBatch:
    encoded = encode(codes)[None]
    return forward(bundle, encoded, np.array([encoded.shape[1]]))


def composition_ensemble(by: By = "seed") -> EnsembleBundle:
    members = (composition_bundle(0.5, 0.25, 0.125, 0.125), composition_bundle(0.25, 0.25, 0.25, 0.25))
    return EnsembleBundle(members=members, by=by, metadata={}, calibration={})


def test_probabilities_are_averaged_base_by_base() -> None:
    """Of A 1/2 and 1/4, that is 3/8; of G 1/8 and 1/4, 3/16; an unknown base has none."""
    batch = batch_of("ANG", composition_ensemble())
    np.testing.assert_allclose(batch.log_p, [[math.log(3 / 8), 0.0, math.log(3 / 16)]], rtol=1e-6)
    np.testing.assert_allclose(batch.background_log_p, [[math.log(1 / 4), 0.0, math.log(1 / 4)]], rtol=1e-6)
    assert batch.log_p.dtype == np.float32
    assert [m.log_likelihood[0] for m in batch.members] == pytest.approx([math.log(1 / 16), math.log(1 / 16)])
    assert batch.num_scored.tolist() == [2]


def test_nothing_is_said_where_nothing_is_scored() -> None:
    """Of three members the mean of ones, by logarithms, is one but for rounding."""
    [zero, *_] = batch_of("ANG", composition_ensemble()).members
    together = combined([zero] * 3)
    assert together.log_p[0, 1] == together.background_log_p[0, 1] == 0.0


def classified(*logits: float) -> ScoreBatch:
    values = np.array([logits], dtype=np.float32)
    found = Classified(
        logits=values,
        features=np.zeros((1, 1), dtype=np.float32),
        weight=np.zeros((len(logits), 1), dtype=np.float32),
        bias=values[0],
        mutated_class=1,
    )
    return replace(toy_batch(1, 0, ood=False), classified=found)


def test_class_probabilities_are_averaged() -> None:
    """Of odds 3 : 1 and 1 : 3 the mean is 1/2; the mean of the logarithms of 4 and 16 is that of 8."""
    together = combined([classified(math.log(3), 0.0), classified(math.log(4), math.log(12))]).classified
    assert together is not None
    np.testing.assert_allclose(together.logits, [[math.log(4), math.log(4)]], rtol=1e-6)
    np.testing.assert_allclose(together.features @ together.weight.T + together.bias, together.logits)
    assert together.mutated_class == 1


def test_one_classifier_alone_stays_as_it_is() -> None:
    one = classified(1.5, -20.0)
    together = combined([one]).classified
    assert together is not None
    assert one.classified is not None
    np.testing.assert_allclose(together.logits, one.classified.logits, rtol=1e-6)


def test_what_ensembles_give() -> None:
    assert composition_ensemble().gives == {"likelihood", "background", "members"}
    assert composition_ensemble("class").gives == {"likelihood", "background", "class-members"}


def test_bases_before_a_piece_do_not_count_for_members_either() -> None:
    batch = batch_of("AAG", composition_ensemble()).without_leads(np.array([2]))
    assert batch.log_likelihood[0] == pytest.approx(math.log(3 / 16))
    assert [m.log_likelihood[0] for m in batch.members] == pytest.approx([math.log(1 / 8), math.log(1 / 4)])


@pytest.fixture
def ensemble_dir(context_dir: Path, tmp_path: Path) -> Path:
    """Two members that are alike."""
    member = Bundle.load(context_dir)
    ensemble = EnsembleBundle(
        members=(member, Bundle.load(context_dir)),
        by="seed",
        metadata={**METADATA, "classes": member.metadata["classes"]},
        calibration=member.calibration,
        detectors={"toy/mean": np.arange(6, dtype=np.float32).reshape(2, 3)},
        card="# toy\n",
    )
    ensemble.save(tmp_path / "ensemble")
    return tmp_path / "ensemble"


def test_saved_and_loaded(ensemble_dir: Path, context_dir: Path) -> None:
    loaded = load_bundle(ensemble_dir)
    assert isinstance(loaded, EnsembleBundle)
    assert len(loaded.members) == 2
    assert loaded.card == "# toy\n"
    np.testing.assert_array_equal(loaded.detectors["toy/mean"], [[0, 1, 2], [3, 4, 5]])
    codes = np.stack([uniform_codes(120, 1), uniform_codes(120, 2)])
    codes[0, 100:] = UNKNOWN
    lengths = np.array([100, 120])
    alone = forward(Bundle.load(context_dir), codes, lengths)
    together = forward(loaded, codes, lengths)
    np.testing.assert_allclose(together.log_p, alone.log_p, atol=1e-6)
    np.testing.assert_allclose(together.background_log_p, alone.background_log_p, atol=1e-6)
    np.testing.assert_array_equal(together.members[1].log_p, alone.log_p)
    assert isinstance(load_bundle(context_dir), Bundle)


def test_members_are_bundles_of_their_own(ensemble_dir: Path) -> None:
    metadata = json.loads((ensemble_dir / "genood.json").read_text())
    assert metadata["kind"] == "ensemble"
    assert [entry["directory"] for entry in metadata["members"]] == ["member-1", "member-2"]
    for number, entry in enumerate(metadata["members"], 1):
        assert Bundle.load(member_directory(ensemble_dir, number)).fingerprint == entry["fingerprint"]
    with pytest.raises(BundleError, match="is an ensemble, and no single bundle; name one of its members"):
        Bundle.load(ensemble_dir)
    with pytest.raises(BundleError, match="is a single bundle, and no ensemble"):
        EnsembleBundle.load(ensemble_dir / "member-1")


def test_a_member_that_was_exchanged(ensemble_dir: Path) -> None:
    path = ensemble_dir / "member-2"
    member = Bundle.load(path)
    member.metadata["seed"] = 5
    member.save(path, replace=True)
    with pytest.raises(BundleError, match="member-2: is not the member that the ensemble was made with"):
        load_bundle(ensemble_dir)


def test_a_member_that_is_not_there(ensemble_dir: Path) -> None:
    shutil.rmtree(ensemble_dir / "member-2")
    with pytest.raises(BundleError, match="member-2: is not a bundle"):
        load_bundle(ensemble_dir)


def test_detectors_file_is_checked(ensemble_dir: Path) -> None:
    with (ensemble_dir / "detectors.safetensors").open("ab") as stream:
        stream.write(b"x")
    with pytest.raises(BundleError, match=r"detectors\.safetensors: differs from the sha256"):
        load_bundle(ensemble_dir)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"by": "colour"}, "does not say what the members are"),
        ({"members": []}, "does not say what the members are"),
        ({"members": [{"directory": "../x", "fingerprint": "0"}]}, r"names the member '../x'"),
        ({"by": "class", "classes": ["one"]}, "has not as many members as classes"),
        ({"files": {}}, "lacks the sha256 of a file"),
    ],
)
def test_damaged_metadata(ensemble_dir: Path, changes: dict[str, object], problem: str) -> None:
    path = ensemble_dir / "genood.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(BundleError, match=problem):
        load_bundle(ensemble_dir)


def test_an_unfinished_ensemble_is_none(ensemble_dir: Path) -> None:
    (ensemble_dir / "genood.json").unlink()
    with pytest.raises(BundleError, match="training has not finished; finish it with genood train --resume"):
        load_bundle(ensemble_dir)
