"""What a report draws of a router."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from routecast.evaluate.curve import cost_quality_curve
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.report_series import MAX_CUTS, cuts_of, probabilities_of, win_histogram
from routecast.evaluate.study import RouterStudy, Study
from routecast.policy.abstaining import OnRouterError, routed_scores
from routecast.types import FloatArray


def test_cuts_part_no_equal_scores(study_maker: Callable[..., Study]) -> None:
    study = study_maker(n_prompts=4, with_costs=False)
    cuts = cuts_of(router_of(study, np.array([0.2, 0.7, 0.2, 0.1])), study)
    # 0.7 alone, then both of 0.2, then 0.1.
    assert cuts.n_strong.tolist() == [0, 1, 3, 4]
    np.testing.assert_array_equal(cuts.threshold, [np.nan, 0.7, 0.2, 0.1])
    assert cuts.cost_usd is None
    assert cuts.reachable == (0, 3)


def router_of(
    study: Study, scores: FloatArray, answered_by: OnRouterError = "strong"
) -> RouterStudy:
    abstained = np.isnan(scores)
    return replace(
        study.routers[0],
        scores=routed_scores(scores, answered_by),
        fixed=FixedBlock(abstained, answered_by) if abstained.any() else None,
    )


def test_a_threshold_never_parts_prompts_without_a_score_from_their_model(
    study_maker: Callable[..., Study],
) -> None:
    study = study_maker(n_prompts=4)
    scores = np.array([0.2, np.nan, 0.3, np.nan])
    # Two without a score are strong at any threshold: 2, 3 or all 4 prompts are.
    cuts = cuts_of(router_of(study, scores), study)
    assert cuts.n_strong.tolist() == [0, 2, 3, 4]
    assert cuts.reachable == (1, 3)
    np.testing.assert_array_equal(cuts.threshold, [np.nan, np.nan, 0.3, 0.2])
    # They are weak: none, 1 or 2 are strong.
    cuts = cuts_of(router_of(study, scores, "weak"), study)
    assert cuts.n_strong.tolist() == [0, 1, 2, 4]
    assert cuts.reachable == (0, 2)
    np.testing.assert_array_equal(cuts.threshold, [np.nan, 0.3, 0.2, np.nan])


def test_many_prompts_are_thinned_to_cuts_that_lie_on_the_curve(
    study_maker: Callable[..., Study],
) -> None:
    study = study_maker(n_prompts=5000)
    scores = np.random.default_rng(0).random(5000)
    cuts = cuts_of(router_of(study, scores), study)
    curve = cost_quality_curve(
        scores, weak_quality=study.weak_quality, strong_quality=study.strong_quality
    )
    assert len(cuts.n_strong) == MAX_CUTS
    assert np.diff(cuts.n_strong).tolist() == [5] * 1000
    np.testing.assert_array_equal(cuts.quality, curve.quality[cuts.n_strong])
    assert cuts.cost_usd is not None
    assert study.strong_cost_usd is not None
    sent = scores >= cuts.threshold[400]
    assert sent.sum() == cuts.n_strong[400]


def test_the_histogram_counts_each_scored_prompt_once(study: Study) -> None:
    scored = probabilities_of(study.routers[0], study)
    assert scored is not None
    histogram = win_histogram(*scored)
    gap = study.strong_quality - study.weak_quality
    assert histogram.low <= scored[0].min() < scored[0].max() <= histogram.high
    assert histogram.wins.sum() == (gap > 0).sum()
    assert histogram.ties.sum() == (gap == 0).sum()
    assert histogram.losses.sum() == (gap < 0).sum()


def test_scores_that_are_only_an_order_are_no_probabilities(study: Study) -> None:
    assert probabilities_of(study.routers[2], study) is None
    assert probabilities_of(study.routers[-1], study) is None
