"""Wide tables: one row per prompt, one column of qualities per model.

correct|M, score|M or p|M     quality of model M's answer
cost|M                        USD
in_tok|M, out_tok|M           tokens
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from routecast.data.batches import Batch
from routecast.data.outcomes import COST_USD, INPUT_TOKENS, OUTPUT_TOKENS, QUALITY, Outcomes
from routecast.data.readers.context import Reading, ReadOptions
from routecast.data.readers.whole import read_outcomes_as
from routecast.data.reading import ReadResult, require_polars
from routecast.data.rows import BadRowError, shorten
from routecast.errors import DataError

if TYPE_CHECKING:
    import polars as pl

_MEANINGS = {
    "correct|": QUALITY,
    "score|": QUALITY,
    "p|": QUALITY,
    "cost|": COST_USD,
    "in_tok|": INPUT_TOKENS,
    "out_tok|": OUTPUT_TOKENS,
}
_PROMPT_COLUMNS = ("prompt", "query", "question")
_GROUP_COLUMNS = ("group", "task", "category")
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def read_matrix(
    path: str | Path,
    *,
    prompt_column: str | None = None,
    group_column: str | None = None,
    quality_range: tuple[float, float] = (0.0, 1.0),
    skip_bad: bool = False,
) -> ReadResult[Outcomes]:
    """Read a wide table of outcomes.

    Args:
        path: Parquet, JSONL or CSV.
        prompt_column: Column that holds the prompt, used as it is. By default the first there
            is of ``prompt``, ``query`` and ``question``; a ``question`` beside ``options`` (a
            JSON list of texts) gets its options on lines of their own, lettered ``A.``, ``B.``.
        group_column: Column to copy into ``group``; by default the first there is of ``group``,
            ``task`` and ``category``.
        quality_range: Lowest and highest quality that the scale knows.
        skip_bad: Leave bad rows out and count them, instead of stopping at the first.

    Returns:
        The outcomes, with all other columns kept, flags such as ``in_mt_bench`` too. Dropped are
        rows without a prompt, and rows where no model's quality is known. Duplicate prompts stay.

    Raises:
        DataError: If the file cannot be read, a named column is missing, a model has two columns
            of qualities, or a value is not accepted.
        MissingExtraError: If polars is not installed.
    """
    options = ReadOptions(
        prompt_column=prompt_column, group_column=group_column, quality_range=quality_range
    )
    return read_outcomes_as("matrix", path, options=options, skip_bad=skip_bad)


def matrix_batch(batch: Batch, reading: Reading) -> Batch:
    """Turn rows of a wide table into outcomes."""
    polars = require_polars("reading outcomes")
    source, options = reading.source.name, reading.options
    batch, prompts = _prompts(batch, reading)
    groups = _groups(batch.table, options.group_column, source=source)
    renamed = _new_names(batch.table.columns, source=source)
    table = batch.table.rename(renamed)
    table = table.with_columns(*groups).with_columns(prompts.alias("prompt"))
    qualities = [name for name in table.columns if name.startswith(QUALITY)]
    no_prompt = prompts.is_null().to_numpy()
    unknown = table.select(polars.all_horizontal(polars.col(qualities).is_null())).to_series()
    unlabelled = unknown.to_numpy() & ~no_prompt
    for reason, rows in (("no prompt", no_prompt), ("no model's quality is known", unlabelled)):
        if rows.any():
            reading.tally.left_out[reason] += int(rows.sum())
    turned = batch.with_table(
        table, origins={new: old for old, new in renamed.items()}, decoded=["prompt"]
    )
    if prompts.name in batch.json_columns:
        turned = replace(turned, json_columns=turned.json_columns | {"prompt"})
    return turned.keep(~(no_prompt | unlabelled))


def _new_names(columns: list[str], *, source: str) -> dict[str, str]:
    """Map the convention's column names to those of our contract."""
    renamed: dict[str, str] = {}
    for column in columns:
        prefix, bar, model = column.partition("|")
        meaning = _MEANINGS.get(prefix + bar)
        if meaning is None:
            continue
        new = meaning + model
        if new in renamed.values() or new in columns:
            raise DataError(
                f"{source} has two columns for {new!r}, one of them {column!r}; remove one"
            )
        renamed[column] = new
    if not any(new.startswith(QUALITY) for new in renamed.values()) and not any(
        column.startswith(QUALITY) for column in columns
    ):
        raise DataError(
            f"{source} has no column of qualities among {columns[:12]!r}; accepted are "
            "'correct|MODEL', 'score|MODEL' and 'p|MODEL'"
        )
    return renamed


def _prompts(batch: Batch, reading: Reading) -> "tuple[Batch, pl.Series]":
    """Return the rows whose prompts can be made, and the prompts."""
    table, column = batch.table, reading.options.prompt_column
    source = reading.source.name
    if column is None:
        present = [name for name in _PROMPT_COLUMNS if name in table.columns]
        if not present:
            raise DataError(
                f"{source} has none of the columns {list(_PROMPT_COLUMNS)!r}; name the one that "
                f"holds the prompt: --prompt-column {table.columns[0]!r}, say"
            )
        if present[0] == "question" and "options" in table.columns:
            return _lettered(batch, reading)
        column = present[0]
    _require_column(table, column, source=source)
    return batch, table[column]


def _lettered(batch: Batch, reading: Reading) -> "tuple[Batch, pl.Series]":
    """Join each question with its options, one per line, behind a letter."""
    polars = require_polars("reading outcomes")
    texts: list[str | None] = []
    good = np.ones(len(batch), dtype=np.bool_)
    rows = zip(batch.lines, batch.table["question"], batch.table["options"], strict=True)
    for position, (number, question, options) in enumerate(rows):
        choices = _choices(options)
        if question is None:
            texts.append(None)
        elif choices is None or not isinstance(question, str):
            good[position] = False
            column, value = ("options", options) if choices is None else ("question", question)
            reading.tally.refuse(_bad_question(column, value, reading.where(number)))
        else:
            lettered = zip(_LETTERS, choices, strict=False)
            lines = (f"\n{letter}. {choice}" for letter, choice in lettered)
            texts.append(question + "".join(lines))
    return batch.keep(good), polars.Series("prompt", texts, dtype=polars.String)


def _bad_question(column: str, value: object, where: str) -> BadRowError:
    accepted = {"question": "text", "options": f"a JSON list of at most {len(_LETTERS)} texts"}
    return BadRowError(
        f"{where}, column {column!r}: {shorten(value)}; accepted is {accepted[column]}",
        reason=f"unknown {column}",
    )


def _choices(options: object) -> list[str] | None:
    """Return the options as texts, or None where they are anything else."""
    try:
        parsed = json.loads(options) if isinstance(options, str) else options
    except ValueError:
        return None
    if not isinstance(parsed, list) or len(parsed) > len(_LETTERS):
        return None
    return parsed if all(isinstance(choice, str) for choice in parsed) else None


def _groups(table: "pl.DataFrame", column: str | None, *, source: str) -> "list[pl.Series]":
    if column is None:
        column = next((name for name in _GROUP_COLUMNS if name in table.columns), None)
        if column is None:
            return []
    _require_column(table, column, source=source)
    return [table[column].alias("group")]


def _require_column(table: "pl.DataFrame", column: str, *, source: str) -> None:
    if column not in table.columns:
        raise DataError(f"{source} has no column {column!r}; choose one of {table.columns[:20]!r}")
