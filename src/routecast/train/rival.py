"""`ridge` on the labels that another router learned from: the rival in every table."""

from collections.abc import Sequence
from typing import Final

import numpy as np

from routecast.routers.gaps import win_probabilities_of_gaps
from routecast.routers.surface import surface_features
from routecast.train.fitting import lesson_of
from routecast.train.pair_labels import placed
from routecast.train.prepare import Prepared
from routecast.train.ridge import MIN_LABELS, fit_line
from routecast.types import EmbeddingArray, FloatArray

RIDGE: Final = "ridge"


def has_rival(prepared: Prepared) -> bool:
    """Tell whether the training prompts have labels enough for `ridge`."""
    labels = prepared.labels_on(prepared.split.train)
    return len(np.unique(labels.prompt_index)) >= MIN_LABELS


def rival_scores(
    prepared: Prepared, prompts: Sequence[str], embeddings: EmbeddingArray
) -> FloatArray:
    """Return P(strong wins) of any prompts, not calibrated, as `ridge` learns it.

    Args:
        prepared: Its training labels are learned from.
        prompts: What to score; the rival abstains on none.
        embeddings: Their vectors, shape (n_prompts, dimension).

    Raises:
        DataError: If there are too few labels, see `has_rival`.
    """
    line = fit_line(lesson_of(prepared))
    features = line.scale.apply(embeddings, surface_features(prompts))
    return win_probabilities_of_gaps(line.fit.intercept + features @ line.fit.coefficients)


def rival_by_fold(prepared: Prepared) -> FloatArray:
    """Return P(strong wins) of the training prompts, each without the labels of its fold.

    Returns:
        Shape (n_prompts,), NaN where a prompt has no label.

    Raises:
        DataError: If there are too few labels, see `has_rival`.
        ValueError: If there are no folds.
    """
    lesson = lesson_of(prepared)
    line = fit_line(lesson)
    if line.fit.by_fold is None:
        raise ValueError("there are no folds: not all prompts are for training")
    return placed(line.fit.by_fold, line.labels, lesson)
