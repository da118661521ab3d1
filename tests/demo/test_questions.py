import pytest

from routecast.data.near_duplicates import find_near_duplicates
from routecast.demo.questions import QUESTIONS_FILE, Answer, AnswerTable, Question
from routecast.embed.registry import load_embedder


def question(strong: Answer, weak: Answer) -> Question:
    return Question(prompt="x" * 10, answers={"strong": strong, "weak": weak})


def test_300_questions_are_learned_from_and_200_are_held_out(
    learning: list[Question], held_out: list[Question]
) -> None:
    assert (len(learning), len(held_out)) == (300, 1_000)
    assert len({asked.prompt for asked in [*learning, *held_out]}) == 1_300
    assert all(answer.text for asked in learning + held_out for answer in asked.answers.values())


def test_no_held_out_question_is_nearly_one_that_was_learned_from(
    learning: list[Question], held_out: list[Question]
) -> None:
    embedder = load_embedder("static")
    left, right = ([asked.prompt for asked in part] for part in (learning, held_out))
    assert len(find_near_duplicates(left, embedder.embed(left), right, embedder.embed(right))) == 0


def test_the_file_is_small_and_its_notice_lies_beside_it() -> None:
    assert QUESTIONS_FILE.stat().st_size < 400_000
    notice = QUESTIONS_FILE.with_name("NOTICE").read_text()
    for words in ("lm-sys/RouteLLM", "Apache-2.0", "Copyright (c) 2021 OpenAI"):
        assert words in notice


def test_an_answer_costs_its_question_and_its_text_at_four_characters_a_token() -> None:
    table = AnswerTable.of(
        [question(Answer(text="y" * 8, is_right=True), Answer(text="z", is_right=False))]
    )
    # 10 characters are 3 tokens, 8 are 2, 1 is 1: 5 * 24.7 and 4 * 0.24 millionths of a dollar.
    assert table.strong_cost_usd == pytest.approx([123.5e-6])
    assert table.weak_cost_usd == pytest.approx([0.96e-6])
    assert (table.strong_quality.tolist(), table.weak_quality.tolist()) == ([1.0], [0.0])
