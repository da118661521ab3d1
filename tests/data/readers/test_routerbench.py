"""RouterBench, on rows in the published schema."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from routecast.data.readers.routerbench import read_routerbench
from routecast.errors import DataError

MODELS = ("gpt-4-1106-preview", "mistralai/mixtral-8x7b-chat")


def row(prompt: object, *, quality: tuple[object, object] = (1.0, 0.25)) -> dict[str, Any]:
    costs = (0.00074, 6.57e-05)
    return {
        "sample_id": "mmlu-professional-psychology.val.221",
        "prompt": prompt,
        "eval_name": "mmlu-professional-psychology",
        **dict(zip(MODELS, quality, strict=True)),
        **{f"{model}|model_response": f"['{model} says']" for model in MODELS},
        **{f"{m}|total_cost": cost for m, cost in zip(MODELS, costs, strict=True)},
        "oracle_model_to_route_to": MODELS[0],
    }


ROWS = [
    row("['Answer with a letter.\\n\\nWhich is it?']"),
    row("['Guess the character.', \"it's open\"]"),
    row("[unfinished", quality=(0.0, None)),
]


def saved(folder: Path, rows: list[dict[str, Any]], ending: str) -> Path:
    path = folder / f"routerbench_0shot{ending}"
    if ending == ".jsonl":
        path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    elif ending == ".csv":
        pl.DataFrame(rows, strict=False).write_csv(path)
    else:
        pl.DataFrame(rows, strict=False).write_parquet(path)
    return path


@pytest.mark.parametrize("ending", [".parquet", ".jsonl", ".csv"])
def test_models_are_the_columns_with_a_cost_and_prompts_are_joined(
    tmp_path: Path, ending: str
) -> None:
    outcomes = read_routerbench(saved(tmp_path, ROWS, ending)).table
    assert outcomes.models == MODELS
    assert outcomes.prompts == [
        "Answer with a letter.\n\nWhich is it?",
        "Guess the character.\nit's open",
        "[unfinished",
    ]
    np.testing.assert_array_equal(outcomes.quality(MODELS[1]), [0.25, 0.25, np.nan])
    np.testing.assert_array_equal(outcomes.cost_usd(MODELS[0]), [0.00074] * 3)
    table = outcomes.table
    assert table["group"].to_list() == ["mmlu-professional-psychology"] * 3
    assert table[f"answer|{MODELS[1]}"][0] == "mistralai/mixtral-8x7b-chat says"
    assert table["oracle_model_to_route_to"][0] == MODELS[0]


def test_prompts_may_be_lists_already_and_answers_left_out(tmp_path: Path) -> None:
    path = saved(tmp_path, [row(["one", "two \ud83d\ude00"])], ".jsonl")
    outcomes = read_routerbench(path, answers=False).table
    assert outcomes.prompts == ["one\ntwo \U0001f600"]
    assert not [name for name in outcomes.table.columns if "response" in name or "answer" in name]


def test_a_quality_off_the_scale_is_named_by_the_files_own_column(tmp_path: Path) -> None:
    path = saved(tmp_path, [ROWS[0], row("['x']", quality=(7.0, 1.0))], ".parquet")
    with pytest.raises(DataError, match="row 2, column 'gpt-4-1106-preview': 7"):
        read_routerbench(path)
    result = read_routerbench(path, skip_bad=True)
    assert len(result.table) == 1


def test_a_table_without_costs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"prompt": "x", "m": 1}\n')
    with pytest.raises(DataError, match=r"has no model.*'MODEL\|total_cost'"):
        read_routerbench(path)
