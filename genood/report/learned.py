"""The charts of the classes that a bundle has learned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genood.report.charts import Spec, short, tooltip
from genood.report.figures import Figure, share
from genood.report.trained import Trained

MOST_CLASSES = 40
"""Classes that a chart has room for."""
_ROW_HEIGHT = 22


def confusion(trained: Trained) -> Figure | None:
    """How many validation reads of each class a classifier gives to which."""
    counts = trained.facts.metadata["metrics"].get("classifier", {}).get("val_confusion")
    names = output_names(trained)
    if not counts or len(names) != len(counts) or len(counts) > MOST_CLASSES:
        return None
    rows = []
    for own, row in zip(names, counts, strict=True):
        for given, n in zip(names, row, strict=True):
            rows.append({"own": own, "given": given, "n": n, "share": short(n / max(sum(row), 1))})
    axis: Spec = {"type": "nominal", "sort": None}
    spec: Spec = {
        "height": max(140, _ROW_HEIGHT * len(names)),
        "data": {"values": rows},
        "mark": {"type": "rect", "aria": False},
        "encoding": {
            "y": {"field": "own", "title": "validation reads of", **axis, "axis": {"labelLimit": 140}},
            "x": {
                "field": "given",
                "title": "given to",
                **axis,
                "axis": {"labelLimit": 110, "labelAngle": -40, "labelOverlap": False},
            },
            "color": {
                "field": "share",
                "type": "quantitative",
                "scale": {"range": "heatmap", "domain": [0, 1]},
                "legend": {"orient": "top", "title": "share", "gradientLength": 160, "format": ".0%"},
            },
            "tooltip": tooltip(own="of", given="given to", n="reads", share="share"),
        },
    }
    return Figure(
        title="Classes",
        caption="Rows: what validation reads are. Columns: the class that they are given.",
        description=f"Validation reads of {len(names)} classes by the class that they are given.",
        spec=spec,
        header=("class", *names, "right"),
        rows=[
            (name, *(f"{n:,}" for n in row), share(row[place], sum(row)))
            for place, (name, row) in enumerate(zip(names, counts, strict=True))
        ],
    )


def output_names(trained: Trained) -> list[str]:
    """What the outputs of a classifier stand for."""
    metadata = trained.facts.metadata
    variant = metadata["model"].get("classifier", {}).get("variant")
    names = ["any class"] if variant == "binary" else list(map(str, metadata["classes"]))
    return [*names, "mutated"] if variant in ("binary", "noise-class") else names


def reference(trained: Trained) -> Figure | None:
    """How much there is of each class."""
    bases = bases_by_class(trained.facts.metadata)
    if not bases:
        return None
    largest = sorted(bases, key=lambda name: -bases[name])[:MOST_CLASSES]
    shown = [name for name in bases if name in set(largest)]
    rows = [{"class": name, "bases": bases[name]} for name in shown]
    spec: Spec = {
        "height": max(80, _ROW_HEIGHT * len(rows)),
        "data": {"values": rows},
        "mark": {"type": "bar", "color": "@in", "opacity": 0.8},
        "encoding": {
            "y": {
                "field": "class",
                "type": "nominal",
                "sort": None,
                "title": None,
                "axis": {"labelLimit": 170},
            },
            "x": {
                "field": "bases",
                "type": "quantitative",
                "title": "usable bases",
                "axis": {"format": "~s"},
            },
            "tooltip": [*tooltip(**{"class": "class"}), {"field": "bases", "format": ","}],
        },
    }
    left_out = len(bases) - len(shown)
    return Figure(
        title="Reference",
        caption=(
            "Usable bases of each class. Classes weigh equally in training, however large they are."
            + (f" {left_out} smaller classes are not drawn." if left_out else "")
        ),
        description=f"Usable bases of {len(bases)} classes, {sum(bases.values()):,} in all.",
        spec=spec,
        header=("class", "usable bases"),
        rows=[(name, f"{bases[name]:,}") for name in shown],
    )


def bases_by_class(metadata: Mapping[str, Any]) -> dict[str, int]:
    """Usable bases of the reference by class, in their order."""
    bases = dict.fromkeys(map(str, metadata["classes"]), 0)
    for file in metadata["data"].get("files", ()):
        name = str(file.get("class_name"))
        bases[name] = bases.get(name, 0) + int(file.get("usable_bases", 0))
    return bases if any(bases.values()) else {}
