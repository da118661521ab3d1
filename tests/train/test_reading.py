import json
from pathlib import Path

import pytest

from routecast.errors import DataError
from routecast.train.reading import read_comparisons, read_excluded, read_outcomes


def write_lines(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


BATTLE: dict[str, object] = {
    "prompt": "Which is it, then?",
    "model_a": "a",
    "model_b": "b",
    "outcome": 1.0,
}
OUTCOME: dict[str, object] = {"prompt": "Which is it, then?", "quality|a": 1.0, "quality|b": 0.0}


def test_comparisons_are_read_whatever_their_layout(tmp_path: Path) -> None:
    votes: dict[str, object] = {
        "prompt": "Which is it, then?", "model_a": "a", "model_b": "b", "winner": "model_b",
    }  # fmt: skip
    native = read_comparisons(write_lines(tmp_path / "native.jsonl", BATTLE)).table
    pandalm = read_comparisons(write_lines(tmp_path / "votes.jsonl", votes)).table
    assert native.outcome.tolist() == [1.0]
    assert pandalm.outcome.tolist() == [0.0]


def test_outcomes_given_as_comparisons_are_told_where_they_belong(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "file.jsonl", OUTCOME)
    with pytest.raises(DataError, match="holds outcomes, not comparisons; give it with --outcomes"):
        read_comparisons(path)


def test_comparisons_given_as_outcomes_are_told_where_they_belong(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "file.jsonl", BATTLE)
    with pytest.raises(DataError, match="give it with --comparisons"):
        read_outcomes(path)


def test_comparisons_with_grades_beside_them_are_outcomes_too(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "graded.jsonl", BATTLE | OUTCOME)
    assert read_outcomes(path).table.models == ("a", "b")
    assert len(read_comparisons(path).table) == 1


def test_comparisons_without_prompts_teach_no_router(tmp_path: Path) -> None:
    row = {name: value for name, value in BATTLE.items() if name != "prompt"}
    with pytest.raises(DataError, match="no column 'prompt'"):
        read_comparisons(write_lines(tmp_path / "ratings.jsonl", row))


def test_prompts_without_labels_are_refused_with_what_labels_look_like(tmp_path: Path) -> None:
    path = write_lines(tmp_path / "prompts.jsonl", {"prompt": "Hello"})
    with pytest.raises(DataError, match="prompts without labels; outcomes have a column"):
        read_outcomes(path)
    with pytest.raises(DataError, match="'model_a', 'model_b' and 'outcome'"):
        read_comparisons(path)


def test_evaluation_prompts_are_read_from_any_table(tmp_path: Path) -> None:
    for number, row in enumerate((BATTLE, OUTCOME, {"prompt": BATTLE["prompt"]})):
        path = write_lines(tmp_path / f"{number}.jsonl", row)
        assert read_excluded(path) == [BATTLE["prompt"]]


def test_a_benchmark_is_excluded_with_its_contaminated_questions(shared_data: Path) -> None:
    folder = shared_data / "benchmarks" / "routellm"
    assert len(read_excluded(folder / "gsm8k")) == 1319
    assert len(read_outcomes(folder / "gsm8k").table) == 1307


def test_a_folder_holds_no_comparisons(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is a folder; name a file"):
        read_comparisons(tmp_path)
