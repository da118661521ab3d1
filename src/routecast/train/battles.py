"""Predicting comparisons of any two models, by families that score every model."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from routecast.data.preferences import PreferenceArrays
from routecast.types import EmbeddingArray, FloatArray


@dataclass(frozen=True, kw_only=True, eq=False)
class ModelScores:
    """Scores of all models that a family knows: P(a beats b) = sigmoid(score a - score b).

    Attributes:
        names: The models, in the order of the scores' columns.
        of: Maps embeddings, shape (n_prompts, dimension), to scores in log-odds, shape
            (n_prompts, n_models).
    """

    names: tuple[str, ...]
    of: Callable[[EmbeddingArray], FloatArray]

    def margins(self, embeddings: EmbeddingArray, battles: PreferenceArrays) -> FloatArray:
        """Return score a - score b per comparison, shape (n_comparisons,).

        Args:
            embeddings: One row per prompt in ``battles.prompts``.
            battles: Comparisons; each prompt is scored once.

        Returns:
            In log-odds; NaN where one of the two models is unknown.
        """
        rows, position = np.unique(battles.prompt_index, return_inverse=True)
        scores = self.of(embeddings[rows])
        unknown = np.full((len(rows), 1), np.nan)
        scores = np.concatenate([scores, unknown], axis=1)
        places = {name: column for column, name in enumerate(self.names)}
        columns = np.array([places.get(name, len(self.names)) for name in battles.models])
        first = scores[position, columns[battles.model_a_index]]
        return np.asarray(first - scores[position, columns[battles.model_b_index]])


def mean_loss(margins: FloatArray, battles: PreferenceArrays) -> float:
    """Return the weighted mean logistic loss in nats; NaN where nothing is known.

    Args:
        margins: Per comparison, shape (n_comparisons,); NaN is left out.
        battles: The comparisons.
    """
    known = ~np.isnan(margins)
    if not known.any():
        return float("nan")
    losses = np.logaddexp(0.0, margins[known]) - battles.outcome[known] * margins[known]
    return float(np.average(losses, weights=battles.weight[known]))
