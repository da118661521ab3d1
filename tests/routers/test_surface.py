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
    # 20 characters, so shares of characters are of 21: "Is 12 + 3 = 15?" has 15, and with
    # "\n$x$\n" it has 20. Pieces: Is 12 + 3 = 15? $x$, 7, all different; 13 characters in them.
    found = named("Is 12 + 3 = 15?\n$x$\n")
    assert found == pytest.approx(
        {
            "log_characters": math.log(21),
            "log_words": math.log(8),
            "characters_per_word": 20 / 7,
            "digit_share": 5 / 21,  # 1 2 3 1 5
            "capital_share": 1 / 21,
            "symbol_share": 4 / 21,  # + = $ $
            "lines_per_word": 2 / 7,
            "questions_per_word": 1 / 7,
            "log_lines": math.log(3),
            "log_dollars": math.log(3),
            "non_ascii_share": 0.0,
            "distinct_word_share": 1.0,
            "is_code": 0.0,
            "mean_word_length": 13 / 7,
            "log_numbers": math.log(4),  # 12, 3, 15
        }
    )


def test_code_is_told_by_a_fence_or_a_definition() -> None:
    assert named("```\nx\n```")["is_code"] == 1.0
    assert named("def f(): pass")["is_code"] == 1.0
    assert named("define code")["is_code"] == 0.0


def test_a_repeated_word_counts_once_whatever_its_case() -> None:
    assert named("Tea tea TEA for two")["distinct_word_share"] == 3 / 5


def test_characters_outside_ascii_count_once_however_many_bytes_they_take() -> None:
    # One each of two, three and four bytes.
    assert named("a\u00e9\u4e2d\U0001f600")["non_ascii_share"] == 3 / 5


def test_beyond_the_limit_only_length_is_looked_at() -> None:
    shown, hidden = "word " * 2000, "7" * 500
    assert len(shown) > MAX_CHARACTERS
    long, longer = named(shown), named(shown + hidden)
    assert longer.pop("log_characters") > long.pop("log_characters")
    assert longer.pop("log_words") > long.pop("log_words")
    assert longer == long


@given(st.lists(st.text(max_size=60), max_size=5))
def test_features_are_finite_and_agree_with_a_slow_count(prompts: list[str]) -> None:
    features = surface_features(prompts)
    assert features.shape == (len(prompts), len(SURFACE_NAMES))
    assert np.isfinite(features).all()
    for prompt, row in zip(prompts, features, strict=True):
        found = dict(zip(SURFACE_NAMES, row, strict=True))
        n_characters = len(prompt) + 1
        assert found["non_ascii_share"] == sum(ord(c) > 127 for c in prompt) / n_characters
        assert found["digit_share"] == sum(c in "0123456789" for c in prompt) / n_characters
        assert found["log_numbers"] == pytest.approx(np.log1p(len(re.findall("[0-9]+", prompt))))
        assert found["lines_per_word"] == prompt.count("\n") / max(1, len(prompt.split()))


def test_no_prompt_stops_it_neither_empty_nor_with_lone_surrogates() -> None:
    assert surface_features([]).shape == (0, 15)
    assert surface_features([""])[0].tolist() == [0.0] * 15
    assert named("a\ud800")["non_ascii_share"] == 1 / 3
