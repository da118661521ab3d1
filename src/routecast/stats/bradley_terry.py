"""Bradley-Terry: a strength per contestant, from who beat whom.

    P(i beats j) = sigmoid(strength_i - strength_j)

Comparisons enter as an n x n matrix of wins alone, so a million of them cost no more than ten. The
functions take a stack of such matrices, shape (..., n, n), and solve all of it in one go.

Zermelo (1929); Bradley and Terry (1952), "Rank analysis of incomplete block designs".
"""

import math

import numpy as np
import numpy.typing as npt

from routecast.errors import DataError
from routecast.stats.platt import sigmoid
from routecast.types import FloatArray, IntArray

ELO_PER_LOG_ODDS = 400.0 / math.log(10.0)
ELO_CENTRE = 1000.0
TINY_PRIOR = 1e-6

_DECREMENT = 1e-14
_MAX_STEPS = 200


def count_wins(
    first: IntArray,
    second: IntArray,
    outcomes: FloatArray,
    *,
    n_contestants: int,
    weights: FloatArray | None = None,
) -> FloatArray:
    """Add comparisons up into a matrix of wins; a tie is half a win for each.

    Args:
        first: Index of the first contestant per comparison, shape (n_comparisons,).
        second: Index of the second, same shape. Equal to ``first``, the comparison is left out.
        outcomes: 1 when the first wins, 0 when the second does, 0.5 for a tie, same shape.
        n_contestants: Size n of the matrix; indices are below it.
        weights: Weight per comparison, same shape; all 1 when None.

    Returns:
        Weighted wins of row over column, shape (n, n), with a diagonal of zeros.
    """
    weights = np.ones(len(outcomes)) if weights is None else weights
    n_cells = n_contestants * n_contestants
    wins = np.bincount(first * n_contestants + second, weights * outcomes, n_cells)
    losses = np.bincount(second * n_contestants + first, weights * (1.0 - outcomes), n_cells)
    counts = np.asarray(wins + losses, dtype=np.float64)
    return _without_diagonal(counts.reshape(n_contestants, n_contestants))


def fit_strengths(
    wins: FloatArray,
    *,
    prior: float = TINY_PRIOR,
    max_steps: int = _MAX_STEPS,
    start: FloatArray | None = None,
) -> FloatArray:
    """Fit strengths by maximum likelihood, kept finite by a normal prior around zero.

    Without the prior, contestants that won everything or nothing, or that no chain of comparisons
    links to the rest, have no finite strength. The default moves the others by about a millionth of
    a log-odds; `rests_on_prior` names those whose strength is then the prior's doing.

    Newton's method. Each step is shortened to log(1 + d) / d of its length, where d is
    the largest change that it makes to a difference of strengths; that lowers the loss from
    anywhere, and leaves the convergence quadratic.

    Args:
        wins: Weighted wins of row over column, shape (..., n, n), not negative; the diagonal is
            ignored.
        prior: Precision of each strength's prior, above 0: its standard deviation is
            1 / sqrt(prior) in log-odds. An even comparison weighs 1/4 on this scale.
        max_steps: Newton steps before giving up.
        start: Strengths to start from, finite, of a shape that broadcasts to (..., n). Zeros when
            None. It decides how many steps are taken, not where they end.

    Returns:
        Strengths in log-odds, shape (..., n), that sum to zero. A contestant without comparisons
        gets 0.

    Raises:
        ValueError: If the shape, a count or the prior is out of range.
        DataError: If the steps do not converge.

    References:
        Sun and Tran-Dinh (2019), "Generalized self-concordant functions: a recipe for Newton-type
        methods", for the length of the step.
    """
    _check(wins, prior)
    wins = _without_diagonal(wins)
    strengths = _start(wins, start)
    for _ in range(max_steps):
        gradient, curvature = _derivatives(wins, strengths, prior)
        try:
            step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
        except np.linalg.LinAlgError:
            break  # counts so large that the prior is lost in their rounding
        reach = np.maximum(np.ptp(step, axis=-1, keepdims=True), np.finfo(np.float64).tiny)
        moved = strengths + step * np.log1p(reach) / reach
        strengths = moved - moved.mean(axis=-1, keepdims=True)
        # The square of the step in units of standard errors; the error left is its square again.
        if np.all(np.sum(step * gradient, axis=-1) <= _DECREMENT):
            return np.asarray(strengths, dtype=np.float64)
    raise DataError(
        f"the Bradley-Terry fit did not converge in {max_steps} Newton steps; the largest count of "
        f"wins is {float(wins.max())!r} and should be at most about 1e13 times the prior "
        f"{prior!r} where contestants are not all linked; divide the weights by a constant"
    )


def strength_covariance(
    wins: FloatArray, strengths: FloatArray, *, prior: float = TINY_PRIOR
) -> FloatArray:
    """Return the covariance of fitted strengths, from the curvature of the loss.

    It reads a weight as so many equal comparisons, and a tie as one whole comparison, which makes
    it a little too wide where ties are common.

    Args:
        wins: What `fit_strengths` was given, shape (..., n, n).
        strengths: What it returned, shape (..., n).
        prior: The same prior.

    Returns:
        Shape (..., n, n), in squared log-odds, for strengths that sum to zero: so do its rows.
        Large, up to 1 / prior, where only the prior holds a contestant.
    """
    _check(wins, prior)
    n_contestants = wins.shape[-1]
    _, curvature = _derivatives(_without_diagonal(wins), strengths, prior)
    # `_derivatives` pins the mean with curvature 1, so the ones vector has eigenvalue 1 + prior.
    return np.asarray(np.linalg.inv(curvature) - 1.0 / (n_contestants * (1.0 + prior)))


def standard_errors(
    wins: FloatArray, strengths: FloatArray, *, prior: float = TINY_PRIOR
) -> FloatArray:
    """Return the standard error per strength in log-odds, shape (..., n), around their mean."""
    covariance = strength_covariance(wins, strengths, prior=prior)
    variances = np.diagonal(covariance, axis1=-2, axis2=-1)
    return np.asarray(np.sqrt(np.maximum(variances, 0.0)))


def rests_on_prior(wins: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell which contestants have no finite strength but for the prior.

    A likelihood has a maximum where every contestant has beaten every other, directly or along a
    chain (Ford, 1957). The largest set of which this holds is measured against itself; all outside
    it are named here. Of two such sets of one size, the first counts.

    Args:
        wins: Weighted wins of row over column, shape (n, n).

    Returns:
        Shape (n,). All true when no such set has two members; false for a single contestant.
    """
    n_contestants = len(wins)
    reaches = np.eye(n_contestants, dtype=np.bool_) | (wins > 0)
    for _ in range(n_contestants.bit_length()):  # each squaring doubles the length of the chains
        reaches = reaches.astype(np.float32) @ reaches.astype(np.float32) > 0
    mutual = reaches & reaches.T
    sizes = mutual.sum(axis=1)
    if sizes.max() == 1 and n_contestants > 1:
        return np.ones(n_contestants, dtype=np.bool_)
    return np.asarray(~mutual[sizes.argmax()])


def elo_ratings(strengths: FloatArray) -> FloatArray:
    """Put log-odds on the Elo scale: 400 points are odds of 10 to 1, and 0 becomes 1000."""
    return np.asarray(ELO_CENTRE + ELO_PER_LOG_ODDS * strengths)


def _derivatives(
    wins: FloatArray, strengths: FloatArray, prior: float
) -> tuple[FloatArray, FloatArray]:
    """Return the ascent direction (..., n) and the curvature (..., n, n) of the penalised loss.

    The curvature holds 1 / n in every cell besides, which pins the mean of the strengths and does
    not change a step, since the gradient has no part along it.
    """
    n_contestants = wins.shape[-1]
    p_row_wins = sigmoid(strengths[..., :, None] - strengths[..., None, :])  # (..., n, n)
    p_column_wins = np.swapaxes(p_row_wins, -1, -2)
    losses = np.swapaxes(wins, -1, -2)
    # Antisymmetric to the last bit, so that whole components of the graph never drift apart.
    gradient = (wins * p_column_wins - losses * p_row_wins).sum(axis=-1) - prior * strengths
    information = (wins + losses) * p_row_wins * p_column_wins  # of each pair's difference
    diagonal = np.eye(n_contestants) * (information.sum(axis=-1) + prior)[..., None]
    return gradient, diagonal - information + 1.0 / n_contestants


def _start(wins: FloatArray, start: FloatArray | None) -> FloatArray:
    """Return where to start, shape (..., n), with mean 0."""
    if start is None:
        return np.zeros(wins.shape[:-1])
    if not np.all(np.isfinite(start)):
        raise ValueError("start must be finite")
    return np.broadcast_to(start - start.mean(axis=-1, keepdims=True), wins.shape[:-1])


def _without_diagonal(wins: FloatArray) -> FloatArray:
    return np.asarray(np.where(np.eye(wins.shape[-1], dtype=np.bool_), 0.0, wins))


def _check(wins: FloatArray, prior: float) -> None:
    if wins.ndim < 2 or wins.shape[-1] != wins.shape[-2] or wins.shape[-1] == 0:
        raise ValueError(f"wins {wins.shape} must be square matrices, shape (..., n, n), n above 0")
    if not (np.all(wins >= 0) and np.all(np.isfinite(wins))):
        raise ValueError("wins must be finite and not negative")
    if not (prior > 0 and np.isfinite(prior)):
        raise ValueError(f"prior {prior!r} must be finite and above 0")
