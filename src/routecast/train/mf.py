"""Fit matrix factorisation by full-batch L-BFGS on unique prompts.

The loss is the weighted mean logistic loss of sigmoid(delta(M_a, q) - delta(M_b, q)) against the
outcome in [0, 1] (ties 0.5), plus weight decay: Ong et al. (2024), section 4.2, with soft targets.
Comparisons only meet in the gradient with respect to the table of scores, so one step is a few
matrix products on unique prompts, however many comparisons each has.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from routecast.data.preferences import PreferenceArrays
from routecast.errors import DataError, MissingExtraError
from routecast.routers.mf import MatrixFactorization
from routecast.stats.platt import sigmoid
from routecast.types import EmbeddingArray, FloatArray

_SHAPES = ("projection", "projection_bias", "output", "model_vectors")


@dataclass(frozen=True, kw_only=True)
class MfSettings:
    """How to fit.

    Attributes:
        n_factors: Length of a model's vector.
        weight_decay: L2 penalty on every weight, in units of the mean loss.
        max_steps: L-BFGS steps at most.
        patience: Stop after this many steps without a better validation loss.
        seed: Of the starting point.
    """

    n_factors: int = 128
    weight_decay: float = 1e-5
    max_steps: int = 500
    patience: int = 20
    seed: int = 0


@dataclass(frozen=True)
class MfFit:
    """A fitted model and how it got there.

    Attributes:
        model: The weights with the lowest validation loss.
        training_losses: Mean training loss without the penalty, per step.
        validation_losses: Mean validation loss per step; empty without validation data.
        best_step: Index of the step that was kept.
    """

    model: MatrixFactorization
    training_losses: tuple[float, ...]
    validation_losses: tuple[float, ...]
    best_step: int


@dataclass
class _Progress:
    """What the optimiser's callback keeps between steps."""

    training_losses: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    best_step: int = -1
    best_parameters: FloatArray | None = None


def fit_mf(
    embeddings: EmbeddingArray,
    training: PreferenceArrays,
    *,
    validation: PreferenceArrays | None = None,
    settings: MfSettings | None = None,
    on_step: Callable[[int, float, float | None], None] | None = None,
) -> MfFit:
    """Fit scores of all models to comparisons.

    Args:
        embeddings: One row per prompt in ``training.prompts``, shape (n_prompts, dimension).
        training: Comparisons to fit.
        validation: Comparisons of the same models on other prompts of the same list; decides
            when to stop.
        settings: Defaults are the paper's where it names them.
        on_step: Called after each step with its number and the two losses.

    Raises:
        DataError: If there is nothing to learn from, an index is out of range, an embedding is
            not finite, or training and validation share a prompt.
        MissingExtraError: If scipy is not installed.
    """
    try:
        from scipy.optimize import minimize
    except ModuleNotFoundError:
        raise MissingExtraError("training mf", "lab") from None
    settings = settings or MfSettings()
    _check(embeddings, training, validation)
    layout = _layout(embeddings.shape[1], settings.n_factors, len(training.models))
    progress = _Progress()

    def objective(parameters: FloatArray) -> tuple[float, FloatArray]:
        weights = _unpack(parameters, layout)
        loss, gradient = loss_and_gradient(weights, embeddings, training)
        decay = settings.weight_decay
        flat = np.concatenate([gradient[name].ravel() for name in _SHAPES])
        return loss + 0.5 * decay * float(parameters @ parameters), flat + decay * parameters

    def callback(parameters: FloatArray) -> None:
        weights = _unpack(parameters, layout)
        training_loss = mean_loss(weights, embeddings, training)
        validation_loss = mean_loss(weights, embeddings, validation) if validation else None
        _record(progress, parameters, training_loss, validation_loss)
        step = len(progress.training_losses) - 1
        if on_step:
            on_step(step, training_loss, validation_loss)
        if step - progress.best_step >= settings.patience:
            raise StopIteration

    start = _start(layout, settings.seed)
    minimize(
        objective,
        start,
        jac=True,
        method="L-BFGS-B",
        callback=callback,
        options={"maxiter": settings.max_steps, "maxcor": 20, "maxfun": 4 * settings.max_steps},
    )
    best = start if progress.best_parameters is None else progress.best_parameters
    model = MatrixFactorization(
        model_names=training.models,
        n_comparisons=_count_comparisons(training),
        **_unpack(best, layout),
    )
    losses = tuple(progress.training_losses), tuple(progress.validation_losses)
    return MfFit(model, *losses, progress.best_step)


def loss_and_gradient(
    weights: dict[str, FloatArray], embeddings: EmbeddingArray, comparisons: PreferenceArrays
) -> tuple[float, dict[str, FloatArray]]:
    """Return the weighted mean logistic loss and its gradient with respect to each weight.

    Args:
        weights: ``projection`` (dimension, n_factors), ``projection_bias`` (n_factors,),
            ``output`` (n_factors,) and ``model_vectors`` (n_models, n_factors).
        embeddings: Shape (n_prompts, dimension).
        comparisons: Index into the rows of ``embeddings`` and of ``model_vectors``.
    """
    vectors, output = weights["model_vectors"], weights["output"]
    hidden = embeddings @ weights["projection"] + weights["projection_bias"]  # (n_prompts, k)
    heads = vectors * output  # (n_models, k)
    scores = hidden @ heads.T  # (n_prompts, n_models)
    loss, score_gradient = _score_gradient(scores, comparisons)
    hidden_gradient = score_gradient @ heads  # (n_prompts, k)
    head_gradient = score_gradient.T @ hidden  # (n_models, k)
    return loss, {
        "projection": embeddings.T @ hidden_gradient,
        "projection_bias": hidden_gradient.sum(axis=0),
        "output": (head_gradient * vectors).sum(axis=0),
        "model_vectors": head_gradient * output,
    }


def mean_loss(
    weights: dict[str, FloatArray], embeddings: EmbeddingArray, comparisons: PreferenceArrays
) -> float:
    """Return the weighted mean logistic loss, in nats per comparison."""
    hidden = embeddings @ weights["projection"] + weights["projection_bias"]
    scores = hidden @ (weights["model_vectors"] * weights["output"]).T
    margins = _margins(scores, comparisons)
    return float(np.average(_losses(margins, comparisons), weights=comparisons.weight))


def _count_comparisons(comparisons: PreferenceArrays) -> FloatArray:
    """Count the comparisons that each model took part in, shape (n_models,)."""
    both = np.concatenate([comparisons.model_a_index, comparisons.model_b_index])
    return np.bincount(both, minlength=len(comparisons.models)).astype(np.float64)


def _margins(scores: FloatArray, comparisons: PreferenceArrays) -> FloatArray:
    """Return delta(a) - delta(b) per comparison, shape (n_comparisons,)."""
    rows, flat = comparisons.prompt_index.astype(np.int64) * scores.shape[1], scores.ravel()
    margins = flat[rows + comparisons.model_a_index] - flat[rows + comparisons.model_b_index]
    return np.asarray(margins, dtype=np.float64)


def _losses(margins: FloatArray, comparisons: PreferenceArrays) -> FloatArray:
    """Return log(1 + exp(m)) - y m per comparison: the logistic loss of a soft target y."""
    return np.asarray(np.logaddexp(0.0, margins) - comparisons.outcome * margins, np.float64)


def _score_gradient(scores: FloatArray, comparisons: PreferenceArrays) -> tuple[float, FloatArray]:
    """Return the mean loss and its gradient with respect to the table of scores."""
    margins = _margins(scores, comparisons)
    total = float(comparisons.weight.sum(dtype=np.float64))
    loss = float(_losses(margins, comparisons) @ comparisons.weight) / total
    pull = (sigmoid(margins) - comparisons.outcome) * comparisons.weight / total
    rows = comparisons.prompt_index.astype(np.int64) * scores.shape[1]
    size = scores.size
    gained = np.bincount(rows + comparisons.model_a_index, pull, size)
    given = np.bincount(rows + comparisons.model_b_index, pull, size)
    return loss, np.asarray(gained - given, dtype=np.float64).reshape(scores.shape)


def _layout(dimension: int, n_factors: int, n_models: int) -> dict[str, tuple[int, ...]]:
    shapes = ((dimension, n_factors), (n_factors,), (n_factors,), (n_models, n_factors))
    return dict(zip(_SHAPES, shapes, strict=True))


def _start(layout: dict[str, tuple[int, ...]], seed: int) -> FloatArray:
    """Draw a starting point: unit-variance hidden values, small model vectors, ones for w2."""
    generator = np.random.default_rng(seed)
    n_factors = layout["output"][0]
    parts = {
        "projection": generator.normal(size=layout["projection"]),
        "projection_bias": np.zeros(n_factors),
        "output": np.ones(n_factors),
        "model_vectors": generator.normal(size=layout["model_vectors"]) * 0.1 / n_factors**0.5,
    }
    return np.concatenate([parts[name].ravel() for name in _SHAPES])


def _unpack(parameters: FloatArray, layout: dict[str, tuple[int, ...]]) -> dict[str, FloatArray]:
    weights, offset = {}, 0
    for name, shape in layout.items():
        size = int(np.prod(shape))
        weights[name] = parameters[offset : offset + size].reshape(shape)
        offset += size
    return weights


def _record(
    progress: _Progress,
    parameters: FloatArray,
    training_loss: float,
    validation_loss: float | None,
) -> None:
    """Keep the step if it is the best so far on validation (on training without it)."""
    progress.training_losses.append(training_loss)
    losses = progress.training_losses
    if validation_loss is not None:
        losses = progress.validation_losses
        losses.append(validation_loss)
    if progress.best_step < 0 or losses[-1] < losses[progress.best_step]:
        progress.best_step = len(losses) - 1
        progress.best_parameters = parameters.copy()


def _check(
    embeddings: EmbeddingArray, training: PreferenceArrays, validation: PreferenceArrays | None
) -> None:
    """Refuse what cannot be learned from."""
    if len(training.models) < 2 or len(training) == 0:
        raise DataError(
            f"{len(training)} comparisons of {len(training.models)} models teach nothing; "
            "give comparisons of at least two models"
        )
    if len(embeddings) != len(training.prompts):
        raise DataError(
            f"{len(embeddings)} embeddings given for {len(training.prompts)} prompts; "
            "embed every prompt once, in order"
        )
    if not np.all(np.isfinite(embeddings)):
        row = int(np.flatnonzero(~np.isfinite(embeddings).all(axis=1))[0])
        raise DataError(f"the embedding of prompt {row} is not finite; embed that prompt again")
    if validation is None:
        return
    if (validation.prompts, validation.models) != (training.prompts, training.models):
        raise DataError(
            "training and validation list other prompts or models; take both from one set of "
            "preferences"
        )
    n_shared = len(np.intersect1d(training.prompt_index, validation.prompt_index))
    if n_shared:
        raise DataError(f"{n_shared} prompts are in training and in validation; split by prompt")
