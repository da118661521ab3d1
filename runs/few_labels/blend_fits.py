"""`blend` and its halves, fitted to few labels."""

from dataclasses import dataclass

import numpy as np
from runs.few_labels.sets import Sample

from routecast.calibrate.probability import choose_calibration
from routecast.evaluate.discrimination import expected_calibration_error
from routecast.routers.gaps import win_probabilities_of_gaps
from routecast.train.blend import BlendSettings, Labels, fit_blend
from routecast.train.prepare import Prepared
from routecast.types import EmbeddingArray, FloatArray, IntArray

BLEND = "blend"
CONTENT, FORM = HALVES = ("content alone", "form alone")


@dataclass(frozen=True)
class BlendScores:
    """What `blend` says of prompts that it has no labels of.

    Attributes:
        scores: Expected gaps by router, `blend` and its halves, each of shape (n_evaluated,).
        calibration_error: Of the whole, calibrated on its labels, each predicted from the others.
        abstained: Share of the prompts that the whole abstains on.
    """

    scores: dict[str, FloatArray]
    calibration_error: float
    abstained: float


def score_blend(
    sample: Sample, prepared: Prepared, rest: IntArray, *, rows: IntArray, seed: int
) -> BlendScores:
    """Fit to all prepared labels, and score the rest.

    Args:
        sample: The set.
        prepared: Labels with their margins.
        rest: Positions of the prompts to score.
        rows: Positions of the prepared prompts in the sample.
        seed: Of the fit, and of the calibration's folds.
    """
    labels = labels_of(prepared)
    settings = BlendSettings(seed=seed)
    embeddings, surfaces = sample.embeddings, sample.surfaces
    whole = fit_blend(embeddings[rows], surfaces[rows], labels, settings=settings)
    model = whole.model
    expected, familiarity = model.predict(model.view.apply(embeddings[rest], surfaces[rest]))
    scores = {BLEND: expected}
    for name, (vectors, counts) in halves(embeddings, surfaces).items():
        model = fit_blend(vectors[rows], counts[rows], labels, settings=settings).model
        scores[name] = model.predict(model.view.apply(vectors[rest], counts[rest]))[0]
    calibration = choose_calibration(
        win_probabilities_of_gaps(whole.held_out_gaps),
        (1.0 + labels.gaps) / 2.0,
        groups=labels.groups,
        seed=seed,
    ).calibration
    wins = (1.0 + sample.strong[rest] - sample.weak[rest]) / 2.0
    return BlendScores(
        scores=scores,
        calibration_error=expected_calibration_error(
            calibration.apply(win_probabilities_of_gaps(expected)), wins
        ),
        abstained=float((familiarity < whole.model.least_familiarity).mean()),
    )


def labels_of(prepared: Prepared) -> Labels:
    """Return one label per prepared prompt: the mean gap of its rows."""
    places, wins = prepared.labels.prompt_index, prepared.labels.wins
    mean_wins = np.bincount(places, wins) / np.bincount(places)
    return Labels(
        gaps=2.0 * mean_wins - 1.0,
        weights=np.ones(len(mean_wins)),
        groups=prepared.duplicates.labels,
    )


def halves(
    embeddings: EmbeddingArray, surfaces: FloatArray
) -> dict[str, tuple[EmbeddingArray, FloatArray]]:
    """Return the prompts as those see them who know their content, or their form, alone."""
    return {
        CONTENT: (embeddings, np.zeros_like(surfaces)),
        FORM: (np.zeros_like(embeddings), surfaces),
    }
