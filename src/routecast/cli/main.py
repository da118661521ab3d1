"""The command `routecast`: every command by name; errors become exit codes here and only here."""

import contextlib
import io
import os
import signal
import sys

import typer

from routecast import __version__
from routecast.cli import config, data, label
from routecast.cli.calibrate import calibrate
from routecast.cli.data_leakage import check_leakage
from routecast.cli.demo import demo
from routecast.cli.doctor import doctor
from routecast.cli.evaluate import evaluate
from routecast.cli.examples import EXAMPLES, add_examples
from routecast.cli.label_gold import gold
from routecast.cli.route import route
from routecast.cli.score import score
from routecast.cli.serve import serve
from routecast.cli.train import train
from routecast.data.limits import FILE_RULES, MAX_ROW_MIB, FileRules
from routecast.errors import RoutecastError

app = typer.Typer(
    name="routecast",
    help="Learn which prompts need the strong LLM, and route the rest to a cheap one.",
    epilog=f"Example: {EXAMPLES['']}",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (calibrate, demo, doctor, evaluate, route, score, serve, train):
    app.command()(command)
app.add_typer(config.app, name="config")
data.app.command()(check_leakage)
app.add_typer(data.app, name="data")
label.app.command()(gold)
app.add_typer(label.app, name="label")
add_examples(app)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"routecast {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    context: typer.Context,
    version: bool = typer.Option(  # noqa: ARG001 (its callback does the work)
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
    max_row_mib: int = typer.Option(
        MAX_ROW_MIB, min=1, max=100_000, help="The largest row of a file that is read, in MiB."
    ),
    spreadsheet_safe: bool = typer.Option(
        False,
        "--spreadsheet-safe",
        help="In CSV, write an apostrophe before texts that a spreadsheet would run.",
    ),
) -> None:
    """Learn which prompts need the strong LLM, and route the rest to a cheap one."""
    rules = FileRules(max_row_mib=max_row_mib, spreadsheet_safe=spreadsheet_safe)
    token = FILE_RULES.set(rules)
    context.call_on_close(lambda: FILE_RULES.reset(token))


def main() -> None:
    """Run a command.

    Exits with 0 done, 1 refused with a message, 2 wrong usage, 130 interrupted, 143 told to end.
    """
    signal.signal(signal.SIGTERM, _end)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal without Unicode shows what it can
    try:
        try:
            app()
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except RoutecastError as error:
        _refuse(str(error))
    except KeyboardInterrupt:
        typer.echo("routecast: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        _drop_output()  # the reader has gone; say nothing more
        sys.exit(1)
    except OSError as error:
        _drop_output()
        place = f" {str(error.filename)!r}" if error.filename else ""
        _refuse(f"the system refuses{place}: {error.strerror or error}")


def _refuse(message: str) -> None:
    typer.echo(f"routecast: {message}", err=True)
    sys.exit(1)


def _drop_output() -> None:
    """Let nothing be written at exit to a stdout that takes nothing."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end(number: int, frame: object) -> None:  # noqa: ARG001 (the signature of a handler)
    """End as if interrupted, so that files in the making are cleaned up."""
    sys.exit(128 + number)
