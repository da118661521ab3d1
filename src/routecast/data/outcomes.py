"""Outcomes: how good each model's answer to each prompt was."""

import difflib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from routecast.data.columns import (
    Fault,
    as_texts,
    floats_of,
    number_faults,
    numbers_of,
    refuse_faults,
    require_column,
    text_faults,
)
from routecast.data.reading import require_polars
from routecast.errors import DataError
from routecast.types import FloatArray, IntArray

if TYPE_CHECKING:
    import polars as pl

QUALITY = "quality|"
COST_USD = "cost_usd|"
INPUT_TOKENS = "input_tokens|"
OUTPUT_TOKENS = "output_tokens|"
ANSWER = "answer|"
_AMOUNTS = (COST_USD, INPUT_TOKENS, OUTPUT_TOKENS)
_QUALITY_ACCEPTED = (
    "a number from {:g} to {:g}, or null for unknown; another scale is given as the quality range "
    "(LOW, HIGH), on the command line --quality-range LOW HIGH"
)


@dataclass(frozen=True, kw_only=True, eq=False)
class Outcomes:
    """A validated table with one row per prompt and one quality per model.

    The columns are ``prompt``; ``quality|NAME`` for at least one model; optionally
    ``cost_usd|NAME``, ``input_tokens|NAME``, ``output_tokens|NAME`` (numbers from 0, null is
    unknown), ``answer|NAME`` (text) and ``group`` (subset or conversation). Other columns are
    kept as they are. Making an instance checks the table once and turns qualities and amounts
    into double precision; True and False count as 1 and 0.

    Attributes:
        table: The rows, a polars DataFrame.
        quality_range: Lowest and highest quality that the scale knows. Never guessed: a quality
            outside is an error.
        source: What error messages call the table: a file, a benchmark.

    Raises:
        DataError: If a column is missing or a value is not accepted; the message names row
            (counted from 1), column, value and what is accepted.
        MissingExtraError: If polars is not installed.
    """

    table: "pl.DataFrame"
    quality_range: tuple[float, float] = (0.0, 1.0)
    source: str = "outcomes"

    def __post_init__(self) -> None:
        """Check everything and settle the types."""
        table, faults = settle_outcomes(
            self.table, quality_range=self.quality_range, source=self.source
        )
        refuse_faults(self.table, faults, source=self.source)
        object.__setattr__(self, "table", table)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.table.height

    @cached_property
    def prompts(self) -> list[str]:
        """The prompts in row order; a prompt may occur more than once."""
        return self.table["prompt"].to_list()

    @cached_property
    def models(self) -> tuple[str, ...]:
        """Names of the models with a quality, in column order."""
        names = (column for column in self.table.columns if column.startswith(QUALITY))
        return tuple(name.removeprefix(QUALITY) for name in names)

    def quality(self, model: str) -> FloatArray:
        """Return one model's quality per prompt, shape (n_prompts,), NaN where unknown.

        Raises:
            DataError: If the table has no such model; the message lists the nearest names.
        """
        self._require(model)
        return floats_of(self.table[QUALITY + model])

    def cost_usd(self, model: str) -> FloatArray | None:
        """Return the cost per prompt in USD, NaN where unknown; None without such a column."""
        return self._amounts(COST_USD, model)

    def input_tokens(self, model: str) -> FloatArray | None:
        """Return the input tokens per prompt, NaN where unknown; None without such a column."""
        return self._amounts(INPUT_TOKENS, model)

    def output_tokens(self, model: str) -> FloatArray | None:
        """Return the output tokens per prompt, NaN where unknown; None without such a column."""
        return self._amounts(OUTPUT_TOKENS, model)

    def _amounts(self, prefix: str, model: str) -> FloatArray | None:
        self._require(model)
        column = prefix + model
        return floats_of(self.table[column]) if column in self.table.columns else None

    def _require(self, model: str) -> None:
        if model not in self.models:
            nearest = difflib.get_close_matches(model, self.models, n=3, cutoff=0.3)
            shown = f"nearest are {nearest!r}" if nearest else f"it has {list(self.models[:8])!r}"
            raise DataError(
                f"{self.source} has no model {model!r} among its {len(self.models)}; {shown}"
            )

    @cached_property
    def group_codes(self) -> IntArray | None:
        """One integer per row, equal for rows of one ``group``; None without that column.

        A row whose group is null is a group of its own.
        """
        if "group" not in self.table.columns:
            return None
        group = self.table["group"]
        codes: IntArray = group.rank("dense").fill_null(0).to_numpy().astype(np.int64)
        alone = group.is_null().to_numpy()
        codes[alone] = codes.max(initial=0) + 1 + np.arange(int(alone.sum()))
        return codes

    def keep_rows(self, keep: "np.typing.NDArray[np.bool_]") -> "Outcomes":
        """Return the rows where ``keep``, shape (n_prompts,), is True, in the same order."""
        polars = require_polars("outcomes")
        return replace(self, table=self.table.filter(polars.Series(keep)))

    def pair(self, *, strong: str, weak: str) -> "PairOutcomes":
        """Return the rows where the qualities of both models are known.

        Raises:
            DataError: If a model is unknown, both are the same, or no row has both.
        """
        known = ~np.isnan(self.quality(strong)) & ~np.isnan(self.quality(weak))
        if strong == weak:
            raise DataError(f"strong and weak are both {strong!r}; name two different models")
        if not known.any():
            raise DataError(f"no row of {self.source} has a quality of {strong!r} and of {weak!r}")
        return PairOutcomes(outcomes=self.keep_rows(known), strong=strong, weak=weak)


@dataclass(frozen=True, kw_only=True, eq=False)
class PairOutcomes:
    """Outcomes of two models on the prompts where both are known.

    Attributes:
        outcomes: The rows; other models' columns are still there.
        strong: Name of the strong model.
        weak: Name of the weak model.
    """

    outcomes: Outcomes
    strong: str
    weak: str

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.outcomes)

    @property
    def prompts(self) -> list[str]:
        """The prompts in row order."""
        return self.outcomes.prompts

    @property
    def group_codes(self) -> IntArray | None:
        """One integer per row, equal within a group; None where there are no groups."""
        return self.outcomes.group_codes

    @cached_property
    def strong_quality(self) -> FloatArray:
        """Quality of the strong model's answers, shape (n_prompts,), in the table's own unit."""
        return self.outcomes.quality(self.strong)

    @cached_property
    def weak_quality(self) -> FloatArray:
        """Quality of the weak model's answers, shape (n_prompts,), in the table's own unit."""
        return self.outcomes.quality(self.weak)

    @property
    def gap(self) -> FloatArray:
        """Strong minus weak quality on the scale [0, 1], so in [-1, 1]: what learners predict."""
        low, high = self.outcomes.quality_range
        return (self.strong_quality - self.weak_quality) / (high - low)


def swap_warning(
    *,
    strong: str,
    weak: str,
    strong_quality: float,
    weak_quality: float,
    measured: str = "mean quality",
) -> str | None:
    """Say that the strong model is the worse of a pair; None where it is not.

    Args:
        strong: Name of the strong model.
        weak: Name of the weak model.
        strong_quality: Its mean quality, or what else it is measured by.
        weak_quality: Of the weak model, likewise.
        measured: What the two figures are.
    """
    if not strong_quality < weak_quality:
        return None
    return (
        f"the strong model {strong!r} is worse here ({measured} {strong_quality:.3f}) than the "
        f"weak one {weak!r} ({weak_quality:.3f}): are the two swapped?"
    )


def settle_outcomes(
    table: "pl.DataFrame", *, quality_range: tuple[float, float], source: str
) -> tuple["pl.DataFrame", tuple[Fault, ...]]:
    """Turn qualities and amounts into double precision, and find what the contract refuses.

    Args:
        table: The table as read, in the contract's columns.
        quality_range: Lowest and highest quality that the scale knows.
        source: What messages call the table.

    Returns:
        The table with its numbers (null where a value is no number), and the faults of its rows.

    Raises:
        DataError: If the range is not a scale, there is no prompt or no quality.
    """
    low, high = quality_range
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise DataError(
            f"quality range {quality_range!r} is not a scale; give two finite numbers, "
            "the lower first"
        )
    require_column(table, "prompt", source=source, holds="text")
    if not any(name.startswith(QUALITY) for name in table.columns):
        raise DataError(
            f"{source} has no column of qualities among {table.columns[:12]!r}; "
            "name one 'quality|MODEL' for each model"
        )
    faults = text_faults(table["prompt"])
    numbers = []
    for name in table.columns:
        if name.startswith(QUALITY):
            limits, accepted = (low, high), _QUALITY_ACCEPTED.format(low, high)
        elif name.startswith(_AMOUNTS):
            limits, accepted = (0.0, np.inf), "a finite number from 0, or null for unknown"
        else:
            continue
        numbers.append(numbers_of(table[name]))
        faults += number_faults(
            table[name], numbers[-1], low=limits[0], high=limits[1], accepted=accepted
        )
    return as_texts(table, ["prompt"]).with_columns(numbers), tuple(faults)


def rescale_quality(outcomes: Outcomes) -> Outcomes:
    """Return the same outcomes with qualities mapped from their range onto [0, 1], linearly."""
    polars = require_polars("outcomes")
    low, high = outcomes.quality_range
    columns = [polars.col(QUALITY + model) for model in outcomes.models]
    table = outcomes.table.with_columns((column - low) / (high - low) for column in columns)
    return Outcomes(table=table, source=outcomes.source)
