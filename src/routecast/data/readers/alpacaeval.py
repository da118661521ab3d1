"""AlpacaEval: a judge's preference between a model and a reference on 805 prompts.

Two layouts. ``annotations.json`` as published: ``instruction``, ``generator_1`` (the reference),
``generator_2`` (the model), ``output_1``, ``output_2``, and ``preference``, which is 1 plus the
probability that the second output wins; null where the judge could not be read, and 0 for a draw in
the oldest files. And a table of many of them: ``prompt``, ``model``, ``reference``,
``p_model_wins``.
"""

import math
from pathlib import Path

from routecast.data.batches import Batch
from routecast.data.comparisons import Comparisons
from routecast.data.readers.context import Reading, ReadOptions
from routecast.data.readers.row_by_row import Battle, LeftOut, Row, bad_value, read_battles
from routecast.data.readers.whole import read_comparisons_as
from routecast.data.reading import ReadResult

_USED = (
    *("instruction", "generator_1", "generator_2", "output_1", "output_2", "preference"),
    *("model", "reference", "p_model_wins"),
)
_NO_PREFERENCE = LeftOut("no preference")
_DRAW = 0.0


def read_alpacaeval(
    path: str | Path,
    *,
    min_prompt_chars: int | None = None,
    answers: bool = True,
    skip_bad: bool = False,
) -> ReadResult[Comparisons]:
    """Read preferences; model a is the model, model b the reference it is measured against.

    Args:
        path: ``annotations.json``, or Parquet, JSONL or CSV in either layout.
        min_prompt_chars: Leave out prompts with fewer characters; None is 16.
        answers: Keep both outputs as ``answer|NAME``.
        skip_bad: Leave bad rows out and count them, instead of stopping at the first.

    Returns:
        The comparisons with all other columns; ``source`` is ``alpacaeval:`` and the judge's name.
        Outcomes are soft where the judge's are. Dropped are rows without a preference.

    Raises:
        DataError: If the file cannot be read, or at a row whose preference is not from 1 to 2.
        MissingExtraError: If polars is not installed.
    """
    options = ReadOptions(min_prompt_chars=min_prompt_chars, answers=answers)
    return read_comparisons_as("alpacaeval", path, options=options, skip_bad=skip_bad)


def alpacaeval_batch(batch: Batch, reading: Reading) -> Batch:
    """Turn rows of either layout into comparisons."""
    return read_battles(batch, reading, _battle, used=_USED, label_source="alpacaeval")


def _battle(row: Row, where: str) -> Battle | LeftOut:
    return _annotation(row, where) if "preference" in row else _table_row(row, where)


def _annotation(row: Row, where: str) -> Battle | LeftOut:
    preference = _number(row, "preference", where)
    if preference is None:
        return _NO_PREFERENCE
    if preference != _DRAW and not 1 <= preference <= 2:
        raise bad_value(row, "preference", where, accepted="a number from 1 to 2, or 0 for a draw")
    return Battle(
        prompt=row.get("instruction"),
        outcome=0.5 if preference == _DRAW else preference - 1.0,
        model_a=row.get("generator_2"),
        model_b=row.get("generator_1"),
        answer_a=row.get("output_2"),
        answer_b=row.get("output_1"),
        label_source=_judged_by(row.get("annotator")),
    )


def _table_row(row: Row, where: str) -> Battle | LeftOut:
    outcome = _number(row, "p_model_wins", where)
    if outcome is None:
        return _NO_PREFERENCE
    return Battle(
        prompt=row.get("prompt"),
        outcome=outcome,
        model_a=row.get("model"),
        model_b=row.get("reference"),
        label_source=_judged_by(row.get("judge")),
    )


def _judged_by(judge: str | None) -> str | None:
    return None if judge is None else f"alpacaeval:{judge}"


def _number(row: Row, column: str, where: str) -> float | None:
    """Return a number, None where it is null or NaN."""
    value = row.get(column)
    if value is None:
        return None
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise bad_value(row, column, where, accepted="a number, or null") from error
    return None if math.isnan(number) else number
