"""Fitting the shipped router: four judges of how hard a prompt looks, averaged.

Nobody knows the reader's pair of models, so the router orders by apparent difficulty. Each judge is
a line in the features of `ridge`: the unit vector, and standardised counts. Its scores are brought
to mean 0 and deviation 1 over the training sets, and the four count alike, so their mean is a line,
too:

- rules: a fixed sum of counts, `RULES`, that no label has touched;
- length: the logarithm of the number of words;
- hardness: ridge regression of how often the weaker half of the models fails;
- gap: ridge regression of what the strong models have over the weak ones.

Targets are compared within sets, never between them, because a set's mean says more about how it
was graded than about its prompts. A set counts by the square root of its size.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from runs.default_sets import TrainingSet

from routecast.embed.protocol import Embedder
from routecast.routers.belonging import NEVER, Belonging
from routecast.routers.ridge import FeatureScale, Ridge
from routecast.routers.surface import SURFACE_NAMES
from routecast.types import FloatArray

RULES = {
    "log_numbers": 1.0,
    "is_code": 1.0,
    "log_math_signs": 1.0,
    "hard_words": 1.0,
    "step_words": 1.0,
    "logic_words": 0.5,
    "negations": 0.5,
    "chat_words": -1.0,
    "is_fact_question": -0.5,
}
"""Weight of each count that says how hard a prompt looks, in standard deviations."""

SHRINKAGE = 0.03
"""Of the two regressions, in mean squared features. From .003 to .1 the mean APGR on sets left out
moves by less than .001, so this is the middle, and not the best."""


N_COMPARED = 1_000
"""Prompts of each set, drawn with replacement, that tell which first words belong."""

DRAW_SEED = 20261201


@dataclass(frozen=True, eq=False)
class Judges:
    """The members, each a line of deviation 1 over the sets that it was fitted on.

    Attributes:
        scale: Of the features.
        lines: Coefficients by name, each of shape (n_features,).
        mean: Mean features of the sets, of equal weight, shape (n_features,).
    """

    scale: FeatureScale
    lines: dict[str, FloatArray]
    mean: FloatArray

    def scores(self, one: TrainingSet, line: FloatArray) -> FloatArray:
        """Return how hard a line finds the prompts of a set, shape (n_prompts,)."""
        return np.asarray((one.features(self.scale) - self.mean) @ line)

    @property
    def ensemble(self) -> FloatArray:
        """The mean of the lines, shape (n_features,)."""
        return np.asarray(np.mean(list(self.lines.values()), axis=0))

    def router(self, line: FloatArray, *, base_gap: float, slope: float) -> Ridge:
        """Return the router that expects base_gap + slope * score.

        Args:
            line: Coefficients, shape (n_features,).
            base_gap: The gap of a prompt of score 0.
            slope: Rise of the gap by unit of the score.
        """
        return Ridge(
            scale=self.scale,
            coefficients=slope * line,
            intercept=base_gap - slope * float(self.mean @ line),
            covariance=None,
            prior_variance=0.0,
            intercept_variance=0.0,
        )


def fit_judges(sets: Sequence[TrainingSet]) -> Judges:
    """Fit the members on some sets."""
    weights = np.concatenate([np.full(len(one), len(one) ** -0.5) for one in sets])
    scale = _scale(sets, weights / weights.sum())
    features = [one.features(scale) for one in sets]
    lines = {
        "rules": _of_counts(RULES, scale),
        "length": _of_counts({"log_words": 1.0}, scale),
        "hardness": _regress(features, [one.hardness for one in sets], weights),
        "gap": _regress(features, [one.sides[1] - one.sides[0] for one in sets], weights),
    }
    even = np.concatenate([np.full(len(one), 1.0 / len(one) / len(sets)) for one in sets])
    stacked = np.concatenate(features)
    mean = even @ stacked
    for name, line in lines.items():
        lines[name] = line / np.sqrt(even @ ((stacked - mean) @ line) ** 2)
    return Judges(scale, lines, mean)


def belonging_of(sets: Sequence[TrainingSet], embedder: Embedder) -> Belonging:
    """Measure how alike first words are to the next ones, on as many prompts of each set.

    Late text is not suspected: where all prompts of an unknown traffic begin with the same
    instruction, whose likeness to the rest no labelled prompt told, only that would be scored.
    """
    generator = np.random.default_rng(DRAW_SEED)
    prompts = [
        prompt
        for one in sets
        for prompt in generator.choice(np.array(one.outcomes.prompts, object), N_COMPARED)
    ]
    return replace(Belonging.of(prompts, embedder), tail=NEVER)


def slope_within(sets: Sequence[TrainingSet], judges: Judges) -> float:
    """Return how much the gap rises by unit of the ensemble's score within a set.

    Each set's slope is that of a regression with an intercept of its own; the sets count alike.
    """
    slopes = []
    for one in sets:
        scores, gaps = judges.scores(one, judges.ensemble), one.sides[1] - one.sides[0]
        known = ~np.isnan(gaps)
        centred = scores[known] - scores[known].mean()
        slopes.append(float(centred @ gaps[known] / (centred @ centred)))
    return float(np.mean(slopes))


def base_gap(sets: Sequence[TrainingSet]) -> float:
    """Return the mean gap, each set of equal weight."""
    return float(np.mean([np.nanmean(one.sides[1] - one.sides[0]) for one in sets]))


def _scale(sets: Sequence[TrainingSet], shares: FloatArray) -> FeatureScale:
    surfaces = np.concatenate([one.surfaces for one in sets])
    means = shares @ surfaces
    return FeatureScale(
        embedding_mean=shares @ np.concatenate([one.embeddings for one in sets]),
        surface_means=means,
        surface_deviations=np.sqrt(shares @ (surfaces - means) ** 2),
    )


def _of_counts(weights: Mapping[str, float], scale: FeatureScale) -> FloatArray:
    """Return the line that weighs counts, and nothing of the vector."""
    counts = [weights.get(name, 0.0) for name in SURFACE_NAMES]
    return np.concatenate([np.zeros_like(scale.embedding_mean), np.array(counts)])


def _regress(
    features: Sequence[FloatArray], targets: Sequence[FloatArray], weights: FloatArray
) -> FloatArray:
    """Return ridge coefficients of targets that are centred within each set."""
    target = np.concatenate([one - np.nanmean(one) for one in targets])
    known = ~np.isnan(target)
    rows, target, weights = np.concatenate(features)[known], target[known], weights[known]
    shares = weights / weights.sum()
    centred = rows - shares @ rows
    squares = (centred.T * shares) @ centred
    return np.linalg.solve(
        squares + SHRINKAGE * np.eye(len(squares)),
        centred.T @ (shares * (target - shares @ target)),
    )
