"""Comparisons: which of two models answered a prompt better."""

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from routecast.data.columns import check_texts, checked_numbers, floats_of
from routecast.data.reading import require_polars
from routecast.errors import DataError
from routecast.types import FloatArray

if TYPE_CHECKING:
    import polars as pl

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
        texts = ["model_a", "model_b"]
        texts += ["prompt"] if self.has_prompts else []
        for column in texts:
            check_texts(self.table, column, source=self.source)
        if "outcome" not in self.table.columns:
            raise DataError(
                f"{self.source} has no column 'outcome' among {self.table.columns[:12]!r}; it "
                f"holds {_OUTCOME}"
            )
        limits = [("outcome", 0.0, 1.0, _OUTCOME)]
        if "weight" in self.table.columns:
            limits.append(("weight", np.nextafter(0.0, 1.0), np.inf, _WEIGHT))
        columns = [
            checked_numbers(
                self.table[name],
                low=low,
                high=high,
                accepted=accepted,
                source=self.source,
                null_allowed=False,
            )
            for name, low, high, accepted in limits
        ]
        object.__setattr__(self, "table", self.table.with_columns(columns))
        self._refuse_a_model_against_itself()

    def _refuse_a_model_against_itself(self) -> None:
        same = self.table["model_a"] == self.table["model_b"]
        if same.any():
            row = int(same.arg_max() or 0)
            raise DataError(
                f"{self.source}, row {row + 1}: {self.table['model_a'][row]!r} against itself; "
                "accepted are two different models"
            )

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
