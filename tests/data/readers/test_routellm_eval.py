"""The published evaluation data, on small files in the same layouts."""

import json
from pathlib import Path

import numpy as np
import pytest

from routecast.data.readers.routellm_eval import read_routellm_eval
from routecast.data.reading import Dropped
from routecast.errors import DataError


def write_jsonl(path: Path, *entries: object) -> None:
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


@pytest.fixture
def mmlu(tmp_path: Path) -> Path:
    (tmp_path / "responses").mkdir()
    for subject, rows in (("anatomy", "p1,True,False\np2,False,True\n"), ("law", "p3,True,True\n")):
        path = tmp_path / "responses" / f"mmlu_{subject}.csv"
        path.write_text(f"prompt,org/weak,strong\n{rows}")
    write_jsonl(tmp_path / "contaminated_prompts.jsonl", {"eval_prompt": "p2", "train_prompt": "x"})
    return tmp_path


@pytest.fixture
def gsm8k(tmp_path: Path) -> Path:
    (tmp_path / "gsm8k_responses.csv").write_text(
        'prompt,weak,strong,weak_response,strong_response\np1,True,False,"a\nb",c\n'
    )
    write_jsonl(tmp_path / "contaminated_prompts.jsonl")
    return tmp_path


def judgement(question: int, turn: int, score: object, model: str = "m") -> dict[str, object]:
    shown = (
        f"[Question]\nq\n\n[The Start of Assistant's Answer]\nanswer {question}\n"
        "[The End of Assistant's Answer]"
    )
    return {
        "question_id": question,
        "model": model,
        "turn": turn,
        "score": score,
        "user_prompt": shown if turn == 1 else "a conversation",
    }


@pytest.fixture
def mt_bench(tmp_path: Path) -> Path:
    questions = [
        {"question_id": number, "category": "math", "turns": [f"first {number}", f"then {number}"]}
        for number in (81, 82, 83)
    ]
    write_jsonl(tmp_path / "question.jsonl", *questions)
    grades = [(81, 10, 7), (82, 1, 2.5), (83, 5, 5)]
    entries = [judgement(number, 1, one) for number, one, _ in grades]
    entries += [judgement(number, 2, two) for number, _, two in grades]
    write_jsonl(tmp_path / "judgements.jsonl", *entries)
    write_jsonl(tmp_path / "contaminated_prompts.jsonl", {"eval_prompt": "then 83"})
    return tmp_path


def test_mmlu_has_its_subject_as_group_and_drops_what_is_listed(mmlu: Path) -> None:
    result = read_routellm_eval(mmlu)
    assert result.table.prompts == ["p1", "p3"]
    np.testing.assert_array_equal(result.table.quality("org/weak"), [1.0, 1.0])
    np.testing.assert_array_equal(result.table.quality("strong"), [0.0, 1.0])
    assert result.table.table["group"].to_list() == ["anatomy", "law"]
    assert result.dropped == (Dropped(reason="on the decontamination list", n_rows=1),)


def test_nothing_is_dropped_when_told_so(mmlu: Path) -> None:
    (mmlu / "contaminated_prompts.jsonl").unlink()
    with pytest.raises(DataError, match="decontaminate=False"):
        read_routellm_eval(mmlu)
    result = read_routellm_eval(mmlu, decontaminate=False)
    assert (len(result.table), result.dropped) == (3, ())


def test_gsm8k_keeps_the_answers(gsm8k: Path) -> None:
    table = read_routellm_eval(gsm8k).table
    assert table.models == ("weak", "strong")
    assert table.table["answer|weak"].to_list() == ["a\nb"]
    assert table.table["answer|strong"].to_list() == ["c"]


def test_mt_bench_takes_the_mean_of_both_turns_and_drops_by_either(mt_bench: Path) -> None:
    table = read_routellm_eval(mt_bench).table
    assert table.prompts == ["first 81", "first 82"]
    # (10 + 7) / 2 = 8.5, (1 + 2.5) / 2 = 1.75
    np.testing.assert_array_equal(table.quality("m"), [8.5, 1.75])
    assert table.quality_range == (1.0, 10.0)
    assert table.table["answer|m"].to_list() == ["answer 81", "answer 82"]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (judgement(81, 1, 11), "'score': 11; accepted is 1 to 10"),
        (judgement(81, 1, "ten"), "'score': 'ten'"),
        (judgement(81, 3, 5), "turn 3"),
        (judgement(81, 1, 9), "a second grade of 'm' for question 81, turn 1"),
        (judgement(81, 1, 9, model="n"), "1 grades of 'n' for question 81"),
    ],
)
def test_a_grade_that_cannot_be_is_refused(
    mt_bench: Path, entry: dict[str, object], message: str
) -> None:
    with (mt_bench / "judgements.jsonl").open("a") as file:
        file.write(json.dumps(entry))
    with pytest.raises(DataError) as error:
        read_routellm_eval(mt_bench)
    assert message in str(error.value)


def test_a_truth_value_that_is_none_is_refused(gsm8k: Path) -> None:
    (gsm8k / "gsm8k_responses.csv").write_text("prompt,weak\np1,True\np2,yes\n")
    with pytest.raises(DataError, match="row 2, column 'weak': 'yes'; accepted is 'True'"):
        read_routellm_eval(gsm8k)


def test_a_truncated_file_is_refused(gsm8k: Path) -> None:
    (gsm8k / "gsm8k_responses.csv").write_text('prompt,weak\np1,True\n"p2')
    with pytest.raises(DataError, match="line 3"):
        read_routellm_eval(gsm8k)


def test_a_folder_with_none_of_the_layouts_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no RouteLLM benchmark"):
        read_routellm_eval(tmp_path)
    (tmp_path / "responses").mkdir()
    write_jsonl(tmp_path / "contaminated_prompts.jsonl")
    with pytest.raises(DataError, match=r"no file 'mmlu_SUBJECT\.csv'"):
        read_routellm_eval(tmp_path)
