"""`routecast label`: labels for preference data."""

import typer

from routecast.cli.label_judge import judge

app = typer.Typer(no_args_is_help=True, help="Make labels for preference data.")


@app.callback()
def _group() -> None:
    """Make labels for preference data."""


app.command()(judge)
