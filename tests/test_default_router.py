"""The router that ships: what it is made of, and what it never saw."""

import random
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType

import numpy as np
import polars as pl
import pytest
from tokenizers import Tokenizer

from routecast.artifacts import N_QUANTILES, load_artifact, load_router
from routecast.artifacts.arena import arena_quantiles, default_manifest_sha256
from routecast.data.comparisons import Comparisons
from routecast.data.leakage import normalise_prompt, prompt_hashes64
from routecast.data.readers.registry import find_reader
from routecast.embed.registry import load_embedder
from routecast.policy.goals import Goal, cut_for_goal
from routecast.routers.calibrated import CalibratedRouter
from routecast.routers.knn import BoundKnn
from routecast.train.knn import CHOSEN
from routecast.train.registry import find_family

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "src" / "routecast" / "models" / "default"


@pytest.fixture(scope="module")
def sets() -> Iterator[ModuleType]:
    """What the script that trained it reads."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield import_module("runs.default_sets")


@pytest.fixture(scope="module")
def choice() -> Iterator[ModuleType]:
    """How that script chose its settings."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield import_module("runs.default_choice")


@pytest.fixture(scope="module")
def training_prompts(sets: ModuleType, shared_data: Path) -> list[str]:
    read = sets.read_training_sets(shared_data, load_embedder("static"))
    return [prompt for one in read for prompt in one.preferences.prompts]


@pytest.fixture(scope="module")
def benchmark_questions(shared_data: Path) -> list[str]:
    read = find_reader("routellm-eval")
    homes = [shared_data / "benchmarks/routellm" / name for name in ("mmlu", "gsm8k", "mt_bench")]
    return [prompt for home in homes for prompt in read(home, decontaminate=False).table.prompts]


def test_its_quantiles_on_arena_prompts_are_its_own() -> None:
    table = arena_quantiles(load_router())
    assert table is not None
    assert table.manifest_sha256 == default_manifest_sha256(), (
        "the default router changed: run python -m runs.default_on_arena --data DIR"
    )
    assert len(table.win_probability_quantiles) == N_QUANTILES
    assert list(table.win_probability_quantiles) == sorted(table.win_probability_quantiles)


def test_its_quantiles_on_arena_prompts_give_the_share_that_they_get(shared_data: Path) -> None:
    loaded = load_router()
    table = arena_quantiles(loaded)
    assert table is not None
    file = shared_data / "train" / "arena_topic_prompts.parquet"
    prompts = pl.read_parquet(file)["prompt"].unique(maintain_order=True)
    assert len(prompts) == table.n_prompts
    scores = loaded.router.win_probabilities(prompts.gather_every(8).to_list())
    cut = cut_for_goal(loaded, Goal("strong_share", 0.3))
    stated = cut.strong_weights(np.array(table.win_probability_quantiles)).mean()
    assert stated == pytest.approx(cut.strong_weights(scores).mean(), abs=0.03)


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


def far_texts() -> dict[str, list[str]]:
    """Texts that are like nothing it learned from."""
    draw = random.Random(0)
    tokenizer = Tokenizer.from_file(str(FOLDER.parent / "static" / "tokenizer.json"))
    words = sorted(word for word in tokenizer.get_vocab() if word.isascii() and word.isalpha())

    def letters(first: int, end: int) -> str:
        return "".join(chr(draw.randrange(first, end)) for _ in range(draw.randint(10, 400)))

    return {
        "eight words at random": [" ".join(draw.choices(words, k=8)) for _ in range(100)],
        "many words at random": [" ".join(draw.choices(words, k=300)) for _ in range(100)],
        "Arabic": [letters(0x627, 0x64B) for _ in range(100)],
        "Chinese": [letters(0x4E00, 0xA000) for _ in range(100)],
        "Hangul": [letters(0xAC00, 0xD7A4) for _ in range(100)],
        "ASCII": [letters(0x21, 0x7F) for _ in range(100)],
        "no known token": ["", "\ud800", "🙂" * 1000],
        "very long": ["What is the derivative of x squared? " * 5_000, "a" * 10**6],
    }


def test_far_from_what_it_knows_it_says_the_base_rate() -> None:
    loaded = load_router("default")
    assert isinstance(loaded.router, CalibratedRouter)
    assert isinstance(loaded.router.router, BoundKnn)
    assert loaded.win_probability_quantiles is not None
    mean_gap = loaded.router.router.knn.base_gap
    (base,) = loaded.router.calibration.apply(np.array([(1.0 + mean_gap) / 2.0]))
    near = np.sqrt(np.mean((loaded.win_probability_quantiles - base) ** 2))
    assert near > 0.03  # on its own tasks it does say something
    shares = {
        name: np.sqrt(np.mean((loaded.router.win_probabilities(texts) - base) ** 2)) / near
        for name, texts in far_texts().items()
    }
    assert {name: share for name, share in shares.items() if share > 0.25} == {}


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


def test_wins_are_the_strong_models_on_either_side_ties_half(sets: ModuleType) -> None:
    rows = [
        ("p", "strong", "weak", 1.0),  # won
        ("p", "other weak", "strong", 1.0),  # lost
        ("p", "weak", "strong", 0.5),  # a tie: (1 + 0 + 0.5) / 3
        ("q", "weak", "strong", 0.0),  # won
        ("r", "weak", "other weak", 1.0),  # not its battle
        ("q", "strong", "stranger", 0.0),  # nor this one
    ]
    columns = ("prompt", "model_a", "model_b", "outcome")
    battles = Comparisons(table=pl.DataFrame(rows, schema=columns, orient="row"))
    prompts, wins = sets.mean_wins(battles, strong="strong", weak=("weak", "other weak"))
    assert prompts == ["p", "q"]
    assert wins == pytest.approx([0.5, 1.0])


def test_no_training_prompt_is_in_a_set_that_is_only_measured_on(
    sets: ModuleType, shared_data: Path
) -> None:
    hashes = load_artifact(FOLDER).training_prompt_hashes
    trials = list(sets.far_trials(shared_data, hashes))
    assert [trial.name for trial in trials] == [
        "routerdc_7models",
        "javidlakha_llama3_1Bvs70B",
        "alpacaeval2_vs_gpt4turbo",
        "pandalm_human_999",
    ]
    for trial in trials:
        assert np.intersect1d(prompt_hashes64(trial.prompts), hashes).size == 0
        assert np.all((trial.strong >= 0) & (trial.strong <= 1))


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


def test_every_setting_is_stated_where_it_was_trained(choice: ModuleType) -> None:
    family = find_family("knn")
    assert set(choice.CANDIDATES) == set(family.settings_names())
    assert not any(CHOSEN in values for values in choice.CANDIDATES.values())
    shipped = load_artifact(FOLDER).manifest.settings
    assert {name: shipped[name] in values for name, values in choice.CANDIDATES.items()} == (
        dict.fromkeys(choice.CANDIDATES, True)
    )
