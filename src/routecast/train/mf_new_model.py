"""One more model for a fitted matrix factorisation, everything else frozen.

With the prompts' side frozen, the margin of a comparison is linear in the new model's vector v, so
fitting it is logistic regression under the prior N(mean, covariance) of vectors, which is convex.
The prior is empirical Bayes: the vectors of the known models, seen as draws of one distribution, or
where the new model has a rating, what of them the rating does not explain.

Nothing is learnt about prompts, so a taste that no known model has is found only as far as the
frozen factors can express it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from routecast.data.preferences import PreferenceArrays
from routecast.errors import ConfigError, DataError
from routecast.routers.mf import MatrixFactorization
from routecast.stats.eigen import symmetric_eigen
from routecast.stats.platt import sigmoid
from routecast.train.mf_input import check_comparisons, check_embeddings
from routecast.types import EmbeddingArray, FloatArray, IntArray

ISOTROPIC_SHARE = 0.1
"""Share of the prior's variance that lies in all directions alike, not only between known models.

So that the vectors of few models do not forbid what none of them does.
"""

_MAX_STEPS = 100
_TOLERANCE = 1e-9
_MIN_RATED = 3


@dataclass(frozen=True, eq=False)
class VectorPrior:
    """What is believed of a model's vector before its comparisons: a normal distribution.

    Attributes:
        mean: Shape (n_factors,).
        covariance: Symmetric, without negative eigenvalues, shape (n_factors, n_factors).
    """

    mean: FloatArray
    covariance: FloatArray


def prior_of_models(
    model: MatrixFactorization, *, isotropic_share: float = ISOTROPIC_SHARE
) -> VectorPrior:
    """Take the new model for one more draw from where the known ones came from.

    Args:
        model: Its models count alike, however many comparisons each has.
        isotropic_share: Share of the variance that is spread over all directions, in [0, 1].
    """
    mean = model.model_vectors.mean(axis=0)
    residuals = model.model_vectors - mean
    return VectorPrior(mean, _covariance(residuals, n_fitted=1, isotropic_share=isotropic_share))


def prior_of_rating(
    model: MatrixFactorization,
    rating: float,
    ratings: Mapping[str, float],
    *,
    isotropic_share: float = ISOTROPIC_SHARE,
) -> VectorPrior:
    """Regress the known models' vectors on their ratings, by least squares.

    The mean is the regression's value at ``rating``: in scores, each prompt's scores are regressed
    on the ratings. The covariance is that of the residuals. A rating is one number, so the mean
    holds the strength that goes with it, and the tastes that models of that strength share; what
    is the model's own stays open. Outside the known ratings the line is extended.

    Args:
        model: Fitted on models that are rated.
        rating: Of the new model, on the same scale as ``ratings``: Elo points, or any other.
        ratings: By model; models that the router does not know are passed over.
        isotropic_share: Share of the variance that is spread over all directions, in [0, 1].

    Raises:
        DataError: If a rating is not finite, or fewer than three known models, or only equal ones,
            are rated.
    """
    known = {name: ratings[name] for name in model.model_names if name in ratings}
    values = np.array(list(known.values()), dtype=np.float64)
    if not (np.isfinite(rating) and np.isfinite(values).all()):
        raise DataError(
            f"rating {rating!r} and those of the known models must be finite; give numbers on one "
            "scale, such as Elo points"
        )
    if len(known) < _MIN_RATED or np.ptp(values) == 0:
        raise DataError(
            f"{len(known)} of this router's models are rated, {list(known)[:5]!r}, with "
            f"{len(set(values.tolist()))} different ratings; placing a model by its rating needs "
            f"{_MIN_RATED} rated models, and two different ratings"
        )
    vectors = model.model_vectors[[model.model_names.index(name) for name in known]]
    centred = values - values.mean()
    slope = centred @ vectors / (centred @ centred)  # (n_factors,)
    residuals = vectors - vectors.mean(axis=0) - np.outer(centred, slope)
    return VectorPrior(
        vectors.mean(axis=0) + (rating - values.mean()) * slope,
        _covariance(residuals, n_fitted=2, isotropic_share=isotropic_share),
    )


def place_by_rating(
    model: MatrixFactorization, name: str, rating: float, ratings: Mapping[str, float]
) -> MatrixFactorization:
    """Add a model that has a rating and no comparisons, at the mean of `prior_of_rating`.

    Raises:
        ConfigError: If the name is taken or unusable.
        DataError: If the ratings are unusable.
    """
    return model.with_model(name, prior_of_rating(model, rating, ratings).mean)


def fit_new_model(
    model: MatrixFactorization,
    name: str,
    embeddings: EmbeddingArray,
    comparisons: PreferenceArrays,
    *,
    prior: VectorPrior | None = None,
) -> MatrixFactorization:
    """Add a model from some of its comparisons with known ones.

    Args:
        model: Stays as it is.
        name: The new model, as in ``comparisons.models``.
        embeddings: One row per prompt of ``comparisons.prompts``, shape (n_prompts, dimension), by
            the embedder of ``model``.
        comparisons: Those without the new model are passed over. One of weight 2 counts as two.
        prior: By default `prior_of_models`.

    Returns:
        A router with one more model, whose vector is the most probable given prior and comparisons.

    Raises:
        ConfigError: If the name is known already.
        DataError: If no comparison holds the name, one holds another model that the router does
            not know, or a value is unusable.
    """
    if name in model.model_names:
        raise ConfigError(f"model {name!r} is in this router already; choose another name")
    check_embeddings(embeddings, n_prompts=len(comparisons.prompts))
    check_comparisons(comparisons, role="new model's")
    own = _own_comparisons(model, name, comparisons)
    prior = prior or prior_of_models(model)
    root = _square_root(prior.covariance)  # (n_factors, rank): v = mean + root z, z ~ N(0, I)
    used, rows = np.unique(own.prompt, return_inverse=True)
    placed = model.with_model(name, prior.mean, n_comparisons=len(own.prompt))
    scores = placed.scores(embeddings[used])
    offset = scores[rows, -1] - scores[rows, own.opponent]
    hidden = embeddings[used] @ model.projection + model.projection_bias  # (n_used, n_factors)
    features = ((hidden * model.output) @ root)[rows]  # (n_comparisons, rank)
    latent = _most_probable(features, offset, own.win, own.weight)
    return model.with_model(name, prior.mean + root @ latent, n_comparisons=len(own.prompt))


@dataclass(frozen=True)
class _Own:
    """The new model's comparisons, seen from its side, each array of shape (n_comparisons,)."""

    prompt: IntArray
    opponent: IntArray
    win: FloatArray
    weight: FloatArray


def _own_comparisons(model: MatrixFactorization, name: str, comparisons: PreferenceArrays) -> _Own:
    if name not in comparisons.models:
        raise DataError(
            f"no comparison holds the new model {name!r}; the models compared are "
            f"{list(comparisons.models[:10])!r}"
        )
    column = comparisons.models.index(name)
    is_a = comparisons.model_a_index == column
    rows = np.flatnonzero(is_a | (comparisons.model_b_index == column))
    if not len(rows):
        raise DataError(f"no comparison holds the new model {name!r}; give at least one")
    is_a = is_a[rows]
    opponents = np.where(is_a, comparisons.model_b_index[rows], comparisons.model_a_index[rows])
    at = {known: row for row, known in enumerate(model.model_names)}
    unknown = sorted({comparisons.models[row] for row in opponents.tolist()} - at.keys())
    if unknown:
        raise DataError(
            f"{name!r} is compared with {unknown[:5]!r}, which this router does not know; leave "
            "these comparisons out, or train the router anew with them"
        )
    outcome = comparisons.outcome[rows].astype(np.float64)
    return _Own(
        prompt=comparisons.prompt_index[rows].astype(np.int64),
        opponent=np.array([at[comparisons.models[row]] for row in opponents.tolist()]),
        win=np.where(is_a, outcome, 1.0 - outcome),
        weight=comparisons.weight[rows].astype(np.float64),
    )


def _covariance(residuals: FloatArray, *, n_fitted: int, isotropic_share: float) -> FloatArray:
    """Return the residuals' covariance, with a share of its variance in all directions alike."""
    if not 0 <= isotropic_share <= 1:
        raise ConfigError(f"isotropic_share {isotropic_share!r} must lie in [0, 1]")
    n_models, n_factors = residuals.shape
    sample = residuals.T @ residuals / max(n_models - n_fitted, 1)
    even = np.eye(n_factors) * np.trace(sample) / n_factors
    return np.asarray((1 - isotropic_share) * sample + isotropic_share * even, dtype=np.float64)


def _square_root(covariance: FloatArray) -> FloatArray:
    """Return R with R R' the covariance, without the directions that have no variance."""
    variances, directions = symmetric_eigen(covariance)
    kept = variances > 1e-12 * max(float(variances[-1]), 1e-300)
    return np.asarray(directions[:, kept] * np.sqrt(variances[kept]), dtype=np.float64)


def _most_probable(
    features: FloatArray, offset: FloatArray, win: FloatArray, weight: FloatArray
) -> FloatArray:
    """Minimise the logistic loss of features @ z + offset plus |z|^2 / 2, by Newton's method.

    Steps are halved while they do not lower the objective enough, which always ends because the
    objective is strictly convex.
    """

    def objective(latent: FloatArray) -> float:
        margins = features @ latent + offset
        losses = np.logaddexp(0.0, margins) - win * margins
        return float(weight @ losses + 0.5 * latent @ latent)

    latent = np.zeros(features.shape[1])
    for _ in range(_MAX_STEPS):
        fitted = sigmoid(features @ latent + offset)
        gradient = features.T @ (weight * (fitted - win)) + latent
        curvature = (features.T * (weight * fitted * (1 - fitted))) @ features
        step = np.linalg.solve(curvature + np.eye(len(latent)), gradient)
        decrement = float(gradient @ step)  # twice the loss that is left, near the minimum
        if decrement < _TOLERANCE:
            return latent - step
        size, before = 1.0, objective(latent)
        while objective(latent - size * step) > before - 1e-4 * size * decrement and size > 1e-6:
            size /= 2
        latent = latent - size * step
    raise DataError(
        f"the new model's vector was not found in {_MAX_STEPS} steps; are the weights, up to "
        f"{float(weight.max())!r}, counts of comparisons?"
    )
