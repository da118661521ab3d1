"""Studies of made-up outcomes, for the tests of reports."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest

from routecast.evaluate.curve import cost_quality_curve
from routecast.evaluate.exact import exact_figures
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.metrics import oracle_scores
from routecast.evaluate.pair import PairArrays
from routecast.evaluate.study import (
    CurveBand,
    Difference,
    Figure,
    RouterStudy,
    Study,
    SubsetStudy,
)
from routecast.policy.abstaining import routed_scores
from routecast.types import FloatArray

HOSTILE = "</script><img src=x onerror=alert(1)><!-- & \u2028 \ud800 $policy \"'"

StudyMaker = Callable[..., Study]


def router_of(
    name: str, scores: FloatArray, pair: PairArrays, *, is_probability: bool, is_baseline: bool
) -> RouterStudy:
    abstained = np.isnan(scores)
    known = routed_scores(scores, "strong")
    fixed = FixedBlock(abstained, "strong") if abstained.any() else None
    curve = cost_quality_curve(
        known, weak_quality=pair.weak_quality, strong_quality=pair.strong_quality
    )
    found = exact_figures(known, pair, is_probability=is_probability, fixed=fixed)
    shares = np.linspace(0, 1, 11)
    quality = np.interp(shares, curve.strong_share, curve.quality)
    gain = quality - (quality[0] + shares * (quality[-1] - quality[0]))
    return RouterStudy(
        name=name,
        is_baseline=is_baseline,
        scores=known,
        is_probability=is_probability,
        metrics={
            metric: Figure(value=value, low=value - 0.0213, high=value + 0.0321)
            for metric, value in found.items()
        },
        band=CurveBand(
            strong_share=shares,
            low=quality - 0.0345,
            high=quality + 0.0456,
            gain_low=gain - 0.0234 * shares * (1 - shares),
            gain_high=gain + 0.0345 * shares * (1 - shares),
        ),
        fixed=fixed,
    )


def _two_decimals(scores: FloatArray) -> FloatArray:
    """Make probabilities with many equal ones."""
    return np.round(np.clip(scores, 0, 1), 2).astype(np.float64)


def make_study(
    *,
    n_prompts: int = 60,
    n_routers: int = 2,
    quality_range: tuple[float, float] = (0.0, 1.0),
    with_costs: bool = True,
    scores: Mapping[str, FloatArray] | None = None,
    qualities: tuple[FloatArray, FloatArray] | None = None,
    prompts: tuple[str, ...] | None = None,
) -> Study:
    """Build a study; whatever is not given is drawn with a fixed seed."""
    rng = np.random.default_rng(7)
    low, high = quality_range
    weak, strong = qualities or (
        low + (high - low) * (rng.random(n_prompts) < 0.55),
        low + (high - low) * (rng.random(n_prompts) < 0.80),
    )
    weak, strong = weak.astype(np.float64), strong.astype(np.float64)
    weak_cost = rng.uniform(0.0001, 0.0004, n_prompts) if with_costs else None
    strong_cost = rng.uniform(0.002, 0.009, n_prompts) if with_costs else None
    pair = PairArrays(
        weak_quality=weak,
        strong_quality=strong,
        weak_cost_usd=weak_cost,
        strong_cost_usd=strong_cost,
    )
    gap = (strong - weak) / (high - low)
    forecast = 0.5 + 0.15 * gap
    asked = scores or {
        f"router-{number}": _two_decimals(forecast + rng.normal(0, 0.2, n_prompts))
        for number in range(n_routers)
    }
    length = rng.integers(10, 60, n_prompts).astype(np.float64)
    oracle = oracle_scores(weak_quality=weak, strong_quality=strong)
    routers = [
        *(
            router_of(name, one, pair, is_probability=True, is_baseline=False)
            for name, one in asked.items()
        ),
        router_of("length", length, pair, is_probability=False, is_baseline=True),
        router_of("oracle", oracle, pair, is_probability=False, is_baseline=True),
        RouterStudy(
            name="random",
            is_baseline=True,
            scores=None,
            is_probability=False,
            metrics={"apgr": Figure(value=0.5, low=0.5, high=0.5)},
            band=None,
        ),
    ]  # fmt: skip
    differences = tuple(
        Difference(
            router=name,
            other=other,
            metric="apgr",
            figure=Figure(value=0.0812, low=-0.0123, high=0.1745),
            p_value=0.0004 if other == "random" else 0.31,
            holm_p_value=0.0008 if other == "random" else 0.62,
        )
        for name in asked
        for other in ("random", "length")
    )
    return Study(
        benchmark="made-up",
        strong="lab/strong-model",
        weak="lab/weak-model",
        quality_range=quality_range,
        prompts=prompts or tuple(f"Secret question {number}?" for number in range(n_prompts)),
        groups=None,
        weak_quality=weak,
        strong_quality=strong,
        weak_cost_usd=weak_cost,
        strong_cost_usd=strong_cost,
        routers=tuple(routers),
        differences=differences,
        warnings=("60 prompts tell little.",),
        subsets=(
            SubsetStudy(
                kind="group",
                name="a & b",
                n_prompts=30,
                weak_quality=0.4,
                strong_quality=0.8,
                metrics={name: {"apgr": Figure(value=0.6125, low=0.5, high=0.7)} for name in asked},
            ),
        ),
        n_resamples=10_000,
        data_digest="0123456789abcdef" * 4,
    )


def _odd_studies() -> dict[str, StudyMaker]:
    rng = np.random.default_rng(3)
    flat = np.full(60, 0.5)
    holes = np.where(np.arange(60) < 20, np.nan, np.linspace(0.1, 0.9, 60))
    same = (rng.random(60) < 0.6).astype(np.float64)

    def undefined() -> Study:
        study = make_study()
        nothing = Figure(value=np.nan, low=np.nan, high=np.nan)
        routers = tuple(
            replace(
                router,
                metrics=dict.fromkeys(router.metrics, nothing)
                | {"log_loss": Figure(value=np.inf, low=np.inf, high=np.inf)},
            )
            for router in study.routers
        )
        return replace(study, routers=routers)

    def no_scores() -> Study:
        study = make_study()
        return replace(study, routers=study.routers[-1:], differences=())

    return {
        "five prompts": lambda: make_study(n_prompts=5),
        "one prompt": lambda: make_study(n_prompts=1),
        "ties only": lambda: make_study(scores={"flat": flat}),
        "one router": lambda: make_study(n_routers=1, with_costs=False),
        "models that tie": lambda: make_study(qualities=(same, same)),
        "a weak model that is better": lambda: make_study(qualities=(same, same * 0.5)),
        "undefined figures": undefined,
        "twenty routers": lambda: make_study(n_routers=20),
        "abstentions": lambda: make_study(scores={"shy": holes}),
        "abstentions only": lambda: make_study(scores={"mute": np.full(60, np.nan)}),
        "no scored router": no_scores,
        "grades": lambda: make_study(quality_range=(1.0, 10.0)),
        "1,500 prompts": lambda: make_study(n_prompts=1500),
    }


ODD_STUDIES = _odd_studies()


@pytest.fixture(params=sorted(ODD_STUDIES))
def odd_study(request: pytest.FixtureRequest) -> Study:
    """Studies that are right and unusual, one by one."""
    study: Study = ODD_STUDIES[str(request.param)]()
    return study


@pytest.fixture
def odd_studies() -> dict[str, StudyMaker]:
    """The same, by name."""
    return dict(ODD_STUDIES)


@pytest.fixture(scope="session")
def study() -> Study:
    """60 prompts with many equal scores, two routers, three baselines, costs; a hostile prompt."""
    made = make_study()
    return replace(made, prompts=tuple(HOSTILE + str(number) for number in range(60)))


@pytest.fixture(scope="session")
def study_maker() -> StudyMaker:
    """Make a study to measure."""
    return make_study


@pytest.fixture(scope="session")
def hostile() -> str:
    """A prompt that tries to end the element that it stands in."""
    return HOSTILE
