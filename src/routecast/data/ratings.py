"""Ratings: how strong each model is, from comparisons without their prompts."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from routecast.errors import DataError
from routecast.stats.bradley_terry import (
    ELO_PER_LOG_ODDS,
    count_wins,
    elo_ratings,
    fit_strengths,
    rests_on_prior,
    standard_errors,
)
from routecast.types import FloatArray, IntArray

RATING_PRIOR = 0.01
"""Precision of the prior of a strength: a standard deviation of 10 log-odds, 1,737 Elo points.

It moves a model 400 points from the mean, with 100 comparisons, by about half a point. One that won
all of its ten comes out about 900 points above its opponents, not 2,000 as under a prior a thousand
times weaker, where it would empty the other tiers.
"""

_TWO_SIDED_95 = 1.959964
_RATING_DECIMALS = 6  # so that equal records, a rounding error apart, are equal ratings


@dataclass(frozen=True, kw_only=True)
class RatedModel:
    """A model and its strength on the Elo scale.

    Attributes:
        model: Its name.
        rating: Elo points; 400 points are odds of 10 to 1.
        rating_low: Lower end of the 95% interval, None where the source has none.
        rating_high: Upper end, likewise.
        n_comparisons: Comparisons that it took part in, None where the source does not say.
        rests_on_prior: True where no finite rating would fit better than all others: the model won
            or lost everything, or no chain of comparisons links it to the rest.
    """

    model: str
    rating: float
    rating_low: float | None = None
    rating_high: float | None = None
    n_comparisons: int | None = None
    rests_on_prior: bool = False


def rate_models(
    model_a: Sequence[str],
    model_b: Sequence[str],
    outcomes: FloatArray,
    *,
    weights: FloatArray | None = None,
    source: str = "comparisons",
) -> tuple[RatedModel, ...]:
    """Rate models by Bradley-Terry; a tie is half a win, a soft label the share that it says.

    Args:
        model_a: Name of the first model per comparison, n_comparisons of them.
        model_b: Name of the second. A model against itself says nothing and is left out.
        outcomes: 1 when a wins, 0 when b does, 0.5 for a tie, shape (n_comparisons,), in [0, 1].
        weights: Weight per comparison, same shape, above 0; all 1 when None.
        source: What error messages call the comparisons: a file.

    Returns:
        The models, highest rating first, names in order where ratings are equal. The mean rating is
        1000, and the intervals are around that mean.

    Raises:
        DataError: If there is no comparison of two models, or a name is empty, an outcome outside
            [0, 1] or a weight not above 0; the message names the row, counted from 1.
        ValueError: If the lengths differ.
    """
    weights = np.ones(len(outcomes)) if weights is None else weights
    _check(model_a, model_b, outcomes, weights, source)
    pairs = zip(model_a, model_b, strict=True)
    is_pair = np.fromiter((a != b for a, b in pairs), np.bool_, len(outcomes))
    names = sorted({*_where(model_a, is_pair), *_where(model_b, is_pair)})
    if not names:
        raise DataError(f"{source} holds no comparison of two models, and ratings need one or more")
    index = {name: position for position, name in enumerate(names)}
    first = np.array([index[name] for name in _where(model_a, is_pair)], dtype=np.int64)
    second = np.array([index[name] for name in _where(model_b, is_pair)], dtype=np.int64)
    wins = count_wins(
        first, second, outcomes[is_pair], n_contestants=len(names), weights=weights[is_pair]
    )
    n_comparisons = np.bincount(np.concatenate([first, second]), minlength=len(names))
    rated = _rate(names, wins, n_comparisons)
    return tuple(sorted(rated, key=lambda model: (-model.rating, model.model)))


def _rate(names: Sequence[str], wins: FloatArray, n_comparisons: IntArray) -> list[RatedModel]:
    strengths = fit_strengths(wins, prior=RATING_PRIOR)
    errors = standard_errors(wins, strengths, prior=RATING_PRIOR)
    ratings = np.round(elo_ratings(strengths), _RATING_DECIMALS)
    margins = _TWO_SIDED_95 * ELO_PER_LOG_ODDS * errors
    unbounded = rests_on_prior(wins)
    return [
        RatedModel(
            model=name,
            rating=float(ratings[i]),
            rating_low=float(ratings[i] - margins[i]),
            rating_high=float(ratings[i] + margins[i]),
            n_comparisons=int(n_comparisons[i]),
            rests_on_prior=bool(unbounded[i]),
        )
        for i, name in enumerate(names)
    ]


def _where(names: Sequence[str], keep: npt.NDArray[np.bool_]) -> list[str]:
    return [name for name, kept in zip(names, keep, strict=True) if kept]


def _check(
    model_a: Sequence[str],
    model_b: Sequence[str],
    outcomes: FloatArray,
    weights: FloatArray,
    source: str,
) -> None:
    lengths = {len(model_a), len(model_b), len(outcomes), len(weights)}
    if len(lengths) > 1:
        raise ValueError(f"models, outcomes and weights must have one length, not {lengths!r}")
    for column, names in (("model_a", model_a), ("model_b", model_b)):
        for row, name in enumerate(names, start=1):
            if not name.strip():
                raise DataError(f"{source}, row {row}: {column} is {name!r}; give a model's name")
    _refuse_first(
        ~((outcomes >= 0) & (outcomes <= 1)),
        outcomes,
        f"{source}, row {{}}: outcome",
        "from 0 to 1",
    )
    _refuse_first(
        ~((weights > 0) & np.isfinite(weights)), weights, f"{source}, row {{}}: weight", "above 0"
    )


def _refuse_first(
    bad: npt.NDArray[np.bool_], values: FloatArray, place: str, accepted: str
) -> None:
    """Raise on the first bad value; ``place`` has a slot for its row."""
    if bad.any():
        row = int(bad.argmax())
        value = float(values[row])
        raise DataError(f"{place.format(row + 1)} {value!r} must be a finite number {accepted}")
