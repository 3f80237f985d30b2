"""Options of `genood train`: those of models that are trained step by step, and which models have which."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, TypeVar

import click

from genood.cli.options import FiniteRange
from genood.models import CLASSIFIERS, MODELS

F = TypeVar("F", bound=Callable[..., Any])


MOST_UNITS = 1_000_000
"""Of a layer, and reads of a step: more is a slip of the finger."""
STEPWISE = ("lstm", *CLASSIFIERS)
"""Models that are trained step by step."""
OPTIONS_OF: Sequence[tuple[Sequence[str], Sequence[str]]] = (
    (
        (
            "preset",
            "hidden_size",
            "dropout",
            "steps",
            "batch_size",
            "learning_rate",
            "schedule",
            "warmup_steps",
            "max_gradient_norm",
            "patience",
            "max_recoveries",
            "validation_interval",
            "tensorboard",
            "precision",
        ),
        STEPWISE,
    ),
    (("held_out_fraction",), ("markov", "sketch", *STEPWISE)),
    (("l2", "num_layers"), ("lstm",)),
    (("variant", "num_filters", "filter_length"), tuple(CLASSIFIERS)),
    (("background",), ("context", "markov")),
    (("memory", "add"), ("context",)),
    (("order", "prior_count"), ("markov",)),
    (("max_size",), ("sketch",)),
    (("mutation_rate",), ("context", "markov", *STEPWISE)),
    (("per_class",), tuple(MODELS)),
)
"""Options that not all models have a use for, with those that do."""


def stepwise_options(function: F) -> F:
    """Add them; the command gets them by their names, which are those of `TrainConfig` but for one."""

    @click.option(
        "--steps",
        type=click.IntRange(min=1),
        help="Optimisation steps; with --resume they may grow, and a cosine schedule is drawn out.",
    )
    @click.option("--batch-size", type=click.IntRange(1, MOST_UNITS), help="Reads a step.")
    @click.option("--learning-rate", type=click.FloatRange(0, 1, min_open=True), help="Of Adam.")
    @click.option(
        "--schedule", type=click.Choice(["constant", "cosine"]), help="Of the learning rate over the steps."
    )
    @click.option(
        "--warmup-steps",
        type=click.IntRange(min=0),
        help="First steps, over which the learning rate grows to its value; the schedule is of the others.",
    )
    @click.option(
        "--max-gradient-norm",
        type=FiniteRange(0),
        help="Gradients are scaled down to this norm; 0 leaves them.",
    )
    @click.option(
        "--patience",
        type=click.IntRange(min=1),
        metavar="N",
        help="Stop after N validations in a row in which no model got better; the best weights are kept.",
    )
    @click.option(
        "--max-recoveries",
        type=click.IntRange(min=0),
        metavar="N",
        help="If a loss is not finite or leaps up, go back to the last good validation, and on with other "
        "reads; N times at most.  [default: 3]",
    )
    @click.option(
        "--validation-interval",
        type=click.IntRange(min=1),
        help="Steps between validations and checkpoints.",
    )
    @click.option(
        "--tensorboard",
        metavar="DIR",
        help="Write the losses for TensorBoard, too; needs genood's extra tensorboard.",
    )
    @click.option(
        "--precision",
        type=click.Choice(["auto", "fp32", "bf16"]),
        help="Of matrix products in training; auto is fp32.",
    )
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper  # type: ignore[return-value]
