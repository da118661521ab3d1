"""PandaLM's test set: battles of five models, each judged by three people."""

from pathlib import Path

from routecast.data.batches import Batch
from routecast.data.comparisons import Comparisons
from routecast.data.readers.context import Reading, ReadOptions
from routecast.data.readers.whole import read_comparisons_as
from routecast.data.readers.winner_column import with_outcomes
from routecast.data.reading import ReadResult, require_polars


def read_pandalm(
    path: str | Path, *, min_prompt_chars: int = 1, skip_bad: bool = False
) -> ReadResult[Comparisons]:
    """Read the battles; the winner is what most of the three people said.

    Args:
        path: A table with ``prompt``, ``model_a``, ``model_b`` and ``winner`` (``model_a``,
            ``model_b`` or ``tie``); other columns are kept.
        min_prompt_chars: Leave out prompts with fewer characters; `data import` asks for 16.
        skip_bad: Leave bad rows out and count them, instead of stopping at the first.

    Returns:
        The comparisons, ``source`` set to ``pandalm``.

    Raises:
        DataError: If a column is missing or a winner is none of the three.
        MissingExtraError: If polars is not installed.
    """
    options = ReadOptions(min_prompt_chars=min_prompt_chars)
    return read_comparisons_as("pandalm", path, options=options, skip_bad=skip_bad)


def pandalm_batch(batch: Batch, reading: Reading) -> Batch:
    """Turn battles with a winner by label into comparisons."""
    polars = require_polars("reading comparisons")
    label_source = polars.lit(reading.options.label_source or "pandalm").alias("source")
    return with_outcomes(batch.with_table(batch.table.with_columns(label_source)), reading)
