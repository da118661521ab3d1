"""Fit matrix factorisation by full-batch L-BFGS on unique prompts.

The loss is the weighted mean logistic loss of sigmoid(delta(M_a, q) - delta(M_b, q)) against the
outcome in [0, 1] (ties 0.5), plus weight decay: Ong et al. (2024), section 4.2, with soft targets.

L-BFGS runs in rounds of a fixed number of steps, and forgets its memory of curvature between two
rounds. So the state after a round is just the weights and the losses so far, a checkpoint of it is
small, and a fit that was stopped and resumed takes the very steps of one that never stopped.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from routecast.data.preferences import PreferenceArrays
from routecast.errors import ConfigError, MissingExtraError
from routecast.routers.binding import tiers_in_order
from routecast.routers.mf import MatrixFactorization
from routecast.train.mf_checkpoint import Checkpoint, FitState, open_checkpoint
from routecast.train.mf_input import (
    check_apart,
    check_comparisons,
    check_embeddings,
    check_teaches,
)
from routecast.train.mf_loss import ComparisonTable, lay_out, loss_and_gradient, mean_loss
from routecast.types import EmbeddingArray, FloatArray, IntArray

if TYPE_CHECKING:
    from scipy.optimize import OptimizeResult

_SHAPES = ("projection", "projection_bias", "output", "model_vectors")
_N_MEMORIES = 20
MAX_COUNT = 100_000
MAX_PENALTY = 1e6
_LOSS_TOLERANCE = 1e-9
_GRADIENT_TOLERANCE = 1e-8


@dataclass(frozen=True, kw_only=True)
class MfSettings:
    """How to fit.

    Attributes:
        n_factors: Length of a model's vector.
        weight_decay: L2 penalty on every weight, in units of the mean loss.
        noise: Standard deviation, per coordinate, of Gaussian noise on the embeddings. The loss is
            its exact expectation over the noise (see ``mf_loss``), so nothing is drawn, and
            validation is without noise.
        max_steps: L-BFGS steps at most.
        patience: Stop after this many steps without a better validation loss.
        steps_per_round: L-BFGS starts its memory anew after so many steps, and a checkpoint is
            written.
        seed: Of the starting point.
    """

    n_factors: int = 128
    weight_decay: float = 1e-5
    noise: float = 0.0
    max_steps: int = 500
    patience: int = 20
    steps_per_round: int = 50
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse numbers that no fit can use."""
        for name in ("n_factors", "max_steps", "patience", "steps_per_round"):
            if not 1 <= getattr(self, name) <= MAX_COUNT:
                raise ConfigError(f"{name} {getattr(self, name)!r} must be from 1 to {MAX_COUNT}")
        for name in ("weight_decay", "noise"):
            value = getattr(self, name)
            if not 0 <= value <= MAX_PENALTY:
                raise ConfigError(f"{name} {value!r} must be a number from 0 to {MAX_PENALTY:g}")
        if self.seed < 0:
            raise ConfigError(f"seed {self.seed!r} must be 0 or more")


@dataclass(frozen=True)
class MfFit:
    """A fitted model and how it got there.

    Attributes:
        model: The weights with the lowest validation loss.
        training_losses: Mean training loss per step, averaged over the noise where there is some,
            without the penalty.
        validation_losses: Mean validation loss per step, without noise; empty without validation
            data.
        best_step: Index of the step that was kept.
    """

    model: MatrixFactorization
    training_losses: tuple[float, ...]
    validation_losses: tuple[float, ...]
    best_step: int


def fit_mf(
    embeddings: EmbeddingArray,
    training: PreferenceArrays,
    *,
    validation: PreferenceArrays | None = None,
    settings: MfSettings | None = None,
    on_step: Callable[[int, float, float | None], None] | None = None,
    tiers: Mapping[str, int] | None = None,
    checkpoint: str | Path | None = None,
    resume: bool = False,
) -> MfFit:
    """Fit scores of all models to comparisons.

    Args:
        embeddings: One row per prompt in ``training.prompts``, shape (n_prompts, dimension).
        training: Comparisons to fit, of every model in ``training.models``.
        validation: Comparisons of the same models on other prompts of the same list; decides
            when to stop. Without it the step with the lowest training loss is kept.
        settings: Defaults are the paper's where it names them.
        on_step: Called after each step with its number and the two losses.
        tiers: Tier by model, 0 the strongest, for binding by tier; see
            `MatrixFactorization.with_tiers`.
        checkpoint: A file that holds the state after each round, whole at any time.
        resume: Go on from ``checkpoint`` where it exists, and start where it does not yet. On the
            same machine, with the same versions and as many threads, the result is that of a fit
            that never stopped, to the last bit; elsewhere products round differently. A finished
            fit is returned as it is.

    Raises:
        DataError: If there is nothing to learn from, an index is out of range, an outcome, weight
            or embedding is unusable, or training and validation share a prompt.
        ConfigError: If the checkpoint exists and ``resume`` is not set, or belongs to other
            settings or inputs; or ``resume`` is set without a checkpoint; or the tiers are
            unusable.
        ArtifactError: If the checkpoint is not one.
        MissingExtraError: If scipy is not installed.
    """
    settings = settings or MfSettings()
    check_embeddings(embeddings, n_prompts=len(training.prompts))
    check_comparisons(training, role="training")
    check_teaches(training)
    if validation is not None:
        check_comparisons(validation, role="validation")
        check_apart(training, validation)
    model_tiers = tiers_in_order(training.models, tiers) if tiers else None
    parts = (training,) if validation is None else (training, validation)
    kept = None
    if checkpoint is not None:
        kept = open_checkpoint(
            checkpoint, settings=settings, embeddings=embeddings, comparisons=parts
        )
    layout = _layout(embeddings.shape[1], settings.n_factors, len(training.models))
    state = _begin(layout, settings.seed, kept, resume=resume)
    tables = [lay_out(embeddings, part) for part in parts]
    task = _Task(settings, layout, tables[0], tables[1] if validation else None, on_step)
    while not state.is_finished:
        _run_round(task, state)
        if kept:
            kept.save(state)
    return _finish(state, layout, training, model_tiers)


@dataclass(frozen=True)
class _Task:
    """What stays the same from step to step."""

    settings: MfSettings
    layout: dict[str, tuple[int, ...]]
    training: ComparisonTable
    validation: ComparisonTable | None
    on_step: Callable[[int, float, float | None], None] | None

    def objective(self, parameters: FloatArray) -> tuple[float, FloatArray]:
        """Return loss plus penalty, and the gradient, shape (n_parameters,)."""
        weights = _unpack(parameters, self.layout)
        loss, gradient = loss_and_gradient(weights, self.training, noise=self.settings.noise)
        flat = np.concatenate([gradient[name].ravel() for name in _SHAPES])
        return loss + self.penalty(parameters), flat + self.settings.weight_decay * parameters

    def penalty(self, parameters: FloatArray) -> float:
        """Return the weight decay's part of the objective."""
        return 0.5 * self.settings.weight_decay * float(parameters @ parameters)


def _begin(
    layout: dict[str, tuple[int, ...]], seed: int, kept: Checkpoint | None, *, resume: bool
) -> FitState:
    """Take up the state of a checkpoint, or draw a starting point."""
    if resume and kept is None:
        raise ConfigError("resume needs a checkpoint; name the file that the first run wrote")
    if kept and not resume and kept.path.exists():
        raise ConfigError(
            f"the checkpoint {str(kept.path)!r} exists already; go on from it with resume, or "
            "delete it to start anew"
        )
    state = kept.load() if kept else None
    if state is None:
        start = _start(layout, seed)
        state = FitState(parameters=start, best_parameters=start)
    return state


def _run_round(task: _Task, state: FitState) -> None:
    """Take a round of steps, or fewer where the fit is finished before."""
    try:
        from scipy.optimize import minimize
    except ModuleNotFoundError:
        raise MissingExtraError("training mf", "lab") from None
    settings, n_before = task.settings, len(state.training_losses)

    def callback(*, intermediate_result: "OptimizeResult") -> None:
        if _take_step(task, state, intermediate_result):
            state.is_finished = True
            raise StopIteration

    n_steps = min(settings.steps_per_round, settings.max_steps - n_before)
    result: Any = minimize(
        task.objective,
        state.parameters,
        jac=True,
        method="L-BFGS-B",
        callback=callback,
        options={
            "maxiter": n_steps,
            "maxfun": 20 * n_steps,
            "maxcor": _N_MEMORIES,
            "ftol": _LOSS_TOLERANCE,
            "gtol": _GRADIENT_TOLERANCE,
        },
    )
    state.parameters = np.array(result.x, dtype=np.float64)
    n_taken = len(state.training_losses) - n_before
    state.is_finished |= n_taken < n_steps or n_before + n_taken >= settings.max_steps


def _take_step(task: _Task, state: FitState, step: "OptimizeResult") -> bool:
    """Record a step, and say whether patience is at its end."""
    state.training_losses.append(float(step.fun) - task.penalty(step.x))
    losses = state.training_losses
    if task.validation is not None:
        losses = state.validation_losses
        losses.append(mean_loss(_unpack(step.x, task.layout), task.validation))
    latest = len(losses) - 1
    if state.best_step < 0 or losses[latest] < losses[state.best_step]:
        state.best_step = latest
        state.best_parameters = step.x.copy()
    if task.on_step:
        validation_loss = losses[latest] if task.validation is not None else None
        task.on_step(latest, state.training_losses[latest], validation_loss)
    return latest - state.best_step >= task.settings.patience


def _finish(
    state: FitState,
    layout: dict[str, tuple[int, ...]],
    training: PreferenceArrays,
    model_tiers: IntArray | None,
) -> MfFit:
    weights = _unpack(state.best_parameters, layout)
    model = MatrixFactorization(
        model_names=training.models,
        projection=weights["projection"],
        projection_bias=weights["projection_bias"],
        output=weights["output"],
        model_vectors=weights["model_vectors"],
        n_comparisons=_count_comparisons(training),
        model_tiers=model_tiers,
    )
    losses = tuple(state.training_losses), tuple(state.validation_losses)
    return MfFit(model, *losses, state.best_step)


def _count_comparisons(comparisons: PreferenceArrays) -> FloatArray:
    """Count the comparisons that each model took part in, shape (n_models,)."""
    both = np.concatenate([comparisons.model_a_index, comparisons.model_b_index])
    return np.bincount(both, minlength=len(comparisons.models)).astype(np.float64)


def _layout(dimension: int, n_factors: int, n_models: int) -> dict[str, tuple[int, ...]]:
    shapes = ((dimension, n_factors), (n_factors,), (n_factors,), (n_models, n_factors))
    return dict(zip(_SHAPES, shapes, strict=True))


def _start(layout: dict[str, tuple[int, ...]], seed: int) -> FloatArray:
    """Draw a starting point: model vectors of length 3, hidden values of about .5.

    With the projection the smaller factor, the first steps move the scores of all models almost
    freely, through V V'. A large projection makes slow steps along the directions it was drawn in,
    and early stopping then ends at a higher validation loss (docs/log.md).
    """
    generator = np.random.default_rng(seed)
    dimension, n_factors = layout["projection"]
    parts = {
        "projection": generator.normal(size=layout["projection"]) * 0.5 / dimension**0.5,
        "projection_bias": np.zeros(n_factors),
        "output": np.ones(n_factors),
        "model_vectors": generator.normal(size=layout["model_vectors"]) * 3.0 / n_factors**0.5,
    }
    return np.concatenate([parts[name].ravel() for name in _SHAPES])


def _unpack(parameters: FloatArray, layout: dict[str, tuple[int, ...]]) -> dict[str, FloatArray]:
    weights, offset = {}, 0
    for name, shape in layout.items():
        size = int(np.prod(shape))
        weights[name] = parameters[offset : offset + size].reshape(shape)
        offset += size
    return weights
