"""The router that ships: what it is made of, and what it never saw."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from routecast.artifacts import load_artifact, load_router
from routecast.data.leakage import normalise_prompt, prompt_hashes64
from routecast.data.readers.registry import find_reader
from routecast.embed.registry import load_embedder

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "src" / "routecast" / "models" / "default"


@pytest.fixture(scope="module")
def run() -> ModuleType:
    """The script that trained it."""
    spec = importlib.util.spec_from_file_location("train_default", ROOT / "runs/train_default.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def training_prompts(run: ModuleType, shared_data: Path) -> list[str]:
    sets = run.read_training_sets(shared_data, load_embedder("static"))
    return [prompt for one in sets for prompt in one.preferences.prompts]


@pytest.fixture(scope="module")
def benchmark_questions(shared_data: Path) -> list[str]:
    read = find_reader("routellm-eval")
    homes = [shared_data / "benchmarks/routellm" / name for name in ("mmlu", "gsm8k", "mt_bench")]
    return [prompt for home in homes for prompt in read(home, decontaminate=False).table.prompts]


def test_it_scores_prompts_in_any_script_between_0_and_1() -> None:
    prompts = [
        "Hi",
        "Prove it.",
        "日本の梅雨",
        "def f(x): return x",
        "🙂",
        "\ud800",
        "",
        "a" * 10**6,
    ]
    scores = load_router("default").router.win_probabilities(prompts)
    assert np.all((scores > 0) & (scores < 1))
    assert len(set(scores[:4].tolist())) == 4  # emoji and the rest are unknown to its vocabulary


def test_its_sources_are_those_that_notice_names() -> None:
    notice = (ROOT / "NOTICE").read_text()
    manifest = load_artifact(FOLDER).manifest
    assert {source.licence for source in manifest.training.sources} <= {"Apache-2.0", "MIT"}
    for source in manifest.training.sources:
        assert source.name.partition(",")[0].split()[0] in notice


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
