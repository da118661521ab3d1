"""Every help ends with an example that the command line takes."""

import shlex
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from routecast.cli.examples import EXAMPLES
from routecast.cli.main import app


def all_paths(command: object, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Yield what is typed after `routecast` for every command and every group."""
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from all_paths(below, (*path, name))


PATHS = sorted(all_paths(typer.main.get_command(app)))


def test_every_example_belongs_to_a_command() -> None:
    assert sorted(map(" ".join, PATHS)) == sorted(EXAMPLES)


@pytest.mark.parametrize("path", PATHS, ids=" ".join)
def test_every_help_ends_with_an_example(path: tuple[str, ...]) -> None:
    run = CliRunner().invoke(app, [*path, "--help"])
    last = run.stdout.rpartition("Example: ")[2]
    assert "".join(last.split()) == "".join(EXAMPLES[" ".join(path)].split())


@pytest.mark.parametrize("example", sorted(set(EXAMPLES.values())))
def test_every_example_is_taken(example: str) -> None:
    program, *words = shlex.split(example.partition(" > ")[0])
    assert program == "routecast"
    command: Any = typer.main.get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    command.make_context(command.name, words)  # raises where an option or a value is refused
