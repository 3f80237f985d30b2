"""Detectors fitted to the scores of several models, and what they reach on genera that they have not seen."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from peers import Floats, Reads
from quality import Bools
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from genood.reference.labels import class_of

BASE = "context"
"""What all else is compared with: the best of the models alone."""
SIMULATED = {"mutated": "10 % substitutions", "blocks": "stretches of 10 bases in random order"}
"""OOD reads made of in-distribution ones, for who has no others."""
NUM_SPLITS = 10
_TPR = 0.8

Kinds = tuple[str, ...]


class Totals(NamedTuple):
    """What members say of N reads: nats per base, foreground and background, float64 (M, N) each."""

    foreground: Floats
    background: Floats

    @property
    def ratios(self) -> Floats:
        """Log-likelihood ratios per base, (M, N)."""
        return self.foreground - self.background


def combinations(kinds: Sequence[str]) -> list[Kinds]:
    """Which members are joined: the base with each other one, those without it, and all."""
    others = [kind for kind in kinds if kind != BASE]
    joined: list[Kinds] = [(BASE, other) for other in others]
    return joined if len(others) < 2 else [*joined, tuple(others), (BASE, *others)]


def auroc(ins: Floats, oods: Floats) -> float:
    """AUROC, ties counted half; of scores that are higher for in-distribution reads."""
    ordered = np.sort(oods)
    below = sum(np.searchsorted(ordered, ins, side=side).mean() for side in ("left", "right"))
    return float(below / 2 / len(oods))


def fpr80(ins: Floats, oods: Floats) -> float:
    """Share of OOD reads that pass where 80 % of the in-distribution reads do."""
    threshold = np.sort(ins)[-math.ceil(_TPR * len(ins))]
    return float((oods >= threshold).mean())


def fit_all(
    kinds: Sequence[str], totals: Mapping[str, Totals], reads: Mapping[str, Reads], new: Bools
) -> dict[str, Any]:
    """What joint detectors reach that are fitted to reads of other genera, or to simulated OOD reads."""
    rows = {}
    for joined in combinations(kinds):
        members = [kinds.index(kind) for kind in joined]
        features = {
            "ratios": {side: of.ratios[members].T for side, of in totals.items()},
            "likelihoods": {side: np.concatenate([x[members] for x in of]).T for side, of in totals.items()},
        }
        for inputs, values in features.items():
            for against in ("val_ood", *SIMULATED):
                name = f"{' + '.join(joined)}: logistic of {inputs}, {against}"
                rows[name] = fit_rule(logistic, values, totals, reads, against, new)
        name = f"{' + '.join(joined)}: boosted trees of ratios, val_ood"
        rows[name] = fit_rule(boosted_trees, features["ratios"], totals, reads, "val_ood", new)
    return rows


def logistic() -> Any:
    """A logistic regression in which both sides weigh the same."""
    return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced"))


def boosted_trees() -> Any:
    """Shallow trees, which need not be monotonic in any score."""
    return HistGradientBoostingClassifier(max_depth=3, class_weight="balanced", random_state=0)


def fit_rule(
    make: Callable[[], Any],
    features: Mapping[str, Floats],
    totals: Mapping[str, Totals],
    reads: Mapping[str, Reads],
    against: str,
    new: Bools,
) -> dict[str, Any]:
    """Metrics of a detector on genera that it was not fitted to, less those of the base there.

    The mean over random halves of the genera of each side, each half fitted to and measured on in turn; and
    of a detector fitted to all validation reads on the published ones.
    """
    in_genera, ood_genera = (
        np.array([class_of(genome) for genome in reads[side].genomes]) for side in ("val_in", "val_ood")
    )
    base = {side: of.ratios[0] for side, of in totals.items()}
    rows = []
    for split in range(NUM_SPLITS):
        generator = np.random.default_rng(split)
        halves = [generator.permutation(np.unique(genera)) for genera in (in_genera, ood_genera)]
        for half in (0, 1):
            ins, oods = (
                np.isin(genera, names[half::2])
                for genera, names in zip((in_genera, ood_genera), halves, strict=True)
            )
            fit_to = features[against][oods if against == "val_ood" else ins]
            fitted = fit(make(), features["val_in"][ins], fit_to)
            scored = {
                side: decide(fitted, features[side][~of]) for side, of in (("val_in", ins), ("val_ood", oods))
            }
            there = {"val_in": base["val_in"][~ins], "val_ood": base["val_ood"][~oods]}
            rows.append([metrics_of(sides, new[~ins]) for sides in (scored, there)])
    joint, alone = np.nanmean(np.array(rows), axis=0)
    gains = np.array(rows)[:, 0, 0] - np.array(rows)[:, 1, 0]
    whole = fit(make(), features["val_in"], features[against])
    published = [decide(whole, features[f"published_{side}"]) for side in ("in", "ood")]
    names = ("auroc", "fpr80", "known auroc", "new auroc")
    return {
        "fitted": dict(zip(names, joint.tolist(), strict=True)),
        BASE: dict(zip(names, alone.tolist(), strict=True)),
        "gain": {"value": float(gains.mean()), "low": float(gains.min()), "high": float(gains.max())},
        "published": {"auroc": auroc(*published), "fpr80": fpr80(*published)},
    }


def fit(model: Any, ins: Floats, oods: Floats) -> Any:
    """A model of both sides, fitted."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(np.concatenate([ins, oods]), np.repeat([1, 0], [len(ins), len(oods)]))


def decide(model: Any, features: Floats) -> Floats:
    """Higher for reads that look more in-distribution."""
    values: Floats = model.decision_function(features)
    return values


def metrics_of(sides: Mapping[str, Floats], new: Bools) -> tuple[float, float, float, float]:
    """AUROC, FPR80, and AUROC of known and of new species, NaN where there are none."""
    val_in, val_ood = sides["val_in"], sides["val_ood"]
    known_auroc, new_auroc = (auroc(val_in[of], val_ood) if of.any() else np.nan for of in (~new, new))
    return auroc(val_in, val_ood), fpr80(val_in, val_ood), known_auroc, new_auroc
