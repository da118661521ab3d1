"""Votes whose winner is told by three columns of 0 and 1.

lmsys-arena-human-preference-55k, Kaggle's train.csv of the same votes, and routellm's
gpt4_judge_battles have one layout: ``prompt``, ``response_a`` and ``response_b`` are JSON lists
with a text per turn, which may be null and hold lone surrogates; ``winner_model_a``,
``winner_model_b`` and ``winner_tie`` are 1 where they apply.
"""

from pathlib import Path
from typing import Any

from routecast.data.batches import Batch
from routecast.data.comparisons import Comparisons
from routecast.data.readers.context import Reading, ReadOptions
from routecast.data.readers.row_by_row import Battle, Row, bad_value, read_battles
from routecast.data.readers.turns import as_list
from routecast.data.readers.whole import read_comparisons_as
from routecast.data.reading import ReadResult

_WINNERS = {"winner_model_a": 1.0, "winner_model_b": 0.0, "winner_tie": 0.5}
_USED = ("prompt", "response_a", "response_b", *_WINNERS)
_TURNS = "a JSON list with a text or null per turn"


def read_arena_55k(
    path: str | Path,
    *,
    min_prompt_chars: int | None = None,
    answers: bool = True,
    skip_bad: bool = False,
) -> ReadResult[Comparisons]:
    """Read votes; the first turn is the prompt, the first answers are kept.

    Args:
        path: CSV, JSONL or Parquet.
        min_prompt_chars: Leave out prompts with fewer characters; None is 16, as in the paper.
        answers: Keep the first answers as ``answer|NAME``.
        skip_bad: Leave bad rows out and count them, instead of stopping at the first.

    Returns:
        The comparisons with all other columns, ``id`` among them. Dropped are rows whose first turn
        is null or blank, and those of one model against itself.

    Raises:
        DataError: If the file cannot be read, or at a row whose prompt is no list or whose three
            columns do not name one winner.
        MissingExtraError: If polars is not installed.
    """
    options = ReadOptions(min_prompt_chars=min_prompt_chars, answers=answers)
    return read_comparisons_as("arena-55k", path, options=options, skip_bad=skip_bad)


def arena_55k_batch(batch: Batch, reading: Reading) -> Batch:
    """Turn rows of this layout into comparisons."""
    return read_battles(batch, reading, _battle, used=_USED, label_source="arena-55k")


def _battle(row: Row, where: str) -> Battle:
    return Battle(
        prompt=_first_turn(row, "prompt", where),
        outcome=_outcome(row, where),
        model_a=row.get("model_a"),
        model_b=row.get("model_b"),
        answer_a=_first_turn(row, "response_a", where),
        answer_b=_first_turn(row, "response_b", where),
    )


def _first_turn(row: Row, column: str, where: str) -> str | None:
    """Return the first turn's text, None where it is null or the column is."""
    if row.get(column) is None:
        return None
    turns = as_list(row[column])
    first = turns[0] if turns else None
    if turns is None or not isinstance(first, str | None):
        raise bad_value(row, column, where, accepted=_TURNS)
    return first


def _outcome(row: Row, where: str) -> float:
    flags = {column: _flag(row.get(column)) for column in _WINNERS}
    if sorted(flags.values(), key=str) != [0.0, 0.0, 1.0]:
        shown = {column: row.get(column) for column in _WINNERS}
        raise bad_value(
            {"winner_tie": shown},
            "winner_tie",
            where,
            accepted="1 in one of the three columns and 0 in the others",
        )
    return next(_WINNERS[column] for column, flag in flags.items() if flag == 1.0)


def _flag(value: Any) -> float | None:  # noqa: ANN401 (whatever the file holds)
    try:
        return float(value)
    except (TypeError, ValueError):
        return {"True": 1.0, "False": 0.0}.get(value) if isinstance(value, str) else None
