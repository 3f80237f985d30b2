"""The page of a bundle: how it was trained, what its p-values come from, and what it is."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genood.detectors import DETECTORS
from genood.errors import ConfigError
from genood.files import check_outside, check_writable
from genood.report.curves import best_step, roles_of, training_figures
from genood.report.figures import number
from genood.report.learned import bases_by_class
from genood.report.nulls import LEVEL, null_figures, threshold
from genood.report.shell import card_html, check_installed, filled, keyed, share_of_one, shown_name
from genood.report.trained import STEP, Trained
from genood.writers.endings import check_ending
from genood.writers.streams import open_output

TITLE = "genood bundle"
MOST_FILES = 200
"""Files of the reference, and members, that are named on a page."""
_LONGEST_COMMAND = 400
_KINDS = {
    "lstm": "LSTM density models",
    "context": "context model",
    "markov": "Markov chains",
    "cnn": "classifier (cnn)",
}


@dataclass(frozen=True, kw_only=True)
class TrainingPageJob:
    """A page of a bundle.

    Attributes
    ----------
    bundle
        Its directory; when the page is to follow a training, it need not be there yet.
    output
        The page.
    title
        Its heading.
    """

    bundle: str
    output: str
    title: str = TITLE

    def __post_init__(self) -> None:
        if os.path.realpath(self.output) == os.path.realpath(self.bundle):
            raise ConfigError(f"{self.output}: is to be the bundle; write the page elsewhere")
        check_outside(self.bundle, [self.output])
        check_ending("--report", self.output)
        check_writable([self.output])
        check_installed()


def write_training_page(job: TrainingPageJob) -> None:
    """Write the page of a bundle that is there.

    Raises
    ------
    GenoodError
        The bundle is none or is damaged, or the page cannot be written.
    """
    trained = Trained.read(job.bundle)
    with open_output(job.output) as stream:
        stream.write(render_training(trained, job.title).encode())


def render_training(trained: Trained, title: str) -> str:
    """The page of a bundle."""
    specs: dict[str, Any] = {}
    metadata = trained.facts.metadata
    nulls = trained.facts.nulls
    return filled(
        "training.html",
        specs,
        title=title,
        bundle=shown_name(trained.facts.path),
        about=_about(trained),
        tiles=_tiles(trained),
        notes=_notes(trained),
        training=keyed(training_figures(trained), "training", specs),
        training_rows=_recipe(metadata),
        detectors=[
            {
                "key": f"null{place}",
                "name": name,
                "figures": keyed(null_figures(null, name), f"null{place}", specs),
            }
            for place, (name, null) in enumerate(nulls.items(), 1)
        ],
        detector_rows=_detectors(trained),
        null_rows=_null_rows(trained),
        member_rows=_member_rows(trained),
        files=_files(metadata),
        rows=_parameters(trained),
        own_files=[
            (name, _bytes(trained.sizes.get(name, 0)), str(sha256))
            for name, sha256 in metadata["files"].items()
        ],
        card=card_html(trained.facts.card),
    )


def _about(trained: Trained) -> str:
    kind = _KINDS.get(trained.kind, trained.kind)
    if trained.members:
        by = trained.facts.metadata.get("by")
        return f"an ensemble of {len(trained.members)} bundles by {by}: {kind}"
    variant = trained.facts.metadata["model"].get("classifier", {}).get("variant")
    return f"{kind}, variant {variant}" if variant else kind


def _tiles(trained: Trained) -> list[tuple[str, str, str]]:
    """Name, number and what to say below it."""
    metadata = trained.facts.metadata
    bases = bases_by_class(metadata)
    tiles = [_measured(metadata["metrics"])]
    tiles.append(("classes", f"{len(metadata['classes']):,}", f"{sum(bases.values()):,} usable bases"))
    steps = trained.columns.get(STEP)
    if steps is not None and len(steps):
        best = dict.fromkeys(best_step(trained, role) for role in roles_of(trained))
        kept = " and ".join(f"{step:,}" for step in best if step is not None)
        tiles.append(("steps", f"{int(steps[-1]):,}", f"weights of step {kept} are kept" if kept else ""))
    if trained.members:
        tiles.append(("members", f"{len(trained.members):,}", "asked together"))
    for name, null in list(trained.facts.nulls.items())[:1]:
        longest = len(null.lengths) - 1
        tiles.append(
            (
                "null reaches",
                f"{null.lengths[longest]:,} bases",
                f"{null.num_independent[longest]:,.0f} independent reads, by {name}",
            )
        )
    size = sum(trained.sizes.values()) + sum(sum(member.sizes.values()) for member in trained.members)
    tiles.append(("size", _bytes(size), "on disk, without a checkpoint"))
    return tiles


def _measured(metrics: Mapping[str, Any]) -> tuple[str, str, str]:
    """What was measured of the model that counts: name, number and unit."""
    role, values = next(iter(metrics.items()), ("", dict[str, Any]()))
    if "val_accuracy" in values:
        return ("accuracy", share_of_one(values["val_accuracy"]), "of validation reads")
    if "val_nats_per_base" in values:
        return (f"{role} loss", number(values["val_nats_per_base"]), "nats per base, on validation reads")
    return ("measured", "–", "")


def _bytes(size: float) -> str:
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _notes(trained: Trained) -> list[str]:
    """What a reader must mind."""
    notes = []
    training = trained.facts.metadata.get("training", {})
    length = training.get("read_length") if isinstance(training, Mapping) else None
    for name, null in list(trained.facts.nulls.items())[:1]:
        blind = [n for place, n in enumerate(null.lengths) if threshold(null, place) is None]
        if blind:
            notes.append(
                f"Of {blind[0]:,} bases and more the null of {name} is too small for p-values of {LEVEL:g}:"
                " such reads are never called. More sequence to calibrate on mends it."
            )
        if isinstance(length, int) and null.lengths[-1] < length:
            notes.append(
                f"The null ends at {null.lengths[-1]:,} bases, below the {length:,} of a training read:"
                " p-values of longer reads are too large."
            )
    steps, recipe = trained.columns.get(STEP), trained.recipe
    # A rate that falls to nothing makes the last validation the best in any case.
    if steps is not None and len(steps) > 1 and recipe is not None and recipe.schedule == "constant":
        last = [role for role in roles_of(trained) if best_step(trained, role) == int(steps[-1])]
        if last:
            notes.append(
                f"The last validation is the best ({', '.join(last)}): more steps may help; genood train"
                " --resume --steps goes on."
            )
    return notes


def _recipe(metadata: Mapping[str, Any]) -> list[tuple[str, str]]:
    """How it was trained, value by value."""
    rows = []
    training = metadata.get("training", {})
    if isinstance(training, Mapping):
        rows += [
            (name.removeprefix("num_").replace("_", " "), _value(value)) for name, value in training.items()
        ]
    if "background" in metadata:
        rows.insert(0, ("background", str(metadata["background"])))
    for role, config in metadata["model"].items():
        if isinstance(config, Mapping):
            rows.append((f"{role} model", _value(config)))
    return list(dict(rows).items())


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_value(inner)}" for name, inner in value.items())
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "none"}[value]
    if isinstance(value, int):
        return f"{value:,}"
    return number(value) if isinstance(value, float) else str(value)


def _detectors(trained: Trained) -> list[tuple[str, str, str, str]]:
    """Detectors with p-values or fitted: what each needs, has learned, and the lengths of its p-values."""
    rows = []
    nulls = trained.facts.nulls
    for name in dict.fromkeys([*nulls, *trained.fitted]):
        needs = ", ".join(sorted(DETECTORS[name].needs)) if name in DETECTORS else "unknown here"
        learned = ", ".join(
            f"{key} {'×'.join(map(str, shape)) or '1'}" for key, shape in trained.fitted.get(name, {}).items()
        )
        lengths = (
            f"{nulls[name].lengths[0]:,} to {nulls[name].lengths[-1]:,} bases" if name in nulls else "none"
        )
        rows.append((name, needs, learned or "nothing to learn", lengths))
    return rows


def _null_rows(trained: Trained) -> list[tuple[str, str]]:
    """Where the null's reads come from."""
    metadata = trained.facts.metadata
    rows = [
        ("calibrated on", trained.facts.source),
        ("validated on", str(metadata["data"].get("validation", ""))),
    ]
    again = metadata.get("calibration")
    if isinstance(again, Mapping):
        rows += [
            (f"genood calibrate: {name.replace('_', ' ')}", _value(value)) for name, value in again.items()
        ]
    return rows


def _member_rows(trained: Trained) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for number_, member in enumerate(trained.members[:MOST_FILES], 1):
        metadata = member.facts.metadata
        classes = [str(name) for name in metadata["classes"]]
        shown = ", ".join(classes) if len(classes) <= 3 else f"{len(classes):,} classes"
        name, value, unit = _measured(metadata["metrics"])
        rows.append(
            (
                f"member-{number_}",
                member.kind,
                str(metadata["seed"]),
                shown,
                f"{name} {value}" + (f" {unit}" if unit else ""),
                member.facts.fingerprint[:12],
            )
        )
    return rows


def _files(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The files of the reference and of the validation reads, with what identifies them."""
    data = metadata["data"]
    files = [("reference", file) for file in data.get("files", ())]
    files += [("validation", file) for file in data.get("validation_files", ())]
    rows = [
        (
            shown_name(str(file.get("name"))),
            use,
            str(file.get("class_name")),
            f"{file.get('num_records', 0):,}",
            f"{file.get('usable_bases', 0):,}",
            str(file.get("sha256"))[:16],
        )
        for use, file in files[:MOST_FILES]
    ]
    datasets = [
        (use, f"{part.get('name')}, {part.get('split')}")
        for key, use in (("datasets", "reference"), ("validation_datasets", "validation"))
        for part in data.get(key, ())
    ]
    return {"rows": rows, "left_out": len(files) - len(rows), "datasets": datasets, "total": len(files)}


def _parameters(trained: Trained) -> list[tuple[str, str]]:
    """What the bundle is, and was made by."""
    metadata = trained.facts.metadata
    return [
        ("kind", str(metadata["kind"])),
        ("fingerprint", trained.facts.fingerprint),
        ("data's fingerprint", str(metadata["data"].get("fingerprint"))),
        ("command", _shortened(str(metadata["command"])) or "not recorded"),
        ("seed", json.dumps(metadata["seed"])),
        ("made by", f"genood {metadata.get('genood_version', '')}"),
        (
            "bundle format",
            f"{metadata['format_version']}, read from genood {metadata.get('readable_from')} on",
        ),
    ]


def _shortened(command: str) -> str:
    """A command line that may name a thousand files; the model card has all of it."""
    if len(command) <= _LONGEST_COMMAND:
        return command
    return f"{command[:_LONGEST_COMMAND]}… ({len(command):,} characters; all are in the model card)"
