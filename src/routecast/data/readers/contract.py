"""What every format ends with: the contract's check, and prompts that are long enough."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from routecast.data.batches import Batch
from routecast.data.columns import Fault, refuse_faults, rows_without_faults, text_faults
from routecast.data.comparisons import settle_comparisons
from routecast.data.outcomes import ANSWER, settle_outcomes
from routecast.data.readers.context import Kind, Reading
from routecast.data.reading import require_polars
from routecast.data.rows import shorten

if TYPE_CHECKING:
    import polars as pl

_TEXTS = ("prompt", "model_a", "model_b")
_FIRST = ("prompt", "model_a", "model_b", "outcome", "weight", "source", "group")


def settle_batch(batch: Batch, reading: Reading, kind: Kind, *, min_prompt_chars: int) -> Batch:
    """Check rows against their contract, settle the types, and leave out short prompts.

    Args:
        batch: Rows in the contract's columns.
        reading: The pass that they are part of; what is left out goes into its tally.
        kind: The contract.
        min_prompt_chars: Fewest characters of a prompt, white space at its ends not counted.

    Returns:
        The rows that are good, the contract's columns first.

    Raises:
        DataError: If a column is missing, or at the first bad row unless they are skipped.
    """
    if not len(batch):
        return batch
    batch, mixed = _texts_among_others(batch)
    table, faults = _settled(batch.table, reading, kind)
    faults = (*mixed, *faults)
    if reading.tally.skip_bad:
        good, reasons = rows_without_faults(faults, len(batch))
        reading.tally.bad.update(reasons)
        batch = _ordered(batch, table).keep(good)
    else:
        refuse_faults(
            batch.table,
            faults,
            source=reading.source.name,
            lines=batch.lines,
            unit=reading.source.unit,
            origins=batch.origins,
        )
        batch = _ordered(batch, table)
    if "prompt" not in batch.table.columns:
        return batch
    return _without_short_prompts(batch, reading, min_prompt_chars)


def _texts_among_others(batch: Batch) -> tuple[Batch, list[Fault]]:
    """Read the texts of columns that hold other things too, and complain about those."""
    polars = require_polars("reading tables")
    columns, faults = [], []
    for name in batch.json_columns.intersection(_TEXTS):
        values = [None if text is None else json.loads(text) for text in batch.table[name]]
        bad = [value is not None and not isinstance(value, str) for value in values]
        texts = [value if isinstance(value, str) else None for value in values]
        columns.append(polars.Series(name, texts, dtype=polars.String))
        if any(bad):
            shown = shorten(values[bad.index(True)]).replace("{", "{{").replace("}", "}}")
            fault = Fault(
                column=name,
                bad=polars.Series(bad),
                reason=f"{name} is not text",
                accepted="text",
                complaint=f"{{where}}, column {{column!r}}: {shown}; accepted is {{accepted}}",
            )
            faults.append(fault)
    return batch.with_table(batch.table.with_columns(columns)), faults


def _settled(
    table: "pl.DataFrame", reading: Reading, kind: Kind
) -> tuple["pl.DataFrame", tuple[Fault, ...]]:
    name = reading.source.name
    if kind == "comparisons":
        return settle_comparisons(table, source=name)
    if kind == "outcomes":
        return settle_outcomes(table, quality_range=reading.options.quality_range, source=name)
    return table, tuple(text_faults(table["prompt"]))


def _ordered(batch: Batch, table: "pl.DataFrame") -> Batch:
    """Put the contract's columns first; none of these is JSON any more."""
    polars = require_polars("reading tables")
    first = [name for name in _FIRST if name in table.columns]
    table = table.select(first + [name for name in table.columns if name not in first])
    others = [
        name
        for name, dtype in table.schema.items()
        if dtype == polars.String and name not in _FIRST and not name.startswith(ANSWER)
    ]
    return replace(batch, table=table, json_columns=batch.json_columns.intersection(others))


def _without_short_prompts(batch: Batch, reading: Reading, min_prompt_chars: int) -> Batch:
    n_chars = batch.table["prompt"].str.strip_chars().str.len_chars().to_numpy()
    blank, short = n_chars == 0, n_chars < min_prompt_chars
    left_out = reading.tally.left_out
    if blank.any():
        left_out["blank prompt"] += int(blank.sum())
    if (short & ~blank).any():
        reason = f"prompt under {min_prompt_chars} characters"
        left_out[reason] += int((short & ~blank).sum())
    return batch.keep(~(blank | short))
