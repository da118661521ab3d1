"""`routecast score`: a win probability for every prompt of a file."""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from routecast.cli.counts import counted, finite_or_none
from routecast.cli.embedders import (
    DeviceName,
    EmbedderKey,
    EmbedderUrl,
    EndpointKey,
    EndpointUrl,
    RouterEmbedder,
    named_endpoint,
    opened_router,
)

if TYPE_CHECKING:
    from routecast.artifacts import LoadedRouter
    from routecast.data.prompts import PromptRow
    from routecast.types import FloatArray

_N_ROWS_AT_ONCE = 2048


def score(
    source: Annotated[
        str,
        typer.Option(
            "--input",
            help="JSONL, CSV or Parquet with `prompt` or `messages`; - is JSONL from stdin.",
        ),
    ],
    output: Annotated[
        str, typer.Option(help="Where the rows go, with `win_probability`; - is JSONL on stdout.")
    ],
    router: Annotated[
        str, typer.Option(help="default, random, length, or a trained router's folder.")
    ] = "default",
    skip_bad: Annotated[
        bool, typer.Option("--skip-bad", help="Drop bad rows and count them.")
    ] = False,
    deviation: Annotated[
        bool,
        typer.Option(
            "--deviation",
            help="Also add gap_deviation, how far the expected gap may be off (blend, ridge).",
        ),
    ] = False,
    embedder: RouterEmbedder = None,
    embedder_url: EmbedderUrl = None,
    embedder_key: EmbedderKey = None,
    endpoint: EndpointUrl = None,
    endpoint_key: EndpointKey = None,
    device: DeviceName = None,
    processes: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Processes that score a large file (default: one per core; 1 for stdin, networks "
            "and endpoints).",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON summary.")] = False,
) -> None:
    """Add the strong model's win probability to every row of a file of prompts."""
    if as_json and output == "-":
        raise typer.BadParameter("--json and --output - both want stdout; write to a file")
    from routecast.data.prompts import iter_prompts
    from routecast.data.scores import write_scores
    from routecast.errors import ConfigError

    dropped: Counter[str] = Counter()
    n_cut: Counter[str] = Counter()
    with opened_router(
        router,
        embedder=embedder,
        url=embedder_url,
        key=embedder_key,
        endpoint=named_endpoint(endpoint, endpoint_key),
        device=device,
    ) as loaded:
        if deviation and loaded.gap_deviations([""]) is None:
            raise ConfigError(
                f"router {router!r} does not know how far it may be off; leave out --deviation, or "
                "give one that `routecast train blend` or `ridge` made"
            )
        rows = _some(iter_prompts(source, skip_bad=skip_bad, dropped=dropped), source)
        start_s = time.perf_counter()
        n_processes = _n_processes(processes, source, loaded, deviation=deviation)
        scored = _scored(_with_progress(rows, source), loaded, n_cut, n_processes=n_processes)
        n_rows = write_scores(output, _with_deviations(scored, loaded) if deviation else scored)
        elapsed_s = time.perf_counter() - start_s
    if as_json:
        document = {
            "router": loaded.name,
            "n_rows": n_rows,
            "dropped": dict(dropped),
            "n_cut": n_cut["prompts"],
            "elapsed_s": elapsed_s,
            "output": output,
        }
        typer.echo(json.dumps(document))
        return
    for reason, n_dropped in sorted(dropped.items()):
        typer.echo(f"dropped {counted(n_dropped, 'row')}: {reason}", err=True)
    if n_cut["prompts"]:
        typer.echo(f"{counted(n_cut['prompts'], 'prompt')} too long to be read whole", err=True)
    rate = f"{n_rows / elapsed_s:,.0f} a second"
    typer.echo(
        f"scored {counted(n_rows, 'prompt')} with {loaded.name} in {elapsed_s:.1f} s, {rate}",
        err=True,
    )


def _n_processes(asked: int | None, source: str, loaded: "LoadedRouter", *, deviation: bool) -> int:
    """Return how many processes score: one where rows are to come out as they come in."""
    from routecast.cli.score_workers import n_cores, scores_in_workers

    if deviation or not scores_in_workers(loaded):
        return 1
    return asked or (1 if source == "-" else n_cores())


def _some(rows: "Iterator[PromptRow]", source: str) -> "Iterator[PromptRow]":
    """Return the rows, there being at least one, before anything is written."""
    from routecast.errors import DataError

    first = next(rows, None)
    if first is None:
        name = "standard input" if source == "-" else repr(source)
        raise DataError(f"{name} holds no rows to score; give at least one prompt")
    return chain([first], rows)


def _scored(
    rows: "Iterator[PromptRow]", loaded: "LoadedRouter", n_cut: Counter[str], *, n_processes: int
) -> "Iterator[tuple[list[PromptRow], FloatArray]]":
    """Score rows in batches as they come, and count the prompts that are read in part."""
    from routecast.cli.score_workers import score_batches

    read = iter(lambda: list(islice(rows, _N_ROWS_AT_ONCE)), [])
    batches = ((batch, [row.prompt for row in batch]) for batch in read)
    for batch, (probabilities, n_cut_here) in score_batches(
        batches, loaded, n_processes=n_processes
    ):
        n_cut["prompts"] += n_cut_here
        yield batch, probabilities


def _with_deviations(
    scored: "Iterator[tuple[list[PromptRow], FloatArray]]", loaded: "LoadedRouter"
) -> "Iterator[tuple[list[PromptRow], FloatArray]]":
    """Add a column that says how far the expected gap may be off; null where nobody knows."""
    for rows, probabilities in scored:
        found = loaded.gap_deviations([row.prompt for row in rows])
        known = [None] * len(rows) if found is None else map(finite_or_none, found.tolist())
        yield (
            [
                replace(row, columns={**row.columns, "gap_deviation": value})
                for row, value in zip(rows, known, strict=True)
            ],
            probabilities,
        )


def _with_progress(rows: "Iterator[PromptRow]", source: str) -> "Iterator[PromptRow]":
    """Show a bar with rate and time left while rows are read, on a terminal only."""
    if not sys.stderr.isatty():
        yield from rows
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(
        rows, description="scoring", total=_count_lines(source), console=Console(stderr=True)
    )


def _count_lines(source: str) -> int | None:
    """Count the lines of a JSONL file, which are its rows; None where that is not known."""
    if not source.endswith(".jsonl") or not Path(source).is_file():
        return None
    with Path(source).open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))
