"""Votes inside sessions: arena-human-preference-140k, and the older 100k.

A session has several votes, each on its own turn and with new models: a row per vote, told apart by
``evaluation_order``, from 1. ``conversation_a`` and ``conversation_b`` are the conversation of this
vote; ``full_conversation`` is the whole session up to it, a list with ``user``, ``model_side_a``
and ``model_side_b`` per turn. ``content`` is a text or a list of typed parts. ``winner`` is
``model_a``, ``model_b``, ``tie``, and ``both_bad``, in the 100k ``tie (bothbad)``.
"""

from pathlib import Path
from typing import Any

from routecast.data.batches import Batch
from routecast.data.comparisons import Comparisons
from routecast.data.readers.arena_conversations import battle_at_turn, messages_of
from routecast.data.readers.context import Reading, ReadOptions
from routecast.data.readers.row_by_row import (
    Battle,
    Row,
    bad_value,
    outcome_of_winner,
    read_battles,
)
from routecast.data.readers.turns import as_list, text_of, user_turns
from routecast.data.readers.whole import read_comparisons_as
from routecast.data.reading import ReadResult

_USED = ("conversation_a", "conversation_b", "full_conversation")
_SIDES = ("user", "model_side_a", "model_side_b")


def read_arena_140k(
    path: str | Path,
    *,
    min_prompt_chars: int | None = None,
    answers: bool = True,
    skip_bad: bool = False,
) -> ReadResult[Comparisons]:
    """Read votes; the prompt is the first turn that a vote is about, the session is the ``group``.

    A later vote of a session (``evaluation_order`` above 1) is never given the session's first
    prompt: where its conversation has the earlier turns too, its last turn is taken.

    Args:
        path: Parquet, JSONL or CSV (conversations as JSON).
        min_prompt_chars: Leave out prompts with fewer characters; None is 16, as in the paper.
        answers: Keep the answers to the prompt as ``answer|NAME``.
        skip_bad: Leave bad rows out and count them, instead of stopping at the first.

    Returns:
        The comparisons with all other columns, ``language`` among them. Dropped are rows whose
        prompt has no text, an image alone for example, and those of one model against itself.

    Raises:
        DataError: If the file cannot be read, or at a row with no conversation or no known winner.
        MissingExtraError: If polars is not installed.
    """
    options = ReadOptions(min_prompt_chars=min_prompt_chars, answers=answers)
    return read_comparisons_as("arena-140k", path, options=options, skip_bad=skip_bad)


def arena_140k_batch(batch: Batch, reading: Reading) -> Batch:
    """Turn rows of this layout into comparisons."""
    return read_battles(batch, reading, _battle, used=_USED, label_source="arena-140k")


def _battle(row: Row, where: str) -> Battle:
    session = row.get("evaluation_session_id")
    group = None if session is None else str(session)
    is_later = _order(row, where) > 1
    if row.get("conversation_a") is None:
        return _battle_of_session(row, where, is_later=is_later, group=group)
    turn = -1 if is_later and _has_earlier_turns(row, where) else 0
    return battle_at_turn(row, where, turn=turn, group=group)


def _has_earlier_turns(row: Row, where: str) -> bool:
    """Tell whether the conversation of a later vote goes back to the start of the session."""
    session = as_list(row.get("full_conversation"))
    n_turns = len(user_turns(messages_of(row, "conversation_a", where)))
    return session is not None and 1 < len(session) <= n_turns


def _battle_of_session(row: Row, where: str, *, is_later: bool, group: str | None) -> Battle:
    session = as_list(row.get("full_conversation"))
    if not session or not all(isinstance(turn, dict) for turn in session):
        raise bad_value(
            row,
            "full_conversation",
            where,
            accepted=f"a list of turns with {list(_SIDES)!r}",
        )
    turn = session[-1 if is_later else 0]
    prompt, answer_a, answer_b = (_said(turn, side) for side in _SIDES)
    return Battle(
        prompt=prompt,
        outcome=outcome_of_winner(row, where),
        model_a=row.get("model_a"),
        model_b=row.get("model_b"),
        answer_a=answer_a,
        answer_b=answer_b,
        group=group,
    )


def _said(turn: dict[str, Any], side: str) -> str | None:
    message = turn.get(side)
    return text_of(message.get("content")) if isinstance(message, dict) else None


def _order(row: Row, where: str) -> int:
    order = row.get("evaluation_order")
    if order is None:
        return 1
    try:
        return int(order)
    except (TypeError, ValueError) as error:
        raise bad_value(row, "evaluation_order", where, accepted="a whole number") from error
