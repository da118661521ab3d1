"""Reading a sample of traffic."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from routecast.calibrate.sample import read_outcome_sample, read_prompt_sample
from routecast.errors import DataError
from routecast.upstream.prices import Price

ROWS: list[dict[str, Any]] = [
    {"prompt": "a", "quality|s": 1, "quality|w": 0, "cost_usd|s": 0.02, "cost_usd|w": 0.01,
     "input_tokens|s": 1000, "output_tokens|s": 100, "group": "x"},
    {"prompt": "b", "quality|s": 0.5, "quality|w": 1, "cost_usd|s": None, "cost_usd|w": 0.01,
     "input_tokens|s": 2000, "output_tokens|s": 0, "group": "x"},
    {"prompt": "c", "quality|s": None, "quality|w": 1, "cost_usd|s": 0.03, "cost_usd|w": 0.01,
     "input_tokens|s": 0, "output_tokens|s": 0, "group": "y"},
]  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "traffic.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


def test_prompts_are_read_and_named_without_their_folder(file: Path) -> None:
    sample = read_prompt_sample(file)
    assert (sample.prompts, sample.name) == (["a", "b", "c"], "3 prompts of traffic.jsonl")
    assert sample.outcomes is None


def test_of_a_large_file_a_random_choice_is_kept_and_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("routecast.calibrate.sample.MAX_PROMPTS", 100)
    path = tmp_path / "many.jsonl"
    rows = [{"prompt": f"{n:04}", "quality|s": 1, "quality|w": n % 2} for n in range(2000)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    sample = read_prompt_sample(path)
    assert sample.name == "100 of 2,000 prompts of many.jsonl, drawn at random (seed 0)"
    assert sample.prompts == sorted(set(sample.prompts))
    assert len(sample.prompts) == 100
    assert sample.prompts == read_prompt_sample(path).prompts
    assert sample.prompts != read_prompt_sample(path, seed=1).prompts
    # A uniform choice: the mean of 100 of 2,000 numbers is 999.5 give or take 4 x 58.
    assert abs(np.mean([int(prompt) for prompt in sample.prompts]) - 999.5) < 230
    labelled = read_outcome_sample(path, strong="s", weak="w")
    assert labelled.name == (
        "100 of 2,000 prompts of many.jsonl, drawn at random (seed 0) (s against w)"
    )
    assert labelled.outcomes is not None
    odd = [int(prompt) % 2 for prompt in labelled.prompts]
    assert labelled.outcomes.weak_quality.tolist() == odd


def test_rows_without_both_qualities_or_a_cost_are_left_out(file: Path) -> None:
    sample = read_outcome_sample(file, strong="s", weak="w")
    assert (sample.prompts, sample.n_unpriced) == (["a"], 1)
    assert sample.name == "1 prompt of traffic.jsonl (s against w)"
    assert sample.outcomes is not None
    assert sample.outcomes.strong_cost_usd is not None
    assert sample.outcomes.strong_cost_usd.tolist() == [0.02]


def test_a_price_takes_the_place_of_the_cost_column(file: Path) -> None:
    # 1,000 * 2 / 1e6 + 100 * 10 / 1e6 = .003; 2,000 * 2 / 1e6 = .004.
    sample = read_outcome_sample(file, strong="s", weak="w", strong_price=Price(input=2, output=10))
    assert sample.outcomes is not None
    assert sample.outcomes.strong_cost_usd == pytest.approx([0.003, 0.004])
    assert sample.groups is not None
    assert len(set(sample.groups.tolist())) == 1


def test_costs_of_one_model_alone_are_no_costs(tmp_path: Path) -> None:
    path = tmp_path / "half.jsonl"
    path.write_text('{"prompt": "a", "quality|s": 1, "quality|w": 0, "cost_usd|s": 1}\n')
    sample = read_outcome_sample(path, strong="s", weak="w")
    assert sample.outcomes is not None
    assert sample.outcomes.strong_cost_usd is None
    assert len(sample.prompts) == 1


def test_a_price_without_tokens_names_the_columns(file: Path) -> None:
    with pytest.raises(DataError, match=r"no columns 'input_tokens\|w' and 'output_tokens\|w'"):
        read_outcome_sample(file, strong="s", weak="w", weak_price=Price(input=1, output=1))


def test_no_row_with_both_costs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "none.jsonl"
    row = {"prompt": "a", "quality|s": 1, "quality|w": 0, "cost_usd|s": 1, "cost_usd|w": None}
    path.write_text(json.dumps(row) + "\n")
    with pytest.raises(DataError, match="has the cost of 's' and of 'w'"):
        read_outcome_sample(path, strong="s", weak="w")


def test_an_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match="has no prompts"):
        read_prompt_sample(tmp_path / "empty.jsonl")


def test_taking_rows_takes_them_everywhere(file: Path) -> None:
    sample = read_outcome_sample(
        file, strong="s", weak="w", strong_price=Price(input=2, output=10)
    ).take(np.array([False, True]))
    assert sample.prompts == ["b"]
    assert sample.outcomes is not None
    assert sample.outcomes.weak_quality.tolist() == [1]
    assert sample.groups is not None
    assert len(sample.groups) == 1
