"""RouterBench: a column per model with its quality, ``MODEL|total_cost``, ``MODEL|model_response``.

``prompt`` and the responses are texts that hold a Python list, one entry per turn or part. The set
is published as a pickle, which is not read; see `routecast.data.sources`.
"""

import ast
from pathlib import Path
from typing import TYPE_CHECKING

from routecast.data.batches import Batch
from routecast.data.outcomes import ANSWER, COST_USD, QUALITY, Outcomes
from routecast.data.readers.context import Reading, ReadOptions
from routecast.data.readers.turns import as_list
from routecast.data.readers.whole import read_outcomes_as
from routecast.data.reading import ReadResult, require_polars
from routecast.data.rows import without_lone_surrogates
from routecast.errors import DataError

if TYPE_CHECKING:
    import polars as pl

_COST = "|total_cost"
_RESPONSE = "|model_response"


def read_routerbench(
    path: str | Path,
    *,
    quality_range: tuple[float, float] = (0.0, 1.0),
    answers: bool = True,
    skip_bad: bool = False,
) -> ReadResult[Outcomes]:
    """Read outcomes; all parts of a prompt together are the prompt, since models saw them all.

    Args:
        path: Parquet, JSONL or CSV, converted from the published pickle.
        quality_range: Lowest and highest quality that the scale knows.
        answers: Keep the responses as ``answer|NAME``.
        skip_bad: Leave bad rows out and count them, instead of stopping at the first.

    Returns:
        The outcomes with costs, ``eval_name`` as the ``group``, and all other columns.

    Raises:
        DataError: If the file is a pickle, cannot be read, has no model, or a value is not
            accepted.
        MissingExtraError: If polars is not installed.
    """
    options = ReadOptions(quality_range=quality_range, answers=answers)
    return read_outcomes_as("routerbench", path, options=options, skip_bad=skip_bad)


def routerbench_batch(batch: Batch, reading: Reading) -> Batch:
    """Turn rows of this layout into outcomes."""
    table = batch.table
    models = _models(reading.source.columns)
    if not models:
        raise DataError(
            f"{reading.source.name} has no model in the columns {table.columns[:12]!r}; accepted "
            f"are MODEL and 'MODEL{_COST}' for each"
        )
    renamed = {model: QUALITY + model for model in models}
    renamed |= {model + _COST: COST_USD + model for model in models}
    responses = {model + _RESPONSE: ANSWER + model for model in models}
    listed = [name for name in ("prompt", *responses) if name in table.columns]
    table = table.with_columns(_joined(table[name]) for name in listed)
    if "eval_name" in table.columns and "group" not in table.columns:
        table = table.with_columns(table["eval_name"].alias("group"))
    if not reading.options.answers:
        table = table.drop(responses, strict=False)
    renamed |= responses
    return batch.with_table(
        table.rename(renamed, strict=False),
        origins={new: old for old, new in renamed.items()},
        decoded=["prompt"],
    )


def _models(columns: tuple[str, ...]) -> list[str]:
    costs = [name.removesuffix(_COST) for name in columns if name.endswith(_COST)]
    return [model for model in costs if model in columns]


def _joined(column: "pl.Series") -> "pl.Series":
    """Join the entries of each list by line ends; a text that is no list stays as it is."""
    polars = require_polars("reading outcomes")
    joined: pl.Series = polars.Series(column.name, [_join(value) for value in column.to_list()])
    return joined


def _join(value: object) -> object:
    parts = as_list(value)
    if parts is None and isinstance(value, str) and value.startswith("["):
        try:
            parts = ast.literal_eval(value)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return value
    if isinstance(parts, list) and all(isinstance(part, str) for part in parts):
        return without_lone_surrogates("\n".join(parts))
    return value
