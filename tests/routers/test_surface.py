import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routecast.routers.surface import MAX_CHARACTERS, SURFACE_NAMES, surface_features


def named(prompt: str) -> dict[str, float]:
    return dict(zip(SURFACE_NAMES, surface_features([prompt])[0].tolist(), strict=True))


def test_the_form_of_a_short_prompt_worked_by_hand() -> None:
    # The pieces Is, 12, +, 3, =, 15? and $x$ hold 13 characters, and 7 stretches of white space
    # follow them. Words: is, 12, 3, 15, x. The empty line is none.
    found = named("Is 12 + 3 = 15?\n\n$x$\n")
    assert found == pytest.approx(
        {
            "log_words": math.log(6),
            "digit_share": 5 / 20,  # 1 2 3 1 5
            "symbol_share": 4 / 20,  # + = $ $
            "log_lines": math.log(2),
            "non_ascii_share": 0.0,
            "distinct_word_share": 1.0,
            "is_code": 0.0,
            "mean_word_length": 13 / 5,
            "log_numbers": math.log(4),  # 12, 3, 15
            "questions_per_word": 1 / 5,
            "log_math_signs": math.log(4),  # = $ $
            "hard_words": 0.0,
            "step_words": 0.0,
            "logic_words": 0.0,
            "negations": 0.0,
            "chat_words": 0.0,
            "is_fact_question": 0.0,
        }
    )


def test_listed_words_count_once_each_and_only_as_whole_words() -> None:
    found = named("Prove, PROVE: if not proven then explain why. Thanks! Not so, because")
    assert found["hard_words"] == 2  # prove, explain
    assert found["step_words"] == 1  # then
    assert found["logic_words"] == 3  # if, why, because
    assert found["negations"] == 1
    assert found["chat_words"] == 1


def test_a_question_for_a_fact_is_told_by_its_first_word() -> None:
    assert named("  Who wrote it?")["is_fact_question"] == 1.0
    assert named("I ask who wrote it")["is_fact_question"] == 0.0


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=80))
def test_neither_case_nor_more_white_space_changes_anything(prompt: str) -> None:
    spread = re.sub(r"([ \t])", r"\1 ", prompt).replace("\n", "\n \n")
    for other in (prompt.upper(), prompt.lower(), f" {prompt}\n\n", spread):
        assert named(other) == named(prompt)


def test_code_is_told_by_a_fence_or_a_definition() -> None:
    assert named("```\nx\n```")["is_code"] == 1.0
    assert named("def f(): pass")["is_code"] == 1.0
    assert named("define code")["is_code"] == 0.0


def test_a_repeated_word_counts_once_whatever_its_case() -> None:
    assert named("Tea tea TEA for two")["distinct_word_share"] == 3 / 5


def test_characters_outside_ascii_count_once_however_many_bytes_they_take() -> None:
    # One each of two, three and four bytes.
    assert named("a\u00e9\u4e2d\U0001f600")["non_ascii_share"] == 3 / 5


def test_beyond_the_limit_nothing_is_looked_at() -> None:
    shown = "word " * 2000
    assert len(shown) > MAX_CHARACTERS
    assert named(shown + "7" * 500) == named(shown)


@given(st.lists(st.text(max_size=60), max_size=5))
def test_features_are_finite_and_agree_with_a_slow_count(prompts: list[str]) -> None:
    features = surface_features(prompts)
    assert features.shape == (len(prompts), len(SURFACE_NAMES))
    assert np.isfinite(features).all()
    for prompt, row in zip(prompts, features, strict=True):
        found = dict(zip(SURFACE_NAMES, row, strict=True))
        text = prompt.lower()
        n_characters = len("".join(text.split())) + len(text.split()) or 1
        assert found["non_ascii_share"] == sum(ord(c) > 127 for c in text) / n_characters
        assert found["digit_share"] == sum(c in "0123456789" for c in text) / n_characters
        assert found["log_numbers"] == pytest.approx(np.log1p(len(re.findall("[0-9]+", text))))


def test_no_prompt_stops_it_neither_empty_nor_with_lone_surrogates() -> None:
    assert surface_features([]).shape == (0, len(SURFACE_NAMES))
    assert surface_features([""])[0].tolist() == [0.0] * len(SURFACE_NAMES)
    assert named("a\ud800")["non_ascii_share"] == 1 / 3
