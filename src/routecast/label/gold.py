"""Gold labels: comparisons that outcomes imply, without a judge."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from routecast.data.comparisons import Comparisons
from routecast.data.outcomes import Outcomes
from routecast.data.preferences import (
    PreferenceArrays,
    comparisons_from_preferences,
    gold_preferences,
)
from routecast.data.reading import require_polars
from routecast.errors import ConfigError, DataError

if TYPE_CHECKING:
    import polars as pl

LABEL_SOURCE = "gold"
"""What the column ``source`` says of these comparisons."""

_DECIMALS = 6  # single precision holds no more


@dataclass(frozen=True, kw_only=True)
class GoldLabels:
    """Comparisons made from outcomes.

    Attributes:
        comparisons: One per pair of models and row where both qualities are known.
        n_unlabelled: Rows of the outcomes that gave no comparison.
        win_share: Share of comparisons with an outcome above 0.5: model a is better.
        tie_share: Share with 0.5.
        loss_share: Share below.
    """

    comparisons: Comparisons
    n_unlabelled: int
    win_share: float
    tie_share: float
    loss_share: float


def gold_labels(
    outcomes: Outcomes, *, strong: str | None = None, weak: str | None = None, soft: bool = False
) -> GoldLabels:
    """Compare models by the quality of their answers.

    Args:
        outcomes: Qualities per prompt and model.
        strong: Model a of the only pair, with ``weak`` as model b. All pairs when both are None,
            the model whose column comes first as model a.
        weak: The other of the pair.
        soft: Keep the margin: the outcome is (1 + gap) / 2, the gap being a's quality minus b's on
            the scale [0, 1]. By default the better one wins, and equal ones tie.

    Returns:
        The comparisons, pair by pair, then in the outcomes' order; ``source`` is ``gold`` and the
        outcomes' ``group`` is kept (that of a prompt's first row).

    Raises:
        ConfigError: If only one of the pair is named.
        DataError: If a model is unknown, both are the same, or no row has two known qualities.
    """
    if (strong is None) != (weak is None):
        raise ConfigError("name both --strong and --weak, or neither for all pairs of models")
    models = [strong, weak] if strong is not None and weak is not None else None
    preferences = gold_preferences(outcomes, models=models, soft=soft)
    if not len(preferences):
        raise DataError(f"no row of {outcomes.source} has two known qualities to compare")
    outcome = preferences.outcome
    return GoldLabels(
        comparisons=_comparisons_of(preferences, outcomes),
        n_unlabelled=len(outcomes) - _n_labelled(outcomes, preferences.models),
        win_share=float((outcome > 0.5).mean()),
        tie_share=float((outcome == 0.5).mean()),
        loss_share=float((outcome < 0.5).mean()),
    )


def _comparisons_of(preferences: PreferenceArrays, outcomes: Outcomes) -> Comparisons:
    polars = require_polars("gold labels")
    table = comparisons_from_preferences(preferences, source=LABEL_SOURCE).table
    table = table.with_columns(polars.col("outcome").round(_DECIMALS))
    if "group" in outcomes.table.columns:
        first_rows: pl.DataFrame = outcomes.table.select("prompt", "group").unique(
            "prompt", keep="first", maintain_order=True
        )  # in the order of preferences.prompts
        groups = first_rows["group"].gather(preferences.prompt_index)
        table = table.with_columns(polars.Series("group", groups))
    return Comparisons(table=table, source=LABEL_SOURCE)


def _n_labelled(outcomes: Outcomes, models: tuple[str, ...]) -> int:
    known = np.stack([~np.isnan(outcomes.quality(model)) for model in models])
    return int((known.sum(axis=0) > 1).sum())
