"""The `nas` program: its commands, and what happens when one of them fails.

0    done
2    the input is wrong or the budget is infeasible: one message
1    anything else (disk full, a defect): one message, the traceback is in the run's log
130  interrupted: how to continue; 143 after SIGTERM, 129 after SIGHUP
"""

from __future__ import annotations

import inspect
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.exceptions import TyperException

from nas import __version__
from nas.cli.bench import bench
from nas.cli.doctor import doctor
from nas.cli.evolve_space import evolve_space
from nas.cli.export import export
from nas.cli.hardware import hardware
from nas.cli.ls import ls
from nas.cli.measure import measure
from nas.cli.mixers import mixers
from nas.cli.predict import predict
from nas.cli.rank import rank
from nas.cli.report import report
from nas.cli.resume import resume
from nas.cli.retrain import retrain
from nas.cli.search import search
from nas.cli.searchers import searchers
from nas.cli.spaces import spaces
from nas.cli.train import train
from nas.environment import keep_memory, share_processors
from nas.errors import NasError, RunError, Stopped, StorageError
from nas.storage import storing


class Guarded(TyperGroup):
    """Commands whose errors end in one message and an exit code."""

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Run the command; what it raises becomes what a person reads."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, TyperException, BrokenPipeError):
            raise  # typer's own: usage errors, help, a closed pipe
        except (Exception, KeyboardInterrupt) as error:
            if ctx.params["debug"]:
                traceback.print_exception(error)
            sys.stderr.write(f"{explanation(error)}\n")
            raise typer.Exit(exit_code(error)) from None


def unwrapped(text: str) -> str:
    """A docstring with one line for each paragraph, so that a terminal of any width wraps it."""
    paragraphs = inspect.cleandoc(text).split("\n\n")
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def explanation(error: BaseException) -> str:
    """The one message for an error; a run adds what to do next as a note (PEP 678)."""
    notes: list[str] = getattr(error, "__notes__", [])
    if isinstance(error, KeyboardInterrupt):
        word = "Stopped." if isinstance(error, Stopped) else "Interrupted."
        return " ".join([word, *(notes or ["To go on, give the same command again."])])
    error = _named(error)
    if isinstance(error, NasError):
        return "\n".join([str(error), *(notes if error.exit_code != 2 else [])])
    what = f"{type(error).__name__}: {error}".removesuffix(": ")
    hint = "Run it again with --debug for the traceback."
    return "\n".join([f"Something went wrong that should not have ({what}). {hint}", *notes])


def exit_code(error: BaseException) -> int:
    """130 interrupted, 128 and the signal's number, 2 the input is wrong, 1 anything else."""
    if isinstance(error, Stopped):
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return 130
    error = _named(error)
    return error.exit_code if isinstance(error, NasError) else 1


def _named(error: BaseException) -> BaseException:
    """A full disk, or a place that is closed, is named as such wherever a library meets it."""
    if not isinstance(error, OSError) or isinstance(error, NasError):
        return error
    if isinstance(error, PermissionError) and error.filename:
        return RunError(
            f"'{error.filename}' cannot be used: {error.strerror}. Give yourself the rights to "
            "it, or choose another place."
        )
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):
        return RunError(
            "No folder for temporary files can be written to. Set TMPDIR to a folder that can."
        )
    try:
        with storing(Path(error.filename or "a file")):
            raise error
    except StorageError as named:
        return named
    except Exception:
        return error


app = typer.Typer(
    name="nas",
    cls=Guarded,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)

_COMMANDS: dict[str, tuple[Callable[..., None], ...]] = {
    "Search": (search, evolve_space, resume, ls, report),
    "One step at a time": (train, measure, predict, rank, retrain, export),
    "Compare searchers": (bench,),
    "What there is": (spaces, mixers, searchers, doctor),
}
_TRAINING = {
    function.__name__.replace("_", "-")
    for function in (search, evolve_space, resume, train, rank, retrain)
}
"""Commands that train here and measure in other processes."""
for _panel, _functions in _COMMANDS.items():
    for _function in _functions:
        app.command(rich_help_panel=_panel, help=unwrapped(_function.__doc__ or ""))(_function)
app.add_typer(hardware, rich_help_panel=_panel)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nas {__version__}")
        raise typer.Exit


@app.callback()
def nas(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks; goes with every command.")
    ] = False,
) -> None:
    """Find the best vision network that runs within a latency on your hardware.

    Example: nas search --hardware cpu --budget 5ms
    """
    if context.invoked_subcommand in _TRAINING:
        share_processors()
        keep_memory()


def main() -> None:
    """Entry point of the console script."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = ["--debug"] if len(arguments) < len(sys.argv) - 1 else []
    _stop_when_asked()
    app(args=[*debug, *arguments], prog_name="nas")


def _stop_when_asked() -> None:
    """SIGTERM and SIGHUP end the program as an interruption does: it says how to continue."""
    program = os.getpid()

    def stop(number: int, _: object) -> None:
        if os.getpid() != program:  # a process that it started
            os._exit(128 + number)
        raise Stopped(number)

    for asked in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(asked) is not signal.SIG_IGN:  # as `nohup` wants it
            signal.signal(asked, stop)
