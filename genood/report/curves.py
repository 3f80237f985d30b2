"""The charts of how a bundle was trained: its curves, or what its kind of model has instead."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from genood.report.charts import Rows, Spec, short, tooltip
from genood.report.figures import Figure, number
from genood.report.learned import confusion, reference
from genood.report.trained import STEP, Trained

UNIFORM = math.log(4)
"""Nats per base of a model that knows nothing."""
MOST_MEMBERS = 20
"""Members of an ensemble whose curves are drawn."""
_ROLE_COLOURS = {"foreground": "@in", "classifier": "@in", "background": "@ood"}
_UNITS = {"classifier": "nats per read"}


def training_figures(trained: Trained) -> list[Figure]:
    """The charts of how a bundle was trained, as far as there are any."""
    if trained.members:
        found = [_members(trained) or _final_losses(trained)]
    elif STEP in trained.columns:
        found = [_losses(trained), _accuracy(trained), _learning_rate(trained)]
    else:
        found = [_final_losses(trained)]
    found += [confusion(trained), reference(trained)]
    return [figure for figure in found if figure is not None]


def roles_of(trained: Trained) -> list[str]:
    """The models that were trained, by what they are there for, from the columns of their losses."""
    ending = "_val_loss"
    return [name[: -len(ending)] for name in trained.columns if name.endswith(ending)]


def best_step(trained: Trained, role: str) -> int | None:
    """The step whose weights a model has."""
    step = trained.facts.metadata["metrics"].get(role, {}).get("best_step")
    return step if isinstance(step, int) else None


def _losses(trained: Trained) -> Figure | None:
    roles, drawn = roles_of(trained), trained.drawn_rows()
    columns = {
        (role, kind): trained.columns[column][drawn]
        for role in roles
        for kind, column in (("training", f"{role}_train_loss"), ("validation", f"{role}_val_loss"))
        if column in trained.columns
    }
    steps = trained.columns[STEP][drawn].astype(np.int64).tolist()
    lines: Rows = [
        {"step": step, "loss": short(value), "model": role, "reads": kind}
        for (role, kind), values in columns.items()
        for step, value in zip(steps, values.tolist(), strict=True)
        if not math.isnan(value)
    ]
    if not lines:
        return None
    unit = _UNITS.get(roles[0], "nats per base")
    best = _best_points(trained, roles)
    told = ", ".join(f"{row['model']} {row['step']:,}" for row in best)
    caption = (
        f"Lower is better; {unit}. Solid: validation reads; dashed: training reads. Diamonds: the weights"
    )
    caption += " that are kept, those of the best validation" + (f" ({told})." if told else ".")
    if roles[0] != "classifier":
        caption += (
            " The background's losses are those of mutated reads; a model that knows nothing has 1.386."
        )
    return Figure(
        title="Losses",
        caption=caption + _thinned(trained),
        description=f"Training and validation losses of {', '.join(roles)}, {len(drawn)} validations.",
        spec=_loss_chart(lines, best, roles, unit),
        header=("step", *(f"{role}, {kind}" for role, kind in columns)),
        rows=[
            (f"{step:,}", *(number(values[place]) for values in columns.values()))
            for place, step in enumerate(steps)
        ],
    )


def _loss_chart(lines: Rows, best: Rows, roles: Sequence[str], unit: str) -> Spec:
    """Losses by step, and the best of each model, of which there may be none."""
    encoding: Spec = {
        "x": _step_axis(),
        "y": {"field": "loss", **_loss_axis(unit)},
        "color": _role_colour(roles),
    }
    dashes: Spec = {
        "field": "reads",
        "type": "nominal",
        "scale": {"domain": ["validation", "training"], "range": [[1, 0], [5, 4]]},
        "legend": None,
    }
    told = tooltip(model="model", reads="of reads of", step="step", loss=unit)
    layers: list[Spec] = [
        {
            "data": {"values": lines},
            "mark": {"type": "line", "strokeWidth": 2, "point": {"size": 14}},
            "encoding": encoding | {"strokeDash": dashes, "tooltip": told},
        }
    ]
    if best:
        layers.append(
            {
                "data": {"values": best},
                "mark": {"type": "point", "filled": True, "size": 110, "shape": "diamond"},
                "encoding": encoding | {"tooltip": tooltip(model="model kept", step="step", loss=unit)},
            }
        )
    return {"height": 260, "layer": layers}


def _best_points(trained: Trained, roles: Sequence[str]) -> Rows:
    points = []
    for role in roles:
        places = np.flatnonzero(trained.columns[STEP] == best_step(trained, role))
        if len(places):
            loss = float(trained.columns[f"{role}_val_loss"][places[0]])
            points.append({"step": int(trained.columns[STEP][places[0]]), "loss": short(loss), "model": role})
    return points


def _thinned(trained: Trained) -> str:
    total, drawn = len(trained.columns[STEP]), len(trained.drawn_rows())
    return f" {drawn} of {total:,} validations are drawn." if drawn < total else ""


def _accuracy(trained: Trained) -> Figure | None:
    values = trained.columns.get("classifier_val_accuracy")
    drawn = trained.drawn_rows()
    if values is None or not len(drawn):
        return None
    rows = [
        {"step": int(step), "share": short(value)}
        for step, value in zip(trained.columns[STEP][drawn].tolist(), values[drawn].tolist(), strict=True)
    ]
    y = {"type": "quantitative", "title": "validation reads given their class", "axis": {"format": ".0%"}}
    spec = {
        "height": 260,
        "data": {"values": rows},
        "mark": {"type": "line", "color": "@in", "strokeWidth": 2, "point": {"color": "@in", "size": 22}},
        "encoding": {
            "x": _step_axis(),
            "y": {"field": "share", "scale": {"zero": False}, **y},
            "tooltip": tooltip(step="step", share="accuracy"),
        },
    }
    return Figure(
        title="Accuracy",
        caption="Higher is better. What tells its classes apart badly tells foreign reads badly, too.",
        description=f"Accuracy on validation reads; {number(rows[-1]['share'])} at the last.",
        spec=spec,
        header=("step", "accuracy"),
        rows=[(f"{row['step']:,}", number(row["share"])) for row in rows],
    )


def _learning_rate(trained: Trained) -> Figure | None:
    recipe, drawn = trained.recipe, trained.drawn_rows()
    if recipe is None or not len(drawn):
        return None
    steps = [1, *trained.columns[STEP][drawn].astype(int).tolist()]
    rows = [
        {"step": step, "rate": short(recipe.learning_rate_at(min(step, recipe.steps)))}
        for step in dict.fromkeys(steps)
    ]
    spec = {
        "height": 260,
        "data": {"values": rows},
        "mark": {"type": "line", "color": "@in", "strokeWidth": 2},
        "encoding": {
            "x": _step_axis(),
            "y": {
                "field": "rate",
                "type": "quantitative",
                "title": "learning rate",
                "axis": {"format": "~g"},
            },
            "tooltip": tooltip(step="step", rate="learning rate"),
        },
    }
    return Figure(
        title="Learning rate",
        caption=f"A {recipe.schedule} schedule over {recipe.steps:,} steps of {recipe.batch_size:,} reads.",
        description=f"Learning rate by step, from {rows[0]['rate']:g} to {rows[-1]['rate']:g}.",
        spec=spec,
        header=("step", "learning rate"),
        rows=[(f"{row['step']:,}", number(row["rate"])) for row in rows],
    )


def _final_losses(trained: Trained) -> Figure | None:
    """What a model without any curve has: one loss of each model, beside that of knowing nothing."""
    metrics = trained.facts.metadata["metrics"]
    rows = [
        {"model": role, "loss": short(float(values["val_nats_per_base"]))}
        for role, values in metrics.items()
        if isinstance(values, Mapping) and "val_nats_per_base" in values
    ]
    if not rows:
        return None
    x = {"type": "quantitative", "title": "nats per base"}
    layers: list[Spec] = [
        {
            "data": {"values": rows},
            "mark": {"type": "bar", "height": 18},
            "encoding": {
                "x": {"field": "loss", **x},
                "color": {**_role_colour([str(row["model"]) for row in rows]), "legend": None},
                "tooltip": tooltip(model="model", loss="nats per base"),
            },
        },
        {
            "data": {"values": [{}]},
            "mark": {"type": "rule", "strokeDash": [5, 3], "strokeWidth": 2, "color": "@ink"},
            "encoding": {"x": {"datum": short(UNIFORM), **x}},
        },
    ]
    layers[0]["encoding"]["y"] = {"field": "model", "type": "nominal", "sort": None, "title": None}
    about = {
        "context": "A context model remembers its reference in one pass, and has no curve.",
        "markov": "A Markov chain is counted, and has no curve of steps.",
        "sketch": "A sketch is made of its reference in one pass, and has no curve.",
    }.get(trained.kind, "This bundle has no curve.")
    return Figure(
        title="Losses on in-distribution reads",
        caption=(
            f"{about} Lower is better known; dashed: a model that knows nothing. What lies between foreground"
            " and background is the mean log-likelihood ratio of in-distribution reads."
        ),
        description=f"Losses of {len(rows)} models on in-distribution reads.",
        spec={"height": 40 + 34 * len(rows), "layer": layers},
        header=("model", "nats per base"),
        rows=[(str(row["model"]), number(row["loss"])) for row in rows],
    )


def _members(trained: Trained) -> Figure | None:
    """The curves of members' validation losses, or their last ones."""
    members = list(enumerate(trained.members, 1))[:MOST_MEMBERS]
    rows: Rows = []
    for place, member in members:
        drawn = member.drawn_rows() if STEP in member.columns else ()
        for role in roles_of(member)[:1] if len(drawn) else ():
            values = member.columns[f"{role}_val_loss"][drawn].tolist()
            steps = member.columns[STEP][drawn].tolist()
            rows += [
                {"step": int(step), "loss": short(loss), "member": f"member-{place}"}
                for step, loss in zip(steps, values, strict=True)
            ]
    if not rows:
        return None
    first = next(role for _, member in members for role in roles_of(member))
    unit = _UNITS.get(first, "nats per base")
    spec = {
        "height": 260,
        "data": {"values": rows},
        "mark": {"type": "line", "color": "@in", "strokeWidth": 1.5, "opacity": 0.75, "point": {"size": 12}},
        "encoding": {
            "x": _step_axis(),
            "y": {"field": "loss", **_loss_axis(unit)},
            "detail": {"field": "member"},
            "tooltip": tooltip(member="member", step="step", loss=unit),
        },
    }
    left_out = len(trained.members) - len(members)
    return Figure(
        title="Validation losses of the members",
        caption=(
            "A line for each member. Those that lie apart from the others have not learned what these have."
            + (f" {left_out} further members are not drawn." if left_out else "")
        ),
        description=f"Validation losses by step of {len(members)} members.",
        spec=spec,
        header=("member", "step", unit),
        rows=[(str(row["member"]), f"{row['step']:,}", number(row["loss"])) for row in rows],
    )


def _step_axis() -> Spec:
    axis = {"format": ",d", "tickCount": 6, "tickMinStep": 1}
    return {"field": "step", "type": "quantitative", "title": "step", "axis": axis}


def _loss_axis(unit: str) -> Spec:
    return {"type": "quantitative", "title": unit, "scale": {"zero": False}}


def _role_colour(roles: Sequence[str]) -> Spec:
    return {
        "field": "model",
        "type": "nominal",
        "scale": {"domain": list(roles), "range": [_ROLE_COLOURS.get(role, "@ink") for role in roles]},
        "legend": {"orient": "top", "title": None},
    }
