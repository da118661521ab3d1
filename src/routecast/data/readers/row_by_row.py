"""Formats whose rows are turned one by one: conversations, which no column operation reads."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from routecast.data.batches import Batch, batch_of_rows
from routecast.data.comparisons import AGAINST_ITSELF
from routecast.data.outcomes import ANSWER
from routecast.data.readers.context import Reading
from routecast.data.rows import BadRowError, shorten
from routecast.data.winners import WINNER_ACCEPTED, WINNER_OUTCOMES

Row = Mapping[str, Any]

NO_PROMPT = "no prompt"
"""Reason for rows whose first turn is empty, null, or an image alone."""


@dataclass(frozen=True)
class LeftOut:
    """A good row that is of no use here.

    Attributes:
        reason: Why, in a few words, the same for all rows alike.
    """

    reason: str


@dataclass(frozen=True, kw_only=True)
class Battle:
    """Two models' answers to a prompt, and who won.

    Attributes:
        prompt: What was asked; None where there is no text.
        outcome: 1 when a wins, 0 when b does, 0.5 for a tie, between for soft labels.
        model_a: First model.
        model_b: Second model.
        answer_a: Text of the first model's answer, None where it is not known.
        answer_b: Text of the second's.
        label_source: Who said so; None is what the options say.
        group: What the row belongs to together with others, if anything.
    """

    prompt: Any
    outcome: float
    model_a: Any
    model_b: Any
    answer_a: str | None = None
    answer_b: str | None = None
    label_source: str | None = None
    group: str | None = None


def read_battles(
    batch: Batch,
    reading: Reading,
    battle_of: Callable[[Row, str], Battle | LeftOut],
    *,
    used: Collection[str],
    label_source: str,
) -> Batch:
    """Turn rows into comparisons.

    Args:
        batch: Rows in the format's own columns.
        reading: The pass that they are part of.
        battle_of: Takes a row and its place for messages. It raises BadRowError where a value is
            not what the format has there.
        used: Columns that are not kept, since the contract's stand for them.
        label_source: What ``source`` says where neither the row nor the options do.

    Returns:
        The comparisons, in order, the other columns kept.
    """
    label_source = reading.options.label_source or label_source
    found: list[tuple[int, Row]] = []
    for number, row in batch.rows():
        try:
            battle = battle_of(row, reading.where(number))
        except BadRowError as error:
            reading.tally.refuse(error)
            continue
        if isinstance(battle, Battle):
            battle = _usable(battle)
        if isinstance(battle, LeftOut):
            reading.tally.left_out[battle.reason] += 1
            continue
        others = {name: value for name, value in row.items() if name not in used}
        columns = _columns_of(battle, label_source, answers=reading.options.answers)
        found.append((number, {**columns, **{k: v for k, v in others.items() if k not in columns}}))
    return batch_of_rows(found)


def outcome_of_winner(row: Row, where: str) -> float:
    """Return the outcome for model a that the column ``winner`` tells.

    Raises:
        BadRowError: If it is none of the known labels.
    """
    winner = row.get("winner")
    if not isinstance(winner, str) or winner not in WINNER_OUTCOMES:
        raise bad_value(row, "winner", where, accepted=WINNER_ACCEPTED)
    return WINNER_OUTCOMES[winner]


def bad_value(row: Row, column: str, where: str, *, accepted: str) -> BadRowError:
    """Return the error for a value that the format does not have in this column."""
    return BadRowError(
        f"{where}, column {column!r}: {shorten(row.get(column))}; accepted is {accepted}",
        reason=f"unknown {column}",
    )


def _usable(battle: Battle) -> Battle | LeftOut:
    if battle.prompt is None or (isinstance(battle.prompt, str) and not battle.prompt.strip()):
        return LeftOut(NO_PROMPT)
    if battle.model_a == battle.model_b and battle.model_a is not None:
        return LeftOut(AGAINST_ITSELF)
    return battle


def _columns_of(battle: Battle, label_source: str, *, answers: bool) -> dict[str, Any]:
    columns = {
        "prompt": battle.prompt,
        "model_a": battle.model_a,
        "model_b": battle.model_b,
        "outcome": battle.outcome,
        "source": battle.label_source or label_source,
    }
    if battle.group is not None:
        columns["group"] = battle.group
    for model, answer in ((battle.model_a, battle.answer_a), (battle.model_b, battle.answer_b)):
        if answers and answer is not None and isinstance(model, str):
            columns[ANSWER + model] = answer
    return columns
