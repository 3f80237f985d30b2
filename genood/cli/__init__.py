"""The `genood` command: the group, and the one place where errors become exit codes."""

from __future__ import annotations

import logging
import os
import signal
import sys
import traceback
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from types import FrameType
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from genood import __version__
from genood.cli.examples import examples
from genood.errors import GenoodError

EXIT_FAILURE = 1
EXIT_INTERRUPTED = 130

_IMPORT_SECONDS = 0.02
"""How long an interrupt waits for an import to end before it looks again."""

_COMMANDS = {
    "index": "Read genomes once, to train on them from disk.",
    "train": "Train a bundle on reference sequences.",
    "join": "Join bundles of different models into one.",
    "tune": "Choose the background model on validation reads.",
    "score": "Score reads with a bundle.",
    "split": "Split reads into parts that can be scored apart.",
    "gather": "Make one run of the scores of parts.",
    "calibrate": "Refit a bundle's p-values on in-distribution reads of your own.",
    "evaluate": "Measure how well scores separate in-distribution from OOD reads.",
    "report": "Write an HTML page that shows scored runs.",
    "benchmark": "Compare all methods on a dataset: train, tune, evaluate, table.",
    "attack": "Measure how few bases of OOD reads make a detector miss them.",
    "info": "Show what a bundle is and where it comes from.",
    "completion": "Print a script for completion in a shell.",
}


class Group(click.Group):
    """A group of commands that an interrupt ends without an empty line, but on a terminal."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was named."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as error:
            if sys.stderr.isatty():
                raise  # click ends the line on which the terminal shows ^C, here and nowhere else
            raise click.Abort from error


class LazyGroup(Group):
    """A group that imports a subcommand's module when the subcommand is used.

    Parameters
    ----------
    package
        Holds a module for each subcommand, with the command in `command`.
    summaries
        The subcommands' names, each with its line in the group's help.
    """

    def __init__(self, *args: Any, package: str, summaries: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._package = package
        self.summaries = summaries

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The subcommands in the order of their summaries."""
        return list(self.summaries)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The subcommand, imported."""
        if cmd_name not in self.summaries:
            return None
        command: click.Command = import_module(f"{self._package}.{cmd_name}").command
        if ctx.resilient_parsing:  # a shell asks how a line may go on
            from genood.cli.completion import complete_paths

            complete_paths(command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Options, or the subcommands' names; without an import."""
        summaries = self.summaries.items()
        named = [CompletionItem(name, help=text) for name, text in summaries if name.startswith(incomplete)]
        return [*named, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the summaries without an import."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self.summaries.items()))


@click.group(
    cls=LazyGroup,
    package="genood.cli",
    summaries=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=examples(
        "genood train genomes/*.fna.gz -o bundle",
        "genood score -m bundle reads.fastq.gz -o scores.tsv --summary summary.json",
        "genood score --help",
    ),
)
@click.version_option(__version__, prog_name="genood", message="%(prog)s %(version)s")
def cli() -> None:
    """Find the reads of a sequencing run that come from outside a reference set.

    genood train learns a foreground and a background density model of reference genomes; genood score
    gives each read the log-likelihood ratio of the two, a p-value and a call.
    """


def main() -> NoReturn:
    """Run the `genood` command and exit."""
    # Threads of NumPy's products keep a core for a while after each, in case of another, and those of models
    # wait for it. It is looked at as NumPy is imported, which no command has done yet.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    run(cli, "genood")


def run(command: click.Command, program: str) -> NoReturn:
    """Run a command of some program and exit: 0 done, 1 bad data or failure, 2 usage, 130 interrupted.

    SIGTERM and SIGHUP interrupt as SIGINT does. A closed pipe ends it quietly. Tracebacks only with
    ``--debug``.
    """
    _fill_closed_descriptors()
    _catch_interrupts()
    debug = "--debug" in sys.argv[1:]
    try:
        result = command.main(prog_name=program, standalone_mode=False)
        if sys.stdout is not None:  # it is None where the caller closed it
            sys.stdout.flush()
        sys.exit(result if isinstance(result, int) else 0)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        if debug:
            traceback.print_exc()
        _tell(f"{program}: interrupted")
        sys.exit(EXIT_INTERRUPTED)
    except BrokenPipeError:
        # What is still buffered has nowhere to go; without this Python complains at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(EXIT_FAILURE)
    except Exception as error:
        if debug:
            traceback.print_exc()
        _tell(f"{program}: error: {_describe(error)}")
        sys.exit(EXIT_FAILURE)


def _tell(line: str) -> None:
    """Say it on stderr, where there is one: a terminal may have been closed, a disk be full."""
    with suppress(OSError):
        click.echo(line, err=True)


def _fill_closed_descriptors() -> None:
    """Open what the caller closed of 0, 1 and 2, or the next files would be those: errors end up in tables.

    Python's streams stay None where they are closed, but for stderr, which takes what nobody wants to read.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest that is free, which is this one
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115


def _catch_interrupts() -> None:
    """Let SIGTERM, SIGINT and SIGHUP raise KeyboardInterrupt, though not in an import.

    Not the last two where they are ignored, as by a shell's background job and by nohup.
    """
    numbers = [signal.SIGTERM, signal.SIGALRM]
    numbers += [n for n in (signal.SIGINT, signal.SIGHUP) if signal.getsignal(n) is not signal.SIG_IGN]
    for number in numbers:
        signal.signal(number, _interrupt)


def _interrupt(number: int, frame: FrameType | None) -> None:
    """Raise KeyboardInterrupt, in an import later: compiled modules that are being set up lose exceptions."""
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib"):
            signal.setitimer(signal.ITIMER_REAL, _IMPORT_SECONDS)
            return
        frame = frame.f_back
    raise KeyboardInterrupt


def set_up_logging(program: str, *, verbose: bool, quiet: bool) -> None:
    """Send a program's log messages to stderr: warnings always but when quiet, details when verbose."""
    level = logging.DEBUG if verbose else logging.ERROR if quiet else logging.INFO
    handler = _StderrHandler()
    handler.setFormatter(_Line(program, names=verbose))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("genood").setLevel(level)


class _Line(logging.Formatter):
    """The program, ``warning`` or worse where it is, and what is said.

    Who says it comes before that in others' messages, and with `names` in all.
    """

    def __init__(self, program: str, *, names: bool) -> None:
        super().__init__()
        self._program = program
        self._names = names

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        parts = [self._program]
        if record.levelno >= logging.WARNING:
            parts.append(record.levelname.lower())
        package, _, module = record.name.partition(".")
        if package != "genood" or (module and self._names):
            parts.append(record.name)
        return ": ".join([*parts, super().format(record)])


class _StderrHandler(logging.Handler):
    """Writes to what is standard error at the time: while progress is drawn, that is above it."""

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):  # a closed terminal or a full disk ends no work
            print(self.format(record), file=sys.stderr)


def _describe(error: Exception) -> str:
    """One line for the user."""
    if isinstance(error, GenoodError):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    if isinstance(error, MemoryError) or "DefaultCPUAllocator" in str(error):  # which is torch's
        return "not enough memory"
    if type(error).__name__ == "OutOfMemoryError":  # torch's too, which is not imported for it
        return "not enough memory on the GPU; a smaller --batch-size needs less"
    reason = " ".join(str(error).split())
    return f"internal error: {type(error).__name__}: {reason} (--debug shows more)"
