"""Pages of bundles: what they say of each kind, and what is refused."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from bundle_dirs import (
    calibration_of,
    cnn_dir,
    context_dir,
    lstm_dir,
    markov_dir,
    metadata_of,
    write_bundle,
)
from pages import Page

from genood.bundles.files import METADATA_FILE
from genood.calibration import NullDistribution
from genood.errors import BundleError, ConfigError, GenoodError
from genood.files import sha256_of
from genood.report.nulls import chosen_lengths, threshold
from genood.report.trained import MOST_POINTS, Trained
from genood.report.training_page import MOST_FILES, TrainingPageJob, write_training_page

Make = Callable[..., Path]
KINDS: dict[str, Make] = {"lstm": lstm_dir, "cnn": cnn_dir, "markov": markov_dir, "context": context_dir}


def ensemble_dir(root: Path, *makes: Make, by: str = "seed") -> Path:
    """An ensemble of such bundles."""
    write_bundle(root, metadata_of("ensemble", {"kind": "?"}))
    (root / METADATA_FILE).unlink()
    members = [make(root / f"member-{number}") for number, make in enumerate(makes, 1)]
    kinds = [json.loads((member / METADATA_FILE).read_text())["kind"] for member in members]
    kind = "+".join(dict.fromkeys(kinds))
    names = [{"directory": path.name, "fingerprint": sha256_of(path / METADATA_FILE)} for path in members]
    metadata = metadata_of("ensemble", {"kind": kind}, by=by, members=names)
    metadata["files"] = {name: sha256_of(root / name) for name in ("calibration.json", "MODEL_CARD.md")}
    metadata["metrics"] = {"foreground": {"val_nats_per_base": 1.2}}
    (root / METADATA_FILE).write_text(json.dumps(metadata | {"format_version": 1}))
    return root


def page_of(bundle: Path) -> Page:
    output = bundle.with_suffix(".html")
    write_training_page(TrainingPageJob(bundle=str(bundle), output=str(output)))
    return Page(output)


def charts_of(page: Page) -> dict[str, Any]:
    """Charts by their title."""
    keys = [attrs["data-chart"] for _, attrs in page.elements if "data-chart" in attrs]
    titles = [text for text in page.texts["h3"] if text not in NOT_OF_CHARTS]
    assert len(keys) == len(titles) == len(set(keys))
    return {title: page.data[str(key)]["spec"] for title, key in zip(titles, keys, strict=True)}


NOT_OF_CHARTS = {"How it was made", "Detectors", "Model card"}
NULLS = ["Scores of in-distribution reads: {0}", "From score to p-value: {0}", "Size of the null"]


def test_an_lstm(tmp_path: Path) -> None:
    page = page_of(lstm_dir(tmp_path / "b"))
    facts = page.facts()
    assert facts["foreground loss"].startswith("1.25")
    assert facts["steps"] == "6"
    assert "weights of step 4 and 6 are kept" in page.texts["small"]
    assert facts["null reaches"] == "400 bases"
    losses = page.table("Training and validation losses of foreground, background, 3 validations")
    assert losses[0][1] == "foreground, training"
    assert losses[2] == ["4", "1.25", "1.25", "1.5", "1.562"]
    rates = [float(row[1]) for row in page.table("Learning rate by step")[1:]]
    by_hand = [0.25 * (1 + math.cos(math.pi * (step - 1) / 6)) for step in (1, 2, 4, 6)]
    assert rates == pytest.approx(by_hand, rel=1e-3)
    charts = charts_of(page)
    assert list(charts)[:3] == ["Losses", "Learning rate", "Reference"]
    best = charts["Losses"]["layer"][1]["data"]["values"]
    assert [(row["step"], row["loss"]) for row in best] == [(4, 1.25), (6, 1.5)]
    assert not [text for text in page.texts["p"] if "more steps may help" in text]  # a rate that ends at 0


def test_a_constant_rate_whose_last_validation_is_best(tmp_path: Path) -> None:
    training = {"steps": 6, "batch_size": 4, "learning_rate": 0.5, "schedule": "constant"}
    page = page_of(lstm_dir(tmp_path / "b", training=training))
    assert any("The last validation is the best (background)" in text for text in page.texts["p"])


def test_a_classifier(tmp_path: Path) -> None:
    page = page_of(cnn_dir(tmp_path / "b"))
    assert page.facts()["accuracy"] == "80 %"
    assert [row[1] for row in page.table("Accuracy on validation reads")[1:]] == ["0.75", "0.8"]
    confusion = page.table("Validation reads of 3 classes")
    assert confusion[0] == ["class", "Alpha", "Beta", "mutated", "right"]
    assert confusion[1:] == [
        ["Alpha", "8", "2", "0", "80 %"],
        ["Beta", "1", "6", "3", "60 %"],
        ["mutated", "0", "0", "10", "100 %"],
    ]
    detectors = page.tables["plain"]
    assert detectors[1:] == [
        ["max-probability", "logits", "nothing to learn", "100 to 400 bases"],
        ["knn", "features", "features 5×3", "100 to 400 bases"],
        ["rose-diagonal", "gradients, likelihood", "curvature 2", "none"],
    ]
    options = [text.strip() for text in page.texts["option"]]
    assert options == ["max-probability", "knn", "all, one below the other"]


def test_a_markov_chain(tmp_path: Path) -> None:
    page = page_of(markov_dir(tmp_path / "b"))
    assert list(charts_of(page))[:2] == ["Losses on in-distribution reads", "Reference"]
    assert page.table("Losses of 1 models")[1:] == [["foreground", "0.9"]]
    assert dict(page.tables["parameters"])["prior count"] == "4"


def test_a_context_model(tmp_path: Path) -> None:
    page = page_of(context_dir(tmp_path / "b"))
    charts = charts_of(page)
    assert list(charts)[:2] == ["Losses on in-distribution reads", "Reference"]
    assert any("has no curve" in text for text in page.texts["figcaption"])
    assert page.table("Losses of 2 models")[1:] == [["foreground", "0.5"], ["background", "1.25"]]
    assert dict(page.tables["parameters"])["memory"] == "2,000,000,000"
    assert not [text for text in page.texts["p"] if "p-values of longer reads" in text]  # 400 is above 250


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("by", ["seed", "class"])
def test_an_ensemble(tmp_path: Path, kind: str, by: str) -> None:
    page = page_of(ensemble_dir(tmp_path / "e", KINDS[kind], KINDS[kind], by=by))
    members = page.tables["plain"]
    assert [row[:4] for row in members[1:]] == [
        ["member-1", kind, "7", "Alpha, Beta"],
        ["member-2", kind, "7", "Alpha, Beta"],
    ]
    curves = kind in ("lstm", "cnn")
    assert ("Validation losses of the members" in page.texts["h3"]) == curves
    assert ("Losses on in-distribution reads" in page.texts["h3"]) == (not curves)
    assert page.facts()["members"] == "2"


def test_different_models(tmp_path: Path) -> None:
    """Curves of those that have one."""
    page = page_of(ensemble_dir(tmp_path / "e", context_dir, lstm_dir, by="model"))
    assert "an ensemble of 2 bundles by model: context+lstm" in page.source
    assert [row[:2] for row in page.tables["plain"][1:]] == [["member-1", "context"], ["member-2", "lstm"]]
    curves = charts_of(page)["Validation losses of the members"]
    assert {row["member"] for row in curves["data"]["values"]} == {"member-2"}
    assert curves["encoding"]["y"]["title"] == "nats per base"


@pytest.mark.parametrize("kind", KINDS)
def test_what_all_have(tmp_path: Path, kind: str) -> None:
    page = page_of(KINDS[kind](tmp_path / "b"))
    charts = charts_of(page)
    first = "max-probability" if kind == "cnn" else "llr"
    assert {title.format(first) for title in NULLS} <= set(page.texts["h3"])
    bases = page.table("Usable bases of 2 classes, 4,000 in all.")
    assert bases[1:] == [["Alpha", "1,000"], ["Beta", "3,000"]]
    source = page.source
    assert "genood train &lt;all&gt;" in source
    assert "held-out &lt;stretches&gt;" in source
    assert "<h4>genood bundle</h4>" in source
    assert sha256_of(tmp_path / "b" / METADATA_FILE) in source
    assert all(chart for chart in charts.values())
    for tag, attrs in page.elements:
        assert tag not in {"link", "img", "iframe", "base", "object"}
        assert "src" not in attrs
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(set(ids)) == len(ids)
    links = {str(attrs["href"])[1:] for tag, attrs in page.elements if tag == "a"}
    assert links <= set(ids)


def null_of(*independent: float) -> NullDistribution:
    null = calibration_of("llr", independent=independent)["detectors"]["llr"]
    return NullDistribution(
        lengths=tuple(null["lengths"]),
        num_independent=tuple(null["num_independent"]),
        levels=np.array(null["levels"]),
        quantiles=np.array(null["quantiles"]),
    )


def test_thresholds_by_hand() -> None:
    """Of 39 reads p is (39 t + 1) / 40, so that t is 1 / 39 at 0.05; of 19 it is 0; of 18 there is none."""
    assert threshold(null_of(39.0), 0) == pytest.approx(1 - 1 / 39)
    assert threshold(null_of(19.0), 0) == pytest.approx(1.0)
    assert threshold(null_of(18.0), 0) is None
    assert threshold(null_of(39.0, 999.0), 1) == pytest.approx(2 - 49 / 999)
    for null, place in ((null_of(39.0, 999.0), 0), (null_of(39.0, 999.0), 1)):
        score = threshold(null, place)
        assert score is not None
        found = null.p_values(np.array([score]), np.array([null.lengths[place]]))
        assert found[0] == pytest.approx(0.05, abs=1e-5)


def test_lengths_that_are_drawn() -> None:
    assert chosen_lengths([1, 5, 10]) == [2]
    assert chosen_lengths([1, 50, 100]) == [1, 2]
    assert chosen_lengths([1, 50, 75, 100, 150, 250, 500]) == [1, 3, 4, 6]


def test_a_null_that_is_too_small(tmp_path: Path) -> None:
    bundle = lstm_dir(tmp_path / "b")
    metadata = json.loads((bundle / METADATA_FILE).read_text())
    calibration = calibration_of("llr", independent=(39.0, 10.0))
    page = page_of(write_bundle(bundle, metadata, table="step\n", calibration=calibration))
    assert any("Of 400 bases and more the null of llr is too small" in text for text in page.texts["p"])


def test_a_recalibrated_bundle_says_on_what(tmp_path: Path) -> None:
    page = page_of(context_dir(tmp_path / "b", calibration={"reads": 1234, "source": "mine.fq"}))
    assert re.search("genood calibrate: reads</th><td>1,234<", page.source)
    assert re.search("genood calibrate: source</th><td>mine.fq<", page.source)


def test_much_is_bounded(tmp_path: Path) -> None:
    """Twenty thousand validations and five thousand files make no large page."""
    rows = [f"{step}\t1.5\t{1 + 1 / step:.6g}" for step in range(1, 20_001)]
    table = "\n".join(["step\tforeground_train_loss\tforeground_val_loss", *rows]) + "\n"
    metadata = json.loads((lstm_dir(tmp_path / "b") / METADATA_FILE).read_text())
    metadata["data"]["files"] *= 2500
    bundle = write_bundle(tmp_path / "b", metadata, table=table)
    trained = Trained.read(bundle)
    drawn = trained.drawn_rows()
    assert len(drawn) == MOST_POINTS
    assert (drawn[0], drawn[-1]) == (0, 19_999)
    page = page_of(bundle)
    assert len(page.source.encode()) < 1_500_000
    assert page.source.count(".fa</td>") == MOST_FILES
    assert f"{5000 - MOST_FILES:,} more are in genood.json." in page.texts["p"]
    assert f"{MOST_POINTS} of 20,000 validations are drawn" in page.source


def test_an_empty_table(tmp_path: Path) -> None:
    metadata = json.loads((lstm_dir(tmp_path / "b") / METADATA_FILE).read_text())
    page = page_of(write_bundle(tmp_path / "b", metadata, table=""))
    assert "Losses on in-distribution reads" in page.texts["h3"]


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("training.tsv", "step\n1\n", "training.tsv: differs from the sha256 in genood.json"),
        ("training.tsv", None, "training.tsv: is missing"),
        ("MODEL_CARD.md", "x", "MODEL_CARD.md: differs from the sha256"),
        ("genood.json", None, "is not a bundle"),
        ("genood.json", "{}", "has no format version"),
    ],
)
def test_damaged_bundles(tmp_path: Path, name: str, content: str | None, says: str) -> None:
    bundle = lstm_dir(tmp_path / "b")
    if content is None:
        (bundle / name).unlink()
    else:
        (bundle / name).write_text(content)
    with pytest.raises(BundleError, match=re.escape(says)):
        page_of(bundle)
    assert not bundle.with_suffix(".html").exists()


@pytest.mark.parametrize("table", ["step\tloss\n1\n", "step\tloss\n1\tx\n"])
def test_a_table_that_is_none(tmp_path: Path, table: str) -> None:
    metadata = json.loads((lstm_dir(tmp_path / "b") / METADATA_FILE).read_text())
    with pytest.raises(BundleError, match=r"training\.tsv: (is damaged|holds what is no number)"):
        page_of(write_bundle(tmp_path / "b", metadata, table=table))


def test_an_exchanged_member(tmp_path: Path) -> None:
    bundle = ensemble_dir(tmp_path / "e", lstm_dir, lstm_dir)
    lstm_dir(bundle / "member-2", seed=8)
    with pytest.raises(BundleError, match="is not the member that the ensemble was made with"):
        page_of(bundle)


def test_where_the_page_cannot_be(tmp_path: Path) -> None:
    bundle = lstm_dir(tmp_path / "b")
    refused: dict[str, type[GenoodError]] = {
        str(bundle / "page.html"): ConfigError,
        str(bundle): ConfigError,
        str(tmp_path / "page.bam"): ConfigError,
        str(tmp_path / "none" / "page.html"): GenoodError,
    }
    for output, kind in refused.items():
        with pytest.raises(kind):
            TrainingPageJob(bundle=str(bundle), output=output)
