"""Worth of routing on the held-out questions, with 95% intervals."""

from dataclasses import dataclass
from typing import Final

import numpy as np

from routecast.demo.questions import AnswerTable
from routecast.evaluate.curve import cost_quality_curve
from routecast.evaluate.dollars import DollarCurve, dollar_curve
from routecast.evaluate.metrics import oracle_scores
from routecast.evaluate.study import Figure
from routecast.stats.bootstrap import percentile_interval, resample_counts
from routecast.types import FloatArray

N_RESAMPLES: Final = 2_000


@dataclass(frozen=True, kw_only=True)
class Figures:
    """Shares of what the strong model alone would have had, in [0, 1] as a rule.

    Attributes:
        strong_share: Share of calls that went to the strong model.
        kept: Share of the strong model's quality that the routed answers have.
        saved: Share of the strong model's bill that was not spent.
        random_kept: What a random choice of as many calls would have kept, in expectation.
        length_kept: What the longest questions, as many, would have kept.
        over_random: ``kept`` less ``random_kept``.
        over_length: ``kept`` less ``length_kept``.
    """

    strong_share: float
    kept: Figure
    saved: Figure
    random_kept: Figure
    length_kept: Figure
    over_random: Figure
    over_length: Figure


def measure_figures(
    went_strong: FloatArray, table: AnswerTable, n_characters: FloatArray, *, seed: int = 0
) -> Figures:
    """Compare what routing chose with random and with length at the same share of strong calls.

    Args:
        went_strong: 1 where the strong model answered, else 0, shape (n_questions,).
        table: What both answers are worth and cost.
        n_characters: Length of each question, same shape; of equal ones the first counts as
            longer.
        seed: Of the bootstrap over questions.
    """
    share = float(went_strong.mean())
    longest = np.zeros(len(went_strong))
    longest[np.argsort(-n_characters, kind="stable")[: int(went_strong.sum())]] = 1.0
    chosen = {
        "kept": went_strong,
        "random_kept": np.full(len(went_strong), share),
        "length_kept": longest,
    }
    counts = np.vstack(
        [
            np.ones((1, len(went_strong))),  # the questions as they are, then the resamples
            *resample_counts(len(went_strong), n_resamples=N_RESAMPLES, seed=seed),
        ]
    )
    found = {
        name: _ratios(counts, _mixed(weights, table.weak_quality, table.strong_quality),
                      table.strong_quality)
        for name, weights in chosen.items()
    }  # fmt: skip
    spent = _mixed(went_strong, table.weak_cost_usd, table.strong_cost_usd)
    found["saved"] = 1.0 - _ratios(counts, spent, table.strong_cost_usd)
    found["over_random"] = found["kept"] - found["random_kept"]
    found["over_length"] = found["kept"] - found["length_kept"]
    return Figures(
        strong_share=share, **{name: _figure(samples) for name, samples in found.items()}
    )


def _mixed(weights: FloatArray, weak: FloatArray, strong: FloatArray) -> FloatArray:
    """Return each question's value where its strong answer has this chance."""
    return weak + weights * (strong - weak)


def _ratios(counts: FloatArray, values: FloatArray, strong: FloatArray) -> FloatArray:
    """Return the sum of values over the strong model's, per resample; NaN where that is 0."""
    wholes = counts @ strong
    found = np.full(len(counts), np.nan)
    np.divide(counts @ values, wholes, out=found, where=wholes > 0)
    return found


def _figure(samples: FloatArray) -> Figure:
    """Return the first value, on the questions as they are, with the interval of the others."""
    interval = percentile_interval(samples[1:])
    return Figure(value=float(samples[0]), low=interval.low, high=interval.high)


def measure_curves(
    win_probabilities: FloatArray, table: AnswerTable, n_characters: FloatArray
) -> dict[str, DollarCurve]:
    """Return quality against dollars, from all weak to all strong, for each order of questions.

    Args:
        win_probabilities: The router's, shape (n_questions,); NaN, where it abstains, goes to the
            strong model first.
        table: What both answers are worth and cost.
        n_characters: Length of each question, same shape.

    Returns:
        By ``random``, ``length``, ``router`` and ``oracle``.
    """
    orders = {
        "random": np.zeros(len(n_characters)),
        "length": n_characters,
        "router": np.nan_to_num(win_probabilities, nan=2.0),
        "oracle": oracle_scores(
            weak_quality=table.weak_quality, strong_quality=table.strong_quality
        ),
    }
    return {name: _curve(scores, table) for name, scores in orders.items()}


def _curve(scores: FloatArray, table: AnswerTable) -> DollarCurve:
    calls = cost_quality_curve(
        scores, weak_quality=table.weak_quality, strong_quality=table.strong_quality
    )
    return dollar_curve(
        calls,
        scores,
        weak_cost_usd=table.weak_cost_usd,
        strong_cost_usd=table.strong_cost_usd,
    )
