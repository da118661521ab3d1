"""Bootstrap intervals of routing metrics."""

from pathlib import Path
from typing import TypedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.evaluate import sweep
from routecast.evaluate.benchmarks import load_benchmark
from routecast.evaluate.curve import cost_quality_curve
from routecast.evaluate.intervals import bootstrap_metrics
from routecast.evaluate.metrics import average_gap_recovered, share_for_gap_recovered
from routecast.stats.bootstrap import resample_counts
from routecast.types import FloatArray, IntArray

ROWS = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=10
)
SHARES = (0.0, 0.3, 0.5, 0.8, 1.0, 1.2)


class Qualities(TypedDict):
    weak_quality: FloatArray
    strong_quality: FloatArray


def slow_metrics(
    scores: FloatArray, weak: FloatArray, strong: FloatArray, rows: IntArray
) -> list[float]:
    """Draw the rows for real and take the metrics of the curve."""
    curve = cost_quality_curve(scores[rows], weak_quality=weak[rows], strong_quality=strong[rows])
    cpts = [share_for_gap_recovered(curve, share) for share in SHARES]
    return [average_gap_recovered(curve), *cpts]


@settings(deadline=None)  # other work may share the machine
@given(ROWS, st.integers(0, 3), st.booleans(), st.integers(1, 4))
def test_each_resample_equals_the_metrics_of_the_repeated_rows(
    rows: list[tuple[int, int, int]], seed: int, grouped: bool, n_steps: int
) -> None:
    scores, weak, strong = np.array(rows, dtype=np.float64).T
    groups = np.arange(len(rows)) // 2 if grouped else None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep, "_N_STEPS", n_steps)
        found = bootstrap_metrics(
            {"r": scores},
            weak_quality=weak,
            strong_quality=strong,
            group_codes=groups,
            gaps_recovered=SHARES,
            n_resamples=20,
            seed=seed,
        ).values[:, 0]
    counts = resample_counts(len(rows), n_resamples=20, seed=seed, group_codes=groups)
    expected = [
        slow_metrics(scores, weak, strong, np.repeat(np.arange(len(rows)), count))
        for count in np.concatenate(list(counts))
    ]
    np.testing.assert_allclose(found, expected, atol=1e-7)


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
    assert samples.metrics == ("apgr", "cpt_50", "cpt_92.5")
    assert samples.values.shape == (10, 1, 3)


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
