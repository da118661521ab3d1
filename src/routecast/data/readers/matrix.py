"""Wide tables: one row per prompt, one column of qualities per model.

correct|M, score|M or p|M     quality of model M's answer
cost|M                        USD
in_tok|M, out_tok|M           tokens
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING

from routecast.data.files import read_table
from routecast.data.outcomes import COST_USD, INPUT_TOKENS, OUTPUT_TOKENS, QUALITY, Outcomes
from routecast.data.reading import ReadResult, dropped_from_counts, require_polars
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

    Returns:
        The outcomes, with all other columns kept, flags such as ``in_mt_bench`` too. Dropped are
        rows without a prompt, and rows where no model's quality is known. Duplicate prompts stay.

    Raises:
        DataError: If the file cannot be read, a named column is missing, a model has two columns
            of qualities, or a value is not accepted.
        MissingExtraError: If polars is not installed.
    """
    polars = require_polars("reading outcomes")
    source = Path(path).name
    table = read_table(path)
    prompts = _prompts(table, prompt_column, source=source)
    groups = _groups(table, group_column, source=source)
    table = table.rename(_new_names(table.columns, source=source))
    table = table.with_columns(*groups).with_columns(prompts.alias("prompt"))
    qualities = [name for name in table.columns if name.startswith(QUALITY)]
    no_prompt = polars.col("prompt").is_null()
    unlabelled = ~no_prompt & polars.all_horizontal(polars.col(qualities).is_null())
    counts = table.select(no_prompt.sum().alias("no"), unlabelled.sum().alias("un")).row(0)
    outcomes = Outcomes(
        table=table.filter(~(no_prompt | unlabelled)), quality_range=quality_range, source=source
    )
    reasons = dict(zip(("no prompt", "no model's quality is known"), counts, strict=True))
    return ReadResult(table=outcomes, dropped=dropped_from_counts(reasons))


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


def _prompts(table: "pl.DataFrame", column: str | None, *, source: str) -> "pl.Series":
    if column is None:
        present = [name for name in _PROMPT_COLUMNS if name in table.columns]
        if not present:
            raise DataError(
                f"{source} has none of the columns {list(_PROMPT_COLUMNS)!r}; name the one that "
                f"holds the prompt: prompt_column={table.columns[0]!r}, say"
            )
        if present[0] == "question" and "options" in table.columns:
            return _lettered(table, source=source)
        column = present[0]
    _require_column(table, column, source=source)
    prompts: pl.Series = table[column]
    return prompts


def _lettered(table: "pl.DataFrame", *, source: str) -> "pl.Series":
    """Join each question with its options, one per line, behind a letter."""
    polars = require_polars("reading outcomes")
    texts: list[str | None] = []
    rows = zip(table["question"], table["options"], strict=True)
    for row, (question, options) in enumerate(rows, start=1):
        if question is None:
            texts.append(None)
            continue
        choices = _choices(options)
        if choices is None:
            raise DataError(
                f"{source}, row {row}, column 'options': {str(options)[:60]!r}; accepted is a "
                f"JSON list of at most {len(_LETTERS)} texts"
            )
        lines = (f"\n{letter}. {choice}" for letter, choice in zip(_LETTERS, choices, strict=False))
        texts.append(question + "".join(lines))
    prompts: pl.Series = polars.Series("prompt", texts, dtype=polars.String)
    return prompts


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
