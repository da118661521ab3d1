"""Comparisons: which of two models answered a prompt better."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from routecast.data.columns import (
    Fault,
    as_texts,
    floats_of,
    holds_texts,
    number_faults,
    numbers_of,
    refuse_faults,
    require_column,
    text_faults,
)
from routecast.data.reading import require_polars
from routecast.types import FloatArray

if TYPE_CHECKING:
    import polars as pl

AGAINST_ITSELF = "a model against itself"
"""Reason under which such rows are counted; ratings leave them out without complaint."""

_OUTCOME = "a number from 0 (model_b wins) to 1 (model_a wins), 0.5 for a tie"
_WEIGHT = "a finite number above 0"


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparisons:
    """A validated table with one row per comparison of two models' answers.

    The columns are ``model_a`` and ``model_b`` (text, different models); ``outcome`` in [0, 1]
    (1: a wins, 0: b wins, 0.5: tie, between: soft label); optionally ``prompt`` (text; may be
    absent for ratings and tiers only), ``weight`` above 0 (1 where the column is absent),
    ``source`` and ``group``. Other columns are kept as they are. Making an instance checks the
    table once.

    Attributes:
        table: The rows, a polars DataFrame.
        source: What error messages call the table: a file.

    Raises:
        DataError: If a column is missing or a value is not accepted; the message names row
            (counted from 1), column, value and what is accepted.
        MissingExtraError: If polars is not installed.
    """

    table: "pl.DataFrame"
    source: str = "comparisons"

    def __post_init__(self) -> None:
        """Check everything and settle the types."""
        table, faults = settle_comparisons(self.table, source=self.source)
        refuse_faults(self.table, faults, source=self.source)
        object.__setattr__(self, "table", table)

    def __len__(self) -> int:
        """Return the number of comparisons."""
        return self.table.height

    @property
    def has_prompts(self) -> bool:
        """Whether the table holds prompts; without them it serves ratings and tiers only."""
        return "prompt" in self.table.columns

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Names of all models, sorted."""
        polars = require_polars("comparisons")
        both = polars.concat([self.table["model_a"], self.table["model_b"]])
        return tuple(both.unique().sort().to_list())

    @property
    def outcome(self) -> FloatArray:
        """Outcome per comparison, shape (n_comparisons,), in [0, 1]."""
        return floats_of(self.table["outcome"])

    @property
    def weight(self) -> FloatArray:
        """Weight per comparison, shape (n_comparisons,), above 0; all 1 without that column."""
        if "weight" not in self.table.columns:
            return np.ones(len(self))
        return floats_of(self.table["weight"])


def settle_comparisons(
    table: "pl.DataFrame", *, source: str
) -> tuple["pl.DataFrame", tuple[Fault, ...]]:
    """Turn outcomes and weights into double precision, and find what the contract refuses.

    Args:
        table: The table as read, in the contract's columns.
        source: What messages call the table.

    Returns:
        The table with its numbers (null where a value is no number), and the faults of its rows.

    Raises:
        DataError: If a column is missing.
    """
    texts = ["model_a", "model_b", *(["prompt"] if "prompt" in table.columns else [])]
    for name in texts:
        require_column(table, name, source=source, holds="text")
    require_column(table, "outcome", source=source, holds=_OUTCOME)
    faults = [fault for name in texts for fault in text_faults(table[name])]
    faults += _name_faults(table)
    limits = [("outcome", 0.0, 1.0, _OUTCOME)]
    if "weight" in table.columns:
        limits.append(("weight", np.nextafter(0.0, 1.0), np.inf, _WEIGHT))
    numbers = {name: numbers_of(table[name]) for name, *_ in limits}
    for name, low, high, accepted in limits:
        faults += number_faults(
            table[name], numbers[name], low=low, high=high, accepted=accepted, null_allowed=False
        )
    return as_texts(table, texts).with_columns(list(numbers.values())), tuple(faults)


def _name_faults(table: "pl.DataFrame") -> list[Fault]:
    """Return where a model has no name to speak of, or meets itself."""
    model_a, model_b = table["model_a"], table["model_b"]
    if not (holds_texts(model_a) and holds_texts(model_b)):
        return []
    model_a, model_b = model_a.cast(str), model_b.cast(str)
    faults = [
        Fault(
            column=names.name,
            bad=(names.str.strip_chars() == "").fill_null(value=False),
            reason=f"no {names.name}",
            accepted="a model's name",
        )
        for names in (model_a, model_b)
    ]
    same = Fault(
        column="model_a",
        bad=(model_a == model_b).fill_null(value=False),
        reason=AGAINST_ITSELF,
        accepted="two different models",
        complaint="{where}: {value} against itself; accepted are {accepted}",
    )
    return [*faults, same]
