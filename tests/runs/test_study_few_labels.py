"""The study of few labels: its parts on planted data, its quick version on the shared data."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.embed.protocol import Embedder
from routecast.routers.surface import surface_features
from routecast.train.pipeline import TrainSettings
from routecast.train.run import TrainRequest, read_sets

if TYPE_CHECKING:
    from runs.few_labels.cells import Cell
    from runs.few_labels.sets import Sample

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "results" / "few_labels.md"


def sample_of(few_labels: ModuleType, embedder: Embedder, *, n_prompts: int = 160) -> "Sample":
    """Prompts of which the long ones, proofs, need the strong model."""
    generator = np.random.default_rng(0)
    is_hard = generator.random(n_prompts) < 0.5
    prompts = [
        f"prove the theorem about primes and number {row} step by step" if hard else f"name {row}"
        for row, hard in enumerate(is_hard)
    ]
    weak = (generator.random(n_prompts) < np.where(is_hard, 0.1, 0.9)).astype(np.float64)
    sets = few_labels.sets
    sample: Sample = sets.Sample(
        prompts,
        weak,
        np.ones(n_prompts),
        np.arange(n_prompts),
        embedder.embed(prompts),
        surface_features(prompts),
    )
    return sample


def cell_of(few_labels: ModuleType, means: dict[str, float]) -> "Cell":
    """A cell where each router has an interval of .02 to either side, and two equal splits."""
    cells = few_labels.cells
    all_means = {**dict.fromkeys(few_labels.fits.ROUTERS, 0.5), **means}
    routers = {
        name: cells.RouterFigures(
            apgr=(mean, mean),
            interval=(mean - 0.02, mean + 0.02),
            ahead=(all_means["blend"] - mean - 0.02, all_means["blend"] - mean + 0.02),
        )
        for name, mean in all_means.items()
    }
    cell: Cell = cells.Cell(
        set_name="planted",
        title="planted, big / small",
        embedder="static",
        n_labels=300,
        n_prompts=900,
        n_evaluated=600,
        routers=routers,
        calibration_errors=(0.02, 0.04),
        abstained=(0.0, 0.01),
        n_refused={},
    )
    return cell


@settings(max_examples=50)
@given(
    keys=st.lists(st.integers(0, 30), min_size=5, max_size=60), n_labels=st.integers(1, 4),
    seed=st.integers(0, 99),
)  # fmt: skip
def test_equal_prompts_are_never_both_labelled_and_evaluated_on(
    few_labels: ModuleType, keys: list[int], n_labels: int, seed: int
) -> None:
    codes = np.unique(keys, return_inverse=True)[1]
    labelled, rest = few_labels.cells.draw_split(codes, n_labels, seed)
    assert len(labelled) == n_labels
    assert not set(codes[labelled]) & set(codes[rest])
    unused = np.setdiff1d(np.arange(len(codes)), np.concatenate([labelled, rest]))
    assert len(set(codes[unused])) <= 1  # what is cut in two is left out


def test_a_seed_decides_the_split_and_large_sets_are_cut(few_labels: ModuleType) -> None:
    keys = np.arange(5_000)
    first, second, other = (few_labels.cells.draw_split(keys, 100, seed) for seed in (3, 3, 4))
    assert np.array_equal(first[0], second[0])
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(np.sort(first[0]), np.sort(other[0]))
    assert len(first[1]) == few_labels.cells.MAX_EVALUATED


def test_the_standard_error_is_that_of_the_mean_over_splits(few_labels: ModuleType) -> None:
    figures = few_labels.cells.RouterFigures(
        apgr=(0.5, 0.6, 0.7), interval=(0.0, 1.0), ahead=(0.0, 0.0)
    )
    # squared distances .01 + 0 + .01 over 2 is .01, its root .1, over the root of 3 splits
    assert figures.mean == pytest.approx(0.6)
    assert figures.standard_error == pytest.approx(0.1 / 3**0.5)


def test_means_over_drawn_splits_spread_like_splits_and_prompts_together(
    few_labels: ModuleType,
) -> None:
    generator = np.random.default_rng(0)
    n_splits, n_resamples = 8, 20_000
    of_splits = generator.normal(size=(n_splits, 1))
    of_prompts = 0.5 * generator.normal(size=n_resamples)
    drawn = few_labels.cells.resampled_means(of_splits + of_prompts)
    # a mean of 8 drawn from 8 has an eighth of their variance; the prompts' .25 is all splits' own
    assert drawn.var() == pytest.approx(of_splits.var() / n_splits + 0.25, rel=0.05)
    alike = few_labels.cells.resampled_means(np.tile(of_prompts, (n_splits, 1)))
    assert alike == pytest.approx(of_prompts)


def test_labels_become_the_comparisons_that_train_would_make(
    few_labels: ModuleType, word_embedder: Embedder, tmp_path: Path
) -> None:
    sample = sample_of(few_labels, word_embedder)
    sample = replace(sample, strong=np.linspace(0.5, 1.0, len(sample.prompts)))
    labelled = np.arange(120)
    known = few_labels.fits.KnownVectors.of(sample, word_embedder.identity)
    rows = [
        {"prompt": sample.prompts[row], "quality|strong": sample.strong[row],
         "quality|weak": sample.weak[row]}
        for row in labelled.tolist()
    ]  # fmt: skip
    path = tmp_path / "labels.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    for family in few_labels.fits.FAMILIES:
        pair = TrainSettings(router=family, strong=("strong",), weak=("weak",))
        [wanted] = read_sets(TrainRequest(settings=pair, outcomes=(str(path),), output=tmp_path))
        prepared = few_labels.fits.prepare_labels(sample, labelled, embedder=known, seed=0)
        found = prepared.preferences
        assert found.prompts == wanted.preferences.prompts
        assert np.array_equal(found.outcome, wanted.preferences.outcome)
        assert np.array_equal(found.weight, wanted.preferences.weight)


def test_all_routers_score_every_prompt_and_find_what_was_planted(
    few_labels: ModuleType, word_embedder: Embedder
) -> None:
    sample = sample_of(few_labels, word_embedder, n_prompts=400)
    [split] = few_labels.cells.measure_splits(
        sample, word_embedder.identity, n_labels=200, n_splits=1
    )
    assert set(split.scored.scores) == set(few_labels.fits.ROUTERS)
    assert all(np.isfinite(scores).all() for scores in split.scored.scores.values())
    assert all(len(scores) == split.n_evaluated for scores in split.scored.scores.values())
    assert split.scored.refused == ()
    assert all(split.apgr["oracle"] >= apgr for apgr in split.apgr.values())
    # Hard prompts first recover .9 of the gap with half the calls: (0 + .9) / 4 + (.9 + 1) / 4 = .7
    for router in set(few_labels.fits.ROUTERS) - {"oracle"}:
        assert 0.6 < split.apgr[router] < 0.8, router
    figures = few_labels.cells.figures_of([split])
    assert figures["blend"].ahead is None
    assert figures["length"].ahead[0] < split.apgr["blend"] - split.apgr["length"]
    assert figures["length"].ahead[1] > split.apgr["blend"] - split.apgr["length"]
    low, high = figures["blend"].interval
    assert low < figures["blend"].mean < high


def test_families_that_cannot_learn_from_ties_alone_count_as_a_random_order(
    few_labels: ModuleType, word_embedder: Embedder
) -> None:
    sample = sample_of(few_labels, word_embedder)
    weak = np.where(np.arange(160) < 100, 1.0, sample.weak)  # the labelled ones all tie
    known = few_labels.fits.KnownVectors.of(sample, word_embedder.identity)
    scored = few_labels.fits.score_split(
        replace(sample, weak=weak), np.arange(100), np.arange(100, 160), embedder=known, seed=0
    )
    assert "mf" in scored.refused
    assert set(scored.scores["mf"]) == {0.0}


def test_a_family_measured_alone_takes_its_place_among_what_was_known(
    few_labels: ModuleType, word_embedder: Embedder
) -> None:
    sample = sample_of(few_labels, word_embedder)
    [whole], [alone] = (
        few_labels.cells.measure_splits(
            sample, word_embedder.identity, n_labels=100, n_splits=1, routers=routers
        )
        for routers in (few_labels.fits.ROUTERS, ("sw",))
    )
    assert list(alone.apgr) == ["sw"]
    assert alone.apgr["sw"] == whole.apgr["sw"]
    assert np.array_equal(alone.resampled["sw"], whole.resampled["sw"])
    known = replace(cell_of(few_labels, {"sw": 0.6}), n_refused={"sw": 2, "mf": 1})
    fresh = replace(known, routers={"sw": known.routers["blend"]}, n_refused={"sw": 1})
    updated = known.updated(fresh)
    assert updated.routers == {**known.routers, "sw": known.routers["blend"]}
    assert updated.n_refused == {"sw": 1, "mf": 1}
    assert known.updated(None) == known
    with pytest.raises(ValueError, match="other splits"):
        known.updated(replace(fresh, n_evaluated=1))


def test_too_few_prompts_to_evaluate_on_are_no_cell(
    few_labels: ModuleType, word_embedder: Embedder
) -> None:
    sample = sample_of(few_labels, word_embedder)
    measured = few_labels.cells.measure_splits(
        sample, word_embedder.identity, n_labels=120, n_splits=1
    )
    assert measured == []


def test_equal_prompts_have_one_label_the_mean_of_theirs(
    few_labels: ModuleType, word_embedder: Embedder
) -> None:
    sample = sample_of(few_labels, word_embedder)
    prompts = [sample.prompts[0], *sample.prompts[:-1]]  # the first twice
    weak = np.array([1.0, 0.0, *sample.weak[2:]])
    sample = replace(sample, prompts=prompts, weak=weak)
    known = few_labels.fits.KnownVectors.of(sample, word_embedder.identity)
    prepared = few_labels.fits.prepare_labels(sample, np.arange(100), embedder=known, seed=0)
    labels = few_labels.blend_fits.labels_of(prepared)
    assert len(labels.gaps) == 99
    assert labels.gaps[0] == pytest.approx(0.5)  # (0 + 1) / 2
    assert labels.gaps[1:] == pytest.approx(1.0 - weak[2:100])


def test_chances_against_a_reference_are_qualities(few_labels: ModuleType) -> None:
    battles = pl.DataFrame(
        {
            "prompt": ["p", "p", "p", "q", "q"],
            "model_a": ["big", "small", "small", "big", "small"],
            "model_b": ["reference"] * 5,
            "outcome": [0.9, 0.2, 0.4, 0.5, 1.0],  # two judges saw the small model on p
        }
    )
    sets = few_labels.sets
    both = sets._of_references(battles, sets.Pair("x", "x", "big", "small"))
    assert both.prompts == ["p", "q"]
    assert both.weak == pytest.approx([0.3, 1.0])
    assert both.strong == pytest.approx([0.9, 0.5])
    against = sets._of_references(battles, sets.Pair("x", "x", "reference", "small"))
    assert against.strong == pytest.approx([0.7, 0.0])


def test_battles_on_either_side_are_shares_won(few_labels: ModuleType) -> None:
    battles = pl.DataFrame(
        {
            "prompt": ["p", "p", "q", "r"],
            "model_a": ["big", "small", "tiny", "small"],
            "model_b": ["small", "big", "big", "tiny"],
            "outcome": [1.0, 0.5, 1.0, 1.0],
        }
    )
    sets = few_labels.sets
    found = sets._of_battles(battles, sets.Pair("x", "x", "big", sets.OTHERS))
    assert sorted(found.prompts) == ["p", "q"]  # nobody of r is the big one
    strong = dict(zip(found.prompts, found.strong, strict=True))
    assert strong == {"p": pytest.approx(0.75), "q": pytest.approx(0.0)}
    assert found.weak == pytest.approx(1.0 - found.strong)


@pytest.mark.parametrize(
    ("name", "n_prompts", "weak", "strong"),
    [
        ("alpaca2", 803, 0.214, 0.786),
        ("alpaca1", 803, 0.705, 0.946),
        ("pandalm", 156, 0.304, 0.696),
    ],
)
def test_battles_of_the_shared_data_are_read(
    few_labels: ModuleType, shared_data: Path, name: str, n_prompts: int, weak: float, strong: float
) -> None:
    pair = next(pair for pair in few_labels.PAIRS if pair.name == name)
    labelled = few_labels.sets.read_labelled(pair, shared_data)
    assert len(labelled.prompts) == len(set(labelled.prompts)) == n_prompts
    assert labelled.weak.mean() == pytest.approx(weak, abs=0.001)
    assert labelled.strong.mean() == pytest.approx(strong, abs=0.001)


def test_a_lag_is_behind_the_best_of_the_members(few_labels: ModuleType) -> None:
    bars = few_labels.bars
    ahead = cell_of(few_labels, {"blend": 0.64, "form alone": 0.645, "length": 0.6})
    behind = cell_of(few_labels, {"blend": 0.58, "content alone": 0.62, "length": 0.6})
    many = replace(behind, n_labels=1_531)
    far = bars.too_far([ahead, behind, many])
    assert [(one.router, round(one.lag, 3)) for one in far["length"]] == [("length", 0.02)]
    assert [(one.router, round(one.lag, 3)) for one in far["its best member"]] == [
        ("content alone", 0.04)
    ]
    mf = cell_of(few_labels, {"blend": 0.58, "mf": 0.7})  # no member
    assert bars.too_far([mf]) == {"length": [], "its best member": []}


def test_a_blend_that_learned_something_falls_nowhere_short(few_labels: ModuleType) -> None:
    cells = [cell_of(few_labels, {"blend": 0.64, "length": 0.6}) for _ in range(3)]
    assert few_labels.shortfalls(cells) == []


@pytest.mark.parametrize(
    ("blend", "length", "named"),
    [
        (0.51, 0.45, "a random order"),  # .490 to .530 holds a random order
        (0.60, 0.59, "length"),  # ahead by -.010 to .030
        (0.45, 0.40, "behind a random order on planted"),
        (0.60, 0.65, "behind length on planted"),
    ],
)
def test_a_blend_at_or_below_length_or_chance_falls_short(
    few_labels: ModuleType, blend: float, length: float, named: str
) -> None:
    cells = [cell_of(few_labels, {"blend": blend, "length": length})]
    assert any(named in line for line in few_labels.shortfalls(cells))


def test_one_cell_surely_behind_is_not_made_up_for_by_others(few_labels: ModuleType) -> None:
    good = cell_of(few_labels, {"blend": 0.75, "length": 0.6})
    bad = cell_of(few_labels, {"blend": 0.55, "length": 0.6})
    assert few_labels.shortfalls([good, good, bad]) == [
        "blend is behind length on planted, big / small with 300 labels"
    ]


def test_the_page_says_what_was_met_and_what_was_missed(few_labels: ModuleType) -> None:
    bar = few_labels.bars.BARS[0]
    cells = [
        replace(cell_of(few_labels, {"blend": bar.asked - 0.001}), title=bar.title),
        replace(cell_of(few_labels, {"blend": bar.asked}), title=bar.title, embedder="sentence"),
        replace(cell_of(few_labels, {"blend": 0.5, "length": 0.53}), n_refused={"mf": 1}),
    ]
    page = "\n".join(few_labels.page_lines(cells, ["curves.svg"]))
    assert "| 0.624 ± 0.000 [0.604, 0.644] 0.624 | missed |" in page
    assert "| 0.625 ± 0.000 [0.605, 0.645] 0.625 | met |" in page
    assert "below length | 300 | static | 0 | 1 of 2 | missed |" in page
    assert "| planted, big / small | static | length | -0.030 | [-0.050, -0.010] |" in page
    assert "`mf` could not be fitted to 1 of the 2 draws of 300 labels (static)" in page
    assert "| 600 of 900 | 0.500 |" in page
    assert "| 0.030 | 0.5% |" in page
    assert "![APGR against the number of labels](curves.svg)" in page


def test_further_draws_stand_beside_what_was_asked_for(
    few_labels: ModuleType, word_embedder: Embedder
) -> None:
    cells, bars = few_labels.cells, few_labels.bars
    names = dict.fromkeys(("blend", *few_labels.fits.MEMBERS), 0.55)
    asked = cell_of(few_labels, {**names, "length": 0.5})
    further = replace(cell_of(few_labels, {**names, "length": 0.62}), first_seed=bars.FURTHER_SEED)
    page = "\n".join(few_labels.page_lines([asked, further], []))
    assert "below length | 300 | static | 0 | 0 of 1 | met |" in page  # the first draws alone
    assert "seeds 1,000 to 1,001, which" in page
    assert "-0.070 [-0.090, -0.050] | -0.070 [-0.090, -0.050] |" in page
    assert "below length on 1 of 1 pairs, on 1 by more than noise" in page
    sample = sample_of(few_labels, word_embedder)
    [again] = cells.measure_splits(
        sample, word_embedder.identity, n_labels=100, n_splits=1, first_seed=1, routers=("blend",)
    )
    both = cells.measure_splits(sample, word_embedder.identity, n_labels=100, n_splits=2)
    assert set(again.apgr) == {"blend", *few_labels.fits.MEMBERS, "oracle"}
    assert again.apgr["blend"] == both[1].apgr["blend"] != both[0].apgr["blend"]


def test_pictures_have_equal_bytes(few_labels: ModuleType, tmp_path: Path) -> None:
    cells = [replace(cell_of(few_labels, {"blend": 0.6}), n_labels=n) for n in (100, 300)]
    one, two = (few_labels.write_figure(cells, tmp_path / f"{name}.svg") for name in "ab")
    assert one.read_bytes() == two.read_bytes()
    assert ET.fromstring(one.read_text()).tag.endswith("svg")


def test_the_committed_page_and_pictures_are_those_of_the_committed_figures(
    few_labels: ModuleType,
) -> None:
    cells = few_labels.read_cells(PAGE.with_suffix(".json"))
    embedders = list(dict.fromkeys(cell.embedder for cell in cells))
    pictures = [PAGE.with_name(f"few_labels_{name}.svg") for name in embedders]
    assert all(10_000 < picture.stat().st_size < 300_000 for picture in pictures)
    names = [picture.name for picture in pictures]
    neural = few_labels.neural_figures()
    page = "\n".join(few_labels.page_lines(cells, names, neural))
    assert PAGE.read_text() == page
    assert {cell.set_name for cell in cells} == {pair.name for pair in few_labels.PAIRS}


def test_the_neural_routers_are_quoted_from_their_own_pages(few_labels: ModuleType) -> None:
    figures = {(one.router, one.page): one for one in few_labels.neural_figures()}
    assert {("bert", "bert.md"), ("blend", "bert.md"), ("causal", "causal.md")} <= set(figures)
    bert = figures["bert", "bert.md"]
    row = next(line for line in (ROOT / "results" / "bert.md").read_text().splitlines()
               if "1,531 gold labels" in line and "| bert |" in line)  # fmt: skip
    assert f"| {bert.n_evaluated} | {bert.apgr} |" in row
    page = "\n".join(few_labels.page_lines([], [], [bert]))
    assert f"| bert | {bert.n_evaluated} | {bert.apgr} | [bert.md](bert.md) |" in page


@pytest.mark.slow
def test_the_quick_study_finds_blend_ahead_of_length_and_chance(
    shared_data: Path, tmp_path: Path
) -> None:
    page = tmp_path / "page.md"
    command = [sys.executable, "-m", "runs.study_few_labels", "--quick"]
    command += ["--data", str(shared_data), "--output", str(page)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert page.read_text() == done.stdout.removesuffix("\n")
    assert (tmp_path / "page_static.svg").is_file()
    assert str(tmp_path) not in page.read_text()
