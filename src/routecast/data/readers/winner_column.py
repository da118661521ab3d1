"""A column ``winner`` turned into the contract's ``outcome``."""

from routecast.data.batches import Batch
from routecast.data.columns import Fault, refuse_faults, require_column, rows_without_faults
from routecast.data.readers.context import Reading
from routecast.data.winners import (
    WINNER_ACCEPTED,
    WINNER_OR_NAME_ACCEPTED,
    outcomes_of_winners,
    outcomes_of_winners_or_names,
)


def with_outcomes(batch: Batch, reading: Reading, *, or_names: bool = False) -> Batch:
    """Add the outcome of each row's winner.

    Args:
        batch: Rows with ``winner``; with names also ``model_a`` and ``model_b``.
        reading: The pass that they are part of; bad rows go into its tally.
        or_names: Whether the winner may also be the name of one of the row's two models.

    Raises:
        DataError: If there is no column ``winner``, or at the first unknown winner unless bad
            rows are skipped.
    """
    source = reading.source
    require_column(batch.table, "winner", source=source.name, holds="the winner's label")
    outcomes = (
        outcomes_of_winners_or_names(batch.table)
        if or_names
        else outcomes_of_winners(batch.table["winner"])
    )
    unknown = Fault(
        column="winner",
        bad=outcomes.is_null(),
        reason="unknown winner",
        accepted=WINNER_OR_NAME_ACCEPTED if or_names else WINNER_ACCEPTED,
    )
    turned = batch.with_table(batch.table.with_columns(outcomes))
    if not reading.tally.skip_bad:
        refuse_faults(
            batch.table, [unknown], source=source.name, lines=batch.lines, unit=source.unit
        )
        return turned
    good, reasons = rows_without_faults([unknown], len(batch))
    reading.tally.bad.update(reasons)
    return turned.keep(good)
