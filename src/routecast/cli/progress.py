"""Progress bars on stderr, where that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

import typer

Watch = Callable[[int, int | None], None]
"""Called with what is done, and what there is to do where that is known."""


@contextmanager
def shown_progress(verb: str) -> Iterator[Watch | None]:
    """Show a bar with rate and time left while the block runs.

    Args:
        verb: What is being done: ``importing``.

    Yields:
        What to call with the progress made; None where stderr is no terminal.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (
        TextColumn(verb),
        BarColumn(),
        TaskProgressColumn(show_speed=True),
        TextColumn("{task.fields[rate]}/s"),
        TimeLeft(),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=None, rate="-")

        def watch(n_done: int, n_total: int | None) -> None:
            speed = progress.tasks[bar].speed
            rate = "-" if speed is None else f"{speed:,.0f}"
            progress.update(bar, completed=n_done, total=n_total, rate=rate)

        yield watch


@contextmanager
def said_when_stopped(message: Callable[[], str]) -> Iterator[None]:
    """Say on stderr what is left and how to go on when the block is interrupted, or told to end."""
    try:
        yield
    except (KeyboardInterrupt, SystemExit):
        typer.echo(message(), err=True)
        raise


class StageWatch(Protocol):
    """Called as work of several stages goes on."""

    def __call__(self, stage: str, n_done: int, n_total: int | None, note: str = "") -> None:
        """Take the stage's name, what is done of what there is to do (None or 0: nobody knows)."""
        ...


@contextmanager
def shown_stages() -> Iterator[StageWatch | None]:
    """Show a bar with rate and time left for each stage while the block runs.

    Yields:
        What to call with the progress made; None where stderr is no terminal.
    """
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[note]}"),
        TimeLeft(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        bars = {}

        def watch(stage: str, n_done: int, n_total: int | None, note: str = "") -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=None, rate="", note="")
            progress.update(bars[stage], completed=n_done, total=n_total or None, note=note)
            speed = progress.tasks[bars[stage]].speed
            progress.update(bars[stage], rate="" if speed is None else f"{speed:,.0f}/s")

        yield watch
