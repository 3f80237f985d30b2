"""Options that several commands share."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Callable, Collection, Iterable
from functools import wraps
from typing import Any, TypeVar

import click
from click.core import ParameterSource
from click.shell_completion import CompletionItem

from genood.cli import set_up_logging
from genood.threads import MOST_THREADS, num_threads, set_num_threads

F = TypeVar("F", bound=Callable[..., Any])


def offer(
    names: Collection[str],
) -> Callable[[click.Context, click.Parameter, str], list[CompletionItem]]:
    """What completes one of some names, or the last in a list of them with commas between."""

    def complete(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, begun = incomplete.rpartition(",")
        return [CompletionItem(before + comma + name) for name in names if name.startswith(begun)]

    return complete


class FiniteRange(click.FloatRange):
    """A `click.FloatRange` without infinity, and without nan, which no bound keeps out."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Turn text into a number."""
        number = click.FLOAT.convert(value, param, ctx)
        if not math.isfinite(number):
            self.fail(f"{number} is not a finite number.", param, ctx)
        return super().convert(number, param, ctx)


def logging_options(function: F) -> F:
    """Add ``-v/--verbose``, ``-q/--quiet`` and ``--debug``, and set up logging before the command.

    Before that, values that are empty are refused: shells pass one for a variable that is not set.
    """

    @click.option("-v", "--verbose", is_flag=True, help="Say more on stderr.")
    @click.option("-q", "--quiet", is_flag=True, help="Say only errors.")
    @click.option("--debug", is_flag=True, help="Show the traceback of an error.")
    @wraps(function)
    def wrapper(*args: Any, verbose: bool, quiet: bool, debug: bool, **kwargs: Any) -> Any:
        context = click.get_current_context()
        _refuse_empty(context)
        set_up_logging(context.find_root().info_name or "genood", verbose=verbose or debug, quiet=quiet)
        context.meta["genood.quiet"] = quiet
        return function(*args, **kwargs)

    return wrapper  # type: ignore[return-value]


def _refuse_empty(context: click.Context) -> None:
    for parameter in context.command.params:
        value = context.params.get(parameter.name or "")
        if value == "" or (isinstance(value, tuple) and "" in value):
            raise click.BadParameter("is empty.", ctx=context, param=parameter)


def compute_options(function: F) -> F:
    """Add ``-t/--threads``, ``--device`` and ``--seed``; the command gets `device` by its name."""

    @click.option(
        "-t",
        "--threads",
        type=click.IntRange(1, MOST_THREADS),
        help="CPU threads.  [default: OMP_NUM_THREADS, else all cores it may use]",
    )
    @click.option(
        "--device",
        default="auto",
        show_default=True,
        metavar="DEVICE",
        shell_complete=offer(["auto", "cpu", "cuda", "mps"]),
        help="auto, cpu, cuda, cuda:N or mps.",
    )
    @click.option(
        "--seed",
        type=click.IntRange(min=0),
        default=0,
        show_default=True,
        help="Of everything random.",
    )
    @wraps(function)
    def wrapper(*args: Any, threads: int | None, device: str, **kwargs: Any) -> Any:
        # Without it cuBLAS sums in another order each time; it must stand before torch is imported.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        set_num_threads(num_threads() if threads is None else threads)
        if device not in ("auto", "cpu"):  # which need no look at the machine, for which torch is imported
            from genood.models.device import resolve_device

            resolve_device(device)
        return function(*args, device=device, **kwargs)

    return wrapper  # type: ignore[return-value]


def show_progress() -> bool:
    """Whether to draw progress: on a terminal, unless quiet."""
    quiet = click.get_current_context().meta["genood.quiet"]
    return sys.stderr.isatty() and not quiet


def is_gpu(device: str) -> bool:
    """Whether a model that can run on GPUs would."""
    if device == "cpu":
        return False
    from genood.models.device import resolve_device

    return resolve_device(device).type != "cpu"


def refuse_others(model: str, options_of: Iterable[tuple[Collection[str], Collection[str]]]) -> None:
    """A usage error if an option was given that the model has no use for.

    Parameters
    ----------
    model
        The model's name.
    options_of
        Options that not all models have a use for, with the models that do.
    """
    others = {name for names, models in options_of if model not in models for name in names}
    context = click.get_current_context()
    for parameter in context.command.params:
        name = parameter.name
        if name in others and context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise click.UsageError(f"{parameter.opts[0]} has no meaning for --model {model}")


def overrides(**values: Any) -> dict[str, Any]:
    """Those options that the user gave."""
    return {name: value for name, value in values.items() if value is not None}


def one_of(names: Iterable[str]) -> click.Choice[str]:
    """A choice among the names of a registry."""
    return click.Choice(list(names))
