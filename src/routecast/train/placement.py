"""How well a new model's comparisons are predicted by prompts that they do not hold."""

from dataclasses import dataclass

import numpy as np

from routecast.artifacts import CalibrationRecord, record_map
from routecast.calibrate.probability import choose_calibration
from routecast.calibrate.quantiles import win_probability_quantiles
from routecast.data.preferences import PreferenceArrays
from routecast.data.splits import folds_by_prompt
from routecast.errors import DataError
from routecast.evaluate.wins import Contender, Measurement, measure_wins
from routecast.routers.mf import BoundMatrixFactorization, MatrixFactorization
from routecast.stats.platt import sigmoid
from routecast.train.battles import ModelScores
from routecast.train.mf_new_model import VectorPrior, fit_new_model
from routecast.train.pair_labels import labels_of
from routecast.train.prepare import MIN_LABELLED
from routecast.train.sides import Sides
from routecast.train.sources import LabelledSet
from routecast.types import EmbeddingArray, FloatArray, IntArray

N_FOLDS = 5
PLACED, WIN_RATE = "router", "win rate alone"


@dataclass(frozen=True, kw_only=True, eq=False)
class Placement:
    """A new model's comparisons, and the model placed without each fold of their prompts.

    Attributes:
        own: Comparisons that the new model takes part in.
        embeddings: One unit vector per prompt of these, shape (n_prompts, dimension).
        name: The new model.
        folds: Fold of each prompt, shape (n_prompts,).
        models: One router per fold, placed on the other folds; none with too few prompts.
    """

    own: PreferenceArrays
    embeddings: EmbeddingArray
    name: str
    folds: IntArray
    models: tuple[MatrixFactorization, ...]

    def measure(self, *, seed: int) -> Measurement | None:
        """Predict whether the new model wins, fold by fold; None where there are no folds."""
        if not self.models:
            return None
        fold_of = self.folds[self.own.prompt_index]
        is_a = self.own.model_a_index == self.own.models.index(self.name)
        outcome = self.own.outcome.astype(np.float64)
        wins = np.where(is_a, outcome, 1.0 - outcome)
        margins, rates = np.empty(len(wins)), np.empty(len(wins))
        for fold, model in enumerate(self.models):
            inside = fold_of == fold
            scores = ModelScores(names=model.model_names, of=model.scores)
            margins[inside] = scores.margins(self.embeddings, self.own.take(inside))
            n_others = int((~inside).sum())
            rates[inside] = (wins[~inside].sum() + 0.5) / (n_others + 1.0)  # never 0 or 1
        predicted = sigmoid(np.where(is_a, margins, -margins))
        contenders = [
            Contender(name=PLACED, scores=predicted, is_probability=True),
            Contender(name=WIN_RATE, scores=rates, is_probability=True, is_constant=True),
        ]
        clusters = self.own.prompt_index.astype(np.int64)
        return measure_wins(contenders, wins, clusters=clusters, seed=seed)

    def scores_of(self, sides: Sides, bound: BoundMatrixFactorization) -> FloatArray:
        """Return each prompt's score by the router that was placed without it; (n_prompts,)."""
        scores = np.empty(len(self.own.prompts))
        for fold, model in enumerate(self.models):
            inside = np.flatnonzero(self.folds == fold)
            router = model.bind(strong=sides.strong, weak=sides.weak, embedder=bound.embedder)
            scores[inside] = router.win_probabilities_of(self.embeddings[inside])
        return scores


def place_by_folds(
    model: MatrixFactorization,
    own: PreferenceArrays,
    embeddings: EmbeddingArray,
    *,
    name: str,
    prior: VectorPrior,
    seed: int,
) -> Placement:
    """Place the new model once per fold of its prompts, on the other folds.

    Args:
        model: A router that does not know the new model.
        own: Comparisons that the new model takes part in.
        embeddings: One unit vector per prompt of these.
        name: The new model.
        prior: What is believed before any comparison.
        seed: Deals the prompts to folds.
    """
    folds = np.zeros(len(own.prompts), dtype=np.int64)
    models: tuple[MatrixFactorization, ...] = ()
    if len(own.prompts) >= 2 * N_FOLDS:
        folds = folds_by_prompt(own.prompts, n_folds=N_FOLDS, seed=seed)
        models = tuple(
            fit_new_model(
                model, name, embeddings, own.take(folds[own.prompt_index] != fold), prior=prior
            )
            for fold in range(N_FOLDS)
        )
    return Placement(own=own, embeddings=embeddings, name=name, folds=folds, models=models)


def recalibrate(
    placement: Placement | None, bound: BoundMatrixFactorization, sides: Sides, *, seed: int
) -> CalibrationRecord:
    """Calibrate new sides on the new model's comparisons, each scored without its own fold.

    Args:
        placement: The comparisons; None where there are none.
        bound: The router as it will be saved.
        sides: Who is strong and who is weak from now on.
        seed: Deals the folds of the calibration.

    Raises:
        DataError: If too few prompts have a comparison between the sides.
    """
    n_labelled = 0
    if placement is not None:
        own = placement.own
        positions = {prompt: row for row, prompt in enumerate(own.prompts)}
        labels = labels_of(LabelledSet(name="new", preferences=own), sides, positions)
        n_labelled = len(np.unique(labels.prompt_index))
    if placement is None or n_labelled < MIN_LABELLED:
        raise DataError(
            f"{n_labelled} prompts have a comparison of strong {list(sides.strong)!r} and weak "
            f"{list(sides.weak)!r}; {MIN_LABELLED} are needed to calibrate the new pair: add "
            "comparisons, or leave --strong and --weak as they were"
        )
    rows = labels.prompt_index
    choice = choose_calibration(
        placement.scores_of(sides, bound)[rows],
        labels.wins,
        weights=labels.weight,
        groups=rows,
        seed=seed,
    )
    calibrated = choice.calibration.apply(bound.win_probabilities_of(placement.embeddings))
    return CalibrationRecord(
        sample=f"{len(calibrated):,} prompts of the new model's comparisons",
        n_prompts=len(calibrated),
        map=record_map(choice.calibration),
        win_probability_quantiles=tuple(win_probability_quantiles(calibrated).tolist()),
    )
