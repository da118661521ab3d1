"""Prompts without a score: what calibration promises is what the gateway does."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from routecast.artifacts import LoadedRouter, load_artifact, load_router
from routecast.calibrate.run import calibrate_router
from routecast.calibrate.sample import Sample
from routecast.calibrate.threshold import SampleOutcomes, choose_threshold
from routecast.errors import ConfigError, DataError
from routecast.evaluate.exact import exact_figures
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.pair import PairArrays
from routecast.gateway.routes import Route, build_route
from routecast.gateway.scorer import Scorer
from routecast.gateway.scoring import decide_route
from routecast.policy.abstaining import OnRouterError, routed_scores
from routecast.policy.goals import Goal
from routecast.policy.parse import parse_settings
from routecast.routers.calibrated import CalibratedRouter
from routecast.stats.platt import PlattScaling
from routecast.types import FloatArray

N_PROMPTS, N_ABSTAINED = 1000, 618


class ShyRouter:
    """Scores a prompt that is a number of three digits from 618 on, and no other."""

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        """Return the number as a fraction; NaN for lower ones."""
        numbers = np.array([float(prompt) for prompt in prompts]) / N_PROMPTS
        return np.where(numbers < N_ABSTAINED / N_PROMPTS, np.nan, numbers)


PROMPTS = [f"{number:03}" for number in range(N_PROMPTS)]
# The strong model is always right; the weak one on every second prompt, and where there is no
# score on one of three. Strong costs 10 dollars per 1,000 requests, weak 1.
NUMBERS = np.arange(N_PROMPTS)
OUTCOMES = SampleOutcomes(
    strong="big",
    weak="small",
    strong_quality=np.ones(N_PROMPTS),
    weak_quality=np.where(NUMBERS < N_ABSTAINED, NUMBERS % 3 == 0, NUMBERS % 2 == 0).astype(float),
    strong_cost_usd=np.full(N_PROMPTS, 0.010),
    weak_cost_usd=np.full(N_PROMPTS, 0.001),
)


def shy(folder: str = "default") -> LoadedRouter:
    """Return an artifact that scores as `ShyRouter` does."""
    loaded = load_router(folder)
    calibration = PlattScaling(1.0, 0.0)
    if folder != "default" and loaded.manifest is not None:
        rebuilt = loaded.manifest.calibration.map.rebuild()
        assert isinstance(rebuilt, PlattScaling)
        calibration = rebuilt
    return replace(loaded, router=CalibratedRouter(ShyRouter(), calibration))


def route_of(loaded: LoadedRouter, goal: Goal, on_router_error: OnRouterError) -> Route:
    settings = parse_settings(
        '[models.big]\nmodel = "b"\nbase_url = "http://127.0.0.1:1/v1"\n'
        '[models.small]\nmodel = "s"\nbase_url = "http://127.0.0.1:1/v1"\n'
        f'[routes.auto]\nstrong = "big"\nweak = "small"\n{goal.name} = {goal.value}\n'
        f'on_router_error = "{on_router_error}"\n',
        source="test.toml",
    )
    return build_route("auto", settings, loaded)


def served(route: Route) -> FloatArray:
    """Return 1 where the gateway sends a prompt of the sample to the strong model, else 0."""

    async def decide_all() -> list[bool]:
        scorer = Scorer(route.router, is_heavy=False)
        decisions = [
            await decide_route(route, prompt, scorer=scorer, timeout_s=1) for prompt in PROMPTS
        ]
        return [decision.model == "big" for decision in decisions]

    return np.array(asyncio.run(decide_all()), dtype=np.float64)


@pytest.mark.parametrize(
    ("goal", "on_router_error"),
    [
        (Goal("strong_share", 0.3), "weak"),
        (Goal("strong_share", 0.733), "strong"),
        (Goal("min_quality", 0.9), "strong"),
        (Goal("min_quality", 0.5), "weak"),
        (Goal("budget_usd_per_1k", 8.0), "strong"),
        (Goal("budget_usd_per_1k", 2.0), "weak"),
    ],
)
def test_what_is_served_is_what_calibration_printed(
    tmp_path: Path, goal: Goal, on_router_error: OnRouterError
) -> None:
    sample = Sample(name="numbers", prompts=PROMPTS, outcomes=OUTCOMES)
    report = calibrate_router(
        shy(), sample, goal, output=tmp_path / "new", on_router_error=on_router_error
    )
    choice = report.choice
    strong = served(route_of(shy(str(tmp_path / "new")), goal, on_router_error))
    assert strong.mean() == pytest.approx(choice.strong_share.value, abs=0.002)
    assert choice.strong_share.low < strong.mean() < choice.strong_share.high
    assert (choice.n_abstained, choice.n_prompts) == (N_ABSTAINED, N_PROMPTS)
    quality = np.where(strong == 1, OUTCOMES.strong_quality, OUTCOMES.weak_quality).mean()
    assert choice.quality is not None
    assert quality == pytest.approx(choice.quality.value, abs=0.002)
    assert choice.cost_usd_per_1k is not None
    assert 1 + 9 * strong.mean() == pytest.approx(choice.cost_usd_per_1k.value, abs=0.02)
    if goal.name == "strong_share":
        assert choice.strong_share.value == goal.value
    if goal.name == "budget_usd_per_1k":
        assert choice.cost_usd_per_1k.value <= goal.value + 1e-9


def test_a_share_below_what_abstains_to_the_strong_model_is_refused() -> None:
    sample = Sample(name="numbers", prompts=PROMPTS)
    with pytest.raises(ConfigError, match=r"strong_share 0.3 cannot be met.*at least 61.8%"):
        calibrate_router(shy(), sample, Goal("strong_share", 0.3))


@pytest.mark.parametrize("answered_by", ["strong", "weak"])
@pytest.mark.parametrize("abstains", [False, True])
def test_the_report_and_calibrate_mean_one_thing_by_a_share_of_quality(
    abstains: bool, answered_by: OnRouterError
) -> None:
    scores = ShyRouter().win_probabilities(PROMPTS)
    scores = scores if abstains else np.nan_to_num(scores, nan=0.3)
    pair = PairArrays(weak_quality=OUTCOMES.weak_quality, strong_quality=OUTCOMES.strong_quality)
    fixed = FixedBlock(np.isnan(scores), answered_by) if abstains else None
    stated = exact_figures(routed_scores(scores, answered_by), pair, fixed=fixed)["calls_90"]
    goal = Goal("min_quality", 0.9)
    if np.isnan(stated):
        with pytest.raises(ConfigError, match="cannot be met"):
            choose_threshold(scores, goal, outcomes=OUTCOMES, on_router_error=answered_by)
        return
    choice = choose_threshold(scores, goal, outcomes=OUTCOMES, on_router_error=answered_by)
    assert choice.strong_share.value == pytest.approx(stated, abs=1 / N_PROMPTS)


def test_a_given_threshold_says_what_it_does_with_all_prompts() -> None:
    # From .9 on are 100 prompts; 618 more have no score.
    scores = ShyRouter().win_probabilities(PROMPTS)
    cases: list[tuple[OnRouterError, float]] = [("strong", 0.718), ("weak", 0.1)]
    for answered_by, share in cases:
        choice = choose_threshold(
            scores,
            Goal("threshold", 0.9),
            on_router_error=answered_by,
        )
        assert choice.strong_share.value == pytest.approx(share)


def test_where_only_abstentions_are_strong_their_share_still_has_an_interval() -> None:
    scores = ShyRouter().win_probabilities(PROMPTS)
    share = choose_threshold(scores, Goal("strong_share", 0.618)).strong_share
    assert share.value == pytest.approx(0.618)
    assert share.low < 0.618 < share.high


def test_the_interval_holds_the_share_of_further_traffic_for_95_of_100_samples() -> None:
    # Traffic: 40% without a score, the others uniform. A sample's cut for 70% strong is right on
    # further traffic when .4 + .6 (1 - threshold) lies in the interval.
    rng = np.random.default_rng(0)
    held = []
    for _ in range(400):
        scores = np.where(rng.uniform(size=200) < 0.4, np.nan, rng.uniform(size=200))
        choice = choose_threshold(scores, Goal("strong_share", 0.7))
        met = 0.4 + 0.6 * (1 - choice.cut.threshold)
        held.append(choice.strong_share.low <= met <= choice.strong_share.high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.025)


def test_the_artifact_keeps_what_a_goal_needs_of_prompts_without_a_score(tmp_path: Path) -> None:
    sample = Sample(name="numbers", prompts=PROMPTS, outcomes=OUTCOMES)
    calibrate_router(shy(), sample, Goal("strong_share", 0.7), output=tmp_path / "new")
    record = load_artifact(tmp_path / "new").manifest.calibration
    assert record.abstained_share == pytest.approx(0.618)
    assert record.n_prompts == N_PROMPTS
    assert record.outcomes is not None
    assert record.outcomes.abstained is not None
    # 206 of the 618 prompts are multiples of three.
    assert record.outcomes.abstained.weak_quality == pytest.approx(206 / 618)
    assert record.outcomes.abstained.strong_cost_usd_per_1k == pytest.approx(10)


def test_a_sample_without_any_score_is_refused_with_what_to_do() -> None:
    sample = Sample(name="own.jsonl", prompts=PROMPTS[:N_ABSTAINED])
    with pytest.raises(DataError, match=r"score to any prompt.*train a router on labels of this"):
        calibrate_router(shy(), sample, Goal("strong_share", 0.3))
