"""Bootstrap intervals of routing metrics."""

from pathlib import Path
from typing import TypedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.evaluate import steps
from routecast.evaluate.benchmarks import load_benchmark
from routecast.evaluate.curve import cost_quality_curve
from routecast.evaluate.exact import exact_figures
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.intervals import bootstrap_metrics
from routecast.evaluate.metrics import average_gap_recovered
from routecast.evaluate.pair import PairArrays
from routecast.evaluate.steps import count_type
from routecast.policy.abstaining import OnRouterError, routed_scores
from routecast.stats.bootstrap import resample_counts
from routecast.types import FloatArray

ROWS = st.lists(
    st.tuples(*(st.integers(0, high) for high in (5, 3, 3, 4, 9))), min_size=1, max_size=10
)


class Qualities(TypedDict):
    weak_quality: FloatArray
    strong_quality: FloatArray


@settings(max_examples=30)
@given(
    ROWS,
    st.integers(0, 3),
    st.booleans(),
    st.integers(1, 4),
    st.sampled_from([1.0, 0.3]),
    st.sampled_from([None, "strong", "weak"]),
)
def test_each_resample_equals_the_metrics_of_the_repeated_rows(
    rows: list[tuple[int, int, int, int, int]],
    seed: int,
    grouped: bool,
    n_rows: int,
    unit: float,
    answered_by: OnRouterError | None,
) -> None:
    scores, weak, strong, weak_cost, strong_cost = np.array(rows, dtype=np.float64).T
    scores, weak, strong = scores / 5, unit * weak, unit * strong  # 0.3: no longer exact in single
    groups = np.arange(len(rows)) // 2 if grouped else None
    fixed = None
    if answered_by is not None and 0 < (scores == 0).sum() < len(rows):  # those abstain
        fixed = FixedBlock(scores == 0, answered_by)
        scores = routed_scores(np.where(scores == 0, np.nan, scores), answered_by)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(steps, "_N_ROWS", n_rows)
        found = bootstrap_metrics(
            {"r": scores},
            weak_quality=weak,
            strong_quality=strong,
            weak_cost_usd=weak_cost,
            strong_cost_usd=strong_cost,
            probabilities=["r"],
            fixed={} if fixed is None else {"r": fixed},
            group_codes=groups,
            n_resamples=5,
            seed=seed,
        )
    drawn = resample_counts(len(rows), n_resamples=5, seed=seed, group_codes=groups)
    for resample, count in enumerate(np.concatenate(list(drawn))):
        of_row = np.repeat(np.arange(len(rows)), count)
        pair = PairArrays(
            weak_quality=weak[of_row],
            strong_quality=strong[of_row],
            weak_cost_usd=weak_cost[of_row],
            strong_cost_usd=strong_cost[of_row],
        )
        drawn_fixed = None if fixed is None else FixedBlock(fixed.rows[of_row], fixed.answered_by)
        expected = exact_figures(scores[of_row], pair, is_probability=True, fixed=drawn_fixed)
        if len(of_row) % 10 == 1:  # a quantile falls on a score: its rounding decides
            expected["apgr_eleven_quantiles"] = found.samples("r", "apgr_eleven_quantiles")[
                resample
            ]
        actual = {name: found.samples("r", name)[resample] for name in expected}
        assert actual == pytest.approx(expected, rel=1e-6, abs=1e-6, nan_ok=True)
        curve = cost_quality_curve(
            scores[of_row], weak_quality=pair.weak_quality, strong_quality=pair.strong_quality
        )
        line = [curve.quality_at(share) for share in np.linspace(0, 1, 101)]
        np.testing.assert_allclose(found.quality[resample, 0], line, atol=1e-9)


def test_long_steps_and_short_ones_are_summed_alike() -> None:
    rng = np.random.default_rng(4)
    scores = np.concatenate([np.full(1500, 0.7), np.full(300, 0.2), rng.random(200)])
    weak, strong = rng.random((2, 2000)).round(2)
    found = bootstrap_metrics(
        {"r": scores}, weak_quality=weak, strong_quality=strong, n_resamples=2
    )
    for resample, count in enumerate(next(resample_counts(2000, n_resamples=2, seed=0))):
        rows = np.repeat(np.arange(2000), count)
        pair = PairArrays(weak_quality=weak[rows], strong_quality=strong[rows])
        expected = exact_figures(scores[rows], pair)
        actual = {name: found.samples("r", name)[resample] for name in expected}
        assert actual == pytest.approx(expected, rel=1e-9, nan_ok=True)


def test_single_precision_is_chosen_only_where_it_sums_exactly() -> None:
    assert count_type(np.array([0.0, 1.0, -1.0])) is np.float32
    assert count_type(np.array([9.5, -0.25])) is np.float32
    assert count_type(np.array([0.1])) is np.float64
    assert count_type(np.array([17.0])) is np.float64


def test_the_log_loss_is_infinite_on_the_resamples_that_draw_an_infinite_loss() -> None:
    scores, strong = np.array([0.0, 0.5]), np.array([1.0, 1.0])
    samples = bootstrap_metrics(
        {"r": scores},
        weak_quality=np.zeros(2),
        strong_quality=strong,
        probabilities=["r"],
        n_resamples=50,
    )
    drawn = np.concatenate(list(resample_counts(2, n_resamples=50, seed=0)))[:, 0] > 0
    np.testing.assert_array_equal(np.isinf(samples.samples("r", "log_loss")), drawn)


def test_no_scores_are_refused() -> None:
    with pytest.raises(ValueError, match="no scores"):
        bootstrap_metrics({}, weak_quality=np.zeros(1), strong_quality=np.ones(1))


@pytest.fixture(scope="module")
def qualities() -> Qualities:
    rng = np.random.default_rng(0)
    weak = (rng.random(400) < 0.6).astype(np.float64)
    return Qualities(weak_quality=weak, strong_quality=np.maximum(weak, rng.random(400) < 0.6))


def test_a_router_without_information_has_an_interval_around_a_half(
    qualities: Qualities,
) -> None:
    scores = {"noise": np.random.default_rng(1).random(400), "flat": np.zeros(400)}
    samples = bootstrap_metrics(scores, **qualities, n_resamples=1000)
    noise, flat = samples.interval("noise"), samples.interval("flat")
    assert noise.low < 0.5 < noise.high
    assert flat.low == pytest.approx(0.5)
    assert flat.high == pytest.approx(0.5)


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    # Gap 1 with probability s, else 0, for scores s uniform on [0, 1]: sending the top share c
    # recovers 1 - (1 - c)^2 of the gap, whose area is 2/3.
    rng = np.random.default_rng(0)
    covered = 0
    for draw in range(200):
        scores = rng.random(300)
        strong = (rng.random(300) < scores).astype(np.float64)
        interval = bootstrap_metrics(
            {"r": scores},
            weak_quality=np.zeros(300),
            strong_quality=strong,
            n_resamples=300,
            seed=draw,
        ).interval("r")
        covered += interval.low <= 2 / 3 <= interval.high
    assert 0.90 <= covered / 200 <= 0.99


def test_routers_are_compared_on_the_same_resamples(qualities: Qualities) -> None:
    rng = np.random.default_rng(2)
    scores = rng.random(400)
    samples = bootstrap_metrics(
        {"one": scores, "same": scores**3, "near": scores + rng.normal(0, 0.01, 400)},
        **qualities,
        n_resamples=500,
    )
    same, near = samples.difference("one", "same"), samples.difference("one", "near")
    assert (same.low, same.high) == (0.0, 0.0)
    apart = samples.interval("one")
    assert near.high - near.low < 0.3 * (apart.high - apart.low)


def test_metrics_are_named_after_their_share(qualities: Qualities) -> None:
    samples = bootstrap_metrics(
        {"r": np.arange(400.0)}, **qualities, gaps_recovered=(0.5, 0.925), n_resamples=10
    )
    assert [name for name in samples.metrics if name.startswith("cpt")] == ["cpt_50", "cpt_92.5"]
    assert samples.values.shape == (10, 1, len(samples.metrics))
    assert samples.quality.shape == (10, 1, 101)


def test_resamples_on_which_the_models_tie_are_undefined() -> None:
    # Of two prompts with gaps 1 and -1, half of the resamples hold one of each.
    samples = bootstrap_metrics(
        {"r": np.array([0.1, 0.9])},
        weak_quality=np.array([0.0, 1.0]),
        strong_quality=np.array([1.0, 0.0]),
        n_resamples=1000,
    )
    assert samples.interval("r").n_undefined == pytest.approx(500, abs=60)


def test_groups_of_alike_prompts_widen_the_interval() -> None:
    rng = np.random.default_rng(3)
    group = np.repeat(np.arange(20), 20)
    strong = (rng.random(20) < 0.5)[group].astype(np.float64)
    columns = Qualities(weak_quality=np.zeros(400), strong_quality=strong)
    scores = {"r": rng.random(20)[group] + rng.normal(0, 0.01, 400)}
    alone = bootstrap_metrics(scores, **columns, n_resamples=500).interval("r")
    grouped = bootstrap_metrics(scores, **columns, group_codes=group, n_resamples=500).interval("r")
    assert grouped.high - grouped.low > 2 * (alone.high - alone.low)


def test_an_abstaining_router_is_refused(qualities: Qualities) -> None:
    with pytest.raises(ValueError, match="abstained"):
        bootstrap_metrics({"r": np.full(400, np.nan)}, **qualities)


def test_mt_bench_cannot_tell_a_random_order_from_a_good_one(shared_data: Path) -> None:
    pair = load_benchmark("mt-bench", shared_data / "benchmarks" / "routellm").pair
    rng = np.random.default_rng(0)
    apgrs = [
        average_gap_recovered(
            cost_quality_curve(
                rng.random(len(pair)),
                weak_quality=pair.weak_quality,
                strong_quality=pair.strong_quality,
            )
        )
        for _ in range(2000)
    ]
    # Published: a random order lands in 0.37 to 0.63 with 95%.
    np.testing.assert_allclose(np.quantile(apgrs, [0.025, 0.975]), [0.37, 0.63], atol=0.015)
