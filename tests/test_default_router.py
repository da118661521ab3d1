"""The router that ships: what it is made of, and what it never saw."""

from collections.abc import Iterator
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import pytest

from routecast.artifacts import load_artifact, load_router
from routecast.data.leakage import normalise_prompt, prompt_hashes64
from routecast.data.readers.registry import find_reader
from routecast.embed.registry import load_embedder
from routecast.policy.goals import Goal, cut_for_goal
from routecast.routers.surface import SURFACE_NAMES, surface_features

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "src" / "routecast" / "models" / "default"


@pytest.fixture(scope="module")
def sets() -> Iterator[ModuleType]:
    """What the script that trained it reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield import_module("runs.default_sets")


@pytest.fixture(scope="module")
def fit() -> Iterator[ModuleType]:
    """How that script fits."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield import_module("runs.default_fit")


@pytest.fixture(scope="module")
def training_sets(sets: ModuleType, shared_data: Path) -> list[Any]:
    return list(sets.read_training_sets(shared_data, load_embedder("static")))


@pytest.fixture(scope="module")
def training_prompts(training_sets: list[Any]) -> list[str]:
    return [prompt for one in training_sets for prompt in one.outcomes.prompts]


@pytest.fixture(scope="module")
def benchmark_questions(shared_data: Path) -> list[str]:
    read = find_reader("routellm-eval")
    homes = [shared_data / "benchmarks/routellm" / name for name in ("mmlu", "gsm8k", "mt_bench")]
    return [prompt for home in homes for prompt in read(home, decontaminate=False).table.prompts]


def test_a_share_asked_for_is_the_share_that_arena_prompts_get(shared_data: Path) -> None:
    loaded = load_router()
    file = shared_data / "train" / "arena_topic_prompts.parquet"
    prompts = pl.read_parquet(file)["prompt"].unique(maintain_order=True).to_list()
    scores = loaded.router.win_probabilities(prompts)
    n_read = int((~np.isnan(scores)).sum())  # of one prompt, nothing can be read
    assert loaded.calibration_sample == f"{n_read:,} prompts of Chatbot Arena"
    assert len(prompts) - n_read == 1
    for share in (0.1, 0.2, 0.3, 0.5):
        cut = cut_for_goal(loaded, Goal("strong_share", share))
        given = np.where(np.isnan(scores), 1.0, cut.strong_weights(np.nan_to_num(scores)))
        assert given.mean() == pytest.approx(share, abs=0.01)
    low, high = np.nanquantile(scores, [0.05, 0.95])
    assert high - low > 0.03


def test_it_scores_prompts_in_any_script_and_abstains_on_what_it_cannot_read() -> None:
    prompts = ["Hi", "Prove it.", "日本の梅雨", "def f(x): return x"]
    scores = load_router("default").router.win_probabilities(prompts)
    assert np.all((scores > 0) & (scores < 1))
    assert len(set(scores.tolist())) == len(prompts)
    unread = load_router("default").router.win_probabilities(["🙂", "\ud800", "", "a" * 10**6])
    assert np.isnan(unread).all()


def test_what_asks_for_more_scores_higher() -> None:
    by_difficulty = [
        "What is the capital of Peru?",
        "Write a birthday card for my sister.",
        "Explain why the sky is blue, then compare it with a sunset.",
        "Prove that if n^2 is even then n is even. Then derive the formula for any prime p, "
        "and explain each step.",
    ]
    scores = load_router("default").router.win_probabilities(by_difficulty)
    assert scores.tolist() == sorted(scores.tolist())


def test_it_is_the_fit_of_the_run(fit: ModuleType, training_sets: list[Any]) -> None:
    judges = fit.fit_judges(training_sets)
    slope, base = fit.slope_within(training_sets, judges), fit.base_gap(training_sets)
    model = replace(
        judges.router(judges.ensemble, base_gap=base, slope=slope),
        belonging=fit.belonging_of(training_sets, load_embedder("static")),
    )
    shipped = load_artifact(FOLDER).tensors
    assert set(shipped) == set(model.tensors())
    for name, values in model.tensors().items():
        np.testing.assert_allclose(shipped[name], values, rtol=1e-6, atol=1e-9)


def test_the_judges_have_deviation_1_and_count_alike(
    fit: ModuleType, training_sets: list[Any]
) -> None:
    small = training_sets[1:3]  # CRUX and MATH
    judges = fit.fit_judges(small)
    for name, line in judges.lines.items():
        scores = [judges.scores(one, line) for one in small]
        assert np.mean([one.mean() for one in scores]) == pytest.approx(0.0, abs=1e-9), name
        assert np.mean([np.mean(one**2) for one in scores]) == pytest.approx(1.0), name
    prompts = ["Prove 1 + 1 = 2", "hello you"]
    rules = judges.lines["rules"][-surface_features(prompts).shape[1] :]
    assert sorted(fit.RULES.values()) == [-1.0, -0.5, 0.5, 0.5, 1.0, 1.0, 1.0, 1.0, 1.0]
    assert rules / rules.max() == pytest.approx(
        [fit.RULES.get(name, 0.0) for name in SURFACE_NAMES]
    )


def test_its_sources_are_those_that_notice_names() -> None:
    notice = (ROOT / "NOTICE").read_text()
    manifest = load_artifact(FOLDER).manifest
    assert {source.licence for source in manifest.training.sources} <= {"Apache-2.0", "MIT"}
    for source in manifest.training.sources:
        assert source.name.split()[0] in notice


def test_its_quantiles_rise() -> None:
    quantiles = load_artifact(FOLDER).manifest.calibration.win_probability_quantiles
    assert np.all(np.diff(quantiles) >= 0)
    assert quantiles[0] < quantiles[500] < quantiles[1000]


def test_its_figures_stand_in_results() -> None:
    page = (ROOT / "results" / "default_router.md").read_text()
    for record in load_artifact(FOLDER).manifest.metrics:
        assert record.low <= record.value <= record.high
        assert f"{record.n_prompts:,}" in page
        if record.metric.endswith("apgr"):
            assert f"{record.value:.3f} [{record.low:.3f}, {record.high:.3f}]" in page


def test_no_training_prompt_is_in_a_set_that_is_only_measured_on(
    sets: ModuleType, shared_data: Path
) -> None:
    hashes = load_artifact(FOLDER).training_prompt_hashes
    trials = list(sets.far_trials(shared_data, hashes))
    names = {trial.set_name for trial in trials}
    assert names == {
        "mmlu", "gsm8k", "mt-bench", "natural", "routerdc", "alpaca1", "alpaca2", "pandalm"
    }  # fmt: skip
    for trial in trials:
        assert np.intersect1d(prompt_hashes64(trial.prompts), hashes).size == 0


def test_its_prompts_are_those_that_the_run_reads(training_prompts: list[str]) -> None:
    hashes = load_artifact(FOLDER).training_prompt_hashes
    assert np.array_equal(np.unique(prompt_hashes64(training_prompts)), hashes)


def test_no_training_prompt_is_a_benchmark_question(benchmark_questions: list[str]) -> None:
    hashes = load_artifact(FOLDER).training_prompt_hashes
    assert len(benchmark_questions) == 14_042 + 1_319 + 80
    assert np.intersect1d(prompt_hashes64(benchmark_questions), hashes).size == 0


def found_inside(inner: list[str], outer: list[str]) -> list[str]:
    """A plain search, independent of the one that the run filters with."""
    wanted: dict[str, list[str]] = {}
    everything = "\0".join({normalise_prompt(text) for text in outer})
    texts = {normalise_prompt(text) for text in inner} - {""}
    for text in texts:
        wanted.setdefault(text[:16], []).append(text)
    short = [text for text in texts if len(text) < 16 and text in everything]
    return short + [
        text
        for start in range(len(everything) - 15)
        for text in wanted.get(everything[start : start + 16], ())
        if everything.startswith(text, start)
    ]


def test_the_plain_search_finds_what_is_there() -> None:
    assert found_inside(["What is the capital?"], ["Say: what is the CAPITAL now"]) != []
    assert found_inside(["Hi!"], ["Say hi"]) == ["hi"]


def test_no_training_prompt_contains_a_benchmark_question(
    training_prompts: list[str], benchmark_questions: list[str]
) -> None:
    assert found_inside(benchmark_questions, training_prompts) == []


def test_no_benchmark_question_contains_a_training_prompt(
    training_prompts: list[str], benchmark_questions: list[str]
) -> None:
    assert found_inside(training_prompts, benchmark_questions) == []
