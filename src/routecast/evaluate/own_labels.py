"""The baseline that learns: `ridge` on the labels of the evaluated prompts, in cross-validation.

It is what labels from the same traffic give to a line on static vectors and surface counts, the
rival of every trained router. A prompt is scored by a fit that saw no label of its fold, so
prompts are compared within their fold alone: what was fitted without a win expects less than what
was fitted without a loss.
"""

from collections.abc import Sequence

import numpy as np

from routecast.data.splits import folds_by_prompt
from routecast.embed.protocol import Embedder
from routecast.routers.ridge import FeatureScale
from routecast.routers.surface import surface_features
from routecast.stats.ridge import fit_ridge
from routecast.types import FloatArray, IntArray

MAX_FOLDS = 10
MIN_PER_FOLD = 10
MIN_PROMPTS = 50
"""Fewest different prompts that cross-validation is worth: ten to each of five folds."""

_N_DIGITS = 9  # of a predicted gap: equal prompts differ by rounding alone, which is no order


def own_label_ranks(
    prompts: Sequence[str], gaps: FloatArray, embedder: Embedder, *, seed: int = 0
) -> FloatArray:
    """Rank each prompt in its fold by the gap that the labels of the other folds predict.

    There are ten folds, or fewer of ten prompts each; equal prompts are in one. Each noise level of
    `fit_ridge` counts as the labels of all folds say; nothing else knows a prompt's own label.

    Args:
        prompts: One per row.
        gaps: Quality of strong minus that of weak, per prompt, shape (n_prompts,).
        embedder: Gives the vectors.
        seed: Another seed gives other folds.

    Returns:
        Ranks in (0, 1), shape (n_prompts,): an order, no probabilities.

    Raises:
        ValueError: If there are fewer than two different prompts.
    """
    n_folds = min(MAX_FOLDS, max(2, len(set(prompts)) // MIN_PER_FOLD))
    folds = folds_by_prompt(prompts, n_folds=n_folds, seed=seed)
    embeddings, surfaces = embedder.embed(list(prompts)), surface_features(prompts)
    features = FeatureScale.of(embeddings, surfaces).apply(embeddings, surfaces)
    fit = fit_ridge(features, gaps, weights=np.ones(len(gaps)), groups=folds)
    return ranks_by_fold(fit.held_out.round(_N_DIGITS), folds)


def ranks_by_fold(scores: FloatArray, folds: IntArray) -> FloatArray:
    """Return each score's rank among those of its fold, in (0, 1), equal scores sharing one.

    Args:
        scores: Shape (n_rows,).
        folds: One label per row, same shape.
    """
    ranks = np.empty(len(scores))
    for fold in np.unique(folds):
        inside = np.flatnonzero(folds == fold)
        _, places, counts = np.unique(scores[inside], return_inverse=True, return_counts=True)
        ranks[inside] = ((np.cumsum(counts) - counts / 2) / len(inside))[places]
    return ranks
