"""Evaluations from end to end, on small outcomes and on the published benchmarks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import pytest

from routecast.artifacts import (
    LoadedRouter,
    load_artifact,
    load_router,
    router_folder,
    save_artifact,
)
from routecast.data.leakage import prompt_hashes64
from routecast.data.outcomes import Outcomes
from routecast.errors import ArtifactError, ConfigError, DataError
from routecast.evaluate import scoring
from routecast.evaluate.benchmarks import Benchmark, load_benchmark
from routecast.evaluate.exact import exact_figures
from routecast.evaluate.fixed import FixedBlock
from routecast.evaluate.pair import PairArrays
from routecast.evaluate.run import EvaluationSettings, evaluate_routers
from routecast.evaluate.score_cache import ScoreCache
from routecast.evaluate.study import RouterStudy, Study
from routecast.policy.abstaining import OnRouterError
from routecast.types import FloatArray
from routecast.upstream.prices import Price

QUICK = EvaluationSettings(n_resamples=100)
N_PROMPTS = 60


def make_benchmark(**columns: Sequence[object]) -> Benchmark:
    """Sixty prompts; the longer half needs the strong model."""
    rows = range(N_PROMPTS)
    table = pl.DataFrame(
        {
            "prompt": [f"question {row} " + "more words " * row for row in rows],
            "quality|big": [1.0] * N_PROMPTS,
            "quality|small": [1.0 if row < 30 else 0.0 for row in rows],
            **{name.replace("__", "|"): values for name, values in columns.items()},
        },
        strict=False,
    )
    outcomes = Outcomes(table=table)
    return Benchmark(name="mine", outcomes=outcomes, strong="big", weak="small")


@pytest.fixture
def trained_on_three(tmp_path: Path) -> Path:
    """The default router, as if three of the sixty prompts had been in its training data."""
    artifact = load_artifact(router_folder("default"))
    seen = np.sort(prompt_hashes64([make_benchmark().pair.prompts[row] for row in (1, 2, 40)]))
    save_artifact(replace(artifact, training_prompt_hashes=seen), tmp_path / "router")
    return tmp_path / "router"


def named(study: Study, name: str) -> RouterStudy:
    return next(router for router in study.routers if router.name == name)


def test_every_baseline_is_there_with_the_figures_that_arithmetic_gives() -> None:
    study = evaluate_routers(make_benchmark(), {"default": "default"}, settings=QUICK)
    names = [router.name for router in study.routers]
    assert names[0] == "default"
    assert set(names[1:]) == {
        "length", "oracle", "ridge-own-labels", "random", "always-strong", "always-weak"
    }  # fmt: skip
    assert all(router.is_baseline == (router.name != "default") for router in study.routers)
    # Quality of small: 30 / 60. The longest 30 prompts are those that need big: PGR rises to 1
    # over the first half of the calls and stays, so the area is 1/4 + 1/2.
    assert (study.weak_quality.mean(), study.strong_quality.mean()) == (0.5, 1.0)
    for name in ("length", "oracle"):
        assert named(study, name).metrics["apgr"].value == pytest.approx(0.75)
    assert named(study, "random").metrics["apgr"].value == pytest.approx(0.5)
    assert named(study, "always-strong").metrics["quality"].value == 1.0
    assert named(study, "always-weak").metrics["quality"].value == 0.5
    compared = {(found.router, found.other) for found in study.differences}
    assert compared == {("default", "length"), ("default", "random")}


def test_baselines_that_are_asked_for_are_there_once() -> None:
    study = evaluate_routers(
        make_benchmark(), {"length": "length", "random": "random"}, settings=QUICK
    )
    names = [router.name for router in study.routers]
    assert len(set(names)) == len(names) == 6
    assert study.differences == ()


@pytest.mark.parametrize("name", ["oracle", "ridge-own-labels", "always-strong"])
def test_a_router_cannot_have_a_baseline_s_name(name: str) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' is a baseline"):
        evaluate_routers(make_benchmark(), {name: "default"}, settings=QUICK)


def test_a_router_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown router '.*nowhere'"):
        evaluate_routers(make_benchmark(), {"r": str(tmp_path / "nowhere")}, settings=QUICK)
    with pytest.raises(ArtifactError, match=r"holds no manifest\.json"):
        evaluate_routers(make_benchmark(), {"r": str(tmp_path)}, settings=QUICK)


def test_training_on_the_prompts_is_refused_with_the_count(trained_on_three: Path) -> None:
    with pytest.raises(
        DataError, match=r"trained on 3 of these 60 prompts, .*--allow-overlap"
    ) as e:
        evaluate_routers(make_benchmark(), {"leaky": str(trained_on_three)}, settings=QUICK)
    assert "'leaky'" in str(e.value)


def test_a_router_that_was_trained_the_other_way_round_is_said(tmp_path: Path) -> None:
    artifact = load_artifact(router_folder("default"))
    for side, strong, weak in (("same", "big", "small"), ("other", "small", "big")):
        manifest = msgspec.structs.replace(artifact.manifest, strong=(strong,), weak=(weak,))
        save_artifact(replace(artifact, manifest=manifest), tmp_path / side)
    routers = {side: str(tmp_path / side) for side in ("same", "other")}
    warnings = evaluate_routers(make_benchmark(), routers, settings=QUICK).warnings
    said = [warning for warning in warnings if "learned when" in warning]
    assert len(said) == 1
    assert said[0].startswith("other learned when 'small' is worth it, and here the strong model")


def test_overlap_that_is_allowed_is_said_in_the_results(trained_on_three: Path) -> None:
    allowed = replace(QUICK, allow_overlap=True)
    routers = {"leaky": str(trained_on_three), "default": "default"}
    study = evaluate_routers(make_benchmark(), routers, settings=allowed)
    assert (named(study, "leaky").n_overlap, named(study, "default").n_overlap) == (3, 0)
    assert any(w.startswith("leaky was trained on 3 of these 60") for w in study.warnings)


class ShyRouter:
    """Abstains on the first prompts, and scores the rest alike."""

    def win_probabilities(self, prompts: Sequence[str]) -> FloatArray:
        scores = np.full(len(prompts), 0.25)
        scores[:12] = np.nan
        return scores


def shy_study(monkeypatch: pytest.MonkeyPatch, answered_by: OnRouterError) -> Study:
    shy = LoadedRouter("default", ShyRouter(), None, None, None)
    monkeypatch.setattr(scoring, "load_router", lambda *_, **__: shy)
    settings = replace(QUICK, on_router_error=answered_by)
    return evaluate_routers(make_benchmark(), {"shy": "default"}, settings=settings)


def test_calibration_is_judged_on_the_prompts_that_have_a_score(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = shy_study(monkeypatch, "strong")
    router = named(study, "shy")
    assert router.is_probability
    # The other 48 have probability .25; on 30 strong wins, on 18 both are right or wrong: their
    # mean label is (30 + 9) / 48 = .8125.
    assert router.metrics["ece"].value == pytest.approx(0.8125 - 0.25)
    assert router.metrics["brier"].value == pytest.approx((30 * 0.75**2 + 18 * 0.25**2) / 48)
    assert any("are judged on the 48 others (80.0%)" in warning for warning in study.warnings)


def test_abstentions_that_go_to_the_weak_model_come_last(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    study = shy_study(monkeypatch, "weak")
    # PGR rises straight to 1 over the 48, and is 1 over the last 12: .8 / 2 + .2.
    metrics = named(study, "shy").metrics
    assert metrics["apgr"].value == pytest.approx(0.6)
    assert metrics["cpt_50"].value == pytest.approx(0.4)
    assert any("weak calls, as on_router_error = 'weak'" in warning for warning in study.warnings)


def test_no_goal_is_said_to_take_fewer_calls_than_abstentions_do() -> None:
    figures = exact_figures(
        np.array([2.0, 2.0, 0.5, 0.1]),
        PairArrays(weak_quality=np.array([0.0, 0, 0, 0]), strong_quality=np.array([1.0, 1, 0, 0])),
        fixed=FixedBlock(np.array([True, True, False, False]), "strong"),
    )
    assert figures["cpt_50"] == pytest.approx(0.5)  # one call of four, were the block to be parted


def test_abstentions_count_as_calls_to_the_strong_model(monkeypatch: pytest.MonkeyPatch) -> None:
    study = shy_study(monkeypatch, "strong")
    router = named(study, "shy")
    assert router.n_abstained == 12
    assert any("shy gave no score to 12 of 60 prompts" in w for w in study.warnings)
    # The first 12 need no strong model, the other 48 hold the 30 that do, in random order: PGR is
    # 0 up to 12/60 and then rises straight to 1, an area of (48/60) / 2.
    assert router.metrics["apgr"].value == pytest.approx(0.4)


def test_scores_are_kept_by_router_and_prompts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loads: list[str] = []

    def counted(name: str, **_: object) -> LoadedRouter:
        loads.append(name)
        return load_router(name)

    monkeypatch.setattr(scoring, "load_router", counted)
    cache = ScoreCache(tmp_path / "kept")
    first, again = (
        evaluate_routers(make_benchmark(), {"default": "default"}, settings=QUICK, cache=cache)
        for _ in range(2)
    )
    assert loads == ["default"]
    np.testing.assert_array_equal(named(first, "default").scores, named(again, "default").scores)
    for entry in cache.folder.iterdir():
        entry.write_bytes(b"damaged")
    healed = evaluate_routers(make_benchmark(), {"d": "default"}, settings=QUICK, cache=cache)
    np.testing.assert_array_equal(named(first, "default").scores, named(healed, "d").scores)
    other = make_benchmark(prompt=[f"another {row}" for row in range(N_PROMPTS)])
    evaluate_routers(other, {"default": "default"}, settings=QUICK, cache=cache)
    evaluate_routers(make_benchmark(), {"default": "default"}, settings=QUICK)  # without a cache
    assert loads == ["default"] * 4


def test_prices_give_dollars() -> None:
    tokens = {
        f"{kind}__{model}": [1000] * N_PROMPTS
        for kind in ("input_tokens", "output_tokens")
        for model in ("big", "small")
    }
    priced = replace(
        QUICK, strong_price=Price(input=2, output=8), weak_price=Price(input=0, output=1)
    )
    study = evaluate_routers(make_benchmark(**tokens), {}, settings=priced)
    assert study.strong_cost_usd is not None
    assert study.weak_cost_usd is not None
    assert study.strong_cost_usd.mean() == pytest.approx(0.01)  # 1,000 x $2 + 1,000 x $8 a million
    assert study.weak_cost_usd.mean() == pytest.approx(0.001)
    assert named(study, "length").metrics["apgr_usd"].value == pytest.approx(0.75)


def test_groups_get_figures_of_their_own() -> None:
    # In each half all prompts are alike but for their length: nothing to recover in the first,
    # everything everywhere in the second.
    groups = ["easy"] * 30 + ["hard"] * 25 + ["tiny"] * 5
    study = evaluate_routers(make_benchmark(group=groups), {}, settings=QUICK)
    assert study.groups == tuple(groups)
    assert [(part.kind, part.name, part.n_prompts) for part in study.subsets] == [
        ("group", "easy", 30),
        ("group", "hard", 25),
    ]
    easy, hard = study.subsets
    assert np.isnan(easy.metrics["length"]["apgr"].value)
    assert hard.metrics["length"]["apgr"].value == pytest.approx(0.5)


def test_rows_without_both_qualities_are_left_out_and_counted() -> None:
    known = [None if row % 2 else 1.0 for row in range(N_PROMPTS)]
    study = evaluate_routers(make_benchmark(quality__big=known), {}, settings=QUICK)
    assert len(study.prompts) == 30
    assert "left out, quality of one of the two unknown: 30 rows" in study.warnings
    assert any(warning.startswith("no ridge-own-labels") for warning in study.warnings)


def test_two_equal_models_and_a_single_prompt_are_evaluated_all_the_same() -> None:
    tied = evaluate_routers(make_benchmark(quality__small=[1.0] * N_PROMPTS), {}, settings=QUICK)
    assert np.isnan(named(tied, "length").metrics["apgr"].value)
    assert any("equally good" in warning for warning in tied.warnings)
    one = make_benchmark()
    one = replace(one, outcomes=one.outcomes.keep_rows(np.arange(N_PROMPTS) == 50))
    single = evaluate_routers(one, {"default": "default"}, settings=QUICK)
    assert named(single, "default").metrics["apgr"].value == pytest.approx(0.5)


def test_whoever_watches_is_told_of_every_stage() -> None:
    told: dict[str, tuple[int, int]] = {}

    def watch(name: str, n_done: int, n_total: int) -> None:
        told[name] = (n_done, n_total)

    benchmark = make_benchmark(group=["a"] * 30 + ["b"] * 30)
    evaluate_routers(benchmark, {"default": "default"}, settings=QUICK, watch=watch)
    assert told == {
        "default": (N_PROMPTS, N_PROMPTS),
        "ridge-own-labels": (N_PROMPTS, N_PROMPTS),
        "intervals": (1, 1),
        "parts": (2, 2),
    }


def test_equal_inputs_give_equal_studies() -> None:
    one, other = (
        evaluate_routers(make_benchmark(), {"default": "default"}, settings=QUICK) for _ in range(2)
    )
    assert one.data_digest == other.data_digest
    for mine, theirs in zip(one.routers, other.routers, strict=True):
        assert mine.metrics == theirs.metrics or mine.name in ("always-weak", "always-strong")


def test_the_known_figures_come_out_of_a_whole_evaluation(shared_data: Path) -> None:
    study = evaluate_routers(load_benchmark("gsm8k", shared_data), {}, settings=QUICK)
    assert len(study.prompts) == 1307
    figures = {name: named(study, name).metrics["apgr"].value for name in ("length", "oracle")}
    assert {name: round(value, 3) for name, value in figures.items()} == {
        "length": 0.598,
        "oracle": 1.121,
    }
    rival = named(study, "ridge-own-labels")
    assert not rival.is_probability  # an order within folds
    assert 0.6 < rival.metrics["apgr"].value < 0.7


def test_mmlu_has_figures_by_category_and_subject(shared_data: Path) -> None:
    benchmark = load_benchmark("mmlu", shared_data)
    few = benchmark.outcomes.table["group"].is_in(["virology", "astronomy", "sociology"]).to_numpy()
    part = replace(benchmark, outcomes=benchmark.outcomes.keep_rows(few))
    study = evaluate_routers(part, {}, settings=QUICK)
    assert [(one.kind, one.name) for one in study.subsets] == [
        ("category", "STEM"),
        ("category", "other"),
        ("category", "social sciences"),
        ("group", "astronomy"),
        ("group", "sociology"),
        ("group", "virology"),
    ]
