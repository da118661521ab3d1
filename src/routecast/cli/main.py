"""The command `routecast`: one file per command, errors to exit codes here and nowhere else."""

import sys

import typer

from routecast import __version__
from routecast.cli import config, data, label
from routecast.cli.data_leakage import check_leakage
from routecast.cli.demo import demo
from routecast.cli.label_gold import gold
from routecast.cli.route import route
from routecast.cli.score import score
from routecast.cli.serve import serve
from routecast.errors import RoutecastError

app = typer.Typer(
    name="routecast",
    help="Learn which prompts need the strong LLM, and route the rest to a cheap one.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (demo, route, score, serve):
    app.command()(command)
app.add_typer(config.app, name="config")
data.app.command()(check_leakage)
app.add_typer(data.app, name="data")
label.app.command()(gold)
app.add_typer(label.app, name="label")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"routecast {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: bool = typer.Option(
        False, "--version", callback=_print_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Learn which prompts need the strong LLM, and route the rest to a cheap one."""


def main() -> None:
    """Run a command; exit 0 done, 1 refused with a message, 2 wrong usage, 130 interrupted."""
    try:
        app()
    except RoutecastError as error:
        typer.echo(f"routecast: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has gone; say nothing more
        sys.exit(1)
