"""Figures of tables."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.data.comparisons import Comparisons
from routecast.data.describe import Groups, describe_table
from routecast.data.model_figures import (
    ModelFigures,
    figures_of_comparisons,
    figures_of_qualities,
)
from routecast.data.reading import Dropped

BATTLES: list[dict[str, Any]] = [
    {"prompt": "aa", "model_a": "x", "model_b": "y", "outcome": 1.0, "source": "human"},
    {"prompt": "aa", "model_a": "y", "model_b": "x", "outcome": 0.5, "source": "human"},
    {"prompt": "bbbb", "model_a": "x", "model_b": "z", "outcome": 0.75, "source": "judge"},
    {"prompt": "c", "model_a": "z", "model_b": "y", "outcome": 0.0, "source": None},
]
QUALITY = st.sampled_from([0.0, 0.5, 1.0]) | st.none()


def saved(folder: Path, rows: list[dict[str, Any]]) -> Path:
    path = folder / "t.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_comparisons_are_described_as_worked_by_hand(tmp_path: Path) -> None:
    languages: list[dict[str, Any]] = [
        {"language": "en", "group": 1},
        {"language": "en", "group": 1},
        {"language": "de", "group": 2},
        {"language": None, "group": None},
    ]
    rows = [row | more for row, more in zip(BATTLES, languages, strict=True)]
    told = describe_table(saved(tmp_path, [*rows, rows[0] | {"prompt": " "}]))
    assert (told.kind, told.format, told.n_rows, told.n_prompts) == ("comparisons", "native", 4, 3)
    assert told.n_duplicates == 1  # the second row has the first's prompt and its two models
    assert told.prompt_chars == pytest.approx(
        {
            "mean": 7 / 3,
            "min": 1,
            "5%": 1.1,
            "25%": 1.5,
            "median": 2,
            "75%": 3,
            "95%": 3.8,
            "max": 4,
        }
    )
    assert (told.tie_share, told.soft_share) == (0.25, 0.25)
    # x won 1 + 0.5 + 0.75 of 3; y 0 + 0.5 + 1 of 3; z 0.25 + 0 of 2
    assert told.models == (
        ModelFigures(model="x", n_rows=3, win_rate=0.75),
        ModelFigures(model="y", n_rows=3, win_rate=0.5),
        ModelFigures(model="z", n_rows=2, win_rate=0.125),
    )
    assert told.label_sources == {"human": 2, "judge": 1}
    assert told.languages == {"en": 2, "de": 1}
    assert told.groups == Groups(n_groups=2, largest=2)
    assert told.left_out == (Dropped(reason="blank prompt", n_rows=1),)


def test_weights_count(tmp_path: Path) -> None:
    rows = [row | {"weight": 1 + 2 * (i == 0)} for i, row in enumerate(BATTLES)]
    told = describe_table(saved(tmp_path, rows))
    # Weights 3, 1, 1, 1: one tie of 6; x won 3 + 0.5 + 0.75 of 5.
    assert told.tie_share == pytest.approx(1 / 6)
    assert told.models[0].win_rate == pytest.approx(4.25 / 5)


def test_outcomes_are_described_as_worked_by_hand(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [
        {"prompt": "p", "quality|x": 1, "quality|y": 0.5, "quality|z": None, "cost_usd|x": 0.25},
        {"prompt": "q", "quality|x": 0, "quality|y": 0, "quality|z": 1, "cost_usd|x": 0.75},
        {"prompt": "q", "quality|x": None, "quality|y": 1, "quality|z": None, "cost_usd|x": None},
    ]
    told = describe_table(saved(tmp_path, rows))
    assert (told.kind, told.n_rows, told.n_prompts, told.n_duplicates) == ("outcomes", 3, 2, 1)
    # Pairs: x > y in row 1; in row 2 x = y, x < z, y < z. One tie of 4.
    assert told.tie_share == 0.25
    assert told.models == (
        ModelFigures(model="z", n_rows=1, win_rate=1.0, mean_quality=1.0),
        ModelFigures(model="x", n_rows=2, win_rate=0.5, mean_quality=0.5, mean_cost_usd=0.5),
        ModelFigures(model="y", n_rows=3, win_rate=0.5 / 3, mean_quality=0.5),
    )


def test_prompts_have_no_models(tmp_path: Path) -> None:
    told = describe_table(saved(tmp_path, [{"prompt": "p"}, {"prompt": "p"}]))
    assert (told.kind, told.models, told.tie_share, told.n_duplicates) == ("prompts", (), None, 1)


def test_published_layouts_are_described_too(tmp_path: Path) -> None:
    rows = [{"query": "short", "task": "t", "correct|m": 1, "correct|n": 0}]
    told = describe_table(saved(tmp_path, rows))
    assert (told.format, told.n_rows, told.groups) == ("matrix", 1, Groups(n_groups=1, largest=1))


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(1, 3), st.sampled_from([0.0, 0.3, 0.5, 1.0])),
        min_size=1,
    )
)
@settings(max_examples=100, deadline=None)
def test_win_rates_equal_a_slow_count_and_swapping_sides_changes_nothing(
    battles: list[tuple[int, int, float]],
) -> None:
    named = [(f"m{a}", f"m{(a + step) % 4}", outcome) for a, step, outcome in battles]
    won, met = dict.fromkeys("0123", 0.0), dict.fromkeys("0123", 0)
    for a, b, outcome in named:
        won[a[1]] += outcome
        won[b[1]] += 1 - outcome
        met[a[1]] += 1
        met[b[1]] += 1
    figures = figures_of_comparisons(comparisons_of(named))
    rates = {figure.model: figure.win_rate for figure in figures}
    for name in "0123":
        if met[name]:
            assert rates[f"m{name}"] == pytest.approx(won[name] / met[name])
    swapped = figures_of_comparisons(comparisons_of([(b, a, 1 - o) for a, b, o in named]))
    assert {f.model: f.win_rate for f in swapped} == pytest.approx(rates)


def comparisons_of(battles: list[tuple[str, str, float]]) -> Comparisons:
    table = pl.DataFrame(battles, schema=["model_a", "model_b", "outcome"], orient="row")
    return Comparisons(table=table)


@given(st.lists(st.tuples(QUALITY, QUALITY, QUALITY), min_size=1, max_size=8))
@settings(max_examples=100, deadline=None)
def test_outcomes_win_rates_equal_a_slow_count(
    rows: list[tuple[float | None, float | None, float | None]],
) -> None:
    nan = float("nan")
    qualities = {
        f"m{i}": np.array([nan if row[i] is None else row[i] for row in rows], dtype=np.float64)
        for i in range(3)
    }
    won, met, ties = np.zeros(3), np.zeros(3), 0
    for row in rows:
        for a in range(3):
            for b in range(3):
                first, second = row[a], row[b]
                if a != b and first is not None and second is not None:
                    met[a] += 1
                    won[a] += 1.0 if first > second else 0.5 if first == second else 0.0
                    ties += first == second
    figures, tie_share = figures_of_qualities(qualities, {})
    for figure in figures:
        i = int(figure.model[1])
        assert figure.win_rate == (pytest.approx(won[i] / met[i]) if met[i] else None)
    assert tie_share == (pytest.approx(ties / met.sum()) if met.sum() else None)


@pytest.mark.parametrize(
    ("name", "weak", "strong"),
    [("mmlu", 0.681, 0.806), ("gsm8k", 0.637, 0.858), ("mt_bench", 8.28, 9.21)],
)
def test_the_shared_benchmarks_have_their_published_means(
    shared_data: Path, name: str, weak: float, strong: float
) -> None:
    told = describe_table(shared_data / "benchmarks" / "routellm" / name)
    means = [model.mean_quality for model in told.models]
    assert means == pytest.approx([strong, weak], abs=0.005)
