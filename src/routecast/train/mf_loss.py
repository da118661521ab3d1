"""The loss of matrix factorisation and its gradient, by matrix products on unique prompts.

All models' scores on all prompts are ``E A + c``, with E the prompts' embeddings and

    A = W1 diag(w2) V'    (dimension, n_models)        c = V diag(w2) b    (n_models,)

so whatever the number of factors, a step costs two products of E with a matrix of n_models
columns: one for the scores and one for the gradient with respect to A, which the chain rule then
spreads over the factors. Comparisons only meet in the table of scores, however many each prompt
has.

Gaussian noise on the embeddings needs no draws. Noise of deviation s per coordinate makes the
margin of models a and b Gaussian, of deviation t = s |A_a - A_b|, so the loss expected over all
noise is the one-dimensional integral E log(1 + exp(m + t z)) - y m, z ~ N(0, 1), which
Gauss-Hermite quadrature gives with its own exact gradient, as a line search needs it. To second
order it is a penalty of t^2 p (1 - p) / 2: Wager, Wang and Liang (2013), "Dropout training as
adaptive regularization". The idea is that of van der Maaten et al. (2013), "Learning with
marginalized corrupted features".
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from routecast.data.preferences import PreferenceArrays
from routecast.routers.mf import linear_form
from routecast.types import AnyArray, FloatArray, IntArray

Weights = Mapping[str, FloatArray]
"""``projection`` (dimension, n_factors), ``projection_bias`` (n_factors,), ``output`` (n_factors,)
and ``model_vectors`` (n_models, n_factors)."""

_N_NODES = 12
_LEAST_VARIANCE = 1e-10


@dataclass(frozen=True, kw_only=True, eq=False)
class ComparisonTable:
    """Comparisons laid out for the loss.

    Attributes:
        embeddings: One row per prompt that is compared, shape (n_prompts, dimension); products run
            in its precision.
        n_models: Columns of the table of scores.
        model_a: Column of each comparison's model a, shape (n_comparisons,).
        model_b: Column of its model b, same shape.
        cell_a: Position of model a's score in the flattened table of scores, same shape.
        cell_b: Position of model b's, same shape.
        outcome: What happened, in [0, 1], same shape.
        weight: Shares that add up to 1, same shape.
    """

    embeddings: AnyArray
    n_models: int
    model_a: IntArray
    model_b: IntArray
    cell_a: IntArray
    cell_b: IntArray
    outcome: FloatArray
    weight: FloatArray

    @property
    def n_cells(self) -> int:
        """Size of the table of scores."""
        return len(self.embeddings) * self.n_models


def lay_out(embeddings: AnyArray, comparisons: PreferenceArrays) -> ComparisonTable:
    """Sort comparisons by prompt and keep the embeddings of the prompts that they need.

    Args:
        embeddings: One row per prompt of ``comparisons.prompts``, shape (n_prompts, dimension).
        comparisons: At least one.
    """
    order = np.argsort(comparisons.prompt_index, kind="stable")  # neighbours in memory: 5 times
    used, rows = np.unique(comparisons.prompt_index[order], return_inverse=True)
    n_models = len(comparisons.models)
    model_a, model_b = (
        index[order].astype(np.int64)
        for index in (comparisons.model_a_index, comparisons.model_b_index)
    )
    weight = comparisons.weight[order].astype(np.float64)
    return ComparisonTable(
        embeddings=np.ascontiguousarray(embeddings[used]),
        n_models=n_models,
        model_a=model_a,
        model_b=model_b,
        cell_a=rows * n_models + model_a,
        cell_b=rows * n_models + model_b,
        outcome=comparisons.outcome[order].astype(np.float64),
        weight=weight / weight.sum(),
    )


def loss_and_gradient(
    weights: Weights, table: ComparisonTable, *, noise: float = 0.0
) -> tuple[float, dict[str, FloatArray]]:
    """Return the weighted mean logistic loss and its gradient with respect to each weight.

    Args:
        weights: See ``Weights``.
        table: From ``lay_out``.
        noise: Standard deviation, per coordinate, of Gaussian noise on the embeddings over which
            the loss is averaged.
    """
    slopes, constants = linear_form(**weights)
    margins = _margins(slopes, constants, table)
    if noise > 0:
        loss, pull, stiffness = _expected_losses(margins, _spreads(slopes, table, noise), table)
    else:
        loss, pull = _losses(margins, table.outcome)
    score_gradient = _spread_out(pull * table.weight, table)  # (n_prompts, n_models)
    slope_gradient = (table.embeddings.T @ score_gradient).astype(np.float64)  # (dimension, n)
    if noise > 0:
        slope_gradient += noise**2 * _repulsion(slopes, stiffness * table.weight, table)
    constant_gradient = score_gradient.sum(axis=0, dtype=np.float64)  # (n_models,)
    head = weights["model_vectors"] * weights["output"]  # (n_models, n_factors)
    head_gradient = slope_gradient.T @ weights["projection"]  # (n_models, n_factors)
    head_gradient += np.outer(constant_gradient, weights["projection_bias"])
    return float(loss @ table.weight), {
        "projection": slope_gradient @ head,
        "projection_bias": constant_gradient @ head,
        "output": np.einsum("mk,mk->k", head_gradient, weights["model_vectors"]),
        "model_vectors": head_gradient * weights["output"],
    }


def mean_loss(weights: Weights, table: ComparisonTable) -> float:
    """Return the weighted mean logistic loss without noise, in nats per comparison."""
    margins = _margins(*linear_form(**weights), table)
    return float(_losses(margins, table.outcome)[0] @ table.weight)


def _margins(slopes: FloatArray, constants: FloatArray, table: ComparisonTable) -> FloatArray:
    """Return score(a) - score(b) per comparison, shape (n_comparisons,)."""
    precision = table.embeddings.dtype
    scores: AnyArray = table.embeddings @ slopes.astype(precision)  # (n_prompts, n_models)
    scores += constants.astype(precision)
    flat = scores.ravel()
    return np.asarray(flat[table.cell_a] - flat[table.cell_b], dtype=np.float64)


def _losses(margins: FloatArray, outcome: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return log(1 + exp(m)) - y m per comparison, and its slope in m."""
    softplus, win = _softplus(margins)
    return softplus - outcome * margins, win - outcome


def _softplus(values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return log(1 + exp(x)) and its derivative, the sigmoid, from one exponential."""
    small = np.exp(-np.abs(values))
    sigmoid = np.where(values > 0, 1.0, small) / (1.0 + small)
    return np.maximum(values, 0.0) + np.log1p(small), sigmoid


def _spreads(slopes: FloatArray, table: ComparisonTable, noise: float) -> FloatArray:
    """Return the deviation that noise gives each comparison's margin, shape (n_comparisons,)."""
    products = slopes.T @ slopes  # (n_models, n_models)
    squares = np.diag(products)
    distances = np.maximum(squares[:, None] + squares - 2.0 * products, 0.0)
    spreads: FloatArray = np.sqrt(noise**2 * distances + _LEAST_VARIANCE)
    return spreads[table.model_a, table.model_b]


def _expected_losses(
    margins: FloatArray, spreads: FloatArray, table: ComparisonTable
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Average the losses over Gaussian margins.

    Returns:
        The expected losses, their slopes in the margin, and their slopes in the spread divided by
        the spread, each of shape (n_comparisons,).
    """
    nodes, shares = np.polynomial.hermite_e.hermegauss(_N_NODES)
    shares = shares / shares.sum()
    losses = -table.outcome * margins
    pull = -table.outcome
    stiffness = np.zeros_like(margins)
    for node, share in zip(nodes, shares, strict=True):
        softplus, win = _softplus(margins + node * spreads)
        losses += share * softplus
        pull = pull + share * win
        stiffness += share * node * win
    return losses, pull, stiffness / spreads


def _repulsion(slopes: FloatArray, strength: FloatArray, table: ComparisonTable) -> FloatArray:
    """Return the sum over comparisons of strength (A_a - A_b)(e_a - e_b)', the shape of A."""
    n_models = table.n_models
    between = np.bincount(table.model_a * n_models + table.model_b, strength, n_models**2)
    between = between.reshape(n_models, n_models)
    between = between + between.T
    return np.asarray(slopes * between.sum(axis=0) - slopes @ between, dtype=np.float64)


def _spread_out(pull: FloatArray, table: ComparisonTable) -> AnyArray:
    """Return the gradient with respect to the table of scores, shape (n_prompts, n_models)."""
    gained = np.bincount(table.cell_a, pull, table.n_cells)
    gained -= np.bincount(table.cell_b, pull, table.n_cells)
    return gained.astype(table.embeddings.dtype).reshape(-1, table.n_models)
