"""The text of ``MODEL_CARD.md``: what a bundle is, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genood import __version__
from genood.bundle import CLASSIFIER, Bundle
from genood.calibration import Calibration
from genood.ensemble import EnsembleBundle
from genood.models.base import Classifier

_P_VALUES = "\n## p-values\n"
"""What the part of a model card that a calibration writes begins with."""


def model_card(bundle: Bundle, calibration: Calibration, about_model: str, about_nulls: str) -> str:
    """The text of ``MODEL_CARD.md``; the last two arguments are paragraphs."""
    metadata = bundle.metadata
    measured = _losses(bundle) if bundle.classifier is None else _accuracy(bundle.classifier, metadata)
    return f"""# genood bundle

{_what_it_is(bundle)}

Made by genood {__version__} with

    {metadata["command"] or "(not recorded)"}

{_reference_of_card(metadata)}
## Models

{measured}

{about_model}
{_p_values_of_card(calibration, about_nulls)}"""


def _what_it_is(bundle: Bundle) -> str:
    kind = bundle.model.kind
    if bundle.classifier is not None:
        return f"""A classifier ({kind}) of the classes below, whose reads it tells from reads of anything
else by how sure it is and by what its last layer is given."""
    return f"""Density models ({kind}) that tell reads of the classes below from reads of anything else,
by the log-likelihood ratio of the foreground to the background model ({bundle.metadata["background"]})."""


def _losses(bundle: Bundle) -> str:
    rows = "\n".join(
        f"| {role} | {values['val_nats_per_base']:.4f} | {values['val_bits_per_base']:.4f} |"
        for role, values in bundle.metadata["metrics"].items()
    )
    return f"| model | validation loss, nats per base | bits per base |\n|---|---|---|\n{rows}"


def _accuracy(classifier: Classifier, metadata: Mapping[str, Any]) -> str:
    """Loss, accuracy, and how many validation reads of each class are given to which."""
    measured = metadata["metrics"][CLASSIFIER]
    confusion = measured["val_confusion"]
    names = list(metadata["classes"]) if classifier.mutated_class != 1 else ["any class"]
    if classifier.mutated_class is not None:
        names.append("mutated")
    right = [f"{row[i] / sum(row):.3f}" if sum(row) else "" for i, row in enumerate(confusion)]
    rows = "\n".join(
        f"| {name} | {' | '.join(map(str, row))} | {share} |"
        for name, row, share in zip(names, confusion, right, strict=True)
        if sum(row)
    )
    return f"""| validation loss, nats per read | accuracy |
|---|---|
| {measured["val_nats_per_read"]:.4f} | {measured["val_accuracy"]:.4f} |

Validation reads by their class (rows) and by the class that they are given:

| class | {" | ".join(names)} | right |
|---{"|---" * len(names)}|---|
{rows}"""


def ensemble_card(
    bundle: EnsembleBundle, calibration: Calibration, about_members: str, about_nulls: str
) -> str:
    """The text of ``MODEL_CARD.md`` of an ensemble; the last two arguments are paragraphs."""
    metadata = bundle.metadata
    if bundle.by == "class":
        about_members = "Each member is a density model of one class."
    rows = "\n".join(
        f"| member-{number} | {member.model.kind} | {member.metadata['seed']} "
        f"| {', '.join(member.metadata['classes'])} "
        f"| {_measured(member.metadata['metrics'])} |"
        for number, member in enumerate(bundle.members, 1)
    )
    return f"""# genood bundle

An ensemble of {len(bundle.members)} bundles ({bundle.kinds}) that tell reads of the classes below
from reads of anything else. Each is a bundle of its own, with a card of its own.

Made by genood {__version__} with

    {metadata["command"] or "(not recorded)"}

{_reference_of_card(metadata)}
## Members

| directory | model | seed | classes | on validation reads |
|---|---|---|---|---|
{rows}
| all together | | | | {_measured(metadata["metrics"])} |

{about_members} What they say together is the mean of their probabilities.
{_p_values_of_card(calibration, about_nulls)}"""


def _measured(metrics: Mapping[str, Any]) -> str:
    """What was measured of the model that counts, in a word."""
    values = next(iter(metrics.values()))
    if "val_accuracy" in values:
        return f"accuracy {values['val_accuracy']:.4f}"
    return f"{values['val_nats_per_base']:.4f} nats per base"


def _reference_of_card(metadata: Mapping[str, Any]) -> str:
    files = metadata["data"]["files"]
    rows = "\n".join(
        f"| {name} | {sum(f['class_name'] == name for f in files)} "
        f"| {sum(f['usable_bases'] for f in files if f['class_name'] == name):,} |"
        for name in metadata["classes"]
    )
    return f"""## Reference

| class | files | usable bases |
|---|---|---|
{rows}
"""


def with_section(card: str, section: str) -> str:
    """A model card with one more section, before its p-values."""
    before, heading, after = card.partition(_P_VALUES)
    return f"{before}\n{section}{heading}{after}"


def recalibrated_card(card: str, calibration: Calibration, about_nulls: str) -> str:
    """A model card with another calibration; the last argument is paragraphs."""
    return card.partition(_P_VALUES)[0] + _p_values_of_card(calibration, about_nulls)


def _p_values_of_card(calibration: Calibration, about_nulls: str) -> str:
    null = next(iter(calibration.nulls.values()))
    bins = "\n".join(
        f"| {length} | {number:,.0f} |"
        for length, number in zip(null.lengths, null.num_independent, strict=True)
    )
    return f"""{_P_VALUES}
Calibrated on reads from {calibration.source}:

| scored bases | independent reads |
|---|---|
{bins}

Reads longer than the last bin are judged by its null, which makes their p-values too large.
{about_nulls}
"""
