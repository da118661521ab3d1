"""Progress bars on stderr, where that is a terminal."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

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
