"""Set up similarity-weighted ranking: nothing is trained, comparisons are laid out for the fits.

Ong et al. (2024), arXiv:2406.18665, section 4.2. Differences from the published code: comparisons
inside one tier are left out (there they become rows that one side always wins), and soft outcomes
and weights count.
"""

from collections.abc import Mapping

import numpy as np

from routecast.data.preferences import PreferenceArrays
from routecast.data.ratings import rate_models
from routecast.data.tiers import DEFAULT_N_TIERS, assign_tiers
from routecast.errors import ConfigError, DataError
from routecast.routers.sw import SimilarityWeighted, SwSettings, check_embeddings
from routecast.routers.sw_prompts import ExactPrompts
from routecast.routers.sw_records import record_wins
from routecast.types import EmbeddingArray, FloatArray, IntArray


def fit_sw(
    embeddings: EmbeddingArray,
    training: PreferenceArrays,
    *,
    tiers: Mapping[str, int] | None = None,
    n_tiers: int = DEFAULT_N_TIERS,
    settings: SwSettings | None = None,
) -> SimilarityWeighted:
    """Lay out comparisons for similarity-weighted ranking.

    Args:
        embeddings: One row per prompt in ``training.prompts``, shape (n_prompts, dimension).
        training: Comparisons; ties count as half a win, soft outcomes as the share they say.
        tiers: Tier of every model in the comparisons, 0 the strongest, as from a leaderboard; it
            may name other models too, which can then be bound. By default from the ratings of
            these comparisons.
        n_tiers: Number of tiers by rating; not used where ``tiers`` is given.
        settings: Defaults are the paper's.

    Raises:
        DataError: If there is nothing to compare, a value or index is out of range, the
            embeddings do not match, a model has no tier, or a tier no comparison.
        ConfigError: If a number of tiers or a tier is out of range.
    """
    _check(embeddings, training)
    if tiers is None:
        tiers = rated_tiers(training, n_tiers=n_tiers)
    names, model_tiers = _ordered(tiers)
    tier_of = _tiers_of_models(training, tiers)
    wins, n_comparisons = _wins_by_prompt(training, tier_of, n_tiers=int(model_tiers.max()) + 1)
    _check_every_tier_plays(wins, names, model_tiers)
    used = np.flatnonzero(wins.any(axis=(1, 2)))
    records, order = record_wins(wins[used], n_comparisons=n_comparisons)
    return SimilarityWeighted(
        model_names=names,
        model_tiers=model_tiers,
        n_comparisons=_count_by_model(training, names),
        prompts=ExactPrompts(check_embeddings(embeddings[used[order]])),
        records=records,
        settings=settings or SwSettings(),
    )


def rated_tiers(training: PreferenceArrays, *, n_tiers: int = DEFAULT_N_TIERS) -> dict[str, int]:
    """Return the tier of each model by its Bradley-Terry rating in these comparisons.

    Raises:
        DataError: If there are fewer distinct ratings than tiers.
        ConfigError: If ``n_tiers`` is below 2.
    """
    if n_tiers < 2:
        raise ConfigError(f"n_tiers {n_tiers!r} is too few to compare; accepted is 2 or more")
    names = np.array(training.models, dtype=object)
    rated = rate_models(
        names[training.model_a_index].tolist(),
        names[training.model_b_index].tolist(),
        training.outcome.astype(np.float64),
        weights=training.weight.astype(np.float64),
    )
    return assign_tiers(rated, n_tiers=n_tiers).tier_by_model


def _ordered(tiers: Mapping[str, int]) -> tuple[tuple[str, ...], IntArray]:
    """Return the models and their tiers, strongest tier first."""
    for model, tier in tiers.items():
        if tier < 0:
            raise ConfigError(
                f"model {model!r} has the tier {tier!r}; accepted is 0, the strongest, or more"
            )
    names = tuple(sorted(tiers, key=lambda model: tiers[model]))
    return names, np.array([tiers[name] for name in names], dtype=np.int64)


def _tiers_of_models(training: PreferenceArrays, tiers: Mapping[str, int]) -> IntArray:
    """Return the tier per model of the comparisons, -1 for those that are never compared."""
    compared = np.union1d(training.model_a_index, training.model_b_index)
    lacking = [training.models[i] for i in compared if training.models[i] not in tiers]
    if lacking:
        raise DataError(
            f"{len(lacking)} models have no tier: {lacking[:8]!r}; give each model of the "
            "comparisons a tier, or leave its comparisons out"
        )
    return np.array([tiers.get(model, -1) for model in training.models], dtype=np.int64)


def _wins_by_prompt(
    training: PreferenceArrays, tier_of: IntArray, *, n_tiers: int
) -> tuple[FloatArray, int]:
    """Add up the weighted wins of row tier over column tier per prompt.

    Returns:
        Shape (n_prompts, n_tiers, n_tiers), and how many comparisons were of two tiers.
    """
    first, second = tier_of[training.model_a_index], tier_of[training.model_b_index]
    across = np.flatnonzero(first != second)
    if not len(across):
        raise DataError(
            f"all {len(training)} comparisons are inside one tier, where they say nothing; "
            "use more tiers, or comparisons of models of different strength"
        )
    n_cells = n_tiers * n_tiers
    base = training.prompt_index[across].astype(np.int64) * n_cells
    first, second = first[across], second[across]
    outcome, weight = training.outcome[across], training.weight[across]
    size = len(training.prompts) * n_cells
    won = np.bincount(base + first * n_tiers + second, weight * outcome, size)
    lost = np.bincount(base + second * n_tiers + first, weight * (1.0 - outcome), size)
    wins = np.asarray(won + lost, dtype=np.float64)
    return wins.reshape(-1, n_tiers, n_tiers), len(across)


def _check_every_tier_plays(wins: FloatArray, names: tuple[str, ...], tiers: IntArray) -> None:
    """Refuse a tier that never met another."""
    total = wins.sum(axis=0)
    alone = np.flatnonzero(total.sum(axis=0) + total.sum(axis=1) == 0)
    if len(alone):
        members = [name for name, tier in zip(names, tiers, strict=True) if tier == alone[0]]
        raise DataError(
            f"tier {int(alone[0])} has no comparisons with other tiers; its models are "
            f"{members[:8]!r}; use fewer tiers, or add comparisons of these models"
        )


def _count_by_model(training: PreferenceArrays, names: tuple[str, ...]) -> FloatArray:
    """Count the comparisons that each model took part in, shape (n_models,)."""
    both = np.concatenate([training.model_a_index, training.model_b_index])
    counts = np.bincount(both, minlength=len(training.models))
    by_name = dict(zip(training.models, counts.tolist(), strict=True))
    return np.array([by_name.get(name, 0) for name in names], dtype=np.float64)


def _check(embeddings: EmbeddingArray, training: PreferenceArrays) -> None:
    """Refuse what cannot be ranked."""
    if len(training.models) < 2 or len(training) == 0:
        raise DataError(
            f"{len(training)} comparisons of {len(training.models)} models rank nothing; "
            "give comparisons of at least two models"
        )
    if len(embeddings) != len(training.prompts):
        raise DataError(
            f"{len(embeddings)} embeddings given for {len(training.prompts)} prompts; "
            "embed every prompt once, in order"
        )
    check_embeddings(embeddings)
    ranges = (
        ("prompt_index", training.prompt_index, len(training.prompts)),
        ("model_a_index", training.model_a_index, len(training.models)),
        ("model_b_index", training.model_b_index, len(training.models)),
    )
    for name, index, n_items in ranges:
        if index.min() < 0 or index.max() >= n_items:
            raise DataError(f"{name} must be from 0 to {n_items - 1}, and reaches {index.max()!r}")
    bad = ~((training.outcome >= 0) & (training.outcome <= 1))
    bad |= ~((training.weight > 0) & np.isfinite(training.weight))
    if bad.any():
        row = int(bad.argmax())
        raise DataError(
            f"comparison {row} has the outcome {float(training.outcome[row])!r} and the weight "
            f"{float(training.weight[row])!r}; accepted are outcomes from 0 to 1 and weights above "
            "0, both finite"
        )
