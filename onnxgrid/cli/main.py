"""The `onnxgrid` command: finds the commands, shows warnings, turns every error into a message and an exit code.

Exit codes: 0 done; 1 the work failed; 2 wrong usage or bad input; 130 interrupted.
"""

import errno
import logging
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

import click

from onnxgrid import __version__
from onnxgrid.cli.deferred_imports import defer_sympy
from onnxgrid.cli.printable import printable_lines
from onnxgrid.errors import EndedElsewhere, UserError, WorkFailed, WritingFailed

__all__ = ["COMMANDS", "Cli", "cli", "main"]

COMMANDS = {
    "artifacts": "Write ONNX Runtime's artifacts for training on a device.",
    "convert": "Convert a Keras-style network JSON to ONNX, or back.",
    "diff": "Compare two models or weight files, layer by layer.",
    "inspect": "Show what a model or weight file holds.",
    "train": "Train the network that a run configuration describes.",
    "transplant": "Carry weights from one model to another.",
}
"""Command -> its line in `onnxgrid --help`. It is `command` in `onnxgrid.cli.<name>`, imported only to be run."""

LIBRARY_LOGGERS = ("converters", "onnxgrid")


class _BadInput(click.ClickException):
    exit_code: ClassVar[int] = 2


class _Failed(click.ClickException):
    exit_code: ClassVar[int] = 1


class _Interrupted(click.ClickException):
    exit_code: ClassVar[int] = 130

    def show(self, file: Any = None) -> None:
        # The line break ends the line that the terminal began with ^C.
        click.echo(f"\n{self.message}", file=file, err=True)


class Cli(click.Group):
    """A group that imports a command only when it runs, and translates what its commands raise."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.commands:
            return None
        command: click.Command = import_module(f"onnxgrid.cli.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.short_help or "") for name, command in self.commands.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _log_on_stderr(logging.DEBUG if ctx.params["debug"] else logging.WARNING):
                return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except EndedElsewhere as error:
            raise click.exceptions.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            raise _Interrupted("Interrupted.") from None
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # whoever read our output went away: click ends the program without a word
            if ctx.params["debug"]:
                traceback.print_exc()
            raise _translated(error) from error


def _translated(error: Exception) -> click.ClickException:
    if isinstance(error, WritingFailed):
        return _Failed(printable_lines(str(error)))
    if isinstance(error, UserError):
        return _BadInput(printable_lines(str(error)))
    if isinstance(error, WorkFailed):
        return _Failed(printable_lines(str(error)))
    if isinstance(error, OSError) and error.strerror:
        return _Failed(f"{error.filename}: {error.strerror}" if error.filename else error.strerror)
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}, line {where.lineno}"
    return _Failed(
        f"this is a bug in onnxgrid: {type(error).__name__}: {error} ({place}).\n"
        "  Please report it with the traceback that the same command prints as: onnxgrid --debug ..."
    )


class _LogEcho(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        click.echo(f"{record.levelname.lower()}: {printable_lines(record.getMessage())}", err=True)


@contextmanager
def _log_on_stderr(level: int) -> Iterator[None]:
    """Show what the library logs, from this level upwards, as `warning: ...` and the like on stderr."""
    handler = _LogEcho(level)
    loggers = [logging.getLogger(name) for name in LIBRARY_LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(level)
        logger.propagate = False  # a third party may have put a handler of its own on the root logger
    try:
        yield
    finally:
        for logger, before in zip(loggers, levels, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(before)
            logger.propagate = True


@click.group(
    "onnxgrid",
    cls=Cli,
    commands={name: click.Command(name, short_help=line) for name, line in COMMANDS.items()},
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="onnxgrid", message="%(prog)s %(version)s")
@click.option("--debug", is_flag=True, help="Print a traceback before every error message, and how kernels are chosen.")
def cli(debug: bool) -> None:
    """Train Keras-style networks as ONNX graphs, coarse to fine.

    \b
    Example:
        onnxgrid convert models/digits_conv_16.json -o net.onnx
        onnxgrid train models/run_conv_16.json
    """


def main() -> None:
    """Run the command line and exit."""
    defer_sympy()
    cli(prog_name=cli.name)
