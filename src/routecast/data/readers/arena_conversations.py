"""Votes on conversations, a winner by name: chatbot_arena_conversations.

``conversation_a`` and ``conversation_b`` are lists of messages with ``role`` and ``content``;
``winner`` is ``model_a``, ``model_b``, ``tie`` or ``tie (bothbad)``.
"""

from pathlib import Path
from typing import Any

from routecast.data.batches import Batch
from routecast.data.comparisons import Comparisons
from routecast.data.readers.context import Reading, ReadOptions
from routecast.data.readers.row_by_row import (
    Battle,
    Row,
    bad_value,
    outcome_of_winner,
    read_battles,
)
from routecast.data.readers.turns import (
    answer_after,
    as_list,
    is_conversation,
    text_of,
    user_turns,
)
from routecast.data.readers.whole import read_comparisons_as
from routecast.data.reading import ReadResult

_USED = ("conversation_a", "conversation_b")


def read_arena_conversations(
    path: str | Path,
    *,
    min_prompt_chars: int | None = None,
    answers: bool = True,
    skip_bad: bool = False,
) -> ReadResult[Comparisons]:
    """Read votes; the user's first message is the prompt, the answers to it are kept.

    Args:
        path: Parquet, JSONL or CSV (conversations as JSON).
        min_prompt_chars: Leave out prompts with fewer characters; None is 16, as in the paper.
        answers: Keep the first answers as ``answer|NAME``.
        skip_bad: Leave bad rows out and count them, instead of stopping at the first.

    Returns:
        The comparisons with all other columns, ``language`` among them. Dropped are rows whose
        first message has no text, and those of one model against itself.

    Raises:
        DataError: If the file cannot be read, or at a row with no conversation or no known winner.
        MissingExtraError: If polars is not installed.
    """
    options = ReadOptions(min_prompt_chars=min_prompt_chars, answers=answers)
    return read_comparisons_as("arena-conversations", path, options=options, skip_bad=skip_bad)


def arena_conversations_batch(batch: Batch, reading: Reading) -> Batch:
    """Turn rows of this layout into comparisons."""
    return read_battles(batch, reading, _battle, used=_USED, label_source="arena-conversations")


def messages_of(row: Row, column: str, where: str) -> list[Any]:
    """Return the messages of a conversation.

    Raises:
        BadRowError: If the column holds no list of messages with roles.
    """
    messages = as_list(row.get(column))
    if messages is None or not is_conversation(messages):
        raise bad_value(row, column, where, accepted="a list of messages with 'role' and 'content'")
    return messages


def battle_at_turn(row: Row, where: str, *, turn: int, group: str | None = None) -> Battle:
    """Return the battle over one of the user's turns, counted from 0, from the end if negative."""
    side_a, side_b = (messages_of(row, column, where) for column in _USED)
    asked_a, asked_b = user_turns(side_a), user_turns(side_b)
    return Battle(
        prompt=text_of(side_a[asked_a[turn]].get("content")) if asked_a else None,
        outcome=outcome_of_winner(row, where),
        model_a=row.get("model_a"),
        model_b=row.get("model_b"),
        answer_a=answer_after(side_a, asked_a[turn]) if asked_a else None,
        answer_b=answer_after(side_b, asked_b[turn]) if asked_b else None,
        group=group,
    )


def _battle(row: Row, where: str) -> Battle:
    return battle_at_turn(row, where, turn=0)
