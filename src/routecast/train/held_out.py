"""Measure a trained router on labels that it did not use, beside baselines that learn less.

These are the labels of test prompts, or all labels where the router predicts each from the others.
Predictions of different fits cannot be compared: what was fitted without a win expects less than
what was fitted without a loss, so that pure noise would look worse than a random order. Each
training prompt is therefore ranked within its fold: one fit scored the fold, and saw none of its
labels (docs/training.md has what that is worth).
"""

from dataclasses import dataclass, replace

import numpy as np

from routecast.data.preferences import PreferenceArrays
from routecast.data.ratings import rate_models
from routecast.errors import DataError
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.metrics import oracle_scores
from routecast.evaluate.names import AUROC, LOG_LOSS
from routecast.evaluate.own_labels import ranks_by_fold
from routecast.evaluate.study import Figure
from routecast.evaluate.wins import (
    Contender,
    Measurement,
    measure_routing,
    measure_wins,
)
from routecast.policy.abstaining import DEFAULT_ON_ROUTER_ERROR, routed_scores
from routecast.routers.length import LengthRouter
from routecast.stats.bradley_terry import ELO_PER_LOG_ODDS
from routecast.stats.platt import sigmoid
from routecast.train.battles import ModelScores
from routecast.train.pair_labels import PairLabels
from routecast.train.prepare import Prepared
from routecast.train.rival import RIDGE, has_rival, rival_by_fold, rival_scores
from routecast.types import FloatArray, IntArray

ROUTER, LENGTH, BASE_RATE = "router", "length", "base rate"
ORACLE = "oracle"
RATINGS = "ratings alone"
MIN_CLUSTERS = 10
"""Fewest groups of outcomes to resample; with fewer, prompts are."""


@dataclass(frozen=True, kw_only=True, eq=False)
class HeldOut:
    """Figures on labels that were not used to score their prompts.

    Attributes:
        n_prompts: Prompts with a label between strong and weak.
        wins: On every label between strong and weak that has a score; no figures where none has.
        routing: On the outcomes among them, those without a score counted as strong calls; None
            where there are none.
        battles: On all comparisons of any two models, scores not calibrated; None for families
            that know one pair only, and where there are only outcomes.
        by_group: Whether intervals resample the groups that the outcomes name.
        n_abstained: Labels of prompts without a score: they are in ``routing`` alone.
        warnings: In plain words: where the router is not shown to be better than doing without.
        is_crosswise: Whether these are the training prompts, each predicted from the others.
    """

    n_prompts: int
    wins: Measurement
    routing: Measurement | None
    battles: Measurement | None
    by_group: bool
    n_abstained: int
    warnings: tuple[str, ...]
    is_crosswise: bool = False


def measure_held_out(
    prepared: Prepared,
    calibrated: FloatArray,
    scores: ModelScores | None,
    *,
    by_fold: FloatArray | None = None,
    beside_ridge: bool = True,
    seed: int,
) -> HeldOut:
    """Measure on the test prompts, or on the training prompts fold by fold.

    Args:
        prepared: The prompts and their split.
        calibrated: Win probability of every prompt, shape (n_prompts,), from a router and a
            calibration that do not know its label.
        scores: Of every model, for battles of models that stand for neither side; None where the
            family knows one pair only.
        by_fold: Scores of the training prompts without the labels of their folds, same shape; None
            for the test prompts.
        beside_ridge: Let `ridge` on the same labels be among the baselines.
        seed: Of the resamples.
    """
    split = prepared.split
    labels = prepared.labels_on(split.test if by_fold is None else split.train)
    clusters, by_group = _clusters(prepared, labels)
    scored = np.flatnonzero(~np.isnan(calibrated[labels.prompt_index]))
    known = np.flatnonzero(~np.isnan(labels.strong_quality))
    if not len(scored) and not len(known):
        raise DataError(
            f"the router gives no score to any of the {len(labels):,} held-out labels; train on "
            "more of this traffic"
        )
    field = _contenders(
        prepared, calibrated, by_fold, labels.prompt_index, beside_ridge=beside_ridge
    )
    wins = Measurement(n_labels=0, n_clusters=0, figures={})
    if len(scored):
        wins = measure_wins(
            [one.take(scored) for one in field],
            labels.wins[scored],
            clusters=clusters[scored],
            seed=seed,
        )
    routing = None
    if len(known):
        outcomes = labels.take(known)
        weak, strong = outcomes.weak_quality, outcomes.strong_quality
        best = oracle_scores(weak_quality=weak, strong_quality=strong)
        router, *others = (one.take(known) for one in field)
        routed = replace(router, scores=routed_scores(router.scores, DEFAULT_ON_ROUTER_ERROR))
        routing = measure_routing(
            [routed, *others, Contender(name=ORACLE, scores=best)],
            weak_quality=weak,
            strong_quality=strong,
            clusters=clusters[known],
            fixed=_fixed_block(calibrated[outcomes.prompt_index]),
            seed=seed,
        )
    battles = None
    if scores is not None and len(known) < len(labels):
        battles = _measure_battles(prepared, scores, seed=seed)
    return HeldOut(
        n_prompts=len(np.unique(labels.prompt_index)),
        wins=wins,
        routing=routing,
        battles=battles,
        by_group=by_group,
        n_abstained=len(labels) - len(scored),
        warnings=(
            *_abstention_warnings(len(labels) - len(scored), len(labels)),
            *_warnings(wins, routing, battles),
        ),
        is_crosswise=by_fold is not None,
    )


def _fixed_block(win_probabilities: FloatArray) -> FixedBlock | None:
    """Return the prompts without a score, as the gateway routes them by default."""
    rows = np.isnan(win_probabilities)
    return FixedBlock(rows, DEFAULT_ON_ROUTER_ERROR) if rows.any() else None


def _abstention_warnings(n_abstained: int, n_labels: int) -> tuple[str, ...]:
    """Say how many labels have no score, and in which figures they are."""
    if not n_abstained:
        return ()
    return (
        f"the router gives no score to the prompts of {n_abstained:,} of {n_labels:,} held-out "
        f"labels: figures of routing count them as {DEFAULT_ON_ROUTER_ERROR} calls, as "
        "on_router_error sends them, and figures of win probabilities are of the "
        f"{1 - n_abstained / n_labels:.1%} with a score",
    )


def _contenders(
    prepared: Prepared,
    calibrated: FloatArray,
    by_fold: FloatArray | None,
    rows: IntArray,
    *,
    beside_ridge: bool,
) -> list[Contender]:
    """Score some prompts, repeated ones too, by the router and by its baselines."""
    known = prepared.labels_on(prepared.split.train)
    length = LengthRouter().win_probabilities(prepared.prompts)
    ranks = None if by_fold is None else ranks_by_fold(by_fold[rows], prepared.folds_of(rows))
    found = [
        Contender(name=ROUTER, scores=calibrated[rows], is_probability=True, ranks=ranks),
        Contender(name=LENGTH, scores=length[rows]),
    ]
    if beside_ridge and has_rival(prepared):
        rival = _rival(prepared, rows, is_crosswise=by_fold is not None)
        found.append(Contender(name=RIDGE, scores=rival))
    if len(known):
        n_wins, n_labels = np.average(known.wins, weights=known.weight) * len(known), len(known)
        rate = np.full(len(rows), (n_wins + 0.5) / (n_labels + 1.0))  # never 0 or 1
        found.append(Contender(name=BASE_RATE, scores=rate, is_probability=True, is_constant=True))
    return found


def _rival(prepared: Prepared, rows: IntArray, *, is_crosswise: bool) -> FloatArray:
    """Score by `ridge` on the training labels; crosswise by those of other folds, as ranks."""
    if is_crosswise:
        return ranks_by_fold(rival_by_fold(prepared)[rows], prepared.folds_of(rows))
    prompts = [prepared.prompts[row] for row in rows.tolist()]
    return rival_scores(prepared, prompts, prepared.embeddings[rows])


def _clusters(prepared: Prepared, labels: PairLabels) -> tuple[IntArray, bool]:
    """Return what is resampled together: named groups if they are enough, else near-duplicates."""
    named = [group for group in labels.groups if group is not None]
    if len(named) == len(labels) and len(set(named)) >= MIN_CLUSTERS:
        return np.unique(np.array(named), return_inverse=True)[1].astype(np.int64), True
    return prepared.duplicates.labels[labels.prompt_index], False


def _measure_battles(prepared: Prepared, scores: ModelScores, *, seed: int) -> Measurement | None:
    """Predict who wins each test comparison, whoever the two models are."""
    battles = prepared.comparisons(prepared.split.test)
    margins = scores.margins(prepared.embeddings, battles)
    known = ~np.isnan(margins)
    if not known.any():
        return None
    battles, margins = battles.take(known), margins[known]
    training = prepared.comparisons(prepared.split.train)
    return measure_wins(
        [
            Contender(name=ROUTER, scores=sigmoid(margins), is_probability=True),
            Contender(name=RATINGS, scores=_by_rating(training, battles), is_probability=True),
        ],
        battles.outcome.astype(np.float64),
        clusters=prepared.duplicates.labels[battles.prompt_index],
        seed=seed,
    )


def _by_rating(training: PreferenceArrays, battles: PreferenceArrays) -> FloatArray:
    """Predict test comparisons by how strong the models are on the whole."""
    names = np.array(training.models, dtype=object)
    rated = rate_models(
        names[training.model_a_index].tolist(),
        names[training.model_b_index].tolist(),
        training.outcome.astype(np.float64),
        weights=training.weight.astype(np.float64),
    )
    mean = float(np.mean([model.rating for model in rated]))
    by_name = {model.model: model.rating for model in rated}
    ratings = np.array([by_name.get(name, mean) for name in battles.models])
    margins = ratings[battles.model_a_index] - ratings[battles.model_b_index]
    return sigmoid(margins / ELO_PER_LOG_ODDS)


def _warnings(
    wins: Measurement, routing: Measurement | None, battles: Measurement | None
) -> tuple[str, ...]:
    """Say where the router is not shown to beat doing without it."""
    found = []
    order = (routing, "apgr", "APGR") if routing is not None else (wins, AUROC, "AUROC")
    measurement, metric, title = order
    figure = measurement.figures[ROUTER][metric]
    if np.isnan(figure.value):
        found.append(f"{title} is undefined: strong and weak tie on the held-out prompts")
    elif not figure.low > 0.5:
        found.append(
            f"the router does not beat a random order on held-out prompts: {title} "
            f"{_shown(figure)} against 0.500"
        )
    difference = measurement.differences.get((metric, LENGTH))
    if difference is not None and not difference.low > 0 and not np.isnan(difference.value):
        found.append(
            "the router does not beat the number of characters on held-out prompts: "
            f"{title} differs by {_shown(difference, signed=True)}"
        )
    loss = wins.differences.get((LOG_LOSS, BASE_RATE))
    if loss is not None and not loss.high < 0:
        found.append(
            "its probabilities are no better than one base rate for every prompt: log loss "
            f"differs by {_shown(loss, signed=True)}"
        )
    rival = measurement.differences.get((metric, RIDGE))
    if rival is not None and not rival.low > 0 and not np.isnan(rival.value):
        found.append(
            "the router does not beat ridge regression on the same labels: "
            f"{title} differs by {_shown(rival, signed=True)}"
        )
    rated = None if battles is None else battles.differences.get((LOG_LOSS, RATINGS))
    if rated is not None and not rated.high < 0:
        found.append(
            "on comparisons of all models it predicts no better than their ratings alone: log "
            f"loss differs by {_shown(rated, signed=True)}"
        )
    return tuple(found)


def _shown(figure: Figure, *, signed: bool = False) -> str:
    pattern = "{:+.3f}" if signed else "{:.3f}"
    value, low, high = (pattern.format(x) for x in (figure.value, figure.low, figure.high))
    return f"{value} [{low}, {high}]"
