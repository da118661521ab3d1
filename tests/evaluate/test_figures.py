"""All figures of a study."""

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from routecast.evaluate.benchmarks import load_benchmark
from routecast.evaluate.curve import cost_quality_curve
from routecast.evaluate.exact import exact_figures
from routecast.evaluate.figures import StudyFigures, study_figures
from routecast.evaluate.metrics import oracle_scores
from routecast.evaluate.pair import PairArrays

N_PROMPTS = 400


@pytest.fixture(scope="module")
def pair() -> PairArrays:
    rng = np.random.default_rng(0)
    weak = (rng.random(N_PROMPTS) < 0.5).astype(np.float64)
    strong = np.maximum(weak, (rng.random(N_PROMPTS) < 0.7).astype(np.float64))
    weak_cost, strong_cost = rng.random(N_PROMPTS), 5 + rng.random(N_PROMPTS)
    return PairArrays(
        weak_quality=weak,
        strong_quality=strong,
        weak_cost_usd=weak_cost,
        strong_cost_usd=strong_cost,
    )


def study(pair: PairArrays, *, n_resamples: int = 400) -> StudyFigures:
    rng = np.random.default_rng(1)
    good = 0.5 + 0.3 * pair.gap + 0.15 * rng.random(N_PROMPTS)
    return study_figures(
        {"good": good, "same": good**2, "noise": 100 * rng.random(N_PROMPTS)},
        weak_quality=pair.weak_quality,
        strong_quality=pair.strong_quality,
        weak_cost_usd=pair.weak_cost_usd,
        strong_cost_usd=pair.strong_cost_usd,
        probabilities=["good"],
        compare=[("good", "noise"), ("good", "same"), ("noise", "random")],
        n_resamples=n_resamples,
    )


@pytest.fixture(scope="module")
def figures(pair: PairArrays) -> StudyFigures:
    return study(pair)


def test_every_metric_has_its_exact_value_inside_its_interval(
    pair: PairArrays, figures: StudyFigures
) -> None:
    rng = np.random.default_rng(1)
    good = 0.5 + 0.3 * pair.gap + 0.15 * rng.random(N_PROMPTS)
    exact = exact_figures(good, pair, is_probability=True)
    found = figures.metrics["good"]
    assert {name: figure.value for name, figure in found.items()} == pytest.approx(exact)
    for name in set(found) - {"ece"}:
        assert found[name].low <= found[name].value + 1e-9, name
        assert found[name].value <= found[name].high + 1e-9, name


def test_only_probabilities_have_losses_and_a_reliability_curve(figures: StudyFigures) -> None:
    of_probabilities = {"log_loss", "brier", "ece"}
    assert of_probabilities <= set(figures.metrics["good"])
    assert not of_probabilities & set(figures.metrics["noise"])
    assert set(figures.reliability) == {"good"}


def test_figures_in_dollars_need_costs(pair: PairArrays, figures: StudyFigures) -> None:
    dollars = {"apgr_usd", "cpt_50_usd", "cpt_80_usd", "saved_95_usd_per_1k", "saved_95_share"}
    assert dollars <= set(figures.metrics["noise"])
    free = study_figures(
        {"r": np.arange(float(N_PROMPTS))},
        weak_quality=pair.weak_quality,
        strong_quality=pair.strong_quality,
        n_resamples=10,
    )
    assert not dollars & set(free.metrics["r"])
    assert "cost_usd_per_1k" not in free.baselines["always-weak"]


def test_bands_start_and_end_at_the_single_models_and_hold_the_curve(
    pair: PairArrays, figures: StudyFigures
) -> None:
    band = figures.bands["good"]
    assert band.strong_share.shape == band.low.shape == band.high.shape == (101,)
    for name, place in (("always-weak", 0), ("always-strong", -1)):
        quality = figures.baselines[name]["quality"]
        assert (band.low[place], band.high[place]) == pytest.approx((quality.low, quality.high))
    rng = np.random.default_rng(1)
    good = 0.5 + 0.3 * pair.gap + 0.15 * rng.random(N_PROMPTS)
    curve = cost_quality_curve(
        good, weak_quality=pair.weak_quality, strong_quality=pair.strong_quality
    )
    line = np.interp(band.strong_share, curve.strong_share, curve.quality)
    assert ((band.low < line) & (line < band.high)).all()
    gain = line - (line[0] + band.strong_share * (line[-1] - line[0]))
    inner = slice(1, -1)
    assert ((band.gain_low < gain) & (gain < band.gain_high))[inner].all()
    assert [*band.gain_low[[0, -1]], *band.gain_high[[0, -1]]] == pytest.approx([0.0] * 4)


def test_the_gain_is_surer_than_the_quality_where_prompts_differ_much(
    figures: StudyFigures,
) -> None:
    band = figures.bands["good"]
    assert (band.gain_high - band.gain_low < band.high - band.low).all()


def test_differences_are_paired_and_corrected(figures: StudyFigures) -> None:
    apart, same, chance = figures.differences
    value = figures.metrics["good"]["apgr"].value - figures.metrics["noise"]["apgr"].value
    assert apart.figure.value == pytest.approx(value)
    assert apart.figure.low > 0
    assert apart.p_value == pytest.approx(2 / 401)
    assert apart.holm_p_value == pytest.approx(3 * 2 / 401)  # the smallest of three
    assert (same.figure.low, same.figure.high, same.p_value) == (0.0, 0.0, 1.0)
    assert chance.figure.value == pytest.approx(figures.metrics["noise"]["apgr"].value - 0.5)


def test_the_random_baseline_is_exact(pair: PairArrays, figures: StudyFigures) -> None:
    expected = exact_figures(np.zeros(N_PROMPTS), pair)
    chance = figures.baselines["random"]
    found = {name: figure.value for name, figure in chance.items()}
    quantiles = expected.pop("apgr_eleven_quantiles")  # its one step happens to give .5 as well
    assert found.pop("apgr_eleven_quantiles") == pytest.approx(quantiles)
    assert found == pytest.approx(expected, abs=1e-9)
    assert (chance["apgr"].low, chance["apgr"].high) == (0.5, 0.5)
    assert chance["calls_95"].low < chance["calls_95"].value < chance["calls_95"].high


def test_the_single_models_are_the_ends(pair: PairArrays, figures: StudyFigures) -> None:
    strong, weak = figures.baselines["always-strong"], figures.baselines["always-weak"]
    assert strong["quality"].value == pytest.approx(pair.strong_quality.mean())
    assert weak["quality"].value == pytest.approx(pair.weak_quality.mean())
    assert (strong["strong_share"].value, weak["strong_share"].value) == (1.0, 0.0)
    assert pair.weak_cost_usd is not None
    assert weak["cost_usd_per_1k"].value == pytest.approx(1000 * pair.weak_cost_usd.mean())


def test_equal_seeds_give_equal_figures(pair: PairArrays, figures: StudyFigures) -> None:
    again = study(pair)
    assert again.metrics == figures.metrics
    assert again.differences == figures.differences


def test_models_that_tie_leave_figures_undefined() -> None:
    tied = study_figures(
        {"r": np.array([0.1, 0.9])},
        weak_quality=np.array([0.0, 1.0]),
        strong_quality=np.array([1.0, 0.0]),
        compare=[("r", "random")],
        n_resamples=50,
    )
    assert math.isnan(tied.metrics["r"]["apgr"].value)
    assert math.isnan(tied.baselines["random"]["apgr"].value)
    assert tied.metrics["r"]["auroc"].value == 0.0
    assert "equally good" in tied.warnings[0]


def test_names_without_scores_are_refused(pair: PairArrays) -> None:
    ask = partial(
        study_figures,
        {"r": np.arange(float(N_PROMPTS))},
        weak_quality=pair.weak_quality,
        strong_quality=pair.strong_quality,
    )
    with pytest.raises(ValueError, match="no scores of 'q'"):
        ask(compare=[("r", "q")])
    with pytest.raises(ValueError, match="no scores of 'p'"):
        ask(probabilities=["p"])
    with pytest.raises(ValueError, match="both or neither"):
        ask(weak_cost_usd=np.ones(N_PROMPTS))


def test_mt_bench_is_warned_about(shared_data: Path) -> None:
    benchmark = load_benchmark("mt-bench", shared_data / "benchmarks" / "routellm")
    weak, strong = benchmark.pair.weak_quality, benchmark.pair.strong_quality
    length = np.array([len(prompt) for prompt in benchmark.outcomes.prompts], dtype=np.float64)
    found = study_figures(
        {"length": length, "oracle": oracle_scores(weak_quality=weak, strong_quality=strong)},
        weak_quality=weak,
        strong_quality=strong,
        n_resamples=1000,
    )
    assert found.metrics["oracle"]["apgr_normalised"].value == pytest.approx(1.0)
    assert found.metrics["oracle"]["apgr_normalised"].low == pytest.approx(1.0)
    assert found.warnings == (
        "72 prompts cannot tell close routers apart: a random order lands anywhere in APGR 0.37 "
        "to 0.63 (95%)",
        "not told from a random order at 95%: length",
    )
