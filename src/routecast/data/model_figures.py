"""How each model of a table fared: plain averages, not ratings."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from routecast.data.comparisons import Comparisons
from routecast.types import FloatArray


@dataclass(frozen=True, kw_only=True)
class ModelFigures:
    """One model's averages.

    Attributes:
        model: Its name.
        n_rows: Comparisons that it took part in, or prompts where its quality is known.
        win_rate: Share of its comparisons that it won, ties half, by weight, in [0, 1]. In outcomes
            it meets every other model wherever both qualities are known. None without any.
        mean_quality: In the table's own unit; None for comparisons, or where no quality is known.
        mean_cost_usd: Per prompt; None where no cost is known.
    """

    model: str
    n_rows: int
    win_rate: float | None
    mean_quality: float | None = None
    mean_cost_usd: float | None = None


def figures_of_comparisons(comparisons: Comparisons) -> tuple[ModelFigures, ...]:
    """Return every model's figures, best win rate first, names in order where rates are equal."""
    names = comparisons.models
    position = {name: index for index, name in enumerate(names)}
    outcome, weight = comparisons.outcome, comparisons.weight
    won, met, n_rows = np.zeros(len(names)), np.zeros(len(names)), np.zeros(len(names), np.int64)
    for column, share in (("model_a", outcome), ("model_b", 1.0 - outcome)):
        models = comparisons.table[column].replace_strict(position).to_numpy()
        won += np.bincount(models, weights=weight * share, minlength=len(names))
        met += np.bincount(models, weights=weight, minlength=len(names))
        n_rows += np.bincount(models, minlength=len(names))
    figures = [
        ModelFigures(model=name, n_rows=int(n_rows[i]), win_rate=_ratio(won[i], met[i]))
        for i, name in enumerate(names)
    ]
    return _ranked(figures)


def figures_of_qualities(
    qualities: Mapping[str, FloatArray], costs_usd: Mapping[str, FloatArray]
) -> tuple[tuple[ModelFigures, ...], float | None]:
    """Return every model's figures, and the share of pairs of answers that are equally good.

    Args:
        qualities: Per model its quality per prompt, shape (n_prompts,), NaN where unknown.
        costs_usd: Likewise its costs, for models that have any.

    Returns:
        The figures, ranked as those of comparisons; and the share, None where no two qualities are
        known for the same prompt.
    """
    names = list(qualities)
    won, met, tied = _pairwise(np.stack([qualities[name] for name in names]))
    figures = [
        ModelFigures(
            model=name,
            n_rows=int((~np.isnan(qualities[name])).sum()),
            win_rate=_ratio(won[i], met[i]),
            mean_quality=_mean(qualities[name]),
            mean_cost_usd=_mean(costs_usd.get(name)),
        )
        for i, name in enumerate(names)
    ]
    return _ranked(figures), _ratio(tied, met.sum() / 2.0)


def _pairwise(qualities: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """Return per model its wins, ties half, and its comparisons; and the number of ties."""
    n_models = len(qualities)
    won, met, tied = np.zeros(n_models), np.zeros(n_models), 0.0
    for i in range(n_models):
        gaps = qualities[i] - qualities[i + 1 :]  # (n_models - i - 1, n_prompts)
        known = (~np.isnan(gaps)).sum(axis=1)
        ties, wins = (gaps == 0).sum(axis=1), (gaps > 0).sum(axis=1)
        won[i] += float((wins + ties / 2).sum())
        won[i + 1 :] += known - wins - ties / 2
        met[i] += float(known.sum())
        met[i + 1 :] += known
        tied += float(ties.sum())
    return won, met, tied


def _ranked(figures: list[ModelFigures]) -> tuple[ModelFigures, ...]:
    rate = [-1.0 if figure.win_rate is None else figure.win_rate for figure in figures]
    order = sorted(range(len(figures)), key=lambda i: (-rate[i], figures[i].model))
    return tuple(figures[i] for i in order)


def _ratio(part: float, whole: float) -> float | None:
    return float(part / whole) if whole > 0 else None


def _mean(values: FloatArray | None) -> float | None:
    known = values[~np.isnan(values)] if values is not None else np.empty(0)
    return float(known.mean()) if len(known) else None
