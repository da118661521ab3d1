"""The formats by name. Each reader is imported when it is first asked for."""

import difflib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from routecast.data.readers.context import PAPER_MIN_PROMPT_CHARS, Kind
from routecast.data.reading import ReadResult
from routecast.errors import DataError

if TYPE_CHECKING:
    from routecast.data.batches import Batch
    from routecast.data.readers.context import Reading

Reader = Callable[..., ReadResult[Any]]
"""Takes a path, and options by keyword; returns a validated table and what it dropped."""

Transform = Callable[["Batch", "Reading"], "Batch"]
"""Turns rows as a format has them into rows in the contract's columns."""

_HOME = "routecast.data.readers."
_VOTE = frozenset({"model_a", "model_b", "winner"})
_CONVERSATIONS = frozenset({"conversation_a", "conversation_b", "full_conversation"})


@dataclass(frozen=True, kw_only=True)
class TableFormat:
    """A layout of tables that we read.

    Attributes:
        name: What ``--format`` calls it.
        home: Module of the reader.
        stem: What its functions' names hold: ``read_STEM`` and ``STEM_batch``.
        recognises: Whether a table with these columns is in this format.
        kind: The contract it becomes; None where the columns tell.
        options: Fields of `ReadOptions` that mean something here, besides ``min_prompt_chars``.
        min_prompt_chars: Fewest characters of a prompt, unless the options say otherwise.
    """

    name: str
    home: str
    stem: str
    recognises: Callable[[frozenset[str]], bool]
    kind: Kind | None
    options: frozenset[str] = frozenset()
    min_prompt_chars: int = 1


def _battles(name: str, home: str, recognises: Callable[[frozenset[str]], bool]) -> TableFormat:
    return TableFormat(
        name=name,
        home=_HOME + home,
        stem=home,
        recognises=recognises,
        kind="comparisons",
        options=frozenset({"answers", "label_source"}),
        min_prompt_chars=PAPER_MIN_PROMPT_CHARS,
    )


def has_winners(columns: frozenset[str]) -> bool:
    """Return whether columns are those of a plain table of votes: prompts, models and winners."""
    return columns >= _VOTE | {"prompt"} and not columns & _CONVERSATIONS


def _has_prefix(columns: Collection[str], prefixes: tuple[str, ...]) -> bool:
    return any(column.startswith(prefixes) for column in columns)


_FORMATS = (
    _battles(
        "arena-55k",
        "arena_55k",
        {"prompt", "model_a", "model_b", "winner_model_a", "winner_model_b", "winner_tie"}.issubset,
    ),
    _battles(
        "arena-140k",
        "arena_140k",
        lambda columns: (
            columns >= _VOTE
            and bool(columns & {"full_conversation", "conversation_a"})
            and bool(columns & {"full_conversation", "evaluation_session_id", "conv_metadata"})
        ),
    ),
    _battles(
        "arena-conversations",
        "arena_conversations",
        lambda columns: columns >= _VOTE | {"conversation_a", "conversation_b"},
    ),
    _battles(
        "alpacaeval",
        "alpacaeval",
        lambda columns: (
            columns >= {"instruction", "generator_1", "generator_2", "preference"}
            or columns >= {"prompt", "model", "reference", "p_model_wins"}
        ),
    ),
    TableFormat(
        name="pandalm",
        home=_HOME + "pandalm",
        stem="pandalm",
        recognises=lambda columns: (
            columns >= _VOTE | {"prompt", "annotators"} and "outcome" not in columns
        ),
        kind="comparisons",
        options=frozenset({"label_source"}),
        min_prompt_chars=PAPER_MIN_PROMPT_CHARS,
    ),
    TableFormat(
        name="native",
        home=_HOME + "native",
        stem="native",
        recognises=lambda columns: (
            columns >= {"model_a", "model_b", "outcome"}
            or _has_prefix(columns, ("quality|",))
            or has_winners(columns)
        ),
        kind=None,
        options=frozenset({"answers", "quality_range", "label_source"}),
    ),
    TableFormat(
        name="routerbench",
        home=_HOME + "routerbench",
        stem="routerbench",
        recognises=lambda columns: (
            "prompt" in columns
            and any(c.removesuffix("|total_cost") in columns - {c} for c in columns)
        ),
        kind="outcomes",
        options=frozenset({"answers", "quality_range"}),
    ),
    TableFormat(
        name="matrix",
        home=_HOME + "matrix",
        stem="matrix",
        recognises=lambda columns: _has_prefix(columns, ("correct|", "score|", "p|")),
        kind="outcomes",
        options=frozenset({"prompt_column", "group_column", "quality_range"}),
    ),
)
_BY_NAME = {table_format.name: table_format for table_format in _FORMATS}
_FOLDERS = {"routellm-eval": (_HOME + "routellm_eval", "read_routellm_eval")}
"""Formats of whole folders, which no columns tell."""


def reader_names() -> tuple[str, ...]:
    """Return the names of all formats, sorted."""
    return tuple(sorted([*_BY_NAME, *_FOLDERS]))


def find_reader(name: str) -> Reader:
    """Return the reader of a format.

    Raises:
        DataError: If no format has this name; the message lists those that exist.
    """
    _require(name)
    if name in _FOLDERS:
        module, function = _FOLDERS[name]
    else:
        module, function = _BY_NAME[name].home, f"read_{_BY_NAME[name].stem}"
    reader: Reader = getattr(import_module(module), function)
    return reader


def find_format(name: str) -> TableFormat:
    """Return a format of tables.

    Raises:
        DataError: If no format has this name, or it is one of folders.
    """
    _require(name)
    if name in _FOLDERS:
        raise DataError(f"format {name!r} is a folder of files; name the folder, not a file in it")
    return _BY_NAME[name]


def guess_format(columns: Collection[str]) -> TableFormat | None:
    """Return the format that has these columns, None where they tell nothing."""
    names = frozenset(columns)
    return next((known for known in _FORMATS if known.recognises(names)), None)


def load_transform(table_format: TableFormat) -> Transform:
    """Return the function that turns rows of a format into the contract's columns."""
    transform: Transform = getattr(import_module(table_format.home), f"{table_format.stem}_batch")
    return transform


def _require(name: str) -> None:
    if name not in _BY_NAME and name not in _FOLDERS:
        nearest = difflib.get_close_matches(name, reader_names(), n=1)
        hint = f"did you mean {nearest[0]!r}? " if nearest else ""
        raise DataError(f"unknown format {name!r}; {hint}choose one of {list(reader_names())!r}")
