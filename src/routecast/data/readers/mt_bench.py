"""MT-Bench as FastChat writes it: questions of two turns, and grades by a judge."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from routecast.data.outcomes import ANSWER, QUALITY
from routecast.data.reading import require_polars
from routecast.data.rows import json_objects
from routecast.errors import DataError

if TYPE_CHECKING:
    import polars as pl

N_TURNS = 2
_ANSWER = re.compile(
    r"\[The Start of Assistant's Answer\]\n(.*)\n\[The End of Assistant's Answer\]", re.DOTALL
)


def mt_bench_table(folder: Path) -> "pl.DataFrame":
    """Read ``question.jsonl`` and ``judgements.jsonl`` into a wide table.

    Args:
        folder: The folder that holds both.

    Returns:
        ``prompt`` (first turn), ``second_turn``, ``category``, ``question_id``; per model
        ``quality|NAME``, the mean of the grades of both turns, and ``answer|NAME``, the answer
        to the first turn (null where the judge's prompt does not show it).

    Raises:
        DataError: If a question has no two turns, a model lacks a grade for one of them, has two
            for the same, or the grade is not a number from 1 to 10.
    """
    polars = require_polars("reading MT-Bench")
    grades, answers = _judgements(folder / "judgements.jsonl")
    models = sorted({model for model, _, _ in grades})
    rows = []
    for line, question in json_objects(folder / "question.jsonl"):
        turns = question.get("turns")
        if not isinstance(turns, list) or len(turns) != N_TURNS:
            raise DataError(f"question.jsonl, line {line}: 'turns' is not a list of {N_TURNS}")
        number = question.get("question_id")
        row = {
            "prompt": turns[0],
            "second_turn": turns[1],
            "category": question.get("category"),
            "question_id": number,
        }
        for model in models:
            row[QUALITY + model] = _mean_grade(grades, model, number)
            row[ANSWER + model] = answers.get((model, number))
        rows.append(row)
    return polars.DataFrame(rows, infer_schema_length=None)  # type: ignore[no-any-return]


def _judgements(
    path: Path,
) -> tuple[dict[tuple[str, Any, int], float], dict[tuple[str, Any], str]]:
    """Return grades by model, question and turn, and first answers by model and question."""
    grades: dict[tuple[str, Any, int], float] = {}
    answers: dict[tuple[str, Any], str] = {}
    for line, entry in json_objects(path):
        model, number, turn = entry.get("model"), entry.get("question_id"), entry.get("turn")
        grade = entry.get("score")
        if not isinstance(model, str) or not isinstance(turn, int) or not 1 <= turn <= N_TURNS:
            raise DataError(
                f"judgements.jsonl, line {line}: model {model!r}, turn {turn!r}; "
                f"accepted are a name and 1 to {N_TURNS}"
            )
        if not isinstance(grade, int | float) or not 1 <= grade <= 10:
            raise DataError(
                f"judgements.jsonl, line {line}, 'score': {grade!r}; accepted is 1 to 10"
            )
        if (model, number, turn) in grades:
            raise DataError(
                f"judgements.jsonl, line {line}: a second grade of {model!r} for question "
                f"{number!r}, turn {turn}"
            )
        grades[model, number, turn] = float(grade)
        shown = _ANSWER.search(str(entry.get("user_prompt"))) if turn == 1 else None
        if shown:
            answers[model, number] = shown[1]
    return grades, answers


def _mean_grade(grades: Mapping[tuple[str, Any, int], float], model: str, number: object) -> float:
    of_turns = [grades.get((model, number, turn)) for turn in range(1, N_TURNS + 1)]
    known = [grade for grade in of_turns if grade is not None]
    if len(known) != N_TURNS:
        raise DataError(
            f"judgements.jsonl has {len(known)} grades of {model!r} for question {number!r}; "
            f"it needs one for each of {N_TURNS} turns"
        )
    return sum(known) / N_TURNS
