"""The readers by name. Each is imported when it is first asked for."""

import difflib
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from routecast.data.reading import ReadResult
from routecast.errors import DataError

Reader = Callable[..., ReadResult[Any]]
"""Takes a path, and options by keyword; returns a validated table and what it dropped."""

_HOMES: Mapping[str, tuple[str, str]] = {
    "matrix": ("routecast.data.readers.matrix", "read_matrix"),
    "pandalm": ("routecast.data.readers.pandalm", "read_pandalm"),
    "routellm-eval": ("routecast.data.readers.routellm_eval", "read_routellm_eval"),
}


def reader_names() -> tuple[str, ...]:
    """Return the names of all formats, sorted."""
    return tuple(sorted(_HOMES))


def find_reader(name: str) -> Reader:
    """Return the reader of a format.

    Raises:
        DataError: If no format has this name; the message lists those that exist.
    """
    if name not in _HOMES:
        nearest = difflib.get_close_matches(name, _HOMES, n=1)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise DataError(f"unknown format {name!r}; {hint}choose one of {list(reader_names())!r}")
    module, function = _HOMES[name]
    reader: Reader = getattr(import_module(module), function)
    return reader
