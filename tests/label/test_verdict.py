"""From a judge's words to a verdict: strictly, or not at all."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from routecast.label.verdict import (
    PairVerdict,
    Preference,
    outcome_of_grades,
    read_grade,
    read_preference,
)

PREFERENCES: tuple[Preference, ...] = ("A", "B", "tie")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Both are right, the first is shorter.\n[[A]]", "A"),
        ("[[B]] because it is right", "B"),
        ("[[C]]", "tie"),
        ("[[A]] ... so [[A]]", None),  # said twice: who knows whom it quotes
        ("not [[A]] but [[B]]", None),
        ("[[a]]", None),
        ("[[ A ]]", None),
        ("[[D]]", None),
        ("[A]", None),
        ("The verdict is A", None),
        ("[[A]", None),
        ("[[A]] and the list [[1, 2]]", None),
        ("", None),
        ('{"explanation": "x", "verdict": "A"}', None),
    ],
)
def test_a_mark_counts_only_alone(text: str, expected: Preference | None) -> None:
    assert read_preference(text, "marker") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"explanation": "x", "verdict": "A"}', "A"),
        (' {"verdict": "tie", "explanation": ""} ', "tie"),
        ('{"verdict": "A"}', None),
        ('{"explanation": "x", "verdict": "C"}', None),
        ('{"explanation": "x", "verdict": ["A"]}', None),
        ('{"explanation": "x", "verdict": {"A": 1}}', None),
        ('{"explanation": 1, "verdict": "A"}', None),
        ('{"explanation": "x", "verdict": "A", "sure": true}', None),
        ('```json\n{"explanation": "x", "verdict": "A"}\n```', None),
        ('{"explanation": "x", "verdict": "A"', None),
        ("[[A]]", None),
        ("null", None),
        ("[" * 100_000, None),
    ],
)
def test_json_counts_only_as_the_schema_has_it(text: str, expected: Preference | None) -> None:
    assert read_preference(text, "schema") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        *((f"So: [[{grade}]]", grade) for grade in range(1, 11)),
        ("[[0]]", None),
        ("[[11]]", None),
        ("[[7.5]]", None),
        ("[[07]]", None),
        ("[[7/10]]", None),
        ("[[٧]]", None),  # a digit, but not one that was asked for
        ("[[7]] [[8]]", None),
        ("7", None),
    ],
)
def test_a_grade_is_a_whole_number_from_1_to_10(text: str, expected: int | None) -> None:
    assert read_grade(text, "marker") == expected


@pytest.mark.parametrize(
    ("grade", "expected"), [(1, 1), (10, 10), (0, None), (11, None), (7.0, None), ("7", None),
                            (True, None), (None, None)],
)  # fmt: skip
def test_a_grade_in_json_is_held_to_the_same(grade: object, expected: int | None) -> None:
    assert read_grade(json.dumps({"explanation": "x", "grade": grade}), "schema") == expected


@settings(deadline=None)
@given(st.text())
def test_no_text_without_brackets_or_braces_is_ever_a_verdict(text: str) -> None:
    plain = text.replace("[[", "").replace("{", "")
    assert read_preference(plain, "marker") is None
    assert read_grade(plain, "marker") is None
    assert read_preference(plain, "schema") is None
    assert read_grade(plain, "schema") is None


@pytest.mark.parametrize(
    ("strong_first", "weak_first", "outcome", "disagrees", "follows"),
    [
        # shown (strong, weak) and then (weak, strong): A then B is the strong answer both times
        ("A", "B", 1.0, False, None),
        ("B", "A", 0.0, False, None),
        ("tie", "tie", 0.5, False, None),
        ("A", "A", 0.5, True, "first"),
        ("B", "B", 0.5, True, "second"),
        ("A", "tie", 0.5, True, None),
        ("tie", "A", 0.5, True, None),
        ("B", "tie", 0.5, True, None),
        ("tie", "B", 0.5, True, None),
    ],
)
def test_two_verdicts_that_disagree_are_a_tie(
    strong_first: Preference,
    weak_first: Preference,
    outcome: float,
    disagrees: bool,
    follows: str | None,
) -> None:
    verdict = PairVerdict(strong_first=strong_first, weak_first=weak_first)
    assert verdict.outcome == outcome
    assert verdict.disagrees == disagrees
    assert verdict.follows_position == follows


@settings(deadline=None)
@given(st.sampled_from(PREFERENCES), st.sampled_from(PREFERENCES))
def test_swapping_the_models_turns_the_outcome_round(first: Preference, second: Preference) -> None:
    one = PairVerdict(strong_first=first, weak_first=second)
    other = PairVerdict(strong_first=second, weak_first=first)
    assert one.outcome + other.outcome == 1.0
    assert one.disagrees == other.disagrees
    assert one.follows_position == other.follows_position


def test_the_higher_grade_wins() -> None:
    assert outcome_of_grades(strong=8, weak=7) == 1.0
    assert outcome_of_grades(strong=7, weak=8) == 0.0
    assert outcome_of_grades(strong=7, weak=7) == 0.5
