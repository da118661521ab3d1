"""PandaLM's test set: battles of five models, each judged by three people."""

from pathlib import Path

from routecast.data.comparisons import Comparisons
from routecast.data.files import read_table
from routecast.data.reading import ReadResult, require_polars
from routecast.errors import DataError

_OUTCOMES = {"model_a": 1.0, "tie": 0.5, "model_b": 0.0}


def read_pandalm(path: str | Path) -> ReadResult[Comparisons]:
    """Read the battles; the winner is what most of the three people said.

    Args:
        path: A table with ``prompt``, ``model_a``, ``model_b`` and ``winner`` (``model_a``,
            ``model_b`` or ``tie``); other columns are kept.

    Returns:
        The comparisons, ``source`` set to ``pandalm``. Nothing is dropped.

    Raises:
        DataError: If a column is missing or a winner is none of the three.
        MissingExtraError: If polars is not installed.
    """
    polars = require_polars("reading comparisons")
    source = Path(path).name
    table = read_table(path)
    if "winner" not in table.columns:
        raise DataError(f"{source} has no column 'winner' among {table.columns!r}")
    known = table["winner"].is_in(list(_OUTCOMES)).fill_null(value=False)
    if not known.all():
        row = int((~known).arg_max() or 0)
        raise DataError(
            f"{source}, row {row + 1}, column 'winner': {table['winner'][row]!r}; accepted are "
            f"{list(_OUTCOMES)!r}"
        )
    outcome = table["winner"].replace_strict(_OUTCOMES, return_dtype=polars.Float64)
    table = table.with_columns(outcome.alias("outcome"), polars.lit("pandalm").alias("source"))
    return ReadResult(table=Comparisons(table=table, source=source))
